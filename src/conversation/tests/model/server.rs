//! One connection to a made-up server: requests are read from bytes, executed as Redis 7.0 does, and answered with words that tell which
//! request they answer and in which state of the connection it was executed.

use std::collections::{BTreeSet, VecDeque};

use super::blocking::Blocked;
use super::client::NUMBERS;
use super::data::{Fate, Ledger, Server};
use crate::resp::frames::{RequestScanner, arguments};
use crate::route::Moment;

pub const READONLY: &str = "READONLY You can't write against a read only replica.";
pub const NOREPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";
pub const LOADING: &str = "LOADING Redis is loading the dataset in memory";
pub const UNBLOCKED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
pub const UNBLOCKED_BY_CLIENT: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
pub const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";
pub const ABORTED_FOR: &str = "EXECABORT Transaction discarded because of: ";
pub const NOSCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";
pub const NO_MULTI: &str = "ERR EXEC without MULTI";
pub const SUBSCRIBED: &str = "ERR Can't execute: only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed";

/// What the connection was told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub db: String,
    pub name: String,
    pub proto: u8,
    pub login: String,
}

impl Default for State {
    fn default() -> Self {
        Self { db: "0".into(), name: String::new(), proto: 2, login: "default".into() }
    }
}

impl State {
    /// What every reply tells.
    pub fn says(&self, number: u32, value: &str) -> String {
        format!("#{number}|{}|{}|{}|{}|{value}", self.db, self.name, self.proto, self.login)
    }
}

#[derive(Clone, Debug, Default)]
struct Multi {
    queued: Vec<Vec<String>>,
    dirty: bool,
    writes: bool,
}

/// What was done with writes, told when the reply up to `end` has been delivered.
#[derive(Clone, Debug)]
struct Outcome {
    end: usize,
    numbers: Vec<u32>,
    executed: bool,
    /// Of a transaction: which of it was refused may be unheard.
    exec: bool,
    /// It reads a stream from here.
    reads_from: Option<(u32, u32)>,
}

#[derive(Clone, Debug, Default)]
pub struct Link {
    pub id: u64,
    /// Its place among the servers.
    pub server: usize,
    pub state: State,
    pub subscriptions: BTreeSet<String>,
    /// The server closes when its last reply is out.
    pub closing: bool,
    /// What was handed to it and not executed.
    input: Vec<u8>,
    output: Vec<u8>,
    made: usize,
    told: usize,
    outcomes: VecDeque<Outcome>,
    multi: Option<Multi>,
    watching: bool,
    touched: bool,
    /// How many writes its server had executed with the last one of this connection: what WAIT is about.
    pub(super) written: usize,
    pub(super) blocked: Option<Blocked>,
}

/// What may have been executed on a connection that has ended.
pub struct Burial {
    pub unknown: Vec<u32>,
    /// Whether anything was is not looked into.
    pub is_unclear: bool,
}

pub fn number_of(words: &[String]) -> Option<u32> {
    words.iter().find_map(|word| word.strip_prefix('#')?.parse().ok())
}

/// Executed nowhere twice.
fn changes_something(name: &str) -> bool {
    matches!(name, "SET" | "INCR" | "LPUSH" | "BRPOP" | "BRPOPLPUSH" | "PUBLISH" | "EVAL" | "EVALSHA" | "FOO.BAR" | "WAIT")
}

fn is_flagged_write(name: &str) -> bool {
    matches!(name, "SET" | "INCR" | "LPUSH" | "BRPOP" | "BRPOPLPUSH")
}

fn works_while_loading(name: &str) -> bool {
    matches!(
        name,
        "HELLO" | "AUTH" | "SELECT" | "CLIENT" | "MULTI" | "EXEC" | "DISCARD" | "WATCH" | "UNWATCH" | "SUBSCRIBE" | "UNSUBSCRIBE"
    ) || matches!(name, "PUBLISH" | "RESET" | "QUIT")
}

