//! One client's connection: sends what its author thinks up, cut into odd pieces, and holds every reply against what must come.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::asks::{Ask, Check, Expect, Step, shown};
use super::author::Author;
use super::multitude::Manners;
use super::wire::{Value, parse};

/// No reply is waited for longer: longer than any hold window of these tests.
const PATIENCE: Duration = Duration::from_secs(40);
/// What a session may have been told last, for people.
const RECENT: usize = 12;
/// Reads in a row before others have their turn.
const READS: usize = 4;

/// How a session means to end, once it has sent what it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// Not now.
    Stay,
    /// At once, with replies outstanding.
    Sent,
    /// When a part of the replies is there.
    MidReply,
    /// By shutting down its writing side, and reading on.
    Half,
    /// With QUIT.
    Quit,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It left by itself.
    Left,
    /// Closed by the other side while the fate of a request was unknown, or in the middle of a reply.
    Lost,
    /// Closed by the other side after it had not read for a while.
    Slow,
    /// It did or saw what must not be; see the faults.
    Faulty,
}

/// What a key may hold in the end: the last acknowledged state, or that of any later request whose fate is unknown.
pub type Ledger = BTreeMap<(usize, String), Vec<Option<Arc<str>>>>;

/// See the module.
pub struct Session {
    author: Author,
    socket: TcpStream,
    manners: Manners,
    plan: VecDeque<Step>,
    expected: VecDeque<Expect>,
    out: Vec<u8>,
    /// No more of `out` leaves before the next turn.
    cut: Option<usize>,
    input: Vec<u8>,
    read: usize,
    unread: bool,
    settled: BTreeMap<(usize, String), Option<Arc<str>>>,
    channel: Option<String>,
    heard: Vec<String>,
    recent: VecDeque<String>,
    begun: Instant,
    progress: Instant,
    not_before: Instant,
    deaf_until: Option<Instant>,
    was_deaf: bool,
    leave: Leave,
    half_closed: bool,
    /// Requests answered.
    pub answered: u64,
}

impl Session {
    /// Over a connection that may not stand yet.
    pub fn new(mut author: Author, socket: TcpStream, manners: Manners, now: Instant) -> Self {
        let plan = author.greeting().into();
        Self {
            author,
            socket,
            manners,
            plan,
            expected: VecDeque::new(),
            out: Vec::new(),
            cut: None,
            input: Vec::new(),
            read: 0,
            unread: true,
            settled: BTreeMap::new(),
            channel: None,
            heard: Vec::new(),
            recent: VecDeque::new(),
            begun: now,
            progress: now,
            not_before: now,
            deaf_until: None,
            was_deaf: false,
            leave: Leave::Stay,
            half_closed: false,
            answered: 0,
        }
    }

    /// The socket, to be registered.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Is there something to do, although nothing happened?
    pub fn is_due(&self, now: Instant) -> bool {
        let idle = self.expected.is_empty() && self.out.is_empty() && now >= self.not_before;
        let hears_again = self.deaf_until.is_some_and(|until| now >= until);
        idle || hears_again || self.cut.is_some() || (self.unread && self.deaf_until.is_none()) || now > self.progress + PATIENCE
    }

    /// Reads, thinks, writes. `over`: begins nothing new. An end, and what was wrong with it.
    pub fn drive(&mut self, now: Instant, over: bool) -> Result<(), (End, Option<String>)> {
        self.cut = None;
        if self.deaf_until.is_none_or(|until| now >= until) {
            if self.deaf_until.take().is_some() {
                self.progress = now;
            }
            self.listen(now)?;
        }
        if self.expected.is_empty() && self.out.is_empty() && !self.half_closed {
            if over && self.plan.is_empty() {
                return Err((End::Left, None));
            }
            self.begin(now);
        }
        if !self.expected.is_empty() && self.deaf_until.is_none() && now > self.progress + PATIENCE {
            return Err(self.fault(format!("no reply to {:?} within {PATIENCE:?}", self.expected[0].what)));
        }
        self.say(now)
    }

