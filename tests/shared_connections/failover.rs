//! A planned change of the primary under five hundred sessions that write over shared connections, and a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::multitude::{Manners, Multitude, USERS, furnish};
use crate::harness::expected::{DOWN, LOST, RETURNED_EMPTY, SHARED_LOST};
use crate::harness::*;
use crate::{SHARED, kept_rightly, seed, told_rightly, work};

fn two() -> Vec<Redis> {
    let first = Redis::start(USERS);
    let second = Redis::replica_of(&first, USERS);
    vec![first, second]
}

#[test]
fn five_hundred_sharing_clients_that_write_notice_nothing_of_a_planned_failover() {
    let _alone = crate::alone();
    need_descriptors(2500);
    let servers = two();
    let mainstay = Setup::of(&servers).listener(SHARED).start_on(&servers[0]);
    let (over, written) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    // Fifty to a thread, each with one write at a time: a client that does not pipeline.
    let crews: Vec<_> = (0..10)
        .map(|crew| {
            let mut clients: Vec<Client> = (0..50).map(|_| mainstay.client()).collect();
            let (over, written) = (over.clone(), written.clone());
            std::thread::spawn(move || {
                let mut count = 0;
                while !over.load(Ordering::SeqCst) {
                    count += 1;
                    for (number, client) in clients.iter_mut().enumerate() {
                        client.send(&client::command(&["INCR", &format!("n{crew}:{number}")])).expect("nothing is closed");
                    }
                    for client in &mut clients {
                        assert_eq!(client.reply(PATIENCE), Ok(Reply::Int(count)), "no error, nothing lost, nothing twice");
                    }
                    written.fetch_add(50, Ordering::Relaxed);
                }
                count
            })
        })
        .collect();
    let more = |by: u64| {
        let due = written.load(Ordering::Relaxed) + by;
        let stopped = || crews.iter().any(|crew| crew.is_finished());
        wait_until(PATIENCE, "they write", || written.load(Ordering::Relaxed) >= due || stopped());
    };
    more(2000);
    for (old, new) in [(0, 1), (1, 0)] {
        servers[old].failover_to(&servers[new]);
        mainstay.wait_for_primary(&servers[new].address());
        more(2000);
        servers[old].wait_for_link();
    }
    wait_until(PATIENCE, "they share", || mainstay.metric("mainstay_upstreams", &[r#"kind="shared""#]) >= 1.0);
    over.store(true, Ordering::SeqCst);
    for (number, crew) in crews.into_iter().enumerate() {
        let count = crew.join().expect("no client noticed anything");
        assert_eq!(servers[0].command(&["GET", &format!("n{number}:0")]), Reply::bulk(&count.to_string()));
    }
    println!("{} writes", written.load(Ordering::Relaxed));
}

/// Everything that redis mode promises of a planned failover holds for sessions that share: whatever they do, nobody is closed.
#[test]
fn sessions_that_do_nearly_everything_are_not_closed_by_planned_failovers() {
    let _alone = crate::alone();
    need_descriptors(2500);
    let servers = two();
    furnish(&servers[0]);
    let mainstay = Setup::of(&servers).listener(SHARED).start_on(&servers[0]);
    let manners = Manners { sessions: 300, seed: seed(), think_ms: 200, leaves: false, rough: false, cautious: true };
    let multitude = Multitude::start(&mainstay.listen, manners);
    let mut primary = 0;
    for _ in 0..3 {
        let due = multitude.answered() + 5000;
        work(&multitude, PATIENCE, || multitude.answered() >= due);
        servers[primary].failover_to(&servers[1 - primary]);
        primary = 1 - primary;
        mainstay.wait_for_primary(&servers[primary].address());
        servers[1 - primary].wait_for_link();
    }
    work(&multitude, ms(500), || false);
    let outcome = multitude.end();
    told_rightly(&outcome, Some(&mainstay));
    drop(mainstay);
    kept_rightly(&outcome, &servers[primary]);
}

/// While Redis hands over, it reads nothing: what is sent to it meanwhile fills the buffers, and more waits behind.
#[test]
fn sharing_clients_that_pipeline_much_notice_nothing_of_a_planned_failover() {
    let _alone = crate::alone();
    let servers = two();
    let mainstay = Setup::of(&servers).runtime("workers = 1").listener(SHARED).start_on(&servers[0]);
    let over = Arc::<AtomicBool>::default();
    let batches = Arc::<AtomicU64>::default();
    let crews: Vec<_> = (0..4)
        .map(|crew| {
            let mut clients: Vec<Client> = (0..40).map(|_| mainstay.client()).collect();
            let (over, batches) = (over.clone(), batches.clone());
            std::thread::spawn(move || {
                let value = "x".repeat(400);
                let requests = |number| client::command(&["SET", &format!("k{crew}:{number}"), &value]).repeat(100);
                while !over.load(Ordering::SeqCst) {
                    for (number, client) in clients.iter_mut().enumerate() {
                        client.send(&requests(number)).expect("nothing is closed");
                    }
                    for client in &mut clients {
                        for _ in 0..100 {
                            assert_eq!(client.reply(PATIENCE), Ok(Reply::ok()));
                        }
                    }
                    batches.fetch_add(40, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more = |by: u64| {
        let due = batches.load(Ordering::Relaxed) + by;
        let stopped = || crews.iter().any(|crew| crew.is_finished());
        wait_until(PATIENCE, "they write", || batches.load(Ordering::Relaxed) >= due || stopped());
    };
    more(200);
    for (old, new) in [(0, 1), (1, 0)] {
        servers[old].failover_to(&servers[new]);
        mainstay.wait_for_primary(&servers[new].address());
        more(200);
        servers[old].wait_for_link();
    }
    over.store(true, Ordering::SeqCst);
    crews.into_iter().for_each(|crew| crew.join().expect("no client noticed anything"));
}

/// The primary dies and comes back: what was not under way goes on.
#[test]
fn a_primary_that_is_killed_and_comes_back_closes_only_those_with_a_write_under_way() {
    let _alone = crate::alone();
    let mut server = Redis::start(USERS);
    furnish(&server);
    let setup =
        Setup::of([&server]).listener(SHARED).hold("window = \"20s\"").expecting(&[DOWN, LOST, SHARED_LOST, RETURNED_EMPTY]);
    let mainstay = setup.start_on(&server);
    let mut sessions: Vec<Client> = (0..100).map(|_| mainstay.client()).collect();
    for session in &mut sessions {
        session.must(&["ECHO", "before"]);
    }
    server.kill9();
    for (number, session) in sessions.iter_mut().enumerate() {
        session.send(&client::command(&["ECHO", &number.to_string()])).expect("it stands");
    }
    std::thread::sleep(Duration::from_millis(200));
    server.start_again();
    for (number, session) in sessions.iter_mut().enumerate() {
        assert_eq!(session.reply(PATIENCE), Ok(Reply::bulk(&number.to_string())));
        assert_eq!(session.ask(&["SET", &format!("k{number}"), "v"]), Ok(Reply::ok()));
    }
}

#[test]
fn a_shared_connection_that_is_lost_is_one_line_with_what_became_of_its_sessions() {
    let _alone = crate::alone();
    let mut server = Redis::start(&[]);
    let setup = Setup::of([&server]).runtime("workers = 1").listener(SHARED).hold("window = \"20s\"");
    let mainstay = setup.expecting(&[DOWN, LOST, SHARED_LOST]).start_on(&server);
    let mut sessions: Vec<Client> = (0..7).map(|_| mainstay.client()).collect();
    for session in &mut sessions {
        session.must(&["ECHO", "before"]);
    }
    let upstreams = |kind: &str| mainstay.metric("mainstay_upstreams", &[&format!("kind=\"{kind}\"")]);
    wait_until(PATIENCE, "they share", || upstreams("shared") == 1.0 && upstreams("own") == 0.0);
    let said = || mainstay.metric("mainstay_bytes_total", &[r#"direction="in""#]);
    // Counters are flushed ten times a second.
    wait_until(PATIENCE, "all before is counted", || {
        let counted = said();
        std::thread::sleep(Duration::from_millis(300));
        said() == counted
    });
    let before = said();
    server.process.stop();
    let mut bytes = 0;
    for (number, session) in sessions.iter_mut().enumerate() {
        let request = client::command(if number < 3 { &["SET", "k", "v"] } else { &["GET", "k"] });
        bytes += request.len();
        session.send(&request).expect("it stands");
    }
    wait_until(PATIENCE, "it has come", || said() == before + bytes as f64);
    server.kill9();
    let line = "lost: 3 sessions had a write on its way and were closed, ";
    wait_until(PATIENCE, "it is told", || mainstay.log.has(line));
    assert_eq!(mainstay.log.text().matches("session closed:").count(), 0);
}
