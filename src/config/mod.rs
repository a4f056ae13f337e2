//! The configuration as meant: every value valid, every name found. [`mod@file`] is the same as written, `validate` leads from
//! there to here and finds every fault on the way; `print` leads back.

mod access;
mod address;
mod credentials;
mod fault;
pub mod file;
mod group;
mod keys;
pub mod limits;
mod listener;
mod network;
mod print;
mod quick;
mod replaced;
pub mod secret;
mod sentinel;
mod tls;
pub mod units;
mod validate;

pub use access::{ListenerAuth, User};
pub use address::AddressFault;
pub use credentials::read_secret;
pub use fault::{Fault, Faults};
pub use keys::SECTIONS;
pub use network::Network;
pub use sentinel::Sentinel;
pub use tls::{ClientTls, Identity, Pem, ServerTls};
pub use validate::{Environment, load, parse, parse_with};

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secret::Secret;

/// Everything mainstay does is decided by this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[log]`
    pub log: Log,
    /// `[admin]`
    pub admin: Admin,
    /// `[runtime]`
    pub runtime: Runtime,
    /// `[[group]]`, at least one.
    pub groups: Vec<Group>,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<Listener>,
}

/// How mainstay logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `RUST_LOG` syntax.
    pub level: String,
    /// For people or for machines.
    pub format: LogFormat,
}

/// See [`Log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Metrics, health and API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Whoever steers or reads more than health and metrics has to know it.
    pub token: Option<Secret>,
    /// `[admin.tls]`
    pub tls: Option<ServerTls>,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Data threads, as configured; 0 = the cores this process may use.
    pub workers: usize,
    /// How long SIGTERM lets sessions end by themselves.
    pub drain_timeout: Duration,
}

/// The backends that replicate one data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Unique.
    pub name: Arc<str>,
    /// Each once; at least one, unless they are found from Sentinels.
    pub backends: Vec<BackendAddress>,
    /// For mainstay's own checks and actions.
    pub credentials: Option<Credentials>,
    /// Host names are resolved again this often.
    pub resolve_interval: Duration,
    /// A successor that misses more bytes than this of what the old primary had proves nothing.
    pub max_succession_gap: u64,
    /// `[group.check]`
    pub check: Check,
    /// `[group.hold]`
    pub hold: Hold,
    /// `[group.tls]`: the backends speak TLS.
    pub tls: Option<ClientTls>,
    /// `[group.sentinel]`
    pub sentinel: Option<Sentinel>,
}

/// Who mainstay is to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Absent: the default user.
    pub username: Option<String>,
    /// Never printed.
    pub password: Secret,
}

/// When a backend is asked, and what its answers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// From the start of one check to the start of the next.
    pub interval: Duration,
    /// The same while the group is in doubt.
    pub fast_interval: Duration,
    /// A check unanswered for this long has failed.
    pub timeout: Duration,
    /// Answers running before a backend counts.
    pub rise: u32,
    /// Failed checks running before it does not.
    pub fall: u32,
}

/// How long, and how much, clients are held while there is no primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Counted from the loss of the primary.
    pub window: Duration,
    /// Held for the whole group.
    pub max_bytes: u64,
}

/// An address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Unique.
    pub name: Arc<str>,
    /// Unique.
    pub bind: BindAddress,
    /// The name of a configured group.
    pub group: Arc<str>,
    /// Which of its backends its traffic goes to.
    pub route: ListenerRoute,
    /// How much mainstay understands of what passes.
    pub mode: Mode,
    /// Redis mode: many sessions over few upstreams.
    pub shared_connections: bool,
    /// With shared connections: an ECHO in between tells whether replies still belong to their requests.
    pub verify_alignment: bool,
    /// Parked sessions included.
    pub max_connections: usize,
    /// To a backend.
    pub connect_timeout: Duration,
    /// A session without a byte in either direction for this long is closed.
    pub idle_timeout: Duration,
    /// TCP keepalive on both sides: quiet for this long before the first probe.
    pub keepalive: Duration,
    /// Who may connect; absent: everybody.
    pub allow: Option<Vec<Network>>,
    /// Who has to begin with a PROXY header, and is believed what it says.
    pub proxy_protocol_from: Vec<Network>,
    /// Redis mode: commands that are answered with -NOPERM, in upper case, a subcommand behind a bar.
    pub deny_commands: Vec<String>,
    /// `[listener.tls]`: clients speak TLS.
    pub tls: Option<ServerTls>,
    /// `[listener.auth]`: users of mainstay's own.
    pub auth: Option<ListenerAuth>,
}

/// Which backends a listener's traffic goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerRoute {
    /// The elected primary.
    Primary,
    /// Replicas that are in step with it.
    Replica {
        /// Bytes of the replication stream that one may be behind.
        max_lag: u64,
        /// Where to while there is none.
        fallback: Fallback,
    },
}

impl ListenerRoute {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica { .. } => "replica",
        }
    }
}

/// What becomes of readers while no replica is in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// They go to the primary.
    Primary,
    /// They are refused.
    Refuse,
}

impl Fallback {
    /// Each by its word in the configuration.
    pub const WORDS: [(&str, Self); 2] = [("primary", Self::Primary), ("refuse", Self::Refuse)];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Refuse => "refuse",
        }
    }
}

/// What a listener does with what clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Bytes pass untouched; a change of primary cuts the connection.
    Tcp,
    /// mainstay follows the conversation and moves it to the next primary.
    Redis,
}

impl Mode {
    /// Every mode by its word in configuration, status and logs.
    pub const WORDS: [(&str, Self); 2] = [("tcp", Self::Tcp), ("redis", Self::Redis)];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Redis => "redis",
        }
    }
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// `127.0.0.1:6400`, `[::1]:6400`
    Tcp(SocketAddr),
    /// `unix:/run/mainstay/jobs.sock`
    Unix(PathBuf),
}

/// Where a backend is, as configured: also its name everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendAddress {
    /// `redis1:6379`, `127.0.0.1:6379`, `[::1]:6379`. The host is a name or an IP address, without brackets.
    Tcp {
        /// Name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/run/redis/redis.sock`
    Unix(PathBuf),
    /// `_redis._tcp.redis.example.com`: hosts and ports stand in SRV records (RFC 2782).
    Service(String),
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Service(name) => f.write_str(name),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
