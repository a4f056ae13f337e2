//! Much data: it streams, whatever its size, and memory stays small.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::harness::*;
use crate::{redis_mode, send};

/// One heavy test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

const LONG: Duration = Duration::from_secs(120);

#[test]
fn half_a_gibibyte_streams_in_both_directions_through_little_memory() {
    const BYTES: usize = 512 << 20;
    let _alone = alone();
    let server = Redis::start(&[]);
    // Who stores half a gibibyte answers nobody meanwhile.
    let mainstay = redis_mode([&server]).check("timeout = \"20s\"").start_on(&server);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    let before = mainstay.process.memory();
    client.send(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${BYTES}\r\n").as_bytes()).expect("it stands");
    let (piece, mut most) = (vec![b'x'; 8 << 20], 0);
    for _ in 0..BYTES / piece.len() {
        client.send_within(LONG, &piece).expect("it stands");
        most = most.max(mainstay.process.memory());
    }
    client.send(b"\r\n").expect("it stands");
    assert_eq!(client.reply(LONG), Ok(Reply::ok()));
    send(&mut client, &["GET", "big"]);
    client.skip(format!("${BYTES}\r\n").len(), LONG).expect("it arrives");
    for _ in 0..BYTES / piece.len() {
        client.skip(piece.len(), LONG).expect("it arrives");
        most = most.max(mainstay.process.memory());
    }
    client.skip(2, LONG).expect("it arrives");
    client.must(&["PING"]);
    assert!(most.saturating_sub(before) < 16 << 20, "{most} bytes, {before} before");
}

#[test]
fn a_client_that_does_not_read_bloats_nothing_and_loses_nothing() {
    let _alone = alone();
    let server = Redis::start(&["client-output-buffer-limit normal 0 0 0"]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let value = "v".repeat(1 << 20);
    let (mut lazy, mut other) = (mainstay.client(), mainstay.client());
    lazy.must(&["SET", "k", &value]);
    for _ in 0..256 {
        send(&mut lazy, &["GET", "k"]);
    }
    let mut most = 0;
    for _ in 0..20 {
        other.must(&["GET", "k"]);
        most = most.max(mainstay.process.memory());
        std::thread::sleep(ms(50));
    }
    assert!(most < 48 << 20, "{most} bytes");
    for _ in 0..256 {
        lazy.skip("$1048576\r\n".len() + (1 << 20) + 2, LONG).expect("all of it arrives");
    }
    assert_eq!(lazy.ask(&["PING"]), Ok(Reply::Status("PONG".into())));
}

#[test]
fn a_huge_pipeline_written_before_anything_is_read_is_answered() {
    const REQUESTS: usize = 200_000;
    let _alone = alone();
    let server = Redis::start(&[]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let mut client = mainstay.client();
    client.send_within(LONG, &client::command(&["INCR", "n"]).repeat(REQUESTS)).expect("nothing is stuck");
    let replies: usize = (1..=REQUESTS).map(|number| format!(":{number}\r\n").len()).sum();
    client.skip(replies, LONG).expect("all are answered");
    assert_eq!(client.must(&["GET", "n"]), Reply::bulk(&REQUESTS.to_string()));
}

#[test]
fn a_request_of_many_arguments_that_trickles_in_costs_little() {
    let _alone = alone();
    let server = Redis::start(&[]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    let before = mainstay.process.cpu();
    client.send(b"*1000001\r\n$3\r\nDEL\r\n").expect("it stands");
    for _ in 0..1000 {
        client.send(&b"$1\r\nk\r\n".repeat(1000)).expect("it stands");
    }
    assert_eq!(client.reply(LONG), Ok(Reply::Int(0)));
    let spent = mainstay.process.cpu() - before;
    assert!(spent < Duration::from_secs(8), "{spent:?} of CPU time");
    assert!(mainstay.process.memory() < 48 << 20, "{} bytes", mainstay.process.memory());
}
