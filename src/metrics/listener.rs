//! What a listener counts.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::{CloseReason, PinReason, RetryReason};

/// One listener, data side.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    /// `mainstay_sessions`
    pub sessions: IntGauge,
    /// `mainstay_sessions_accepted_total`
    pub accepted: IntCounter,
    pub(super) closed: [IntCounter; CloseReason::ALL.len()],
    /// `mainstay_bytes_total{direction="in"}`
    pub bytes_in: IntCounter,
    /// `mainstay_bytes_total{direction="out"}`
    pub bytes_out: IntCounter,
    /// Only where requests are followed.
    pub redis_mode: Option<RedisModeMetrics>,
}

impl ListenerMetrics {
    /// `mainstay_sessions_closed_total`
    pub fn closed(&self, reason: CloseReason) -> &IntCounter {
        &self.closed[reason as usize]
    }
}

/// One listener in redis mode, data side.
#[derive(Clone, Debug)]
pub struct RedisModeMetrics {
    /// `mainstay_requests_total`
    pub requests: IntCounter,
    /// `mainstay_request_duration_seconds`
    pub request_duration: Histogram,
    pub(super) retried: [IntCounter; RetryReason::ALL.len()],
    pub(super) pinned: [IntGauge; PinReason::ALL.len()],
    /// `mainstay_denied_total{what="login"}`
    pub denied_logins: IntCounter,
    /// `mainstay_denied_total{what="command"}`
    pub denied_commands: IntCounter,
    /// `mainstay_upstreams{kind="own"}` of the listener's group
    pub own_upstreams: IntGauge,
    /// `mainstay_upstreams{kind="shared"}` of the listener's group
    pub shared_upstreams: IntGauge,
    /// `mainstay_upstreams{kind="spare"}` of the listener's group
    pub spare_upstreams: IntGauge,
}

impl RedisModeMetrics {
    /// `mainstay_retries_total`
    pub fn retried(&self, reason: RetryReason) -> &IntCounter {
        &self.retried[reason as usize]
    }

    /// `mainstay_pinned_sessions`
    pub fn pinned(&self, reason: PinReason) -> &IntGauge {
        &self.pinned[reason as usize]
    }
}
