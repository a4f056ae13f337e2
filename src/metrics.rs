//! Every metric of mainstay: its name, its labels, its meaning. Registered once; whoever counts holds a resolved handle.
//!
//! It stands at the bottom of the house because control, proxy and admin all need the same families and none may know the other.

mod hold;
mod labels;
mod listener;
mod sentinels;

pub use hold::HoldMetrics;
pub use labels::{ArrivalRefusal, CloseReason, HoldOutcome, PinReason, RetryReason};
pub use listener::{ListenerMetrics, RedisModeMetrics};

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// All families. Cheap to clone: a handle.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What `GET /metrics` gathers.
    pub registry: Registry,
    group_primary: IntGaugeVec,
    group_epoch: IntGaugeVec,
    group_conflict: IntGaugeVec,
    failovers: IntCounterVec,
    failover_duration: HistogramVec,
    backend_up: IntGaugeVec,
    backend_role: IntGaugeVec,
    backend_lag: IntGaugeVec,
    checks: IntCounterVec,
    check_duration: HistogramVec,
    sessions: IntGaugeVec,
    accepted: IntCounterVec,
    closed: IntCounterVec,
    held: IntGaugeVec,
    held_total: IntCounterVec,
    bytes: IntCounterVec,
    upstream_connect_duration: HistogramVec,
    requests: IntCounterVec,
    retries: IntCounterVec,
    request_duration: HistogramVec,
    upstreams: IntGaugeVec,
    pinned: IntGaugeVec,
    sentinels: sentinels::Families,
    certificates: IntGaugeVec,
    denied: IntCounterVec,
    arrivals_refused: IntCounterVec,
}

