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

use std::sync::{Mutex, MutexGuard};

use histories::judge::{Kind, Verdict, judge};
use histories::workload::Manners;
use histories::world::World;

const TCP_MODE: &str = "mode = \"tcp\"";
const REDIS_MODE: &str = "mode = \"redis\"";
const SHARED: &str = "mode = \"redis\"\nshared_connections = true\nverify_alignment = true";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn manners() -> Manners {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let seed = number("HISTORIES_SEED", clock as u64);
    println!("HISTORIES_SEED={seed}");
    Manners { clients: 50, pause_ms: number("HISTORIES_PAUSE_MS", 60), seed }
}

#[track_caller]
fn without_fault(verdict: &Verdict) {
    println!("{}", verdict.told());
    assert!(verdict.faults.is_empty(), "{}", verdict.told());
}

/// One world at a time: Sentinels on a machine without a moment to spare take a living primary for dead.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What happened across planned failovers.
fn planned(listener: &str, failovers: u64) -> Verdict {
    let mut world = World::planned(listener, manners());
    for _ in 0..failovers {
        world.work(1000);
        world.fail_over();
    }
    world.work(500);
    println!("{}", world.retries());
    judge(&world.end())
}

/// What happened across crashes.
fn crashes(listener: &str, crashes: u64) -> Verdict {
    let mut world = World::crashing(listener, manners());
    for _ in 0..crashes {
        world.work(1000);
        world.crash();
    }
    world.work(500);
    println!("{}", world.retries());
    judge(&world.end())
}

fn kinds(verdict: &Verdict) -> Vec<Kind> {
    println!("{}", verdict.told());
    verdict.kinds().into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn nothing_is_wrong_with_what_clients_see_of_a_server_that_stays() {
    let _alone = alone();
    let world = World::direct(manners());
    world.work(10_000);
    without_fault(&judge(&world.end()));
}

#[test]
fn in_redis_mode_no_client_notices_a_planned_failover() {
    let _alone = alone();
    without_fault(&planned(REDIS_MODE, number("HISTORIES_FAILOVERS", 4)));
}

#[test]
fn in_redis_mode_a_crash_closes_connections_with_writes_under_way_and_no_others() {
    let _alone = alone();
    without_fault(&crashes(REDIS_MODE, number("HISTORIES_CRASHES", 2)));
}

// Over shared connections no more is seen than over connections of one's own.

#[test]
fn over_shared_connections_no_client_notices_a_planned_failover() {
    let _alone = alone();
    without_fault(&planned(SHARED, number("HISTORIES_FAILOVERS", 4)));
}

#[test]
fn over_shared_connections_a_crash_closes_connections_with_writes_under_way_and_no_others() {
    let _alone = alone();
    without_fault(&crashes(SHARED, number("HISTORIES_CRASHES", 2)));
}

// In tcp mode clients do notice. That only this shows, and that nothing else goes wrong, says something of the judge as well.

#[test]
fn in_tcp_mode_failovers_show_as_errors_and_closed_connections_and_nothing_is_lost_or_doubled() {
    let _alone = alone();
    let verdict = planned(TCP_MODE, number("HISTORIES_FAILOVERS", 2));
    assert_eq!(kinds(&verdict), [Kind::Error, Kind::Closed], "{}", verdict.told());
}

#[test]
#[ignore = "long: make soak"]
fn in_tcp_mode_crashes_close_connections_and_what_was_received_is_there() {
    let _alone = alone();
    let verdict = crashes(TCP_MODE, number("HISTORIES_CRASHES", 2));
    assert_eq!(kinds(&verdict), [Kind::Closed], "{}", verdict.told());
}
