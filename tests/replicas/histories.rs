//! Readers under random faults: whatever happens to the servers, what is read is this group's data.
//!
//! Two groups stand beside each other, and each stamps a key with its own name. Servers of the first are killed, stopped, promoted by hand
//! and moved over to the second group and back, while readers ask without pause whose data they see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

const ROUNDS: usize = 14;

/// Asks until it is told to stop; answers that are of the other group fail the test. Returns how many were good.
fn read_on(address: &str, over: &AtomicBool, good: &AtomicU64) -> Result<(), String> {
    let mut client = None;
    while !over.load(Ordering::SeqCst) {
        let Some(mut open) = client.take().or_else(|| Client::try_connect(address).ok()) else {
            std::thread::sleep(ms(5));
            continue;
        };
        match open.ask_within(PATIENCE, &["GET", "whose"]) {
            Ok(reply) if reply == Reply::bulk("ours") => drop(good.fetch_add(1, Ordering::Relaxed)),
            Ok(reply) if reply.is_error() => {}
            Ok(reply) => return Err(format!("a reader was told {reply:?}")),
            Err(Gone::Silent) => return Err("a reader was not answered".into()),
            Err(_) => continue,
        }
        client = Some(open);
        std::thread::sleep(ms(1));
    }
    Ok(())
}

fn run(mode: &str, fallback: &str, seed: u64) {
    let mut chance = Chance::new(seed);
    let mut family = Redis::family(3);
    // Another group's data come only after a while, as over a network: within a check interval nobody can tell.
    let other = Redis::start(&["repl-diskless-sync-delay 1"]);
    other.command(&["SET", "whose", "another group's"]);
    family[0].command(&["SET", "whose", "ours"]);
    family.iter().skip(1).for_each(|replica| replica.wait_in_step(&family[0]));
    let mut mainstay = readers(&family, mode, fallback);
    mainstay.expect(&[LOST, DOWN, SILENT, CONFLICT, TIE, LOADING, RETURNED_EMPTY, SHARED_LOST].concat());
    let (over, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..6)
        .map(|_| {
            let (address, over, good) = (mainstay.listen.clone(), over.clone(), good.clone());
            std::thread::spawn(move || read_on(&address, &over, &good))
        })
        .collect();
    let mut primary = 0;
    for _ in 0..ROUNDS {
        let one = 1 + chance.below(3) as usize;
        let one = if one == primary { 0 } else { one.min(3) };
        let one = if one == primary { 1 } else { one };
        match chance.below(5) {
            0 => {
                family[one].kill9();
                std::thread::sleep(ms(chance.below(600)));
                family[one].start_again();
                let (replica, master) = two(&mut family, one, primary);
                replica.follow(master);
            }
            1 => {
                family[one].process.stop();
                std::thread::sleep(ms(chance.below(1500)));
                family[one].process.cont();
            }
            2 => {
                family[one].follow(&other);
                std::thread::sleep(ms(chance.below(2500)));
                family[one].follow(&family[primary]);
            }
            3 => {
                family[one].promote();
                wait_until(PATIENCE, "it is settled", || mainstay.primary().is_some());
                if mainstay.primary() == Some(family[one].address()) {
                    primary = one;
                }
                for replica in (0..family.len()).filter(|replica| *replica != primary) {
                    family[replica].follow(&family[primary]);
                }
            }
            _ => {
                family[primary].kill9();
                std::thread::sleep(ms(chance.below(400)));
                family[one].promote();
                mainstay.wait_for_primary(&family[one].address());
                family[primary].start_again();
                primary = one;
                for replica in (0..family.len()).filter(|replica| *replica != primary) {
                    family[replica].follow(&family[primary]);
                }
            }
        }
        std::thread::sleep(ms(chance.below(300)));
        // One in step at least, or the next promotion would lose what is to be read.
        let next = usize::from(primary == 0);
        let linked =
            || family.iter().enumerate().filter(|(at, _)| *at != primary).all(|(_, one)| one.info("master_link_status") == "up");
        wait_until(PATIENCE, "the replicas follow the primary", linked);
        assert_eq!(family[next].command(&["GET", "whose"]).text(), "ours", "the scene itself keeps its data");
        let _ = mainstay.backend(&family[next].address());
        family.iter().enumerate().filter(|(at, _)| *at != primary).for_each(|(_, one)| wait_usable(&mainstay, one));
    }
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.join().expect("no panic").unwrap_or_else(|why| panic!("{mode} {fallback} seed {seed}: {why}"));
    }
    assert!(good.load(Ordering::SeqCst) > 100, "somebody could read");
}

fn two(family: &mut [Redis], one: usize, other: usize) -> (&mut Redis, &mut Redis) {
    let [one, other] = family.get_disjoint_mut([one, other]).expect("two of them");
    (one, other)
}

#[test]
fn readers_never_see_another_groups_data_in_tcp_mode() {
    run(TCP, "fallback = \"refuse\"", 1);
    run(TCP, "fallback = \"primary\"", 2);
}

#[test]
fn readers_never_see_another_groups_data_in_redis_mode() {
    run(REDIS, "fallback = \"refuse\"", 3);
    run(REDIS, "fallback = \"primary\"", 4);
}

#[test]
fn readers_never_see_another_groups_data_over_shared_connections() {
    run(SHARED, "fallback = \"refuse\"", 5);
    run(SHARED, "fallback = \"primary\"", 6);
}