/// From a tenth of a millisecond to ten seconds: what a check, a connect or a failover takes.
const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// From fifty microseconds, a quick reply on the same machine, to what outlives most clients' patience: what a request takes.
const REQUEST_SECONDS: &[f64] =
    &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every family with a registry of its own.
    #[allow(clippy::missing_panics_doc)]
    pub fn new() -> Self {
        let registry = Registry::new();
        // A family can only be refused for a wrong or doubled name, and the names stand below.
        macro_rules! family {
            ($kind:ident, $name:literal, $help:literal, [$($label:literal),*]) => {{
                let family = $kind::new(Opts::new($name, $help).into(), &[$($label),*]).expect("a valid name");
                registry.register(Box::new(family.clone())).expect("each name once");
                family
            }};
        }
        macro_rules! histogram {
            ($name:literal, $help:literal, [$($label:literal),*]) => { histogram!($name, $help, [$($label),*], SECONDS) };
            ($name:literal, $help:literal, [$($label:literal),*], $buckets:expr) => {{
                let options = HistogramOpts::new($name, $help).buckets($buckets.to_vec());
                let family = HistogramVec::new(options, &[$($label),*]).expect("a valid name");
                registry.register(Box::new(family.clone())).expect("each name once");
                family
            }};
        }
        let build = family!(IntGaugeVec, "mainstay_build_info", "Always 1; the version is a label.", ["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            group_primary: family!(
                IntGaugeVec,
                "mainstay_group_primary",
                "1 for the backend elected primary.",
                ["group", "backend"]
            ),
            group_epoch: family!(IntGaugeVec, "mainstay_group_epoch", "Grows by one whenever a primary is withdrawn.", ["group"]),
            group_conflict: family!(IntGaugeVec, "mainstay_group_conflict", "1 while a rival of the primary exists.", ["group"]),
            failovers: family!(IntCounterVec, "mainstay_failovers_total", "Primaries withdrawn, by cause.", ["group", "cause"]),
            failover_duration: histogram!("mainstay_failover_duration_seconds", "Primary lost to next elected.", ["group"]),
            backend_up: family!(
                IntGaugeVec,
                "mainstay_backend_up",
                "1 while the backend answers its checks.",
                ["group", "backend"]
            ),
            backend_role: family!(
                IntGaugeVec,
                "mainstay_backend_role",
                "1 for the role that the backend says it has.",
                ["group", "backend", "role"]
            ),
            backend_lag: family!(
                IntGaugeVec,
                "mainstay_backend_replication_lag_bytes",
                "Bytes a replica is behind its primary.",
                ["group", "backend"]
            ),
            checks: family!(
                IntCounterVec,
                "mainstay_checks_total",
                "Checks, by how they ended.",
                ["group", "backend", "outcome"]
            ),
            check_duration: histogram!("mainstay_check_duration_seconds", "How long checks took.", ["group", "backend"]),
            sessions: family!(IntGaugeVec, "mainstay_sessions", "Sessions open, held ones included.", ["listener"]),
            accepted: family!(IntCounterVec, "mainstay_sessions_accepted_total", "Connections accepted.", ["listener"]),
            closed: family!(
                IntCounterVec,
                "mainstay_sessions_closed_total",
                "Sessions closed, by reason.",
                ["listener", "reason"]
            ),
            held: family!(IntGaugeVec, "mainstay_held", "Clients waiting for a primary.", ["group"]),
            held_total: family!(IntCounterVec, "mainstay_held_total", "Holds that ended, by outcome.", ["group", "outcome"]),
            bytes: family!(
                IntCounterVec,
                "mainstay_bytes_total",
                "Bytes passed: in = from clients, out = to clients.",
                ["listener", "direction"]
            ),
            upstream_connect_duration: histogram!(
                "mainstay_upstream_connect_duration_seconds",
                "Connecting to the primary.",
                ["group"]
            ),
            requests: family!(IntCounterVec, "mainstay_requests_total", "Requests answered (redis mode).", ["listener"]),
            retries: family!(
                IntCounterVec,
                "mainstay_retries_total",
                "Requests asked again (redis mode), by reason.",
                ["listener", "reason"]
            ),
            request_duration: histogram!(
                "mainstay_request_duration_seconds",
                "From a request to its reply (redis mode), holding and blocking included.",
                ["listener"],
                REQUEST_SECONDS
            ),
            upstreams: family!(
                IntGaugeVec,
                "mainstay_upstreams",
                "Connections to the primary (redis mode): own = of one session, shared = of many, spare = of none just now.",
                ["group", "kind"]
            ),
            pinned: family!(
                IntGaugeVec,
                "mainstay_pinned_sessions",
                "Sessions (redis mode) that need an upstream of their own just now, by reason.",
                ["listener", "reason"]
            ),
            sentinels: sentinels::Families::register(&registry),
            certificates: family!(
                IntGaugeVec,
                "mainstay_certificate_expiry_timestamp_seconds",
                "Until when the certificates in a file are valid, in seconds since 1970.",
                ["file"]
            ),
            denied: family!(
                IntCounterVec,
                "mainstay_denied_total",
                "What mainstay denied clients (redis mode): login = a wrong password or user, command = one that is denied on the listener.",
                ["listener", "what"]
            ),
            arrivals_refused: family!(
                IntCounterVec,
                "mainstay_arrivals_refused_total",
                "Connections that never became sessions (allow, proxy_protocol_from, [listener.tls]), by reason.",
                ["listener", "reason"]
            ),
            registry,
        }
    }

    /// The handles of one group.
    pub fn group(&self, group: &str) -> GroupMetrics {
        GroupMetrics {
            epoch: self.group_epoch.with_label_values(&[group]),
            conflict: self.group_conflict.with_label_values(&[group]),
            failover_duration: self.failover_duration.with_label_values(&[group]),
            families: self.clone(),
            group: group.to_owned(),
        }
    }

    /// The handles of one backend.
    pub fn backend(&self, group: &str, backend: &str) -> BackendMetrics {
        let labels = &[group, backend];
        BackendMetrics {
            primary: self.group_primary.with_label_values(labels),
            up: self.backend_up.with_label_values(labels),
            lag: self.backend_lag.with_label_values(labels),
            check_duration: self.check_duration.with_label_values(labels),
            families: self.clone(),
            group: group.to_owned(),
            backend: backend.to_owned(),
        }
    }

    /// The handles of one listener.
    pub fn listener(&self, listener: &str) -> ListenerMetrics {
        let closed = |reason: CloseReason| self.closed.with_label_values(&[listener, reason.as_str()]);
        ListenerMetrics {
            sessions: self.sessions.with_label_values(&[listener]),
            accepted: self.accepted.with_label_values(&[listener]),
            closed: CloseReason::ALL.map(closed),
            bytes_in: self.bytes.with_label_values(&[listener, "in"]),
            bytes_out: self.bytes.with_label_values(&[listener, "out"]),
            redis_mode: None,
        }
    }

    /// `mainstay_arrivals_refused_total` of one listener, where not everybody enters at once.
    pub fn arrivals_refused(&self, listener: &str) -> [IntCounter; ArrivalRefusal::ALL.len()] {
        ArrivalRefusal::ALL.map(|reason| self.arrivals_refused.with_label_values(&[listener, reason.as_str()]))
    }

    /// The handles of one listener in redis mode, and of its upstreams to its group. A listener in tcp mode has no such series.
    pub fn redis_mode_listener(&self, listener: &str, group: &str) -> ListenerMetrics {
        let retried = |reason: RetryReason| self.retries.with_label_values(&[listener, reason.as_str()]);
        let pinned = |reason: PinReason| self.pinned.with_label_values(&[listener, reason.as_str()]);
        let redis_mode = RedisModeMetrics {
            requests: self.requests.with_label_values(&[listener]),
            request_duration: self.request_duration.with_label_values(&[listener]),
            retried: RetryReason::ALL.map(retried),
            pinned: PinReason::ALL.map(pinned),
            denied_logins: self.denied.with_label_values(&[listener, "login"]),
            denied_commands: self.denied.with_label_values(&[listener, "command"]),
            own_upstreams: self.upstreams.with_label_values(&[group, "own"]),
            shared_upstreams: self.upstreams.with_label_values(&[group, "shared"]),
            spare_upstreams: self.upstreams.with_label_values(&[group, "spare"]),
        };
        ListenerMetrics { redis_mode: Some(redis_mode), ..self.listener(listener) }
    }

    /// The handles of a group that the data path counts.
    pub fn hold(&self, group: &str) -> HoldMetrics {
        let ended = |outcome: HoldOutcome| self.held_total.with_label_values(&[group, outcome.as_str()]);
        HoldMetrics {
            held: self.held.with_label_values(&[group]),
            ended: HoldOutcome::ALL.map(ended),
            connect_duration: self.upstream_connect_duration.with_label_values(&[group]),
        }
    }

    /// `mainstay_certificate_expiry_timestamp_seconds` of all files that there are.
    pub fn certificates(&self, ends: impl Iterator<Item = (String, u64)>) {
        self.certificates.reset();
        ends.for_each(|(file, end)| self.certificates.with_label_values(&[file]).set(i64::try_from(end).unwrap_or(i64::MAX)));
    }

    /// Forgets a listener that a reload removed, once its last session has gone.
    pub fn forget_listener(&self, listener: &str) {
        let _ = self.sessions.remove_label_values(&[listener]);
        for reason in PinReason::ALL {
            let _ = self.pinned.remove_label_values(&[listener, reason.as_str()]);
        }
    }
}

