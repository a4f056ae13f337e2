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
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use asking::ask;
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
}
