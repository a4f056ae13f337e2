//! Floods.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::tls::{Door, pings};
use crate::*;

/// A plain listener beside the one that is flooded, on the same workers.
fn beside(address: &str) -> String {
    format!("[[listener]]\nname = \"plain\"\nbind = \"{address}\"\ngroup = \"jobs\"\nmode = \"redis\"\n")
}

/// The slowest of many replies, one in a hundred left out: a busy machine.
fn slowest(client: &mut Client, rounds: usize) -> Duration {
    let mut took: Vec<Duration> = (0..rounds)
        .map(|_| {
            let begun = Instant::now();
            client.must(&["PING"]);
            begun.elapsed()
        })
        .collect();
    took.sort();
    took[rounds * 99 / 100]
}

#[test]
fn half_handshakes_and_garbage_by_the_hundred_leave_sessions_and_other_sources_alone() {
    need_descriptors(4096);
    let server = Redis::start(&[]);
    let door = Door::new();
    let plain = format!("127.0.0.1:{}", free_port());
    let setup = Setup::of([&server]).listener("max_connections = 5000").more(door.lines() + &beside(&plain));
    let mainstay = setup.expecting(&[&["refused: "]]).start_on(&server);
    let mut session = Client::connect(&plain);
    let mut sealed = door.open(try_from("127.0.0.2", &mainstay.listen).unwrap()).unwrap();
    assert_eq!(pings(&mut sealed).unwrap(), "+PONG\r\n");
    let before = slowest(&mut session, 2000);
    // As many as one source may have, and more: the newest are closed.
    let mut half: Vec<TcpStream> = (0..400).map(|_| try_from("127.0.0.7", &mainstay.listen).unwrap()).collect();
    for (number, stream) in half.iter_mut().enumerate() {
        let _ = match number % 4 {
            0 => Ok(()),
            1 => stream.write_all(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
            2 => stream.write_all(&[0x16, 3, 1]),
            _ => stream.write_all(b"\x16"),
        };
    }
    wait_until(PATIENCE, "the newest are closed", || refused(&mainstay, "crowd") >= 144.0);
    // Garbage and whole handshakes from elsewhere, all the time.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flood = |own: &'static str, what: fn(&mut TcpStream)| {
        let (listen, stop) = (mainstay.listen.clone(), stop.clone());
        std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                if let Ok(mut stream) = try_from(own, &listen) {
                    what(&mut stream);
                }
            }
        })
    };
    let floods = [
        flood("127.0.0.5", |stream| drop(stream.write_all(&[0xa5; 300]))),
        flood("127.0.0.6", |stream| drop(stream.write_all(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"))),
    ];
    let during = slowest(&mut session, 2000);
    assert_eq!(pings(&mut sealed).unwrap(), "+PONG\r\n");
    let begun = Instant::now();
    assert_eq!(door.ping(try_from("127.0.0.8", &mainstay.listen).unwrap()).unwrap(), "+PONG\r\n", "another source comes through");
    let came_through = begun.elapsed();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    println!("99 of 100 replies within {before:?}, in the flood {during:?}; a newcomer came through in {came_through:?}");
    assert!(during < Duration::from_millis(100) && came_through < Duration::from_secs(5), "{during:?} {came_through:?}");
    drop(half);
    wait_until(PATIENCE, "only those are left", || mainstay.metric("mainstay_sessions", &["listener=\"sidekiq\""]) == 1.0);
}

#[test]
fn ten_thousand_that_say_nothing_one_after_another_leave_nothing_behind() {
    let server = Redis::start(&[]);
    let rules = "mode = \"redis\"\nproxy_protocol_from = [\"127.0.0.9\"]\nallow = [\"127.0.0.2\"]";
    let mainstay = Setup::of([&server]).listener(rules).expecting(&[&["refused: "]]).start_on(&server);
    client_from("127.0.0.2", &mainstay.listen).must(&["PING"]);
    let (descriptors, memory) = (mainstay.process.descriptors(), mainstay.process.memory());
    for number in 0..10_000 {
        let own = ["127.0.0.9", "127.0.0.2", "127.0.0.3"][number % 3];
        // By a reset, so that this side runs out of nothing.
        Client::over(try_from(own, &mainstay.listen).unwrap()).reset();
    }
    wait_until(PATIENCE, "nobody is left", || mainstay.metric("mainstay_sessions", &[]) == 0.0);
    wait_until(PATIENCE, "no socket is left", || mainstay.process.descriptors() <= descriptors + 8);
    let after = mainstay.process.memory();
    assert!(after < memory + 16 * 1024 * 1024, "{memory} became {after}");
    client_from("127.0.0.2", &mainstay.listen).must(&["PING"]);
    assert_eq!(mainstay.metric("mainstay_sessions_accepted_total", &[]), 10_002.0);
}