    /// The next step, when its time has come. After QUIT none does.
    fn begin(&mut self, now: Instant) {
        if self.leave == Leave::Quit {
            return;
        }
        if self.plan.is_empty() {
            self.plan = self.author.next().into();
            let think = self.author.chance.below(self.manners.think_ms.max(1));
            self.not_before = now + Duration::from_millis(think);
        }
        if let Some(step) = self.plan.front_mut().filter(|step| step.pause_ms > 0) {
            self.not_before = now + Duration::from_millis(std::mem::take(&mut step.pause_ms));
        }
        if now < self.not_before {
            return;
        }
        let Some(mut step) = self.plan.pop_front() else { return };
        let chance = &mut self.author.chance;
        if self.manners.leaves && chance.percent(2) {
            self.leave =
                [Leave::Sent, Leave::Sent, Leave::MidReply, Leave::MidReply, Leave::Half, Leave::Quit][chance.below(6) as usize];
        }
        if self.manners.leaves && self.leave == Leave::Stay && chance.percent(1) {
            self.deaf_until = Some(now + Duration::from_millis(chance.below(1500)));
            self.was_deaf = true;
        }
        if self.leave == Leave::Quit {
            self.plan.clear();
            step.asks.push(Ask::read(&["QUIT"], Check::ok()));
        }
        for ask in step.asks {
            self.out.extend_from_slice(&ask.bytes);
            self.expected.push_back(ask.expect);
        }
        if self.leave == Leave::Sent && self.author.chance.percent(50) {
            // In the middle of a request.
            let length = self.author.chance.below(self.out.len() as u64 + 1) as usize;
            self.out.truncate(length);
        }
        self.progress = now;
    }

    fn say(&mut self, now: Instant) -> Result<(), (End, Option<String>)> {
        if !self.out.is_empty() {
            let length = self.out.len();
            let limit =
                if self.author.chance.percent(15) { 1 + self.author.chance.below(length as u64) as usize } else { length };
            match self.socket.write(&self.out[..limit]) {
                Ok(written) => {
                    self.out.drain(..written);
                    self.progress = now;
                    if !self.out.is_empty() {
                        self.cut = Some(written);
                    }
                }
                Err(error) if is_waiting(error.kind()) => return Ok(()),
                // What the other side said last is read first.
                Err(_) => self.out.clear(),
            }
        }
        if !self.out.is_empty() {
            return Ok(());
        }
        match self.leave {
            Leave::Sent => Err((End::Left, None)),
            Leave::Half if !self.half_closed => {
                self.half_closed = true;
                let _ = self.socket.shutdown(Shutdown::Write);
                Ok(())
            }
            Leave::Stay | Leave::MidReply | Leave::Half | Leave::Quit => Ok(()),
        }
    }

