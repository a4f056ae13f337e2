//! What of a conversation may travel over an upstream that other sessions use as well.
//!
//! A request may where its whole effect is its reply: nothing of it stays with the connection, and it neither waits nor streams. A
//! transaction may that is there from MULTI to EXEC: it goes out in one piece, and the server itself says what is wrong with it. All else
//! needs an upstream of the session's own, for as long as something of it stays there ([`Conversation::pin`]).
//!
//! Between the two a session moves as it moves to another primary, with nothing in flight: what its connection was told is replayed on one
//! of its own, and is what a shared one is chosen by ([`ConnectionKey`]).

use super::connection_key::ConnectionKey;
use super::course::Doubt;
use super::queue::KEPT_BYTES_MAX;
use super::remembered::request;
use super::replies::Frame;
use super::request::{Own, Request, Stage, What};
use super::{Conversation, Link, Pin, Turn};
use crate::resp::command::{Command, Fate, Kind};
use crate::route::Epoch;

/// A transaction of more requests goes over an upstream of its own: what comes behind it on a shared one would wait for all of it.
const UNIT_REQUESTS_MAX: usize = 512;
/// So many requests that wait are looked at before a session gives up its own upstream.
const LOOKS_AHEAD: usize = 64;
/// After a large reply, or a client that does not read, so many requests go over an upstream of its own before it shares again.
const HEAVY_FOR: u16 = 64;

/// To a WAIT that would not count what was written before.
pub(super) const WAITS_IN_VAIN: &[u8] =
    b"-ERR mainstay: the connection to the primary is another one since the last write; write again and WAIT then\r\n";

/// A write that changes nothing: a message that nobody listens to. Redis 7.0 would be content with any command; from 7.2 on, and in Valkey,
/// only what is replicated moves the place that WAIT counts from.
pub(super) fn mark() -> Vec<u8> {
    request(["PUBLISH", "mainstay:wait", ""])
}

/// What a conversation needs just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing waits to be sent.
    Nothing,
    /// Any upstream with its [`ConnectionKey`].
    Shared,
    /// An upstream of its own.
    Own,
}

/// How a request goes together with those of others.
enum Fit {
    /// By itself.
    Alone,
    /// With all that follows up to its end.
    Begins,
    /// It ends what another one began.
    Ends,
    Not(Pin),
}

/// What may be handed over together.
struct Fitting {
    requests: usize,
    bytes: usize,
}

impl Conversation {
    /// One whose session may share upstreams.
    pub fn sharing() -> Self {
        Self { shares: true, ..Self::default() }
    }

    /// What it needs where it has no upstream.
    pub fn need(&self) -> Need {
        if !self.wants_upstream() {
            Need::Nothing
        } else if self.shares && self.tie().is_none() && self.obstacle().is_none() {
            Need::Shared
        } else {
            Need::Own
        }
    }

    /// The epoch of its last upstream.
    pub fn attached_in(&self) -> Option<Epoch> {
        self.attached
    }

    /// Its upstream is a shared one.
    pub fn is_shared(&self) -> bool {
        self.shared && self.link != Link::None
    }

    /// What makes upstreams interchangeable for it.
    pub fn connection_key(&self) -> ConnectionKey {
        self.state.as_ref().map(|state| state.key()).unwrap_or_default()
    }

    /// A shared upstream to the primary of `epoch` is at hand. Whoever opened it told it what is in the [`ConnectionKey`].
    pub fn attach_shared(&mut self, epoch: Epoch, turn: &mut Turn<'_>) {
        self.begin(epoch, true, turn);
        let mut prelude = Vec::new();
        self.load_scripts(&mut prelude, turn);
        self.backlog = self.queue.next_sequence();
        if !prelude.is_empty() {
            self.queue.put_first(&prelude, turn.now);
        }
        self.emit(turn);
    }

