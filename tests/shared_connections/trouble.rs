//! One that keeps the server from answering on a shared connection, and a password that was not there when that was opened.

use std::time::{Duration, Instant};

use super::pins::{connect, ok, send, shared};
use super::wire::{Connection, Value};
use crate::harness::*;

/// Long before what keeps the server silent would end by itself.
const SOON: Duration = Duration::from_secs(5);

#[track_caller]
fn asks(connection: &mut Connection, words: &[&str]) -> Value {
    connection.ask(words).unwrap_or_else(|lost| panic!("{words:?}: {lost:?}"))
}

fn is_error(value: &Value, code: &str) -> bool {
    matches!(value, Value::Error(text) if text.starts_with(code))
}

/// Three that share, in a database that is not the first: a new connection has to be told of it.
fn three(mainstay: &Mainstay) -> [Connection; 3] {
    std::array::from_fn(|_| {
        let mut one = connect(mainstay);
        assert_eq!(asks(&mut one, &["SELECT", "3"]), ok());
        assert_eq!(asks(&mut one, &["SET", "k", "v"]), ok());
        one
    })
}

#[test]
fn who_waits_behind_a_script_is_told_that_the_server_is_busy_and_can_end_it() {
    let redis = Redis::start(&["busy-reply-threshold 20"]);
    let mainstay = shared(&redis);
    let [mut runs, mut behind, mut late] = three(&mainstay);
    let begun = Instant::now();
    // The one goes out together with the script, the other finds it running.
    send(&mut runs, &["EVAL", "while true do end", "0"]);
    send(&mut behind, &["GET", "k"]);
    let said = behind.reply(SOON).expect("an answer while the script runs");
    assert!(is_error(&said, "BUSY"), "{said:?}");
    let said = asks(&mut late, &["SET", "k", "w"]);
    assert!(is_error(&said, "BUSY"), "{said:?}");
    assert_eq!(asks(&mut late, &["SCRIPT", "KILL"]), ok());
    let said = runs.reply(SOON).expect("it was ended");
    assert!(is_error(&said, "ERR"), "{said:?}");
    assert!(begun.elapsed() < SOON);
    for one in [&mut runs, &mut behind, &mut late] {
        assert_eq!(asks(one, &["GET", "k"]), Value::Bulk("v".into()));
    }
}

#[test]
fn a_write_that_is_held_back_keeps_nobody_from_reading_nor_from_letting_it_go() {
    let redis = Redis::start(&[]);
    let mainstay = shared(&redis);
    let [mut writes, mut behind, mut late] = three(&mainstay);
    assert_eq!(asks(&mut late, &["CLIENT", "PAUSE", "60000", "WRITE"]), ok());
    let begun = Instant::now();
    send(&mut writes, &["SET", "k", "w"]);
    send(&mut behind, &["GET", "k"]);
    assert_eq!(behind.reply(SOON), Ok(Value::Bulk("v".into())));
    assert_eq!(asks(&mut late, &["GET", "k"]), Value::Bulk("v".into()));
    assert_eq!(asks(&mut late, &["CLIENT", "UNPAUSE"]), ok());
    assert_eq!(writes.reply(SOON), Ok(ok()));
    assert!(begun.elapsed() < SOON);
    assert_eq!(asks(&mut behind, &["GET", "k"]), Value::Bulk("w".into()));
}

#[test]
fn a_password_that_was_set_later_is_asked_of_those_who_come_later() {
    let redis = Redis::start(&[]);
    let mainstay = shared(&redis);
    let mut early = connect(&mainstay);
    for _ in 0..3 {
        assert_eq!(asks(&mut early, &["SET", "k", "v"]), ok());
    }
    assert_eq!(asks(&mut early, &["CONFIG", "SET", "requirepass", "secret"]), ok());
    // That somebody was let in counts for a second.
    let refused = || {
        let said = asks(&mut connect(&mainstay), &["GET", "k"]);
        assert!(is_error(&said, "NOAUTH") || said == Value::Bulk("v".into()), "{said:?}");
        is_error(&said, "NOAUTH")
    };
    wait_until(SOON, "a newcomer is asked for the password", refused);
    let mut knows = connect(&mainstay);
    assert!(is_error(&asks(&mut knows, &["GET", "k"]), "NOAUTH"));
    assert_eq!(asks(&mut knows, &["AUTH", "secret"]), ok());
    assert_eq!(asks(&mut knows, &["GET", "k"]), Value::Bulk("v".into()));
    // Who logs out is a newcomer.
    assert_eq!(asks(&mut knows, &["RESET"]), Value::Status("RESET".into()));
    assert!(is_error(&asks(&mut knows, &["GET", "k"]), "NOAUTH"));
    assert_eq!(asks(&mut early, &["GET", "k"]), Value::Bulk("v".into()), "as on a connection of its own");
}
