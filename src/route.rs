//! The words that control, proxy and admin share. Nothing else crosses between them.
//!
//! Control publishes one [`Route`] a group; the proxy reads it and sends [`Hint`]s back; admin reads [`GroupStatus`] and sends
//! [`Command`]s. The [`Fence`] is the only state that both sides write.

mod clock;
mod fence;
mod login;
mod replica;
mod status;
mod wall;

pub use clock::Moment;
pub use fence::{Epoch, Fence, Passage};
pub use login::Login;
pub use replica::{Berth, Phase, Reads, Replica, Tenure, is_tenure};
pub use status::*;
pub use wall::rfc3339;

/// Where [`fence`] takes its atomics from; a model checker compiles that file with others.
mod sync {
    pub use std::sync::atomic::{AtomicU64, Ordering};
}

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::resp::command::Commands;
use crate::tls;

/// A resolved address that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A unix socket by its path.
    Unix(Arc<Path>),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How to get to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where it is.
    pub endpoint: Endpoint,
    /// How to speak TLS to it, where it speaks TLS.
    pub tls: Option<tls::Connector>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// What the control side publishes for a group and the data side obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The epoch that this route belongs to.
    pub epoch: Epoch,
    /// The elected primary, or why there is none.
    pub primary: Result<Primary, Vacancy>,
    /// The replicas that may be read.
    pub reads: Reads,
    /// How long a client may be held, counted from the loss of the primary.
    pub hold_window: Duration,
    /// Bytes that may be held for the whole group.
    pub hold_max_bytes: u64,
    /// Workers send at most one hint in this time.
    pub hint_interval: Duration,
}

/// The backend that a group's traffic goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Its configured address, the name by which it is known everywhere.
    pub backend: Arc<str>,
    /// The address at which its check last answered, and how.
    pub way: Way,
    /// False while an operator drains it: present sessions go on, new ones park.
    pub takes_new: bool,
    /// What its commands do, as it said itself, or as shipped with mainstay.
    pub commands: Arc<Commands>,
    /// Who mainstay is to it.
    pub login: Option<Arc<Login>>,
}

/// Why a group has no primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// When the last primary was lost; at start, when mainstay began to look.
    pub since: Moment,
    /// For people.
    pub why: String,
    /// How the last primary left.
    pub left: Departure,
}

/// How a primary left: what its late replies to requests that it had received are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Departure {
    /// It says of itself that it is a replica now: what it answers is the truth. What it had executed it had executed as the primary, and
    /// the rest it refuses.
    Demoted,
    /// Another one took its place. It may live and write on without knowing it: a refusal of it is the truth, a success of it is worth
    /// nothing.
    Replaced,
    /// It failed, or another process answers in its place: nothing more is heard of it.
    #[default]
    Gone,
}

/// What traffic noticed in passing. Never a verdict: it makes control ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The epoch of the session that noticed, or the tenure of the replica that it reads.
    pub epoch: Epoch,
    /// What was noticed.
    pub what: Noticed,
}

/// See [`Hint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// A reply with this error code passed by.
    Error(&'static str),
    /// The backend closed a connection. It also does so for clients that say QUIT, so this alone keeps nobody waiting.
    Closed,
    /// The backend could not be connected to.
    Unconnectable,
}

impl Noticed {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error(code) => code,
            Self::Closed => "closed",
            Self::Unconnectable => "unconnectable",
        }
    }

    /// New sessions park until the checks that follow have ended.
    pub fn is_suspicious(self) -> bool {
        !matches!(self, Self::Closed)
    }
}

/// What a worker holds of a group: everything that crosses between control and the data path, for one group.
#[derive(Clone, Debug)]
pub struct GroupLink {
    /// The group's configured name.
    pub name: Arc<str>,
    /// The newest route.
    pub route: watch::Receiver<Arc<Route>>,
    /// Checked before every upstream write.
    pub fence: Arc<Fence>,
    /// Until when replicas may be read, in microseconds of [`Moment`]: control's facts are fresh. Renewed like the fence's deadline, also
    /// while there is no primary.
    pub reads_until: Arc<AtomicU64>,
    /// Raised by a worker with a suspicious hint, lowered by control when it has looked into it. Every worker parks new sessions
    /// meanwhile, from this very moment and not from the next route: a client that comes back at once must not meet the demoted
    /// server a second time. Established sessions go on.
    pub suspected: Arc<AtomicBool>,
    /// When the last check of the primary began that left it the primary, in microseconds of [`Moment`]. Stored after the epoch was let
    /// pass, where it does: who reads this first and the fence then knows that nothing changed.
    pub looked: Arc<AtomicU64>,
    /// Told after each acknowledgement on the fence.
    pub acknowledged: Arc<Notify>,
    /// Bounded; a hint that does not fit is dropped, another one is already waiting.
    pub hints: mpsc::Sender<Hint>,
    /// Bytes held for the group by all workers together.
    pub held_bytes: Arc<AtomicU64>,
    /// Clients parked in the group by all workers together.
    pub held: Arc<AtomicUsize>,
    /// Some listener reads replicas: what becomes of them matters to somebody.
    pub is_read: Arc<AtomicBool>,
    /// When the first byte of a client went to the primary of the epoch (see [`FirstByte`]).
    pub first_byte: Arc<FirstByte>,
}

/// Tells control when the first client byte was written in an epoch, for the timeline of a failover.
#[derive(Debug, Default)]
pub struct FirstByte {
    /// Microseconds of [`Moment`]; 0 while nothing was written since [`FirstByte::arm`].
    micros: AtomicU64,
}

impl FirstByte {
    /// Control side: waits for the next first byte.
    pub fn arm(&self) {
        self.micros.store(0, std::sync::atomic::Ordering::Relaxed);
    }

    /// Data side: a session wrote its first byte.
    pub fn wrote(&self, now: Moment) {
        let (old, new) = (0, now.as_micros().max(1));
        let order = std::sync::atomic::Ordering::Relaxed;
        // Another worker was first: nothing to do.
        let _ = self.micros.compare_exchange(old, new, order, order);
    }

    /// Control side: when it was, if it was.
    pub fn at_micros(&self) -> Option<u64> {
        Some(self.micros.load(std::sync::atomic::Ordering::Relaxed)).filter(|micros| *micros > 0)
    }
}

/// What an operator can ask of a group's coordinator. The answer is a sentence for people, good or bad.
#[derive(Debug)]
pub struct Command {
    /// What to do.
    pub action: Action,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<String, Refusal>>,
}

/// See [`Command`]. Backends go by their configured address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Settle what the rules refuse to guess.
    Elect {
        /// The new primary.
        backend: String,
    },
    /// Change what may be sent to a backend.
    Backend {
        /// Which one.
        backend: String,
        /// Its new state.
        state: AdminState,
        /// Take even the only possible primary away.
        force: bool,
    },
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such backend in the group; the sentence names both.
    NoSuchBackend(String),
    /// The rules forbid it; the sentence says which and what to do.
    NotNow(String),
}

/// What an operator wants of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminState {
    /// Takes part in everything.
    #[default]
    Ready,
    /// No new sessions; the present ones go on.
    Drain,
    /// Not a candidate, sessions cut.
    Maintenance,
}

impl AdminState {
    /// The word for it in commands, JSON and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }
}
