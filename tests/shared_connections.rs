//! A listener with `shared_connections = true`: many sessions over few connections to Redis, and no reply ever reaches another request,
//! neither in order nor in owner. A thousand sessions with values that say whose they are look for one that did.
//!
//! `SOAK_MINUTES=60` plays it for that long (`make soak`), `SHARED_SEED=1234` lets the sessions do the same things again; when servers
//! and threads get their turn nobody can repeat.

mod harness;
mod shared_connections {
    pub mod asks;
    pub mod author;
    pub mod multitude;
    mod scenes;
    pub mod session;
    #[path = "../histories/wire.rs"]
    #[allow(dead_code)] // made for blocking clients as well
    pub mod wire;
}

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use harness::expected::*;
use harness::*;
use shared_connections::multitude::{Manners, Multitude, Outcome, USERS, furnish};

/// A listener whose sessions share.
const SHARED: &str = "mode = \"redis\"\nshared_connections = true\nmax_connections = 3000";

/// One heavy test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seed() -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let seed = number("SHARED_SEED").unwrap_or(clock as u64);
    println!("SHARED_SEED={seed}");
    seed
}

/// A thousand sessions, unless the time is short.
fn thousand(rough: bool) -> Manners {
    need_descriptors(4500);
    Manners { sessions: 1000, seed: seed(), think_ms: 400, leaves: true, rough }
}

/// Nothing was wrong with what they were told, and what they wrote is there, once.
#[track_caller]
fn without_fault(outcome: &Outcome, server: &Redis) {
    println!("{} requests, sessions: {:?}, {} keys", outcome.answered, outcome.ends, outcome.ledger.len());
    assert!(outcome.faults.is_empty(), "{} faults\n{}", outcome.faults.len(), outcome.faults.join("\n"));
    wait_until(PATIENCE, "all connections to the server are gone", || {
        server.command(&["CLIENT", "LIST", "TYPE", "normal"]).text().lines().count() == 1
    });
    let wrong = outcome.lost_or_doubled(server);
    assert!(wrong.is_empty(), "{} writes lost or doubled\n{}", wrong.len(), wrong.join("\n"));
}

/// Until the time is over or something is wrong.
fn work(multitude: &Multitude, span: Duration, mut meanwhile: impl FnMut()) {
    let begun = Instant::now();
    while begun.elapsed() < span && !multitude.is_faulty() {
        meanwhile();
        std::thread::sleep(ms(50));
    }
}

fn calm(listener: &str, span: Duration) {
    let server = Redis::start(USERS);
    furnish(&server);
    let mainstay = Setup::of([&server]).listener(listener).start_on(&server);
    let multitude = Multitude::start(&mainstay.listen, thousand(false));
    work(&multitude, span, || {});
    let outcome = multitude.end();
    drop(mainstay);
    without_fault(&outcome, &server);
}

#[test]
fn a_thousand_sessions_are_each_told_what_they_asked_and_nothing_else() {
    let _alone = alone();
    calm(SHARED, Duration::from_secs(6));
}

#[test]
fn the_same_with_the_alignment_verified() {
    let _alone = alone();
    calm(&format!("{SHARED}\nverify_alignment = true"), Duration::from_secs(5));
}
