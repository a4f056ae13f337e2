//! One client's conversation with its primary, followed frame by frame (redis mode). Pure: bytes and time come in, bytes and wishes go
//! out; who owns the sockets is `proxy/redis_mode.rs`.
//!
//! # The order of calls
//!
//! ```text
//!   client_said ──▶ requests, in order ──▶ pending ── wrote ──▶ upstream_said ──▶ Outlet::pass, in order
//! ```
//!
//! - [`Conversation::client_said`] takes what the client sent; no more of it should be read while [`Conversation::accepts`] is false.
//! - While [`Conversation::wants_upstream`], somebody connects one, calls [`Conversation::attach`], and writes whatever
//!   [`Conversation::pending`] shows, as far as the fence lets it.
//! - [`Conversation::upstream_said`] takes what the upstream sent.
//! - An upstream ends in one of three ways: [`Conversation::upstream_lost`], [`Conversation::withdraw`], or [`Next::DropUpstream`].
//!   Afterwards [`Conversation::wants_upstream`] says again what is needed.
//! - While [`Conversation::doubts`], a refusal is withheld from the client. Either the epoch passes ([`Conversation::withdraw`]: it is
//!   asked again at the next primary) or it turns out that nothing changed ([`Conversation::primary_stays`]: it is passed on).
//! - Who holds requests for too long calls [`Conversation::refuse`].

mod access;
mod blocking;
mod bounds;
mod busy;
mod connection_key;
mod course;
mod effects;
mod intake;
mod moving;
mod queue;
mod reader;
mod reconsidered;
mod refusal;
mod remembered;
mod replies;
mod request;
mod scripts;
mod settled;
mod sharing;
#[cfg(test)]
mod tests;
mod transaction;
mod verdicts;
mod words;

pub use access::{Access, Denied, Gate, User, Users};
pub use connection_key::ConnectionKey;
pub use scripts::Scripts;
pub use sharing::Need;
pub use words::{Close, Fault, Next, Outlet, Pin, Refusal, Retry, Turn, Withdrawn};

use crate::resp::command::{Command, Kind};
use crate::resp::frames::{ReplyScanner, RequestScanner};
use crate::route::{Epoch, Moment};
use course::Doubt;
use effects::Effects;
use intake::Intake;
use queue::Queue;
use remembered::{Bytes, Effect, Remembered};
use replies::Frame;
use request::{Stage, What};
use settled::Settled;
use transaction::Transaction;

/// Is there an upstream?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Link {
    #[default]
    None,
    Live,
    /// Its epoch has passed: what was sent is still answered, nothing more is sent.
    Draining,
}

/// The CLIENT ID of the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Id {
    #[default]
    Unknown,
    Known(u64),
}

/// See the module.
#[derive(Default)]
pub struct Conversation {
    // What the client says.
    requests: RequestScanner,
    /// What its requests so far mean for the next.
    intake: Intake,
    /// The rest of the request that is coming in is not wanted.
    swallowing: bool,
    client_ended: bool,
    /// QUIT was answered, or the client left in the middle of a request.
    over: bool,
    /// It broke the protocol: it is told so in its turn, and nothing more is read.
    failure: Option<Box<Close>>,
    /// It has logged in, where users are mainstay's own.
    inside: bool,
    /// What it must not do where its upstream leads to.
    writes_forbidden: bool,

    // What was asked.
    queue: Queue,
    /// Replies that are known and wait for their turn, by sequence number.
    settled: Settled,
    /// What changes when a request succeeds.
    effects: Effects,

    // The upstream.
    link: Link,
    /// It is used by others as well.
    shared: bool,
    /// The session may share upstreams.
    shares: bool,
    /// Its listener leads to replicas.
    reads: bool,
    /// Its upstream does. There it is no news that nothing may be written.
    at_replica: bool,
    /// It knows its connection by its id, or has made it another one.
    knows_connection: bool,
    /// The server treats its upstream in another way, and RESET does not end that.
    is_marked: bool,
    /// It has asked to WAIT: from then on its writes go where that can be answered.
    waited: bool,
    /// It has written, on this upstream or another one to this primary, and nothing on this one since that is its own.
    wrote_before: bool,
    /// An upstream of its own has answered it: it may go where nobody has logged in.
    let_in: bool,
    /// Its own upstream was told nothing but who it is: it is for one request, and answered while a script keeps the server busy.
    bare: bool,
    /// So many requests more go over an upstream of its own.
    heavy: u16,
    /// The epoch of the last one.
    attached: Option<Epoch>,
    /// What waited when it was attached ends before this sequence number.
    backlog: u64,
    id: Id,
    asked_id: bool,
    /// Which blocking command was asked in other words, and when.
    worded: Option<(u64, Moment)>,
    losses: u8,

    // What it says.
    replies: ReplyScanner,
    frame: Frame,
    /// The beginning of a frame of which more is needed.
    holding: Vec<u8>,
    /// Confirmations of the first request so far.
    confirmed: usize,
    /// So many of them the client has from the upstream before.
    confirmed_before: usize,
    hint: Option<&'static str>,
    doubt: Option<Box<Doubt>>,

