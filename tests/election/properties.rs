//! What must never happen (S1, S3, S4 of the design), and what must always: properties over made-up worlds. The assertions stand
//! in `world.rs`, after each step.

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::world::{Event, SERVERS, World};

fn event() -> impl Strategy<Value = Event> {
    let server = || 0..SERVERS;
    prop_oneof![
        12 => server().prop_map(Event::Check),
        6 => Just(Event::Acknowledge),
        2 => (server(), 1..1000_u64).prop_map(|(server, bytes)| Event::Write(server, bytes)),
        4 => server().prop_map(Event::Promote),
        4 => (server(), server()).prop_map(|(server, master)| Event::Follow(server, master)),
        1 => server().prop_map(Event::CutLink),
        2 => server().prop_map(Event::Stop),
        2 => server().prop_map(Event::Continue),
        3 => server().prop_map(Event::Kill),
        2 => (server(), any::<bool>()).prop_map(|(server, from_file)| Event::StartAsMaster { server, from_file }),
        2 => (server(), server(), any::<bool>()).prop_map(|(server, of, from_file)| Event::StartAsReplica { server, of, from_file }),
        1 => server().prop_map(Event::ChangeId),
        1 => server().prop_map(Event::Load),
        1 => Just(Event::Stall),
        1 => Just(Event::Hint),
        1 => server().prop_map(Event::Elect),
        1 => server().prop_map(Event::Maintenance),
        2 => server().prop_map(Event::Ready),
        2 => (1..5_000_u64).prop_map(Event::Wait),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 1..80)
}

/// The same with Sentinels, who say anything.
fn events_with_sentinels() -> impl Strategy<Value = Vec<Event>> {
    let word = prop::option::of((0..SERVERS, 0..4_u64)).prop_map(Event::Word);
    prop::collection::vec(prop_oneof![8 => event(), 1 => word], 1..80)
}

fn play(events: &[Event]) -> World {
    let mut world = World::new();
    for event in events {
        world.happen(*event);
    }
    world
}

proptest! {
    #![proptest_config(Config { cases: 512, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_two_backends_hold_a_group_at_once_no_epoch_shrinks_and_no_tie_moves_traffic(events in events()) {
        play(&events);
    }

    #[test]
    fn whatever_the_sentinels_say_nobody_is_served_who_does_not_say_role_master_nor_against_their_word_without_proof(
        events in events_with_sentinels()
    ) {
        play(&events);
    }

    #[test]
    fn a_world_at_rest_whose_sentinels_agree_with_it_or_have_no_word_has_that_primary(
        events in events_with_sentinels(),
        master in 0..SERVERS,
        agree: bool,
    ) {
        let mut world = play(&events);
        world.happen(Event::Word(agree.then_some((master, 9))));
        world.come_to_rest(master);
        let primary = world.group.primary().map(|name| name.to_string());
        prop_assert_eq!(primary.as_deref(), Some(["a", "b", "c"][master]), "{}", world.group.standing().2);
    }

    #[test]
    fn the_same_events_lead_to_the_same_decisions(events in events()) {
        let (first, second) = (play(&events), play(&events));
        prop_assert_eq!(first.story, second.story);
        prop_assert_eq!(first.group.standing(), second.group.standing());
    }

    #[test]
    fn a_world_at_rest_with_one_master_that_all_others_follow_has_that_primary(events in events(), master in 0..SERVERS) {
        let mut world = play(&events);
        world.come_to_rest(master);
        let primary = world.group.primary().map(|name| name.to_string());
        prop_assert_eq!(primary.as_deref(), Some(["a", "b", "c"][master]), "{}", world.group.standing().2);
    }
}