    /// It has something for its shared upstream, or would have if more were answered.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        self.queue.has_unsent()
    }

    /// Appends to `out` what goes to a shared upstream now, `most` requests at most, and says how many those are.
    pub fn hand_over(&mut self, most: usize, out: &mut Vec<u8>) -> usize {
        let stays = self.shared && self.link == Link::Live && !self.over;
        if !stays || self.doubt.is_some() || self.heavy > 0 || self.waited {
            return 0;
        }
        let Fitting { requests, bytes } = self.fitting(most);
        if requests > 0 {
            out.extend_from_slice(&self.queue.pending()[..bytes]);
            self.queue.wrote(bytes);
        }
        requests
    }

    /// The last `unsent` bytes that it handed over did not go out, and never will: the requests that they belong to are not executed. Returns
    /// how many those are.
    pub fn take_back(&mut self, unsent: usize) -> usize {
        self.queue.take_back(unsent)
    }

    /// What it says next must not go over the shared upstream that it has, and nothing is in flight there.
    pub fn must_leave(&mut self) -> bool {
        self.is_shared() && self.rests() && self.queue.has_unsent() && (self.tie().is_some() || self.obstacle().is_some())
    }

    /// It needs its own upstream no longer: nothing is in flight, nothing stays there, and what comes next may be shared.
    pub fn may_leave(&mut self) -> bool {
        self.shares
            && !self.shared
            && !self.over
            && self.link == Link::Live
            && self.rests()
            && self.queue.prelude() == 0
            && !self.queue.is_within_request()
            && self.tie().is_none()
            && !self.will_need_its_own()
    }

    /// Something of what waits must not be shared. Looks ahead, so that a session does not go to and fro within one pipeline.
    fn will_need_its_own(&self) -> bool {
        let mut at = self.queue.next_at();
        let mut index = self.queue.next();
        let end = self.queue.len().min(index + LOOKS_AHEAD);
        while index < end {
            let (requests, bytes) = match self.fit(index, at) {
                Fit::Alone => (1, self.queue.get(index).map_or(0, |request| request.len)),
                Fit::Begins => match self.unit(index, at, self.queue.len()) {
                    Some(unit) => unit,
                    None => return true,
                },
                Fit::Ends => return true,
                Fit::Not(_) => return self.queue.get(index).is_some_and(|request| request.stage == Stage::Waiting),
            };
            (index, at) = (index + requests, at + bytes);
        }
        false
    }

    /// Gives up its upstream, on which nothing is in flight. True where another session may use it when it was wiped: RESET leaves some
    /// marks where they are.
    pub fn leave(&mut self, turn: &mut Turn<'_>) -> bool {
        let is_marked = std::mem::take(&mut self.is_marked);
        // Nothing is lost that way, so that there is nothing to close for.
        let _ = self.detach(turn);
        !is_marked
    }

    /// The reply that is about to come is too large to be kept beside those of others. True where it will be asked for again on an upstream
    /// of its own: then what comes of it here is dropped. Not where anything in flight may change something, or comes in order behind.
    pub fn defers_large(&mut self) -> bool {
        self.heavy = HEAVY_FOR;
        let reads = |request: &Request| {
            matches!(request.what, What::Client(Command { fate: Fate::Read, kind: Kind::Plain | Kind::Script(_) }))
        };
        let mut in_flight = self.queue.iter().filter(|request| request.stage != Stage::Waiting).peekable();
        let defers = self.link == Link::Live
            && self.doubt.is_none()
            && self.transaction.is_none()
            && matches!(self.frame, Frame::Fresh)
            && in_flight.peek().is_some()
            && in_flight.all(|request| request.stage == Stage::Sent && request.whole && reads(request));
        if defers {
            self.doubt = Some(Box::new(Doubt { stays: true, ..Doubt::default() }));
        }
        defers
    }

    /// It has not logged in, and no upstream of its own has let it in without that.
    pub fn is_newcomer(&self) -> bool {
        !self.let_in && !self.state.as_ref().is_some_and(|state| state.logs_in())
    }

    /// Its next request goes over an upstream of its own.
    pub fn goes_ahead(&mut self) {
        self.heavy = self.heavy.max(1);
    }

    /// For a while it goes over an upstream of its own: its client does not take what it is sent, or there is none to share.
    pub fn goes_alone(&mut self) {
        self.heavy = HEAVY_FOR;
    }

    /// WAIT asks for the replicas that have all writes of one connection. Those that went over a shared one, or over one that was given
    /// back, count for none of the present one's; a write there comes after them, and a message that nobody listens to is one.
    pub(super) fn begin_waiting(&self, prelude: &mut Vec<(Own, bool, Vec<u8>)>) {
        if self.waited && self.wrote_before {
            prelude.push((Own::Mark, false, mark()));
        }
    }

    /// Another connection begins: what was written on the one before counts for no WAIT on this one, until something is written here.
    pub(super) fn note_writes_before(&mut self, had_one: bool, shared: bool) {
        let waits = |request: &Request| matches!(request.what, What::Client(Command { kind: Kind::Wait, .. }));
        self.wrote_before |= std::mem::take(&mut self.wrote) && had_one;
        let mut waiting = self.queue.iter().filter(|request| request.stage != Stage::Settled);
        if waiting.by_ref().take_while(|request| !waits(request)).any(Request::may_write) {
            (self.wrote, self.wrote_before) = (true, self.wrote_before && shared);
        }
    }

    /// This user may not write even that.
    pub(super) fn waits_in_vain(&mut self) {
        let waits = |request: &Request| matches!(request.what, What::Client(Command { kind: Kind::Wait, .. }));
        for index in 0..self.queue.len() {
            if self.queue.get(index).is_some_and(|request| request.stage == Stage::Waiting && waits(request)) {
                self.settle(index, WAITS_IN_VAIN.to_vec());
            }
        }
    }

    /// What of it stays with its connection.
    pub(super) fn tie(&self) -> Option<Pin> {
        let state = self.state.as_ref();
        if self.transaction.is_some() {
            Some(Pin::Transaction)
        } else if self.watching {
            Some(Pin::Watch)
        } else if state.is_some_and(|state| state.subscribes()) {
            Some(Pin::Subscription)
        } else if self.is_blocked() {
            Some(Pin::Blocked)
        } else if state.is_some_and(|state| state.tracks()) {
            Some(Pin::Tracking)
        } else if !self.shares {
            None
        } else if self.knows_connection || state.is_some_and(|state| state.is_special()) {
            Some(Pin::Identity)
        } else if self.waited {
            Some(Pin::Wait)
        } else if self.heavy > 0 {
            Some(Pin::Large)
        } else {
            None
        }
    }

    /// Why the first request that waits, if there is one, may not go over a shared upstream.
    pub(super) fn obstacle(&self) -> Option<Pin> {
        let mut at = self.queue.next_at();
        for index in self.queue.next()..self.queue.len() {
            let request = self.queue.get(index)?;
            if request.stage == Stage::Waiting {
                return match self.fit(index, at) {
                    Fit::Alone => None,
                    Fit::Begins => {
                        if self.unit(index, at, self.queue.len()).is_some() {
                            None
                        } else {
                            Some(Pin::Transaction)
                        }
                    }
                    Fit::Ends => Some(Pin::Transaction),
                    Fit::Not(pin) => Some(pin),
                };
            }
            at += request.len;
        }
        // What has begun to come in and is known to be large is a request already.
        None
    }

    /// Why the first request of all may not go over a shared upstream.
    pub(super) fn first_unfit(&self) -> Option<Pin> {
        match self.fit(0, self.queue.head()) {
            _ if self.queue.is_empty() => None,
            Fit::Not(pin) => Some(pin),
            Fit::Begins if self.unit(0, self.queue.head(), self.queue.len()).is_some() => None,
            Fit::Begins | Fit::Ends => Some(Pin::Transaction),
            Fit::Alone => None,
        }
    }

    /// Nothing is in flight, and nothing is withheld.
    fn rests(&mut self) -> bool {
        self.queue.awaited().is_none() && matches!(self.frame, Frame::Fresh) && self.doubt.is_none()
    }

    /// The next requests that may be handed over: `most` at most, and no more than can be kept for asking again.
    fn fitting(&self, most: usize) -> Fitting {
        let (first, end, begin) = (self.queue.next(), self.queue.ready_next(), self.queue.next_at());
        let mut fitting = Fitting { requests: 0, bytes: 0 };
        let in_flight = self.queue.kept();
        let mut index = first;
        while index < end {
            let at = begin + fitting.bytes;
            if self.queue.get(index).is_none_or(|request| request.stage != Stage::Waiting) {
                // Answered here in the middle of coming in: half a request must not go.
                break;
            }
            let (requests, bytes) = match self.fit(index, at) {
                Fit::Alone => (1, self.queue.get(index).map_or(0, |request| request.len)),
                Fit::Begins => match self.unit(index, at, end) {
                    Some(unit) => unit,
                    None => break,
                },
                Fit::Ends | Fit::Not(_) => break,
            };
            // Alone on the way, even a large one goes.
            let first = fitting.requests == 0 && in_flight == 0;
            if !first && (fitting.requests + requests > most || in_flight + fitting.bytes + bytes > KEPT_BYTES_MAX) {
                break;
            }
            fitting.requests += requests;
            fitting.bytes += bytes;
            index += requests;
        }
        fitting
    }

    /// Requests and bytes of the transaction that begins at `index`, if its end comes before `end` and all of it may be shared.
    fn unit(&self, index: usize, at: usize, end: usize) -> Option<(usize, usize)> {
        let mut bytes = self.queue.get(index)?.len;
        for next in index + 1..end.min(index + UNIT_REQUESTS_MAX) {
            let fit = self.fit(next, at + bytes);
            bytes += self.queue.get(next)?.len;
            match fit {
                Fit::Alone => {}
                Fit::Ends => return (bytes <= KEPT_BYTES_MAX).then_some((next + 1 - index, bytes)),
                Fit::Begins | Fit::Not(_) => return None,
            }
        }
        None
    }

    /// How the request at `index` goes together with others, whose bytes begin at the position `at`.
    fn fit(&self, index: usize, at: usize) -> Fit {
        let Some(request) = self.queue.get(index) else { return Fit::Not(Pin::Unknown) };
        if !request.whole || self.queue.is_open() && index + 1 == self.queue.len() {
            return Fit::Not(Pin::Large);
        }
        if !self.queue.begins_with(at, b"*") {
            // Typed by hand: there is more than one way to read a line.
            return Fit::Not(Pin::Unknown);
        }
        let command = match request.what {
            What::Own(Own::Script) => return Fit::Alone,
            What::Own(Own::ClientId | Own::StreamEnd) => return Fit::Not(Pin::Blocked),
            What::Own(_) => return Fit::Not(Pin::State),
            What::Client(command) => command,
        };
        match command.kind {
            _ if command.fate == Fate::Unknown => Fit::Not(Pin::Unknown),
            // On a shared connection nothing is ever watched.
            Kind::Plain | Kind::Script(_) | Kind::ScriptLoad | Kind::ScriptFlush | Kind::Scan(_) | Kind::Unwatch => Fit::Alone,
            // With one word too many they are refused, and what comes between them would be executed, or what comes behind them queued. A
            // user may also be allowed to do one and not the other: EXEC ends a transaction even then, DISCARD does not.
            Kind::Multi if self.queue.begins_with(at, b"*1\r\n") => Fit::Begins,
            Kind::Exec if self.queue.begins_with(at, b"*1\r\n") => Fit::Ends,
            Kind::Multi | Kind::Exec | Kind::Discard => Fit::Not(Pin::Transaction),
            Kind::Tame => Fit::Not(Pin::Blocked),
            Kind::Watch => Fit::Not(Pin::Watch),
            Kind::Blocking(_) => Fit::Not(Pin::Blocked),
            Kind::Wait => Fit::Not(Pin::Wait),
            Kind::Subscribe(_) | Kind::Unsubscribe(_) => Fit::Not(Pin::Subscription),
            Kind::ClientTracking => Fit::Not(Pin::Tracking),
            Kind::Connection(_) => Fit::Not(Pin::Identity),
            Kind::Hello
            | Kind::Auth
            | Kind::Select
            | Kind::ClientSetName
            | Kind::ClientSetInfo
            | Kind::ClientNoEvict
            | Kind::ClientNoTouch
            | Kind::Reset
            | Kind::Quit => Fit::Not(Pin::State),
            // It must not stand behind what it is about.
            Kind::ClientReply | Kind::Opaque | Kind::Oversight => Fit::Not(Pin::Unknown),
        }
    }
}
