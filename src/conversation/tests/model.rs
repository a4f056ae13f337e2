//! A made-up world around a conversation: one client that checks every word it hears, servers that execute what they are sent, and
//! everything that can happen between them, in any order. What must always be true is asserted after each event (`check.rs`), by the
//! servers (`server.rs`) and by the client (`client.rs`).
//!
//! `PROPTEST_CASES` sets how many worlds are tried.

mod asking;
mod blocking;
mod check;
mod client;
mod commands;
mod data;
mod errors;
mod failures;
mod frame;
mod server;
mod town;
mod world;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed};

use asking::{ask, ask_of_many};
use town::{CLIENTS, Town};
use world::{Event, World};

/// Worlds tried in an ordinary run.
const CASES: u32 = 400;

fn bytes() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1..40_usize, 2 => 40..400_usize, 1 => Just(100_000_usize)]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        40 => (ask(), any::<u8>()).prop_map(|(ask, variant)| Event::Ask(ask, variant)),
        6 => bytes().prop_map(Event::Say),
        6 => bytes().prop_map(Event::Take),
        8 => (1..4_usize).prop_map(Event::Serve),
        8 => bytes().prop_map(Event::Hear),
        12 => (1..4_u8).prop_map(Event::Run),
        5 => Just(Event::Attach),
        3 => (1..3000_u64).prop_map(Event::Wait),
        6 => Just(Event::Demote),
        1 => (0..3_usize).prop_map(Event::Usurp),
        2 => (0..4_usize, 0..3_usize).prop_map(|(serve, lose)| Event::Crash { serve, lose }),
        8 => any::<bool>().prop_map(|sees| Event::Withdraw { sees }),
        8 => Just(Event::Elect),
        2 => (0..4_usize, bytes()).prop_map(|(serve, hear)| Event::Cut { serve, hear }),
        4 => Just(Event::Stay),
        2 => Just(Event::Refuse),
        1 => Just(Event::Loading(true)),
        2 => Just(Event::Loading(false)),
        2 => any::<bool>().prop_map(Event::Lonely),
        2 => Just(Event::Unblock),
        2 => any::<u8>().prop_map(Event::Message),
        1 => Just(Event::Noise),
        1 => Just(Event::Touch),
        2 => Just(Event::Push),
        3 => (0..2_usize).prop_map(Event::Add),
        1 => Just(Event::End),
    ]
}

fn event_of_many() -> impl Strategy<Value = town::Event> {
    use town::Event::*;
    let who = || 0..CLIENTS;
    let few = || 0..4_usize;
    prop_oneof![
        60 => (who(), ask_of_many(), any::<u8>()).prop_map(|(who, ask, variant)| Ask(who, ask, variant)),
        5 => (who(), any::<u8>()).prop_map(|(who, variant)| Unit(who, variant)),
        4 => (who(), bytes()).prop_map(|(who, most)| Say(who, most)),
        10 => who().prop_map(Attend),
        3 => (who(), bytes()).prop_map(|(who, most)| Take(who, most)),
        3 => (who(), few()).prop_map(|(who, most)| Serve(who, most)),
        4 => (who(), bytes()).prop_map(|(who, most)| Hear(who, most)),
        20 => who().prop_map(Run),
        30 => (few(), bytes()).prop_map(|(which, most)| Flush(which, most)),
        16 => (few(), few()).prop_map(|(which, most)| TrunkServe(which, most)),
        16 => (few(), bytes()).prop_map(|(which, most)| TrunkHear(which, most)),
        16 => (few(), 1..14_usize).prop_map(|(which, most)| TrunkHear(which, most)),
        14 => few().prop_map(TrunkRun),
        16 => (few(), 1..24_usize).prop_map(|(which, pieces)| Trickle(which, pieces)),
        12 => (who(), any::<u8>()).prop_map(|(who, variant)| Reads(who, variant)),
        3 => Just(RunAll),
        2 => (1..3000_u64).prop_map(Wait),
        3 => Just(Demote),
        1 => few().prop_map(Usurp),
        1 => few().prop_map(Crash),
        4 => any::<bool>().prop_map(Withdraw),
        12 => Just(Elect),
        2 => (few(), few(), bytes()).prop_map(|(which, serve, hear)| CutTrunk(which, serve, hear)),
        1 => (who(), few(), bytes()).prop_map(|(who, serve, hear)| Cut(who, serve, hear)),
        2 => who().prop_map(Expire),
        4 => who().prop_map(Stay),
        1 => who().prop_map(Refuse),
        1 => Just(Loading(true)),
        2 => Just(Loading(false)),
        2 => any::<bool>().prop_map(Lonely),
        1 => who().prop_map(Unblock),
        1 => Just(Noise),
        1 => Just(Touch),
        2 => Just(Push),
        2 => (0..2_usize).prop_map(Add),
        1 => who().prop_map(Slow),
        1 => who().prop_map(End),
        2 => who().prop_map(Leave),
    ]
}

fn play(events: &[Event]) -> World {
    let mut world = World::new();
    for event in events {
        world.happen(*event);
    }
    world
}

pub(super) fn config() -> Config {
    let config = Config { failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return config;
    }
    // The same worlds each time: new ones are looked for on purpose, not by whoever builds.
    Config { cases: CASES, rng_seed: RngSeed::Fixed(7), ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_nothing_is_lost_doubled_or_mixed_and_in_the_end_all_is_answered(
        events in prop::collection::vec(event(), 1..90)
    ) {
        let mut world = play(&events);
        world.come_to_rest();
        world.check_the_end();
    }

    #[test]
    fn several_that_share_upstreams_never_hear_or_do_what_is_not_theirs(
        events in prop::collection::vec(event_of_many(), 1..250)
    ) {
        let mut town = Town::new();
        for event in events {
            town.happen(event);
        }
        town.come_to_rest();
    }
}

/// Worlds in which nothing is shared would prove nothing.
#[test]
fn in_the_made_up_worlds_much_is_shared_and_large_replies_come() {
    let mut runner = proptest::test_runner::TestRunner::new(Config { rng_seed: RngSeed::Fixed(7), ..Config::default() });
    let (mut shared, mut deferred, mut taken_back) = (0, 0, 0);
    for _ in 0..100 {
        let events = prop::collection::vec(event_of_many(), 250).new_tree(&mut runner).expect("events").current();
        let mut town = Town::new();
        events.into_iter().for_each(|event| town.happen(event));
        (shared, deferred) = (shared + town.shared, deferred + town.deferred);
        taken_back += town.taken_back;
    }
    assert!(
        shared > 500 && deferred > 50 && taken_back > 10,
        "{shared} were handed over, {deferred} deferred, {taken_back} taken back"
    );
}
