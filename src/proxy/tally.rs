//! What the sessions of a listener do, counted by one worker: plain cells while requests pass, atomics only on the tick.

use std::cell::Cell;
use std::rc::Rc;

use prometheus::local::LocalHistogram;

use crate::conversation::{Pin, Refusal, Retry};
use crate::metrics::{ListenerMetrics, PinReason, RedisModeMetrics, RetryReason};

/// What a listener's sessions do, counted without atomics and flushed on the tick.
pub struct Tally {
    metrics: ListenerMetrics,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    requests: Option<Requests>,
    /// Bytes that clients have not taken yet.
    owed: Cell<usize>,
}

/// The part of a [`Tally`] that only redis mode has.
struct Requests {
    metrics: RedisModeMetrics,
    took: LocalHistogram,
    retried: [Cell<u64>; RetryReason::ALL.len()],
    /// By how much the gauges have changed since the last flush.
    pinned: [Cell<i64>; PinReason::ALL.len()],
    upstreams: Cell<i64>,
    trunks: Cell<i64>,
    spares: Cell<i64>,
}

impl Tally {
    /// With nothing counted yet.
    pub fn new(metrics: ListenerMetrics) -> Self {
        let requests = metrics.redis_mode.clone().map(|metrics| Requests {
            took: metrics.request_duration.local(),
            metrics,
            retried: Default::default(),
            pinned: Default::default(),
            upstreams: Cell::new(0),
            trunks: Cell::new(0),
            spares: Cell::new(0),
        });
        Self { metrics, bytes_in: Cell::new(0), bytes_out: Cell::new(0), requests, owed: Cell::new(0) }
    }

    /// Bytes from and to clients.
    #[inline]
    pub fn add(&self, bytes_in: u64, bytes_out: u64) {
        self.bytes_in.set(self.bytes_in.get() + bytes_in);
        self.bytes_out.set(self.bytes_out.get() + bytes_out);
    }

    /// Redis mode: a request has its reply, so long after it came.
    #[inline]
    pub fn answered(&self, took_seconds: f64) {
        if let Some(requests) = &self.requests {
            requests.took.observe(took_seconds);
        }
    }

    /// Redis mode: a request is asked again.
    pub fn retried(&self, why: Retry) {
        if let Some(requests) = &self.requests {
            let reason = match why {
                Retry::Refused(Refusal::ReadOnly) => RetryReason::ReadOnly,
                Retry::Refused(Refusal::Loading) => RetryReason::Loading,
                Retry::Refused(Refusal::MasterDown) => RetryReason::MasterDown,
                Retry::Refused(Refusal::NoReplicas) => RetryReason::NoReplicas,
                Retry::Refused(Refusal::Unblocked) => RetryReason::Unblocked,
                Retry::Lost => RetryReason::Lost,
                Retry::Blocked => RetryReason::Blocked,
            };
            let count = &requests.retried[reason as usize];
            count.set(count.get() + 1);
        }
    }

    /// Redis mode: mainstay denied a client a command.
    pub fn denied_command(&self) {
        self.metrics.redis_mode.iter().for_each(|metrics| metrics.denied_commands.inc());
    }

    /// Redis mode: mainstay denied a client to log in.
    pub fn denied_login(&self) {
        self.metrics.redis_mode.iter().for_each(|metrics| metrics.denied_logins.inc());
    }

    /// Redis mode: an upstream of one session, counted for as long as what is returned lives.
    pub fn own_upstream(self: &Rc<Self>) -> OwnUpstream {
        self.add_upstreams(1);
        OwnUpstream(self.clone())
    }

    /// Redis mode: an upstream that sessions share, counted for as long as what is returned lives.
    pub fn shared_upstream(self: &Rc<Self>) -> SharedUpstream {
        self.add_trunks(1);
        SharedUpstream(self.clone())
    }

    fn add_trunks(&self, change: i64) {
        if let Some(requests) = &self.requests {
            requests.trunks.set(requests.trunks.get() + change);
        }
    }

    fn add_spares(&self, change: i64) {
        if let Some(requests) = &self.requests {
            requests.spares.set(requests.spares.get() + change);
        }
    }

    fn add_upstreams(&self, change: i64) {
        if let Some(requests) = &self.requests {
            requests.upstreams.set(requests.upstreams.get() + change);
        }
    }

    fn add_pinned(&self, reason: Option<PinReason>, change: i64) {
        if let (Some(requests), Some(reason)) = (&self.requests, reason) {
            let count = &requests.pinned[reason as usize];
            count.set(count.get() + change);
        }
    }

    /// Hands over what was counted.
    pub fn flush(&self) {
        self.metrics.bytes_in.inc_by(self.bytes_in.take());
        self.metrics.bytes_out.inc_by(self.bytes_out.take());
        if let Some(requests) = &self.requests {
            requests.flush();
        }
    }
}

impl Requests {
    fn flush(&self) {
        self.metrics.requests.inc_by(self.took.get_sample_count());
        self.took.flush();
        for (reason, count) in RetryReason::ALL.into_iter().zip(&self.retried).filter(|(_, count)| count.get() > 0) {
            self.metrics.retried(reason).inc_by(count.take());
        }
        for (reason, change) in PinReason::ALL.into_iter().zip(&self.pinned).filter(|(_, change)| change.get() != 0) {
            self.metrics.pinned(reason).add(change.take());
        }
        self.metrics.own_upstreams.add(self.upstreams.take());
        self.metrics.shared_upstreams.add(self.trunks.take());
        self.metrics.spare_upstreams.add(self.spares.take());
    }
}

