//! Denied commands, transactions and logins in any order, with upstreams that are lost at any moment.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What a server makes of what it is sent. It asks for a login where `locks`.
#[derive(Default)]
struct Server {
    locks: bool,
    /// Of the present connection.
    knows: bool,
    queued: Option<Vec<String>>,
    dirty: bool,
    /// Values of SET that were executed, on any connection.
    executed: Vec<String>,
}

impl Server {
    fn connected(&mut self) {
        (self.knows, self.queued, self.dirty) = (!self.locks, None, false);
    }

    fn serve(&mut self, words: &str) -> String {
        let word = words.split(' ').next().unwrap();
        assert!(!["FLUSHALL", "MONITOR"].contains(&word), "a denied command was sent");
        assert!(self.knows || words == "AUTH mainstay secret", "{words} before mainstay has logged in");
        match (word, &mut self.queued) {
            ("AUTH", _) => {
                assert_eq!(words, "AUTH mainstay secret", "a client's login was sent on");
                self.knows = true;
                "+OK\r\n".into()
            }
            ("RESET", _) => {
                self.connected();
                "+RESET\r\n".into()
            }
            ("MULTI", None) => {
                (self.queued, self.dirty) = (Some(Vec::new()), false);
                "+OK\r\n".into()
            }
            ("EXEC", queued @ Some(_)) => {
                let queued = queued.take().unwrap_or_default();
                if self.dirty {
                    return "-EXECABORT Transaction discarded because of previous errors.\r\n".into();
                }
                let replies: String = queued.iter().map(|words| self.execute(words)).collect();
                format!("*{}\r\n{replies}", queued.len())
            }
            ("DISCARD", Some(_)) => {
                self.queued = None;
                "+OK\r\n".into()
            }
            ("EXEC" | "DISCARD", None) => format!("-ERR {word} without MULTI\r\n"),
            ("SET" | "GET", Some(queued)) => {
                queued.push(words.into());
                "+QUEUED\r\n".into()
            }
            ("SET" | "GET", None) => self.execute(words),
            _ => {
                self.dirty = true;
                "-ERR unknown command\r\n".into()
            }
        }
    }

    fn execute(&mut self, words: &str) -> String {
        let value = words.split(' ').nth(2).unwrap_or_default();
        if words.starts_with("SET") {
            self.executed.push(value.into());
            return "+OK\r\n".into();
        }
        let key = words.split(' ').nth(1).unwrap_or_default();
        format!("${}\r\n{key}\r\n", key.len())
    }
}

/// What a client asked, and what its answer must be.
#[derive(Debug)]
enum Asked {
    /// Anything, or an error.
    Any,
    /// An error.
    Denied(&'static str),
    /// Its own key, +QUEUED, or an error.
    Get(String),
    /// With a denied command before it: an error, and nothing of these is ever executed.
    DoomedExec(Vec<String>),
    /// +OK or an error.
    Login,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Say(u8),
    Run(usize),
    Hear(usize),
    Lose,
    Withdraw,
    Attach,
    Refuse,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => any::<u8>().prop_map(Event::Say),
        6 => (1..200_usize).prop_map(Event::Run),
        6 => (1..200_usize).prop_map(Event::Hear),
        1 => Just(Event::Lose),
        1 => Just(Event::Withdraw),
        5 => Just(Event::Attach),
        1 => Just(Event::Refuse),
    ]
}

struct World {
    talk: Talk,
    server: Server,
    /// On the way to the server, and back.
    there: Vec<u8>,
    back: VecDeque<u8>,
    asked: VecDeque<Asked>,
    heard: Vec<u8>,
    /// What the client believes of itself.
    in_multi: Option<(bool, Vec<String>)>,
    inside: bool,
    number: usize,
}

impl World {
    fn new(locks: bool) -> Self {
        let talk = talk(locks.then(gate), &["flushall"]);
        let server = Server { locks, ..Server::default() };
        let (there, back, asked, heard) = Default::default();
        Self { talk, server, there, back, asked, heard, in_multi: None, inside: !locks, number: 0 }
    }

    /// False where the session has ended.
    fn happens(&mut self, event: Event) -> bool {
        let is_linked = self.talk.conversation.link == Link::Live;
        match event {
            Event::Say(variant) => self.say(variant),
            Event::Run(most) => {
                let pending = self.talk.conversation.pending();
                let taken = pending.len().min(most);
                self.there.extend_from_slice(&pending[..taken]);
                self.talk.conversation.wrote(taken);
                self.run();
            }
            Event::Hear(most) if is_linked => {
                let bytes: Vec<u8> = self.back.drain(..self.back.len().min(most)).collect();
                if !bytes.is_empty() {
                    match self.talk.turn(|conversation, turn| conversation.upstream_said(&bytes, turn)) {
                        Ok(Next::Continue) => {}
                        Ok(next) => panic!("{next:?}"),
                        Err(_) => return false,
                    }
                }
            }
            Event::Lose if is_linked => {
                if self.talk.lost().is_err() {
                    return false;
                }
                self.disconnected();
            }
            Event::Withdraw if is_linked => {
                if self.talk.withdraw(Departure::Gone).is_err() {
                    return false;
                }
                self.disconnected();
            }
            Event::Attach if self.talk.conversation.wants_upstream() => {
                self.disconnected();
                self.talk.epoch += 1;
                self.talk.attach();
            }
            Event::Refuse if !is_linked => self.talk.turn(|conversation, turn| conversation.refuse("nobody", turn)),
            Event::Hear(_) | Event::Lose | Event::Withdraw | Event::Attach | Event::Refuse => {}
        }
        self.listen();
        true
    }

