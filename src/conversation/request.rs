//! One request on its way: who asks, what, and how far it has come.

use crate::resp::command::{Channels, Command, Fate, Kind};
use crate::route::Moment;

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not, or not wholly, handed to the upstream.
    Waiting,
    /// Handed over; its reply is awaited.
    Sent,
    /// Refused unexecuted; the refusal is withheld.
    Refused,
    /// Its reply is not believed; it will be asked again.
    Again,
    /// Its reply is known and waits for its turn.
    Settled,
}

/// Who asks, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The client.
    Client(Command),
    /// mainstay itself; the reply is swallowed.
    Own(Own),
}

/// What mainstay asks on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// Replays the connection's state; a refusal ends the session.
    State,
    /// Logs in as mainstay itself, where users are mainstay's own.
    Identity,
    /// The same as [`Self::State`], of what may as well be missing: how the connection is called.
    Name,
    /// Replays subscriptions of this kind: as many confirmations as there are.
    Subscriptions(Channels),
    /// Writes something, so that WAIT on this connection covers all that was written before on others.
    Mark,
    /// Stands for a request that was refused inside a transaction, so that the server aborts that.
    Poison,
    /// Replays a command queued in a transaction.
    Queued,
    /// Loads a script.
    Script,
    /// Asks for the CLIENT ID.
    ClientId,
    /// Asks where a stream ends.
    StreamEnd,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// When it came.
    pub asked: Moment,
    /// Bytes of it in the buffer.
    pub len: usize,
    /// What it is.
    pub what: What,
    /// How far it is.
    pub stage: Stage,
    /// Sent alone: nothing unanswered before it, nothing behind it until it is answered.
    pub barrier: bool,
    /// It was, at least in part, handed to an upstream once.
    pub started: bool,
    /// All its bytes are in the buffer, so that it can be asked again.
    pub whole: bool,
}

impl Request {
    /// A client's, of which it is not known that it changes nothing.
    pub(super) fn may_write(&self) -> bool {
        matches!(self.what, What::Client(Command { fate: Fate::Write | Fate::Unknown, .. }))
    }

    /// WAIT: about the writes of one connection.
    pub(super) fn is_wait(&self) -> bool {
        matches!(self.what, What::Client(Command { kind: Kind::Wait, .. }))
    }

    /// QUIT is answered by mainstay; what is opaque passes when the conversation has ended.
    pub(super) fn is_never_sent(&self) -> bool {
        matches!(self.what, What::Client(Command { kind: Kind::Quit | Kind::Opaque, .. }))
    }
}
