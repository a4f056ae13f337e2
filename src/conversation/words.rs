//! The words around a conversation: what it is given, and what follows from what it heard.

use super::{Access, Scripts};
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
    /// A request was refused by mainstay: it is denied to this client.
    fn denied(&mut self) {}
    /// Somebody tried to log in with a name or a password that is none.
    fn wrong_password(&mut self) {}
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// `-READONLY`.
    #[default]
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
    /// What the listener lets whom say; None where that is everything.
    pub access: Option<&'a Access>,
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
    /// The server refuses for now, by this error code, what every session begins with. Abort the upstream and go on as if it could not
    /// have been connected to: try again a little later.
    NotReady(&'static str),
    /// Nothing is wrong with this upstream, but it is of no further use. Abort it.
    Discard,
    /// The server does not let mainstay itself in, and says so in these words. What waited was refused. Abort the upstream.
    LockedOut(String),
}

/// What follows from the end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// Abort the upstream now.
    Drop,
    /// Write nothing more, but read on: replies to what was sent are awaited, for a bounded time. It ends with [`Next::DropUpstream`];
    /// if it does not in time, call [`super::Conversation::upstream_lost`].
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
    /// The connection to the server was lost before it answered a write.
    Write,
    /// The client broke the protocol or a bound; the word for it was passed to it already.
    Client,
    /// The upstream broke the protocol, or was lost where what was asked cannot be asked again.
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
    /// WAIT is about the writes of one connection.
    Wait,
    /// What changes its connection, while it is asked.
    State,
    /// The client knows its connection by name or id.
    Identity,
    /// Large requests or replies, or a client that reads slowly.
    Large,
    /// Nothing proves that it does the others on a connection no harm.
    Unknown,
}

/// For tests and logs: the code of a retry.
impl Retry {
    /// The label of `mainstay_retries_total`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused(Refusal::ReadOnly) => "readonly",
            Self::Refused(Refusal::Loading) => "loading",
            Self::Refused(Refusal::MasterDown) => "masterdown",
            Self::Refused(Refusal::NoReplicas) => "noreplicas",
            Self::Refused(Refusal::Unblocked) => "unblocked",
            Self::Lost => "lost",
            Self::Blocked => "blocked",
        }
    }
}
