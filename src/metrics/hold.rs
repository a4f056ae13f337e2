//! What is counted of clients that wait.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::HoldOutcome;

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
