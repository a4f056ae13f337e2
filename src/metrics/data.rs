//! What the data path counts, beyond what every listener does.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::{HoldOutcome, PinReason, RetryReason};

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

/// One group, data side.
#[derive(Clone, Debug)]
pub struct HoldMetrics {
    /// `mainstay_held`
    pub held: IntGauge,
    pub(super) ended: [IntCounter; HoldOutcome::ALL.len()],
    /// `mainstay_upstream_connect_duration_seconds`
    pub connect_duration: Histogram,
}

impl HoldMetrics {
    /// `mainstay_held_total`
    pub fn ended(&self, outcome: HoldOutcome) -> &IntCounter {
        &self.ended[outcome as usize]
    }
}