    fn disconnected(&mut self) {
        (self.there, self.back) = Default::default();
        self.server.connected();
    }

    /// The server takes whole requests.
    fn run(&mut self) {
        let (mut scanner, mut at) = (RequestScanner::default(), 0);
        while let Ok(Some(length)) = scanner.scan(&self.there[at..]) {
            let reply = self.server.serve(&commands_in(&self.there[at..at + length])[0]);
            self.back.extend(reply.bytes());
            at += length;
        }
        self.there.drain(..at);
    }

    fn say(&mut self, variant: u8) {
        self.number += 1;
        let id = format!("id{}", self.number);
        let (words, asked) = match variant % 16 {
            0..=2 if self.in_multi.is_none() => ("MULTI".to_owned(), Asked::Any),
            0..=3 => (format!("SET k {id}"), Asked::Any),
            4..=6 => (format!("GET {id}"), Asked::Get(id.clone())),
            7 | 8 => (["FLUSHALL", "MONITOR"][usize::from(variant / 128)].to_owned(), Asked::Denied("-NO")),
            9..=11 => ("EXEC".to_owned(), Asked::Any),
            12 => ("DISCARD".to_owned(), Asked::Any),
            13 if self.server.locks => ("RESET".to_owned(), Asked::Any),
            13 => ("GET x".to_owned(), Asked::Get("x".into())),
            _ if self.server.locks => {
                (["AUTH two", "AUTH app two", "AUTH app one"][usize::from(variant / 86)].to_owned(), Asked::Login)
            }
            _ => (format!("SET k {id}"), Asked::Any),
        };
        let asked = self.follow(&words, asked, &id);
        self.asked.push_back(asked);
        self.talk.say(&words);
    }

    /// What follows from it for the client, as a server with such rules would have it.
    fn follow(&mut self, words: &str, asked: Asked, id: &str) -> Asked {
        let is_login = matches!(asked, Asked::Login);
        if !self.inside && !is_login && words != "RESET" {
            return Asked::Denied(if words == "EXEC" { "-EXECABORT" } else { "-NOAUTH" });
        }
        match words.split(' ').next().unwrap() {
            "RESET" => (self.in_multi, self.inside) = (None, false),
            "MULTI" => self.in_multi = Some((false, Vec::new())),
            "DISCARD" => self.in_multi = None,
            "EXEC" => {
                if let Some((true, sets)) = self.in_multi.take() {
                    return Asked::DoomedExec(sets);
                }
            }
            "SET" => self.in_multi.iter_mut().for_each(|(_, sets)| sets.push(id.into())),
            "FLUSHALL" | "MONITOR" => self.in_multi.iter_mut().for_each(|(doomed, _)| *doomed = true),
            "AUTH" if self.in_multi.is_some() => {
                self.in_multi.iter_mut().for_each(|(doomed, _)| *doomed = true);
                return Asked::Denied("-ERR mainstay: who");
            }
            "AUTH" => self.inside |= words != "AUTH app two",
            _ => {}
        }
        asked
    }

    /// The client checks what it hears.
    fn listen(&mut self) {
        self.heard.append(&mut self.talk.heard.text);
        let (mut scanner, mut at) = (ReplyScanner::default(), 0);
        while let Ok(Some(length)) = scanner.scan(&self.heard[at..]) {
            let reply = String::from_utf8_lossy(&self.heard[at..at + length]).into_owned();
            at += length;
            match self.asked.pop_front().expect("a reply that nobody asked for") {
                Asked::Any => assert!(!reply.contains("mainstay:refused") && !reply.contains("unknown command"), "{reply}"),
                Asked::Denied(begins) => assert!(reply.starts_with(begins), "{begins}: {reply}"),
                Asked::Get(key) => {
                    let is_own = reply == format!("${}\r\n{key}\r\n", key.len());
                    assert!(is_own || reply == "+QUEUED\r\n" || reply.starts_with('-'), "{key}: {reply}");
                }
                Asked::DoomedExec(sets) => {
                    assert!(reply.starts_with('-'), "{reply}");
                    assert!(!sets.iter().any(|set| self.server.executed.contains(set)), "{sets:?} were executed");
                }
                Asked::Login => assert!(reply == "+OK\r\n" || reply == WRONG, "{reply}"),
            }
        }
        self.heard.drain(..at);
    }

    /// Everything is answered in the end.
    fn settle(&mut self) {
        for _ in 0..200 {
            for event in [Event::Attach, Event::Run(usize::MAX), Event::Hear(usize::MAX)] {
                if !self.happens(event) {
                    return;
                }
            }
        }
        assert!(self.asked.is_empty(), "never answered: {:?}", self.asked);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_denied_is_ever_executed_and_everything_is_answered_in_order(
        locks in any::<bool>(),
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(locks);
        world.server.connected();
        if events.into_iter().all(|event| world.happens(event)) {
            world.settle();
        }
    }
}