    // What the connection is.
    state: Option<Box<Remembered>>,
    transaction: Option<Box<Transaction>>,
    watching: bool,
    /// What was watched was watched on another connection: the next EXEC answers nil.
    broken: bool,
    /// A write was asked on this upstream, or none since another one.
    wrote: bool,
    wrote_elsewhere: bool,
    /// The last cursors that the present server gave.
    cursors: Vec<Bytes>,
    /// Those that an earlier server gave.
    foreign_cursors: Vec<Bytes>,
    /// Scripts that were named by digest inside a transaction: there they cannot be loaded when they are needed.
    queued_digests: Vec<Bytes>,
    /// Digests of scripts that were loaded over this upstream, or are being.
    loading: Vec<Bytes>,
    /// Where the streams stood that a blocked XREAD reads from their end.
    stream_ends: Vec<Option<Bytes>>,
}

impl Conversation {
    /// The client has ended and nothing is left to be said to it; or QUIT was answered.
    pub fn is_over(&self) -> bool {
        self.over || (self.client_ended || self.failure.is_some()) && self.queue.is_empty()
    }

    /// Why it is over, where the client broke the protocol.
    pub fn failure(&self) -> Option<&Close> {
        self.failure.as_deref()
    }

    /// Needs an upstream and has none: something waits to be sent, or a subscription to be kept.
    pub fn wants_upstream(&self) -> bool {
        self.link == Link::None
            && !self.over
            && (self.queue.iter().any(|request| request.stage == Stage::Waiting) || self.listens())
    }

    /// What is to be written to the upstream now; empty when nothing is.
    #[inline]
    pub fn pending(&self) -> &[u8] {
        if self.link == Link::Live && self.doubt.is_none() { self.queue.pending() } else { &[] }
    }

    /// The kernel took so many bytes of [`Conversation::pending`].
    #[inline]
    pub fn wrote(&mut self, bytes: usize) {
        self.queue.wrote(bytes);
    }

    /// A refusal is withheld until it is known whether the primary changed.
    pub fn doubts(&self) -> bool {
        self.link == Link::Live && self.doubt.as_ref().is_some_and(|doubt| !doubt.stays)
    }

    /// What the last replies hint at, once: an error code that makes control ask.
    pub fn take_hint(&mut self) -> Option<&'static str> {
        self.hint.take()
    }

    /// What waited when the upstream was attached has been answered.
    pub fn caught_up(&self) -> bool {
        self.queue.sequence(0) >= self.backlog
    }

    /// Blocked, and nothing else: the CLIENT ID that `CLIENT UNBLOCK id ERROR` ends it by.
    pub fn blocked_as(&self) -> Option<u64> {
        match self.id {
            Id::Known(id) if self.is_blocked() => Some(id),
            Id::Known(_) | Id::Unknown => None,
        }
    }

    /// What follows is no conversation: bytes pass between client and upstream from here on.
    pub fn is_opaque(&self) -> bool {
        let opaque = |what| matches!(what, What::Client(Command { kind: Kind::Opaque, .. }));
        let begins = |first: &request::Request| first.stage == Stage::Waiting && opaque(first.what);
        self.link == Link::Live && !self.shared && self.queue.get(0).is_some_and(begins)
    }

    /// What the client has sent and the upstream has not been given, when it is opaque.
    pub fn into_opaque(self) -> Vec<u8> {
        self.queue.into_unsent()
    }

    /// Why it needs an upstream of its own, or would if it could share.
    pub fn pin(&self) -> Option<Pin> {
        if self.shared {
            return None;
        }
        self.tie().or_else(|| if self.shares { self.first_unfit() } else { None })
    }

    /// Gives spare memory back; for sessions that have been idle for a while.
    pub fn shrink(&mut self) {
        self.queue.shrink();
        if self.holding.is_empty() {
            self.holding = Vec::new();
        }
        self.effects.shrink();
    }

    fn speaks_resp3(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.speaks_resp3())
    }

    fn remember(&mut self, effect: Effect) {
        // A server goes on knowing what a connection has tracked, and tells whoever tracks there next.
        self.is_marked |= matches!(effect, Effect::NoEvict(_) | Effect::NoTouch(_) | Effect::Tracking(_));
        self.let_in &= !matches!(effect, Effect::Reset);
        self.state.get_or_insert_default().apply(effect);
    }

    /// The effect of the first request, if it has one.
    fn take_effect(&mut self) -> Option<Effect> {
        self.effects.take(self.queue.sequence(0))
    }

    /// A new request is answered by mainstay, in its turn.
    fn settle_new(&mut self, what: What, reply: Vec<u8>, turn: &Turn<'_>) {
        self.settled.insert(self.queue.next_sequence(), reply);
        self.queue.push_settled(what, turn.now);
    }

    /// Passes on what is settled, as far as its turn has come, and finds out what may be sent.
    fn emit(&mut self, turn: &mut Turn<'_>) {
        if self.over {
            // The answer to QUIT is the last word, and nothing behind it is sent.
            return;
        }
        while !matches!(self.frame, Frame::Passing(_)) {
            let Some(first) = self.queue.get(0).copied() else { break };
            let is_quit = matches!(first.what, What::Client(Command { kind: Kind::Quit, .. }));
            if first.stage == Stage::Settled {
                let reply = self.settled.remove(&self.queue.sequence(0)).unwrap_or_default();
                if !reply.is_empty() {
                    turn.outlet.pass(&reply);
                }
                self.watching &= !reconsidered::forgets_watch(first.what, &reply);
            } else if is_quit && first.stage == Stage::Waiting {
                turn.outlet.pass(b"+OK\r\n");
                self.over = true;
            } else {
                break;
            }
            if let What::Client(command) = first.what {
                turn.outlet.answered(first.asked);
                self.forget_stream_ends(command);
            }
            self.take_effect();
            self.queue.pop();
            if self.over {
                return;
            }
        }
        self.queue.advance();
    }
}
