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

mod scripts;

pub use scripts::Scripts;

use crate::resp::command::Commands;
use crate::route::Moment;

/// Where a conversation's words go.
pub trait Outlet {
    /// To the client, in order.
    fn pass(&mut self, bytes: &[u8]);
    /// A request that came at `asked` has its reply (or, of several, the last).
    fn answered(&mut self, asked: Moment);
    /// A request is asked again.
    fn retried(&mut self, why: Retry);
}

/// Why a request is asked again: the label of `mainstay_retries_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The server refused it unexecuted; the error code.
    Refused(Refusal),
    /// The upstream was lost and it changes nothing.
    Lost,
    /// It was blocked when the primary changed.
    Blocked,
}

/// Error codes that prove that nothing was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `-READONLY`.
    ReadOnly,
    /// `-LOADING`.
    Loading,
    /// `-MASTERDOWN`.
    MasterDown,
    /// `-NOREPLICAS`.
    NoReplicas,
    /// `-UNBLOCKED`.
    Unblocked,
}

/// What the present moment offers.
pub struct Turn<'a> {
    /// One reading of the clock for each turn.
    pub now: Moment,
    /// What commands do, as the primary said last.
    pub commands: &'a Commands,
    /// The scripts that the group's sessions have sent.
    pub scripts: &'a mut Scripts,
    /// Where words go.
    pub outlet: &'a mut dyn Outlet,
}

/// What follows from what an upstream said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Continue,
    /// This upstream must not be used any more; the conversation goes on with another one when it needs one. Abort it. A reason where
    /// it is worth a line in the log.
    DropUpstream(Option<&'static str>),
}

/// What follows from the end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// Abort the upstream now.
    Drop,
    /// Write nothing more, but read on: replies to what was sent are awaited, for a bounded time. It ends with [`Next::DropUpstream`];
    /// if it does not in time, call [`Conversation::upstream_lost`].
    Drain,
}

/// The session has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// For the log, a half-sentence that follows "closed: ".
    pub why: String,
    /// Who brought it about.
    pub fault: Fault,
}

/// See [`Close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client broke the protocol or a bound; the word for it was passed to it already.
    Client,
    /// The upstream was lost while a write was in flight, or broke the protocol.
    Upstream,
    /// The new primary refused what the old one had accepted.
    Replay,
}

/// Why a session needs an upstream of its own just now: the label of `mainstay_pinned_sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Between MULTI and EXEC.
    Transaction,
    /// WATCH.
    Watch,
    /// Any subscription.
    Subscription,
    /// A blocking command.
    Blocked,
    /// CLIENT TRACKING.
    Tracking,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Conversation {}

#[allow(unused_variables, clippy::todo)]
impl Conversation {
    /// Takes all of `bytes`.
    pub fn client_said(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<(), Close> {
        todo!()
    }

    /// The client shut down writing. What it asked before is still answered.
    pub fn client_ended(&mut self) {
        todo!()
    }

    /// The client has ended and nothing is left to be said to it; or QUIT was answered.
    pub fn is_over(&self) -> bool {
        todo!()
    }

    /// There is room for more of the client.
    pub fn accepts(&self) -> bool {
        todo!()
    }

    /// Needs an upstream and has none: something waits to be sent, or a subscription to be kept.
    pub fn wants_upstream(&self) -> bool {
        todo!()
    }

    /// A connection to the primary stands; its state is replayed first.
    pub fn attach(&mut self, turn: &mut Turn<'_>) {
        todo!()
    }

    /// What is to be written to the upstream now; empty when nothing is.
    pub fn pending(&self) -> &[u8] {
        todo!()
    }

    /// The kernel took so many bytes of [`Conversation::pending`].
    pub fn wrote(&mut self, bytes: usize, turn: &mut Turn<'_>) {
        todo!()
    }

    /// Takes all of `bytes`.
    pub fn upstream_said(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<Next, Close> {
        todo!()
    }

    /// The upstream closed, broke, or was given up.
    pub fn upstream_lost(&mut self, turn: &mut Turn<'_>) -> Result<(), Close> {
        todo!()
    }

    /// The epoch has passed. `demoted`: the server itself said that it is a replica now, so that what it answers to requests that it has
    /// received already is believed.
    pub fn withdraw(&mut self, demoted: bool, turn: &mut Turn<'_>) -> Result<Withdrawn, Close> {
        todo!()
    }

    /// A refusal is withheld until it is known whether the primary changed.
    pub fn doubts(&self) -> bool {
        todo!()
    }

    /// It did not change: what was withheld is passed on.
    pub fn primary_stays(&mut self, turn: &mut Turn<'_>) {
        todo!()
    }

    /// What the last replies hint at, once: an error code that makes control ask.
    pub fn take_hint(&mut self) -> Option<&'static str> {
        todo!()
    }

    /// Answers everything that waits with `-MASTERDOWN mainstay: {why}`.
    pub fn refuse(&mut self, why: &str, turn: &mut Turn<'_>) {
        todo!()
    }

    /// Bytes of requests that wait for an upstream.
    pub fn held_bytes(&self) -> usize {
        todo!()
    }

    /// What waited when the upstream was attached has been answered.
    pub fn caught_up(&self) -> bool {
        todo!()
    }

    /// Blocked, and nothing else: the CLIENT ID that `CLIENT UNBLOCK id ERROR` ends it by.
    pub fn blocked_as(&self) -> Option<u64> {
        todo!()
    }

    /// What follows is no conversation: bytes pass between client and upstream from here on.
    pub fn is_opaque(&self) -> bool {
        todo!()
    }

    /// What the client has sent and the upstream has not been given, when it is opaque.
    pub fn into_opaque(self) -> Vec<u8> {
        todo!()
    }

    /// Why it would need an upstream of its own.
    pub fn pin(&self) -> Option<Pin> {
        todo!()
    }

    /// Gives spare memory back; for sessions that have been idle for a while.
    pub fn shrink(&mut self) {
        todo!()
    }
}