/// One group, control side.
#[derive(Clone, Debug)]
pub struct GroupMetrics {
    /// `mainstay_group_epoch`
    pub epoch: IntGauge,
    /// `mainstay_group_conflict`
    pub conflict: IntGauge,
    /// `mainstay_failover_duration_seconds`
    pub failover_duration: Histogram,
    families: Metrics,
    group: String,
}

impl GroupMetrics {
    /// `mainstay_failovers_total`; once a failover, so the label may be looked up.
    pub fn failover(&self, cause: &str) {
        self.families.failovers.with_label_values(&[&self.group, cause]).inc();
    }

    /// The group left the configuration.
    pub fn forget(&self) {
        let _ = self.families.group_epoch.remove_label_values(&[&self.group]);
        let _ = self.families.group_conflict.remove_label_values(&[&self.group]);
        self.sentinels(None);
    }
}

/// One backend, control side.
#[derive(Clone, Debug)]
pub struct BackendMetrics {
    /// `mainstay_group_primary`
    pub primary: IntGauge,
    /// `mainstay_backend_up`
    pub up: IntGauge,
    lag: IntGauge,
    /// `mainstay_check_duration_seconds`
    pub check_duration: Histogram,
    families: Metrics,
    group: String,
    backend: String,
}

/// The values of the label `role`.
pub const ROLES: [&str; 2] = ["master", "slave"];

impl BackendMetrics {
    /// `mainstay_checks_total`
    pub fn check(&self, outcome: &str) {
        self.families.checks.with_label_values(&[&self.group, &self.backend, outcome]).inc();
    }

    /// `mainstay_backend_role`: what the backend says, nothing while unknown.
    pub fn role(&self, said: Option<&str>) {
        for role in ROLES {
            let gauge = self.families.backend_role.with_label_values(&[&self.group, &self.backend, role]);
            gauge.set(i64::from(said == Some(role)));
        }
    }

    /// `mainstay_backend_replication_lag_bytes`: 0 for the primary and while unknown.
    pub fn lag(&self, bytes: Option<u64>) {
        self.lag.set(bytes.unwrap_or(0).try_into().unwrap_or(i64::MAX));
    }

    /// The backend left the group. `outcomes`: those that were counted for it. Where names lead to ever new addresses its series would
    /// otherwise pile up.
    pub fn forget(&self, outcomes: &[&str]) {
        let labels = &[self.group.as_str(), self.backend.as_str()];
        let _ = self.families.check_duration.remove_label_values(labels);
        for outcome in outcomes {
            let _ = self.families.checks.remove_label_values(&[labels[0], labels[1], outcome]);
        }
        let _ = self.families.group_primary.remove_label_values(labels);
        let _ = self.families.backend_up.remove_label_values(labels);
        let _ = self.families.backend_lag.remove_label_values(labels);
        for role in ROLES {
            let _ = self.families.backend_role.remove_label_values(&[labels[0], labels[1], role]);
        }
    }
}
