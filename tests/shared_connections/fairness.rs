//! One greedy client, and what its neighbours feel of it: little, whatever it asks for, and whatever it does not read.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::pins::{connect, shared, upstreams};
use super::wire::{Connection, Value, encode};
use crate::SHARED;
use crate::harness::*;

/// No neighbour waits longer, in a debug build on a busy machine.
const BOUND: Duration = Duration::from_secs(2);
/// What mainstay may need more than before.
const MEMORY: u64 = 64 << 20;
const HUGE: usize = 200 << 20;

fn words(words: &[&str]) -> Vec<u8> {
    encode(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

/// A server that may answer as much as it likes, with a huge value that takes it little time to make.
fn server() -> Redis {
    let server = Redis::start(&["client-output-buffer-limit normal 0 0 0", "proto-max-bulk-len 1gb"]);
    server.command(&["SETRANGE", "huge", &(HUGE - 1).to_string(), "x"]);
    server
}

/// Clients that ask small things, one after the other, and take the time.
struct Neighbours {
    sessions: Vec<Connection>,
    memory: u64,
    slowest: Duration,
    most: u64,
    asked: u64,
}

impl Neighbours {
    fn of(mainstay: &Mainstay) -> Self {
        let sessions = (0..10).map(|_| connect(mainstay)).collect();
        let mut neighbours = Self { sessions, memory: 0, slowest: Duration::ZERO, most: 0, asked: 0 };
        neighbours.go_round(mainstay);
        assert!(upstreams(mainstay, "own") == 0.0, "they share");
        (neighbours.memory, neighbours.slowest) = (mainstay.process.memory(), Duration::ZERO);
        neighbours
    }

    fn go_round(&mut self, mainstay: &Mainstay) {
        for (number, session) in self.sessions.iter_mut().enumerate() {
            let value = format!("of neighbour {number}, number {}", self.asked);
            let begun = Instant::now();
            let key = format!("neighbour{number}");
            assert_eq!(session.ask(&["SET", &key, &value]), Ok(Value::Status("OK".into())));
            assert_eq!(session.ask(&["GET", &key]), Ok(Value::Bulk(value)));
            self.slowest = self.slowest.max(begun.elapsed() / 2);
            self.asked += 1;
        }
        self.most = self.most.max(mainstay.process.memory());
    }

    /// For a while, or until the greedy one is done.
    fn live_beside(&mut self, mainstay: &Mainstay, span: Duration, mut is_over: impl FnMut() -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < span && !is_over() {
            self.go_round(mainstay);
        }
    }

    #[track_caller]
    fn felt_little(&self) {
        let grown = self.most.saturating_sub(self.memory);
        println!("{} asked, the slowest took {:?}, {} MiB more", self.asked, self.slowest, grown >> 20);
        assert!(self.slowest < BOUND, "a neighbour waited {:?}", self.slowest);
        assert!(grown < MEMORY, "mainstay needed {grown} bytes more");
    }
}

#[test]
fn who_asks_for_a_huge_value_and_does_not_read_it_holds_up_nobody() {
    let _alone = crate::alone();
    let server = server();
    let mainstay = shared(&server);
    let mut neighbours = Neighbours::of(&mainstay);
    let mut greedy: Vec<Client> = (0..3).map(|_| mainstay.client()).collect();
    for client in &mut greedy {
        // Behind something small, so that it shares when it asks.
        client.must(&["SET", "mine", "small"]);
        client.send(&[words(&["GET", "mine"]), words(&["GET", "huge"]), words(&["GET", "mine"])].concat()).expect("sent");
    }
    neighbours.live_beside(&mainstay, Duration::from_secs(3), || false);
    neighbours.felt_little();
    // One leaves in the middle, the others read at last.
    greedy.pop().expect("three").reset();
    for client in &mut greedy {
        assert_eq!(client.reply(PATIENCE), Ok(Reply::bulk("small")));
        client.skip(format!("${HUGE}\r\n\r\n").len() + HUGE, Duration::from_secs(120)).expect("all of it comes");
        assert_eq!(client.reply(PATIENCE), Ok(Reply::bulk("small")));
    }
    neighbours.live_beside(&mainstay, ms(200), || false);
    neighbours.felt_little();
}

#[test]
fn who_asks_for_much_by_a_write_and_does_not_read_it_is_closed_and_holds_up_nobody() {
    let _alone = crate::alone();
    let server = server();
    let mainstay = shared(&server);
    let mut neighbours = Neighbours::of(&mainstay);
    let mut greedy = mainstay.client();
    greedy.must(&["SET", "mine", "small"]);
    // What a script answers nobody may ask again elsewhere.
    greedy
        .send(&words(&[
            "EVAL",
            "redis.call('SET', KEYS[1], 'done') return redis.call('GETRANGE', 'huge', 0, 64000000)",
            "1",
            "mark",
        ]))
        .expect("sent");
    neighbours.live_beside(&mainstay, Duration::from_secs(3), || false);
    neighbours.felt_little();
    assert_eq!(server.command(&["GET", "mark"]), Reply::bulk("done"));
}

#[test]
fn a_hundred_thousand_commands_in_one_go_hold_up_nobody() {
    let _alone = crate::alone();
    let server = server();
    let mainstay = shared(&server);
    let mut neighbours = Neighbours::of(&mainstay);
    const COMMANDS: usize = 100_000;
    let mut sending = TcpStream::connect(&mainstay.listen).expect("mainstay listens");
    let receiving = BufReader::new(sending.try_clone().expect("a second handle"));
    let all = words(&["INCR", "counter"]).repeat(COMMANDS);
    let sender = std::thread::spawn(move || sending.write_all(&all).map(|()| sending));
    let receiver = std::thread::spawn(move || {
        for (number, line) in (1..=COMMANDS).zip(receiving.lines()) {
            assert_eq!(line.expect("the connection stands"), format!(":{number}"));
        }
    });
    neighbours.live_beside(&mainstay, Duration::from_secs(60), || receiver.is_finished());
    receiver.join().expect("each reply is the next number");
    sender.join().expect("it does not panic").expect("all was sent");
    assert_eq!(server.command(&["GET", "counter"]), Reply::bulk(&COMMANDS.to_string()));
    neighbours.felt_little();
}

#[test]
fn who_sends_a_hundred_thousand_commands_and_reads_nothing_holds_up_nobody() {
    let _alone = crate::alone();
    let server = server();
    server.command(&["SET", "kib", &"x".repeat(1024)]);
    let mainstay = shared(&server);
    let mut neighbours = Neighbours::of(&mainstay);
    let mut greedy = mainstay.client();
    greedy.must(&["PING"]);
    // A hundred mebibytes of replies; what the kernels do not take of the requests waits.
    let all = words(&["GET", "kib"]).repeat(100_000);
    let sent = greedy.send_within(Duration::from_secs(1), &all);
    neighbours.live_beside(&mainstay, Duration::from_secs(2), || false);
    neighbours.felt_little();
    // It has its replies when it reads, as many as whole requests went out.
    let whole = sent.map_or_else(|(_, bytes)| bytes, |()| all.len()) / words(&["GET", "kib"]).len();
    greedy.skip(whole * ("$1024\r\n\r\n".len() + 1024), Duration::from_secs(60)).expect("all of it comes");
    neighbours.live_beside(&mainstay, ms(200), || false);
    neighbours.felt_little();
}

#[test]
fn who_leaves_in_the_middle_of_its_replies_disturbs_nobody() {
    let _alone = crate::alone();
    let server = server();
    for (key, size) in [("small", 100), ("middle", 20_000), ("large", 600_000)] {
        server.command(&["SETRANGE", key, &(size - 1).to_string(), "x"]);
    }
    let mainstay = shared(&server);
    let mut neighbours = Neighbours::of(&mainstay);
    for round in 0..60 {
        let mut leaving = mainstay.client();
        leaving.must(&["PING"]);
        let key = ["small", "middle", "large"][round % 3];
        leaving.send(&words(&["GET", key]).repeat(50)).expect("sent");
        if round % 2 == 0 {
            let _ = leaving.skip(200, PATIENCE);
        }
        match round % 4 {
            0 | 1 => leaving.reset(),
            2 => leaving.finish_writing(),
            _ => drop(leaving),
        }
        neighbours.go_round(&mainstay);
    }
    neighbours.felt_little();
    let sessions = || mainstay.metric("mainstay_sessions", &[]);
    wait_until(PATIENCE, "those that left are gone", || sessions() == 10.0);
}

#[test]
fn a_listener_that_shares_and_one_that_does_not_are_told_apart() {
    let _alone = crate::alone();
    let server = server();
    let plain = format!("127.0.0.1:{}", free_port());
    let more = format!("[[listener]]\nname = \"plain\"\nbind = \"{plain}\"\ngroup = \"jobs\"\nmode = \"redis\"\n");
    let mainstay = Setup::of([&server]).runtime("workers = 1").listener(SHARED).more(more).start_on(&server);
    let mut sharing: Vec<Client> = (0..5).map(|_| mainstay.client()).collect();
    let mut alone: Vec<Client> = (0..5).map(|_| Client::connect(&plain)).collect();
    for client in sharing.iter_mut().chain(&mut alone) {
        client.must(&["SET", "k", "v"]);
    }
    // Where one did not answer at once there may be another shared one, and a spare one.
    let (own, shared) = (|| upstreams(&mainstay, "own"), || upstreams(&mainstay, "shared"));
    let both = || (5.0..=9.0).contains(&own()) && (1.0..=4.0).contains(&shared());
    wait_until(PATIENCE, "both kinds are counted", both);
}
