//! A listener with `shared_connections = true`: many sessions over few connections to Redis, and no reply ever reaches another request,
//! neither in order nor in owner. A thousand sessions with values that say whose they are look for one that did.
//!
//! `SOAK_MINUTES=60` plays it for that long (`make soak`), `SHARED_SEED=1234` lets the sessions do the same things again; when servers
//! and threads get their turn nobody can repeat.

mod harness;
mod shared_connections {
    pub mod asks;
    pub mod author;
    mod doctored;
    mod failover;
    mod fairness;
    mod manners;
    pub mod multitude;
    mod pins;
    mod scenes;
    pub mod session;
    mod trouble;
    #[path = "../histories/wire.rs"]
    #[allow(dead_code)] // made for blocking clients as well
    pub mod wire;
}

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use harness::expected::{DOWN, SHARED_LOST, SILENT};
use harness::*;
use shared_connections::multitude::{Manners, Multitude, Outcome, USERS, furnish};

/// A listener whose sessions share.
const SHARED: &str = "mode = \"redis\"\nshared_connections = true\nmax_connections = 3000";

/// The same, and an ECHO in between asks whether replies still belong to their requests.
const VERIFIED: &str = "mode = \"redis\"\nshared_connections = true\nverify_alignment = true\nmax_connections = 3000";

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

fn thousand(rough: bool, seed: u64) -> Manners {
    need_descriptors(4500);
    Manners { sessions: 1000, seed, think_ms: 400, leaves: true, rough, cautious: false }
}

/// Nothing was wrong with what they were told.
#[track_caller]
fn told_rightly(outcome: &Outcome, mainstay: Option<&Mainstay>) {
    let page = mainstay.and_then(|mainstay| mainstay.get("/metrics")).map(|(_, page)| page).unwrap_or_default();
    let closed: Vec<&str> =
        page.lines().filter(|line| line.starts_with("mainstay_sessions_closed") && !line.ends_with(" 0")).collect();
    println!("{}", closed.join("\n"));
    println!("{} requests, sessions: {:?}, {} keys", outcome.answered, outcome.ends, outcome.ledger.len());
    assert!(outcome.faults.is_empty(), "{} faults\n{}", outcome.faults.len(), outcome.faults.join("\n"));
}

/// What they wrote is there, once. Nothing of theirs may be under way any more, so mainstay has to be gone.
#[track_caller]
fn kept_rightly(outcome: &Outcome, server: &Redis) {
    wait_until(PATIENCE, "all connections to the server are gone", || {
        server.command(&["CLIENT", "LIST", "TYPE", "normal"]).text().lines().count() == 1
    });
    let wrong = outcome.lost_or_doubled(server);
    assert!(wrong.is_empty(), "{} writes lost or doubled\n{}", wrong.len(), wrong.join("\n"));
}

/// Until the time is over, or `is_over`, or something is wrong.
fn work(multitude: &Multitude, span: Duration, mut is_over: impl FnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < span && !multitude.is_faulty() && !is_over() {
        std::thread::sleep(ms(50));
    }
}

fn calm(listener: &str, span: Duration, seed: u64) {
    let server = Redis::start(USERS);
    furnish(&server);
    let mainstay = Setup::of([&server]).listener(listener).start_on(&server);
    let multitude = Multitude::start(&mainstay.listen, thousand(false, seed));
    work(&multitude, span, || false);
    let outcome = multitude.end();
    told_rightly(&outcome, Some(&mainstay));
    drop(mainstay);
    kept_rightly(&outcome, &server);
}

/// Upstreams are killed by the server, one or all; it holds writes back, or stands still, for a while; and the primary changes.
fn rough(listener: &str, span: Duration, seed: u64) {
    let mut chance = Chance::new(seed);
    let servers: Vec<Redis> = {
        let first = Redis::start(USERS);
        let second = Redis::replica_of(&first, USERS);
        vec![first, second]
    };
    furnish(&servers[0]);
    // Mainstay's own connection is killed as well, and its checks wait like all others.
    let mainstay = Setup::of(&servers).listener(listener).expecting(&[DOWN, SILENT, SHARED_LOST]).start_on(&servers[0]);
    let multitude = Multitude::start(&mainstay.listen, thousand(true, seed));
    let (mut primary, mut failed_over) = (0, Instant::now());
    let (mut kills, mut failovers) = (0, 0);
    work(&multitude, span, || {
        if failed_over.elapsed() > ms(2500) {
            servers[primary].failover_to(&servers[1 - primary]);
            primary = 1 - primary;
            mainstay.wait_for_primary(&servers[primary].address());
            servers[1 - primary].wait_for_link();
            failed_over = Instant::now();
            failovers += 1;
        } else if chance.percent(20) {
            kills += kill(&servers[primary], &mut chance);
        } else if chance.percent(3) {
            servers[primary].command(&["CLIENT", "PAUSE", &chance.below(700).to_string(), "WRITE"]);
        } else if chance.percent(2) {
            servers[primary].command(&["DEBUG", "SLEEP", &format!("0.{}", chance.below(6))]);
        }
        false
    });
    let outcome = multitude.end();
    println!("{kills} connections killed, {failovers} failovers");
    told_rightly(&outcome, Some(&mainstay));
    drop(mainstay);
    kept_rightly(&outcome, &servers[primary]);
}

/// Ends one connection of the server's clients, or all of them; how many.
fn kill(server: &Redis, chance: &mut Chance) -> u64 {
    let mut connection = server.client();
    if chance.percent(5) {
        return connection.must(&["CLIENT", "KILL", "TYPE", "normal"]).text().parse().expect("a number");
    }
    let own = connection.must(&["CLIENT", "ID"]).text();
    let list = connection.must(&["CLIENT", "LIST", "TYPE", "normal"]).text();
    let ids: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("id=")?.split(' ').next()).collect();
    let id = *chance.pick(&ids);
    if id == own {
        return 0;
    }
    connection.must(&["CLIENT", "KILL", "ID", id]).text().parse().expect("a number")
}

#[test]
fn a_thousand_sessions_are_each_told_what_they_asked_and_nothing_else() {
    let _alone = alone();
    calm(SHARED, Duration::from_secs(4), seed());
}

#[test]
fn the_same_with_the_alignment_verified() {
    let _alone = alone();
    calm(VERIFIED, Duration::from_secs(4), seed());
}

#[test]
fn nor_is_anything_else_told_when_upstreams_are_killed_and_the_primary_changes() {
    let _alone = alone();
    rough(SHARED, Duration::from_secs(7), seed());
}

/// Round after round, each with other servers and another seed.
#[test]
#[ignore = "long: make soak"]
fn hour_after_hour() {
    let _alone = alone();
    let (begun, span) = (Instant::now(), Duration::from_secs(60 * number("SOAK_MINUTES").unwrap_or(10)));
    let mut seed = seed();
    while begun.elapsed() < span {
        let left = (span - begun.elapsed()).min(Duration::from_secs(60));
        match seed % 4 {
            0 => calm(SHARED, left, seed),
            1 => calm(VERIFIED, left, seed),
            2 => rough(SHARED, left, seed),
            _ => rough(VERIFIED, left, seed),
        }
        seed += 1;
    }
}
