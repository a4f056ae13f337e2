//! The default and the extremes of every key, in one place. `config/mainstay.toml` says what goes wrong beyond them.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{Admin, BackendAddress, BindAddress, Check, Group, Hold, Listener, ListenerRoute, Log, LogFormat, Mode, Runtime};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// Bytes of a configuration file; a larger one is something else.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a password file, the newline included.
pub const PASSWORD_BYTES_MAX: u64 = 64 << 10;
/// Characters of a group's or a listener's name: it is a metric label.
pub const NAME_CHARACTERS_MAX: usize = 64;
/// Groups, and listeners, of one configuration.
pub const SECTIONS_MAX: usize = 1024;
/// Backends of one group: each is a task, a connection and a row of metrics.
pub const BACKENDS_MAX: usize = 256;
/// Bytes of a file of certificates or of a key: the roots of a whole system have some 200 KiB.
pub const PEM_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a listener's `users_file`.
pub const USERS_FILE_BYTES_MAX: u64 = 1 << 20;
/// Users of one listener.
pub const USERS_MAX: usize = 4096;
/// Networks of one list: each is asked for each connection.
pub const NETWORKS_MAX: usize = 1024;
/// Bytes of the admin side's token: a shorter one can be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;
/// Bytes of a unix socket's path that the kernel takes, its closing zero not counted.
pub const UNIX_PATH_BYTES_MAX: usize = 107;

/// `runtime.workers`
pub const WORKERS: RangeInclusive<u64> = 0..=1024;
/// `runtime.drain_timeout`
pub const DRAIN_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=hours(24);
/// `group.resolve_interval`
pub const RESOLVE_INTERVAL: RangeInclusive<Duration> = millis(1000)..=hours(24);
/// `group.max_succession_gap`
pub const MAX_SUCCESSION_GAP: RangeInclusive<u64> = 0..=1 << 50;
/// `group.check.interval`
pub const INTERVAL: RangeInclusive<Duration> = millis(5)..=hours(1);
/// `group.check.fast_interval`; never longer than `interval`.
pub const FAST_INTERVAL: RangeInclusive<Duration> = millis(5)..=hours(1);
/// `group.check.timeout`
pub const TIMEOUT: RangeInclusive<Duration> = millis(5)..=millis(60_000);
/// `group.check.rise` and `group.check.fall`
pub const RISE_FALL: RangeInclusive<u64> = 1..=1000;
/// `group.hold.window`
pub const WINDOW: RangeInclusive<Duration> = Duration::ZERO..=hours(1);
/// `group.hold.max_bytes`
pub const MAX_BYTES: RangeInclusive<u64> = 4 << 10..=1 << 40;
/// `listener.max_lag`
pub const MAX_LAG: RangeInclusive<u64> = 0..=1 << 50;
/// `listener.max_lag` where it is not written.
pub const MAX_LAG_DEFAULT: u64 = 16 << 20;
/// `listener.max_connections`
pub const MAX_CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// `listener.connect_timeout`
pub const CONNECT_TIMEOUT: RangeInclusive<Duration> = millis(10)..=millis(60_000);
/// `listener.idle_timeout`
pub const IDLE_TIMEOUT: RangeInclusive<Duration> = millis(1000)..=hours(24 * 365);
/// `listener.keepalive`: the kernel counts whole seconds and takes no more than 32767.
pub const KEEPALIVE: RangeInclusive<Duration> = millis(1000)..=millis(32_767_000);

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { bind: ([127, 0, 0, 1], 9600).into(), token: None, tls: None }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self { workers: 0, drain_timeout: millis(30_000) }
    }
}

impl Default for Check {
    fn default() -> Self {
        Self { interval: millis(1000), fast_interval: millis(50), timeout: millis(1000), rise: 2, fall: 5 }
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self { window: millis(5000), max_bytes: 64 << 20 }
    }
}

impl Group {
    /// A group with every default.
    pub fn new(name: impl Into<Arc<str>>, backends: Vec<BackendAddress>) -> Self {
        Self {
            name: name.into(),
            backends,
            credentials: None,
            resolve_interval: millis(30_000),
            max_succession_gap: 64 << 20,
            check: Check::default(),
            hold: Hold::default(),
            tls: None,
            sentinel: None,
        }
    }
}

impl Listener {
    /// A listener with every default.
    pub fn new(name: impl Into<Arc<str>>, bind: BindAddress, group: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            bind,
            group: group.into(),
            route: ListenerRoute::Primary,
            mode: Mode::Tcp,
            shared_connections: false,
            verify_alignment: false,
            max_connections: 1000,
            connect_timeout: millis(3000),
            idle_timeout: hours(24),
            keepalive: millis(60_000),
            allow: None,
            proxy_protocol_from: Vec::new(),
            deny_commands: Vec::new(),
            tls: None,
            auth: None,
        }
    }
}
