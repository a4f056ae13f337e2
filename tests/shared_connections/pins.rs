//! A session that needs a connection of its own has it for exactly as long; what it may rely on meanwhile, and its neighbours.

use std::time::{Duration, Instant};

use super::wire::{Connection, Value, encode};
use crate::SHARED;
use crate::harness::*;

const SIDEKIQ: &str = r#"listener="sidekiq""#;
/// So many connections may wait for the next session that needs one of its own.
const SPARE: f64 = 16.0;

/// One worker, so that all sessions share one connection.
pub fn shared(server: &Redis) -> Mainstay {
    Setup::of([server]).runtime("workers = 1").listener(SHARED).start_on(server)
}

/// A client's connection that tells the protocols apart.
pub fn connect(mainstay: &Mainstay) -> Connection {
    Connection::open(mainstay.listen.parse().expect("host:port")).expect("mainstay listens")
}

#[track_caller]
fn must(connection: &mut Connection, words: &[&str]) -> Value {
    match connection.ask(words) {
        Ok(value) if !matches!(value, Value::Error(_)) => value,
        other => panic!("{words:?} was answered {other:?}"),
    }
}

pub fn send(connection: &mut Connection, words: &[&str]) {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    connection.send(&encode(&words)).expect("the connection stands");
}

fn reply(connection: &mut Connection) -> Value {
    connection.reply(PATIENCE).expect("a reply")
}

pub fn ok() -> Value {
    Value::Status("OK".into())
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

fn bulks(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| bulk(text)).collect()
}

#[track_caller]
fn pinned(mainstay: &Mainstay, reason: &str, wanted: f64) {
    let label = format!("reason=\"{reason}\"");
    let told = || mainstay.metric("mainstay_pinned_sessions", &[SIDEKIQ, &label]);
    let begun = Instant::now();
    while told() != wanted {
        let page = mainstay.get("/metrics").map(|(_, page)| page).unwrap_or_default();
        let pins: Vec<&str> = page.lines().filter(|line| line.starts_with("mainstay_pinned") && !line.ends_with(" 0")).collect();
        assert!(begun.elapsed() < PATIENCE, "{reason}: {} pinned instead of {wanted}; there are {pins:?}", told());
        std::thread::sleep(ms(5));
    }
}