impl Link {
    pub fn new(id: u64, server: usize) -> Self {
        Self { id, server, ..Self::default() }
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    pub fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Something was asked or said that is not answered or heard, or stays with it.
    pub fn owes(&self) -> bool {
        let stays = self.multi.is_some() || self.watching || !self.subscriptions.is_empty();
        // A push may come at any time.
        stays || !self.input.is_empty() || self.output.first().is_some_and(|first| *first != b'>')
    }

    /// The next `most` bytes for the proxy.
    pub fn take(&mut self, most: usize) -> Vec<u8> {
        let rest = self.output.split_off(most.min(self.output.len()));
        let taken = std::mem::replace(&mut self.output, rest);
        self.told += taken.len();
        taken
    }

    /// What has been told in full is known.
    pub fn settle_told(&mut self, ledger: &mut Ledger) {
        while self.outcomes.front().is_some_and(|outcome| outcome.end <= self.told) {
            let outcome = self.outcomes.pop_front().expect("there is one");
            if let Some((number, from)) = outcome.reads_from {
                ledger.read_from.entry(number).or_insert(from);
            }
            if outcome.executed {
                ledger.fates.extend(outcome.numbers.iter().map(|number| (*number, Fate::Executed)));
            }
        }
    }

    pub(super) fn out(&mut self, reply: &str) {
        self.output.extend_from_slice(reply.as_bytes());
        self.made += reply.len();
    }

    pub(super) fn outcome(&mut self, numbers: Vec<u32>, executed: bool) {
        self.outcomes.push_back(Outcome { end: self.made, numbers, executed, exec: false, reads_from: None });
    }

    /// What mainstay asked before it has told where that stands, once it has heard it.
    pub(super) fn reads_from(&mut self, number: u32, from: u32) {
        let (end, numbers) = (self.made, Vec::new());
        self.outcomes.push_back(Outcome { end, numbers, executed: false, exec: false, reads_from: Some((number, from)) });
    }

    fn next_request(&mut self) -> Option<Vec<String>> {
        let mut scanner = RequestScanner::default();
        let end = scanner.scan(&self.input).expect("mainstay sends valid requests")?;
        let words = arguments(&self.input[..end]).map(|word| String::from_utf8_lossy(&word).into_owned()).collect();
        self.input.drain(..end);
        Some(words)
    }

    /// Executes one request, or what a blocked one waited for. False where there is nothing to do.
    pub fn serve(&mut self, server: &mut Server, ledger: &mut Ledger, now: Moment) -> bool {
        if self.blocked.is_some() {
            return self.unblock(server, ledger, now);
        }
        if self.closing || server.dead {
            return false;
        }
        let Some(words) = self.next_request() else { return false };
        self.request(words, server, ledger, now);
        true
    }

    /// A message, where it is subscribed to.
    pub fn publish(&mut self, channel: &str) {
        if self.subscriptions.contains(channel) && !self.closing {
            let first = if self.state.proto == 3 { '>' } else { '*' };
            self.out(&format!("{first}3\r\n$7\r\nmessage\r\n${}\r\n{channel}\r\n$2\r\nhi\r\n", channel.len()));
        }
    }

    /// A push that nobody asked for.
    pub fn push(&mut self) {
        if self.state.proto == 3 && !self.closing {
            self.out(">2\r\n$5\r\nnoise\r\n*1\r\n$3\r\nkey\r\n");
        }
    }

    /// Somebody else changed what is watched.
    pub fn touch(&mut self) {
        self.touched |= self.watching;
    }

    /// The connection ends: of what was handed to it and not answered nobody can know. What may have been executed.
    pub fn bury(mut self, ledger: &mut Ledger) -> Burial {
        self.settle_told(ledger);
        let mut unknown: Vec<u32> = self.outcomes.iter().flat_map(|outcome| outcome.numbers.clone()).collect();
        if let Some(Blocked::Pop { number, .. }) = self.blocked {
            unknown.push(number);
        }
        let mut queued: Option<Vec<u32>> =
            self.multi.take().map(|multi| multi.queued.iter().filter_map(|words| number_of(words)).collect());
        // Until it is answered nobody knows that it was a MULTI; what EXEC would do without one is not looked into.
        let mut is_unclear = queued.is_some() && self.told < self.made || self.outcomes.iter().any(|outcome| outcome.exec);
        while let Some(words) = self.next_request() {
            match (words[0].as_str(), &mut queued) {
                ("EXEC", None) => is_unclear = true,
                ("MULTI", _) => (queued, is_unclear) = (Some(Vec::new()), true),
                ("EXEC", Some(numbers)) => {
                    unknown.append(numbers);
                    queued = None;
                }
                ("DISCARD" | "RESET", _) => queued = None,
                (_, Some(numbers)) => numbers.extend(number_of(&words)),
                (name, None) if changes_something(name) => unknown.extend(number_of(&words)),
                _ => {}
            }
        }
        // What blocks is asked again, whatever became of it, unless it writes elsewhere.
        unknown.retain(|number| !ledger.may_be_repeated(*number));
        unknown.iter().for_each(|number| {
            ledger.fates.entry(*number).or_insert(Fate::Unknown);
        });
        Burial { unknown, is_unclear }
    }

    fn request(&mut self, words: Vec<String>, server: &mut Server, ledger: &mut Ledger, now: Moment) {
        let name = words[0].clone();
        let number = number_of(&words);
        if let (Some(number), true) = (number, changes_something(&name)) {
            let fate = ledger.fates.get(&number);
            assert!(fate.is_none(), "S5: {words:.20?} is sent again, and it was {fate:?}");
        }
        let exec = self.multi.as_ref().filter(|_| name == "EXEC");
        let listens = !self.subscriptions.is_empty() && self.state.proto == 2;
        let writes = is_flagged_write(&name) || exec.is_some_and(|multi| multi.writes);
        let refusal = if listens && !matches!(&*name, "SUBSCRIBE" | "UNSUBSCRIBE" | "PING" | "RESET" | "QUIT") {
            Some(SUBSCRIBED)
        } else if server.lonely && writes {
            Some(NOREPLICAS)
        } else if server.replica && writes {
            Some(READONLY)
        } else if server.loading && (!works_while_loading(&name) || exec.is_some_and(|multi| !multi.queued.is_empty())) {
            Some(LOADING)
        } else {
            None
        };
        ledger.script_refused |= refusal.is_some() && name == "SCRIPT";
        ledger.end_refused |= refusal.is_some() && name == "XREVRANGE";
        match (refusal, &mut self.multi, &*name) {
            (Some(why), Some(_), "EXEC") => {
                let queued = self.end_multi().queued;
                let numbers = queued.iter().chain([&words]).filter_map(|words| number_of(words)).collect();
                self.out(&format!("-{ABORTED_FOR}{why}\r\n"));
                self.outcome(numbers, false);
                self.is_exec();
            }
            (Some(why), Some(multi), _) => {
                multi.dirty = true;
                self.out(&format!("-{why}\r\n"));
            }
            (Some(why), None, _) => {
                self.out(&format!("-{why}\r\n"));
                self.outcome(number.into_iter().collect(), false);
            }
            (None, Some(multi), _) if !matches!(&*name, "EXEC" | "DISCARD" | "MULTI" | "WATCH" | "RESET" | "QUIT") => {
                let owner = |words: &[String]| number_of(words).map(|number| number / NUMBERS);
                let others = multi
                    .queued
                    .iter()
                    .find(|queued| owner(queued).is_some_and(|one| owner(&words).is_some_and(|two| one != two)));
                assert!(others.is_none(), "{words:?} comes into the transaction of another client: {others:?}");
                multi.writes |= is_flagged_write(&name);
                multi.queued.push(words);
                self.out("+QUEUED\r\n");
            }
            (None, _, "EXEC") => self.exec(number, server, ledger, now),
            (None, _, "BRPOP" | "BRPOPLPUSH" | "XREAD") => self.block(&words, server, ledger, now),
            (None, _, "SUBSCRIBE" | "UNSUBSCRIBE") => self.subscribe(&words),
            (None, _, _) => {
                let (reply, executed) = self.execute(&words, server, ledger);
                self.out(&reply);
                let numbers = number.filter(|_| changes_something(&name) || name.starts_with("EVAL"));
                self.outcome(numbers.into_iter().collect(), executed);
            }
        }
    }

    fn end_multi(&mut self) -> Multi {
        (self.watching, self.touched) = (false, false);
        self.multi.take().unwrap_or_default()
    }

    fn exec(&mut self, number: Option<u32>, server: &mut Server, ledger: &mut Ledger, now: Moment) {
        if self.multi.is_none() {
            self.out(&format!("-{NO_MULTI}\r\n"));
            return self.outcome(number.into_iter().collect(), false);
        }
        let touched = self.touched;
        let multi = self.end_multi();
        let numbers: Vec<u32> = multi.queued.iter().filter_map(|words| number_of(words)).chain(number).collect();
        let executed = !multi.dirty && !touched;
        if multi.dirty {
            self.out(&format!("-{ABORTED}\r\n"));
        } else if touched {
            self.out(if self.state.proto == 3 { "_\r\n" } else { "*-1\r\n" });
        } else {
            let mut reply = format!("*{}\r\n", multi.queued.len());
            for words in &multi.queued {
                reply.push_str(&match &*words[0] {
                    "BRPOP" | "BRPOPLPUSH" => unreachable!("not asked in transactions at {now:?}"),
                    _ => self.execute(words, server, ledger).0,
                });
            }
            ledger.executed_on.extend(numbers.iter().map(|number| (*number, self.id)));
            self.out(&reply);
        }
        self.outcome(numbers, executed);
        self.is_exec();
    }

    /// The last outcome is that of a transaction.
    fn is_exec(&mut self) {
        self.outcomes.back_mut().into_iter().for_each(|outcome| outcome.exec = true);
    }

    fn subscribe(&mut self, words: &[String]) {
        let subscribes = words[0] == "SUBSCRIBE";
        let mut names = words[1..].to_vec();
        if names.is_empty() {
            names.extend(self.subscriptions.iter().cloned());
        }
        let (first, word) = (if self.state.proto == 3 { '>' } else { '*' }, words[0].to_ascii_lowercase());
        if names.is_empty() {
            let nil = if self.state.proto == 3 { "_" } else { "$-1" };
            return self.out(&format!("{first}3\r\n{}{nil}\r\n:0\r\n", bulk(&word)));
        }
        for name in names {
            if subscribes {
                self.subscriptions.insert(name.clone());
            } else {
                self.subscriptions.remove(&name);
            }
            let count = self.subscriptions.len();
            self.out(&format!("{first}3\r\n{}{}:{count}\r\n", bulk(&word), bulk(&name)));
        }
    }

    pub(super) fn reset(&mut self) {
        self.end_multi();
        (self.state, self.subscriptions) = (State::default(), BTreeSet::new());
    }

    pub(super) fn watch(&mut self) {
        self.watching = true;
    }

    pub(super) fn unwatch(&mut self) {
        (self.watching, self.touched) = (false, false);
    }

    /// False where a transaction is open already.
    pub(super) fn begin_multi(&mut self) -> bool {
        let begins = self.multi.is_none();
        self.multi.get_or_insert_default();
        begins
    }

    /// False where there is none.
    pub(super) fn discard(&mut self) -> bool {
        let is_open = self.multi.is_some();
        self.end_multi();
        is_open
    }
}

pub(super) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}
