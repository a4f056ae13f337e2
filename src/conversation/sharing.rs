//! What of a conversation may travel over an upstream that other sessions use as well.
//!
//! A request may where its whole effect is its reply: nothing of it stays with the connection, and it neither waits nor streams. A
//! transaction may that is there from MULTI to EXEC: it goes out in one piece, and the server itself says what is wrong with it. All else
//! needs an upstream of the session's own, for as long as something of it stays there ([`Conversation::pin`]).
//!
//! Between the two a session moves as it moves to another primary, with nothing in flight: what its connection was told is replayed on one
//! of its own, and is what a shared one is chosen by ([`ConnectionKey`]).

mod fitness;

use super::connection_key::ConnectionKey;
use super::course::Doubt;
use super::remembered::request;
use super::replies::Frame;
use super::request::{Own, Request, Stage, What};
use super::{Conversation, Link, Pin, Turn};
use crate::resp::command::{Command, Fate, Kind};
use crate::route::Epoch;

/// After a large reply, or a client that does not read, so many requests go over an upstream of its own before it shares again.
const HEAVY_FOR: u16 = 64;

/// To a WAIT that would not count what was written before.
pub(super) const WAITS_IN_VAIN: &[u8] =
    b"-ERR mainstay: the primary refused this user PUBLISH to mainstay:wait, so that WAIT counts only writes from now on; \
      allow it (+publish &mainstay:wait), or write again and WAIT then\r\n";

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

impl Conversation {
    /// One whose session may share upstreams.
    pub fn sharing() -> Self {
        Self { shares: true, ..Self::default() }
    }

    /// One whose session may share upstreams, or not, and only reads, or not.
    pub fn of(shares: bool, reads: bool) -> Self {
        Self { shares, reads, ..Self::default() }
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
        let fitness::Fitting { requests, bytes } = self.fitting(most);
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
        let defers = self.queue.iter().any(|request| request.stage != Stage::Waiting)
            && self.has_only_in_flight(|request| request.stage == Stage::Sent && request.whole && reads(request));
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

    /// Since then it waits for the end of that reply, and of what was in flight behind it.
    pub fn is_deferring(&self) -> bool {
        self.heavy > 0 && self.doubt.as_ref().is_some_and(|doubt| doubt.stays && doubt.why.is_none())
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
        self.wrote_before |= std::mem::take(&mut self.wrote) && had_one;
        let mut waiting = self.queue.iter().filter(|request| request.stage != Stage::Settled);
        if waiting.by_ref().take_while(|request| !request.is_wait()).any(Request::may_write) {
            (self.wrote, self.wrote_before) = (true, self.wrote_before && shared);
        }
    }

    /// This user may not write even that.
    pub(super) fn waits_in_vain(&mut self) {
        for index in 0..self.queue.len() {
            if self.queue.get(index).is_some_and(|request| request.stage == Stage::Waiting && request.is_wait()) {
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

    /// Nothing is going on but requests in flight of which each `is` one of these.
    pub(super) fn has_only_in_flight(&self, is: impl Fn(&Request) -> bool) -> bool {
        self.link == Link::Live
            && self.doubt.is_none()
            && self.transaction.is_none()
            && matches!(self.frame, Frame::Fresh)
            && self.queue.iter().filter(|request| request.stage != Stage::Waiting).all(is)
    }

    /// Nothing is in flight, and nothing is withheld.
    pub(super) fn rests(&mut self) -> bool {
        self.queue.awaited().is_none() && matches!(self.frame, Frame::Fresh) && self.doubt.is_none()
    }
}