pub fn upstreams(mainstay: &Mainstay, kind: &str) -> f64 {
    mainstay.metric("mainstay_upstreams", &[r#"group="jobs""#, &format!("kind=\"{kind}\"")])
}

/// Nobody is pinned, and all of them are answered over a shared connection.
#[track_caller]
fn share(mainstay: &Mainstay, sessions: &mut [Connection]) {
    let all = || mainstay.metric("mainstay_pinned_sessions", &[SIDEKIQ]);
    wait_until(PATIENCE, "nobody is pinned", || all() == 0.0);
    for (number, session) in sessions.iter_mut().enumerate() {
        let word = format!("shares{number}");
        assert_eq!(session.ask(&["ECHO", &word]), Ok(bulk(&word)));
    }
    wait_until(PATIENCE, "they share", || upstreams(mainstay, "shared") >= 1.0 && upstreams(mainstay, "own") == 0.0);
}

/// What pins a session, and what ends that.
struct Case {
    reason: &'static str,
    pin: fn(&mut Connection),
    /// First for all, for what one is given another may have waited for.
    feed: fn(&Redis),
    end: fn(&mut Connection, &Redis),
}

const fn case(reason: &'static str, pin: fn(&mut Connection), end: fn(&mut Connection, &Redis)) -> Case {
    Case { reason, pin, feed: |_| (), end }
}

/// Those that a moment alone would show are made to last: the server pauses all clients.
const CASES: &[Case] = &[
    case(
        "transaction",
        |one| {
            must(one, &["MULTI"]);
            must(one, &["SET", "k", "v"]);
        },
        |one, _| assert_eq!(must(one, &["EXEC"]), Value::Array(vec![ok()])),
    ),
    case("transaction", |one| _ = must(one, &["MULTI"]), |one, _| assert_eq!(must(one, &["DISCARD"]), ok())),
    case("watch", |one| _ = must(one, &["WATCH", "k"]), |one, _| assert_eq!(must(one, &["UNWATCH"]), ok())),
    case(
        "watch",
        |one| _ = must(one, &["WATCH", "k"]),
        |one, _| {
            send(one, &["MULTI"]);
            send(one, &["EXEC"]);
            assert_eq!((reply(one), reply(one)), (ok(), Value::Array(Vec::new())));
        },
    ),
    case("subscription", |one| _ = must(one, &["SUBSCRIBE", "news"]), |one, _| _ = must(one, &["UNSUBSCRIBE"])),
    case(
        "subscription",
        |one| {
            must(one, &["HELLO", "3"]);
            must(one, &["PSUBSCRIBE", "n*"]);
        },
        |one, _| {
            must(one, &["PUNSUBSCRIBE", "n*"]);
            must(one, &["HELLO", "2"]);
        },
    ),
    Case {
        reason: "blocked",
        pin: |one| send(one, &["BRPOP", "queue", "0"]),
        feed: |server| _ = server.command(&["LPUSH", "queue", "job"]),
        end: |one, _| assert_eq!(reply(one), Value::Array(bulks(&["queue", "job"]))),
    },
    case("blocked", |one| send(one, &["BLPOP", "queue", "1"]), |one, _| assert_eq!(reply(one), Value::Nil(b'*'))),
    case(
        "blocked",
        |one| send(one, &["XREAD", "BLOCK", "1000", "STREAMS", "stream", "$"]),
        |one, _| assert_eq!(reply(one), Value::Nil(b'*')),
    ),
    case(
        "tracking",
        |one| {
            must(one, &["HELLO", "3"]);
            must(one, &["CLIENT", "TRACKING", "ON"]);
        },
        |one, _| {
            must(one, &["CLIENT", "TRACKING", "OFF"]);
            must(one, &["HELLO", "2"]);
        },
    ),
    case(
        "large",
        |one| {
            let start = format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$200000\r\n{}", "x".repeat(150_000));
            one.send(start.as_bytes()).expect("sent");
        },
        |one, server| {
            one.send(format!("{}\r\n", "x".repeat(50_000)).as_bytes()).expect("sent");
            assert_eq!(reply(one), ok());
            assert_eq!(server.command(&["STRLEN", "large"]), Reply::Int(200_000));
        },
    ),
];

/// Asked while the server pauses everybody, or is itself what makes it pause.
const PAUSED: &[(&str, &[&str])] = &[
    ("state", &["SELECT", "0"]),
    ("state", &["CLIENT", "SETNAME", "me"]),
    ("state", &["HELLO", "2"]),
    ("unknown", &["DEBUG", "SLEEP", "1.5"]),
];

#[test]
fn each_reason_for_a_connection_of_ones_own_comes_and_goes() {
    let _alone = crate::alone();
    let server = Redis::start(&[]);
    let mainstay = shared(&server);
    let mut sessions: Vec<Connection> = (0..40).map(|_| connect(&mainstay)).collect();
    for Case { reason, pin, feed, end } in CASES {
        println!("{reason}");
        share(&mainstay, &mut sessions);
        let (neighbours, ours) = sessions.split_at_mut(8);
        ours.iter_mut().for_each(pin);
        pinned(&mainstay, reason, 32.0);
        for neighbour in neighbours {
            let begun = Instant::now();
            assert_eq!(neighbour.ask(&["ECHO", "beside"]), Ok(bulk("beside")));
            assert!(begun.elapsed() < Duration::from_secs(1), "{reason} held up a neighbour for {:?}", begun.elapsed());
        }
        ours.iter().for_each(|_| feed(&server));
        ours.iter_mut().for_each(|one| end(one, &server));
        pinned(&mainstay, reason, 0.0);
    }
    share(&mainstay, &mut sessions);
}

#[test]
fn what_is_asked_of_a_connection_pins_for_as_long_as_it_is_asked() {
    let _alone = crate::alone();
    let server = Redis::start(&[]);
    // Mainstay's own checks are paused as well.
    let mainstay = Setup::of([&server]).runtime("workers = 1").listener(SHARED).check("timeout = \"10s\"").start_on(&server);
    let mut sessions: Vec<Connection> = (0..10).map(|_| connect(&mainstay)).collect();
    for (number, (reason, words)) in PAUSED.iter().enumerate() {
        println!("{words:?}");
        share(&mainstay, &mut sessions);
        if *reason == "state" {
            server.command(&["CLIENT", "PAUSE", "1500", "ALL"]);
        }
        // Another each time: what one has told its connection would be told the next one first.
        send(&mut sessions[number], words);
        pinned(&mainstay, reason, 1.0);
        reply(&mut sessions[number]);
        pinned(&mainstay, reason, 0.0);
    }
    share(&mainstay, &mut sessions);
}

#[test]
fn who_knows_its_connection_waits_for_replicas_or_listens_to_everybody_keeps_one_for_good() {
    let _alone = crate::alone();
    let server = Redis::start(&[]);
    let mainstay = shared(&server);
    let mut sessions: Vec<Connection> = (0..10).map(|_| connect(&mainstay)).collect();
    share(&mainstay, &mut sessions);
    let (mut known, mut monitor) = (connect(&mainstay), connect(&mainstay));
    let id = must(&mut known, &["CLIENT", "ID"]);
    pinned(&mainstay, "identity", 1.0);
    for session in &mut sessions {
        must(session, &["PING"]);
        assert_eq!(must(&mut known, &["CLIENT", "ID"]), id);
    }
    let Value::Bulk(info) = must(&mut known, &["CLIENT", "INFO"]) else { panic!("no text") };
    let Value::Int(id) = id else { panic!("no number") };
    assert!(info.starts_with(&format!("id={id} ")), "{info}");

    // What it writes from now on goes where the next WAIT can be answered.
    let mut waiter = connect(&mainstay);
    must(&mut waiter, &["WAIT", "0", "0"]);
    pinned(&mainstay, "wait", 1.0);

    must(&mut monitor, &["MONITOR"]);
    pinned(&mainstay, "opaque", 1.0);
    must(&mut sessions[0], &["SET", "seen", "by-monitor"]);
    let seen = |value: &Value| matches!(value, Value::Status(line) if line.contains("by-monitor"));
    wait_until(PATIENCE, "MONITOR shows it", || seen(&reply(&mut monitor)));

    drop((known, waiter, monitor));
    pinned(&mainstay, "wait", 0.0);
    pinned(&mainstay, "identity", 0.0);
    pinned(&mainstay, "opaque", 0.0);
    share(&mainstay, &mut sessions);
}

#[test]
fn a_hundred_sessions_share_few_connections_of_each_kind() {
    let _alone = crate::alone();
    let server = Redis::start(&["user alice on >apw ~* &* +@all"]);
    let mainstay = Setup::of([&server]).runtime("workers = 2").listener(SHARED).start_on(&server);
    let mut sessions: Vec<Connection> = (0..100).map(|_| connect(&mainstay)).collect();
    for (number, session) in sessions.iter_mut().enumerate() {
        if number % 2 == 1 {
            must(session, &["HELLO", "3", "AUTH", "alice", "apw"]);
        }
        must(session, &["SELECT", &(number % 4).to_string()]);
        assert_eq!(must(session, &["SET", &format!("k{number}"), "v"]), ok());
    }
    for (number, session) in sessions.iter_mut().enumerate() {
        assert_eq!(must(session, &["GET", &format!("k{number}")]), bulk("v"), "in its own database");
    }
    // Four kinds, two workers, one of each, or a few.
    let few = || upstreams(&mainstay, "own") == 0.0 && (4.0..=32.0).contains(&upstreams(&mainstay, "shared"));
    wait_until(PATIENCE, "they share", few);
    drop(sessions);
    wait_until(PATIENCE, "nobody is left", || mainstay.metric("mainstay_sessions", &[]) == 0.0);
}

#[test]
fn connections_that_the_server_closed_while_they_were_spare_are_not_used() {
    let _alone = crate::alone();
    let server = Redis::start(&[]);
    // Mainstay's own connection is closed as well.
    let setup = Setup::of([&server]).runtime("workers = 1").listener(SHARED).expecting(&[expected::DOWN, expected::SHARED_LOST]);
    let mainstay = setup.start_on(&server);
    let mut sessions: Vec<Connection> = (0..40).map(|_| connect(&mainstay)).collect();
    let large = "x".repeat(200_000);
    for round in 0..5 {
        for session in &mut sessions {
            must(session, &["WATCH", "k"]);
        }
        for session in &mut sessions {
            must(session, &["UNWATCH"]);
            must(session, &["GET", "k"]);
        }
        wait_until(PATIENCE, "what was given back is kept", || upstreams(&mainstay, "spare") == SPARE);
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        // A write on a connection that ends would end the session: nobody knows what became of it.
        for session in &mut sessions[..20] {
            assert_eq!(session.ask(&["SET", "large", &large]), Ok(ok()), "round {round}");
        }
    }
}