    fn listen(&mut self, now: Instant) -> Result<(), (End, Option<String>)> {
        let mut chunk = [0; 64 * 1024];
        self.unread = false;
        for round in 0.. {
            if round == READS {
                self.unread = true;
                return Ok(());
            }
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(self.ended("closed", now)),
                Ok(length) => {
                    self.progress = now;
                    self.input.extend_from_slice(&chunk[..length]);
                    self.take()?;
                    if self.leave == Leave::MidReply && !self.expected.is_empty() {
                        return Err((End::Left, None));
                    }
                }
                Err(error) if is_waiting(error.kind()) => return Ok(()),
                Err(error) => return Err(self.ended(&error.to_string(), now)),
            }
        }
        Ok(())
    }

    /// Every whole reply that has come.
    fn take(&mut self) -> Result<(), (End, Option<String>)> {
        loop {
            match parse(&self.input[self.read..]) {
                Ok(Some((value, length))) => {
                    self.read += length;
                    self.heed(value)?;
                }
                Ok(None) => break,
                Err(garbage) => return Err(self.fault(format!("no RESP: {}", shown(&garbage)))),
            }
        }
        self.input.drain(..self.read);
        self.read = 0;
        Ok(())
    }

    fn heed(&mut self, value: Value) -> Result<(), (End, Option<String>)> {
        if let Some(message) = self.message(&value) {
            let numbered = message.rsplit_once('#').is_some_and(|(channel, _)| Some(channel) == self.channel.as_deref());
            if !numbered || self.heard.contains(&message) {
                return Err(self.fault(format!("heard {message:?} on channel {:?}", self.channel)));
            }
            self.heard.push(message);
            return Ok(());
        }
        let Some(expect) = self.expected.pop_front() else {
            return Err(self.fault(format!("unasked: {}", shown(&format!("{value:?}")))));
        };
        let Expect { check, writes, what, .. } = &expect;
        if !check.fits(&value) {
            let (wanted, got) = (shown(&format!("{check:?}")), shown(&format!("{value:?}")));
            return Err(self.fault(format!("{what:?} was answered {got}\n    instead of {wanted}")));
        }
        if let Check::Confirmed(kind, channel) = check {
            let mut channels = self.author.common.channels.borrow_mut();
            channels.retain(|known| known != channel);
            self.channel = (*kind == "subscribe").then(|| channel.clone());
            channels.extend(self.channel.clone());
        }
        for write in writes {
            self.settled.insert((write.db, write.key.clone()), write.after.clone());
        }
        self.answered += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(format!("{what} -> {}", shown(&format!("{value:?}"))));
        Ok(())
    }

    /// What was published, if it is that.
    fn message(&self, value: &Value) -> Option<String> {
        let items = match value {
            Value::Push(items) => items,
            Value::Array(items) if self.channel.is_some() => items,
            _ => return None,
        };
        let text = |place: usize| if let Some(Value::Bulk(text)) = items.get(place) { text.as_str() } else { "" };
        let ours = text(0) == "message" && Some(text(1)) == self.channel.as_deref();
        // One for another channel is a fault: it fits no expectation.
        (items.len() == 3 && ours).then(|| text(2).to_owned())
    }

    /// The other side closed: may it?
    fn ended(&mut self, how: &str, now: Instant) -> (End, Option<String>) {
        let quit = self.leave == Leave::Quit && self.expected.is_empty();
        if self.half_closed || quit {
            return (End::Left, None);
        }
        if self.was_deaf {
            return (End::Slow, None);
        }
        let unknown = self.expected.iter().any(|expect| expect.writing);
        if self.manners.rough && (unknown || !self.input.is_empty()) {
            return (End::Lost, None);
        }
        let pending: Vec<&str> = self.expected.iter().take(5).map(|expect| expect.what.as_str()).collect();
        let (age, since) = (now - self.begun, now - self.progress);
        let doing = (self.leave, self.out.len(), self.answered);
        self.fault(format!(
            "{how} for no reason, {age:?} old, {since:?} after the last byte, {doing:?}; outstanding: {pending:?}"
        ))
    }

    fn fault(&self, what: String) -> (End, Option<String>) {
        let recent: Vec<String> = self.recent.iter().map(|one| format!("    before: {one}")).collect();
        let outstanding: Vec<String> = self.expected.iter().take(5).map(|one| format!("    after: {}", one.what)).collect();
        let whole = format!("session {}: {what}\n{}\n{}", self.author.id, recent.join("\n"), outstanding.join("\n"));
        (End::Faulty, Some(whole))
    }

    /// What its keys may hold now.
    pub fn enter_into(self, ledger: &mut Ledger) {
        if let Some(channel) = &self.channel {
            self.author.common.channels.borrow_mut().retain(|known| known != channel);
        }
        let unknown = self.expected.into_iter().flat_map(|expect| expect.writes);
        for (key, state) in self.settled {
            ledger.insert(key, vec![state]);
        }
        for write in unknown {
            ledger.entry((write.db, write.key)).or_insert_with(|| vec![None]).push(write.after);
        }
    }
}

fn is_waiting(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected)
}