/// See [`Tally::own_upstream`].
pub struct OwnUpstream(Rc<Tally>);

impl OwnUpstream {
    /// Its session has given it back: it counts as a spare one.
    pub fn given_back(self) -> SpareUpstream {
        self.0.add_spares(1);
        SpareUpstream(self.0.clone())
    }
}

impl Drop for OwnUpstream {
    fn drop(&mut self) {
        self.0.add_upstreams(-1);
        // Nobody may be left to tick: a gauge must not stand still above what is there.
        self.0.flush();
    }
}

/// An upstream that a session has given back, counted for as long as this lives.
pub struct SpareUpstream(Rc<Tally>);

impl SpareUpstream {
    /// A session uses it again.
    pub fn taken(self) -> OwnUpstream {
        self.0.own_upstream()
    }
}

impl Drop for SpareUpstream {
    fn drop(&mut self) {
        self.0.add_spares(-1);
        self.0.flush();
    }
}

/// See [`Tally::shared_upstream`].
pub struct SharedUpstream(Rc<Tally>);

impl Drop for SharedUpstream {
    fn drop(&mut self) {
        self.0.add_trunks(-1);
        self.0.flush();
    }
}

/// What a session's client has not taken yet, counted together with that of others for as long as it lives.
pub struct Debt {
    tally: Rc<Tally>,
    bytes: Cell<usize>,
}

impl Debt {
    /// Of a session that owes nothing yet.
    pub fn new(tally: Rc<Tally>) -> Self {
        Self { tally, bytes: Cell::new(0) }
    }

    /// So much is owed now.
    #[inline]
    pub fn set(&self, bytes: usize) {
        let before = self.bytes.replace(bytes);
        self.tally.owed.set(self.tally.owed.get() + bytes - before);
    }

    /// So much to all of them.
    pub fn together(&self) -> usize {
        self.tally.owed.get()
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Why a session needs an upstream of its own, counted for as long as it lives.
pub struct Pinned {
    tally: Rc<Tally>,
    reason: Cell<Option<PinReason>>,
}

impl Pinned {
    /// Of a session that needs none yet.
    pub fn new(tally: Rc<Tally>) -> Self {
        Self { tally, reason: Cell::new(None) }
    }

    /// What the conversation says now. Cheap where nothing changed.
    #[inline]
    pub fn set(&self, pin: Option<Pin>) {
        self.change(pin.map(|pin| match pin {
            Pin::Transaction => PinReason::Transaction,
            Pin::Watch => PinReason::Watch,
            Pin::Subscription => PinReason::Subscription,
            Pin::Blocked => PinReason::Blocked,
            Pin::Tracking => PinReason::Tracking,
            Pin::Wait => PinReason::Wait,
            Pin::State => PinReason::State,
            Pin::Identity => PinReason::Identity,
            Pin::Large => PinReason::Large,
            Pin::Unknown => PinReason::Unknown,
        }));
    }

    /// What follows is no conversation any more.
    pub fn opaque(&self) {
        self.change(Some(PinReason::Opaque));
    }

    #[inline]
    fn change(&self, reason: Option<PinReason>) {
        let before = self.reason.get();
        if before != reason {
            self.reason.set(reason);
            self.tally.add_pinned(before, -1);
            self.tally.add_pinned(reason, 1);
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.reason.get().is_some() {
            self.change(None);
            self.tally.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn what_was_counted_is_seen_after_the_flush_and_gauges_fall_back_to_nothing() {
        let metrics = Metrics::new().redis_mode_listener("sidekiq", "jobs");
        let shown = metrics.redis_mode.clone().expect("redis mode");
        let tally = Rc::new(Tally::new(metrics));
        let (upstream, pinned) = (tally.own_upstream(), Pinned::new(tally.clone()));
        tally.answered(0.000_12);
        tally.answered(0.003);
        tally.retried(Retry::Refused(Refusal::ReadOnly));
        pinned.set(Some(Pin::Watch));
        pinned.set(Some(Pin::Transaction));
        assert_eq!(shown.requests.get(), 0, "the hot path touches no atomic");
        tally.flush();
        assert_eq!((shown.requests.get(), shown.request_duration.get_sample_count()), (2, 2));
        assert_eq!(shown.retried(RetryReason::ReadOnly).get(), 1);
        assert_eq!((shown.pinned(PinReason::Watch).get(), shown.pinned(PinReason::Transaction).get()), (0, 1));
        assert_eq!(shown.own_upstreams.get(), 1);
        let spare = upstream.given_back();
        assert_eq!((shown.own_upstreams.get(), shown.spare_upstreams.get()), (0, 1));
        let upstream = spare.taken();
        assert_eq!((shown.own_upstreams.get(), shown.spare_upstreams.get()), (1, 0));
        drop((upstream, pinned));
        assert_eq!((shown.pinned(PinReason::Transaction).get(), shown.own_upstreams.get()), (0, 0));
    }

    #[test]
    fn a_listener_in_tcp_mode_has_no_series_of_requests() {
        let metrics = Metrics::new();
        let tally = Rc::new(Tally::new(metrics.listener("sidekiq")));
        tally.answered(0.001);
        drop(tally.own_upstream());
        tally.flush();
        let families = metrics.registry.gather();
        assert!(!families.iter().any(|family| family.name().contains("request") || family.name().contains("upstreams")));
    }
}
