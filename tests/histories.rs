//! Fifty clients write down everything they ask and are told while the primary changes, again and again; a judge that knows only
//! Redis, not mainstay, then says what cannot have come about rightly.
//!
//! `make soak` plays the long form: `HISTORIES_FAILOVERS=30 HISTORIES_CRASHES=30`. `HISTORIES_SEED=1234` lets the clients do the
//! same things again; when servers and threads get their turn nobody can repeat.

mod harness;
mod histories {
    pub mod author;
    mod doctored;
    pub mod history;
    pub mod judge;
    pub mod wire;
    pub mod workload;
    pub mod world;
}

use histories::judge::{Kind, Verdict, judge};
use histories::workload::Manners;
use histories::world::World;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn manners() -> Manners {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let seed = number("HISTORIES_SEED", clock as u64);
    println!("HISTORIES_SEED={seed}");
    Manners { clients: 50, pause_ms: number("HISTORIES_PAUSE_MS", 40), seed }
}

#[track_caller]
fn without_fault(verdict: &Verdict) {
    println!("{}", verdict.told());
    assert!(verdict.faults.is_empty(), "{}", verdict.told());
}

/// What happened across planned failovers.
fn planned(mode: &str, failovers: u64) -> Verdict {
    let mut world = World::planned(mode, manners());
    for _ in 0..failovers {
        world.work(500);
        world.fail_over();
    }
    world.work(500);
    println!("{}", world.retries());
    judge(&world.end())
}

/// What happened across crashes.
fn crashes(mode: &str, crashes: u64) -> Verdict {
    let mut world = World::crashing(mode, manners());
    for _ in 0..crashes {
        world.work(500);
        world.crash();
    }
    world.work(500);
    println!("{}", world.retries());
    judge(&world.end())
}

#[test]
fn nothing_is_wrong_with_what_clients_see_of_a_server_that_stays() {
    let world = World::direct(manners());
    world.work(10_000);
    without_fault(&judge(&world.end()));
}

#[test]
fn in_tcp_mode_failovers_show_as_errors_and_closed_connections_and_nothing_is_lost_or_doubled() {
    let verdict = planned("tcp", number("HISTORIES_FAILOVERS", 2));
    println!("{}", verdict.told());
    let seen: Vec<Kind> = verdict.kinds().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(seen, [Kind::Error, Kind::Closed], "{}", verdict.told());
}

#[test]
fn in_tcp_mode_crashes_close_connections_and_what_was_received_is_there() {
    let verdict = crashes("tcp", number("HISTORIES_CRASHES", 1));
    println!("{}", verdict.told());
    let seen: Vec<Kind> = verdict.kinds().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(seen, [Kind::Closed], "{}", verdict.told());
}
