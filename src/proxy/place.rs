//! A place among the sessions of a listener: taken at accept, whatever a client has to go through before a worker has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::policy::Policy;
use super::transport::Accepted;
use super::worker::{Order, WorkerHandle};
use crate::metrics::CloseReason;

/// Counted in `sessions` of the listener and of the process. Either [`Place::hand_on`] or [`Place::give_up`] ends it.
#[must_use]
pub struct Place {
    policy: Arc<Policy>,
    workers: Arc<[WorkerHandle]>,
    total: Arc<AtomicUsize>,
}

impl Place {
    /// One more session.
    pub fn take(policy: Arc<Policy>, workers: Arc<[WorkerHandle]>, total: Arc<AtomicUsize>) -> Self {
        policy.metrics.sessions.inc();
        policy.listener.sessions.fetch_add(1, Ordering::Relaxed);
        total.fetch_add(1, Ordering::Relaxed);
        Self { policy, workers, total }
    }

    /// The rules of its listener.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// From now on it is the worker's with the fewest sessions.
    pub fn hand_on(self, accepted: Accepted) {
        // There is at least one worker.
        let Some(worker) = self.workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed)) else { return };
        worker.load.fetch_add(1, Ordering::Relaxed);
        // A worker ends only with the process.
        let _ = worker.orders.send(Order::Session(accepted, self.policy));
    }

    /// It never becomes a session that a worker has.
    pub fn give_up(self, reason: CloseReason) {
        self.policy.metrics.closed(reason).inc();
        self.policy.metrics.sessions.dec();
        self.policy.listener.sessions.fetch_sub(1, Ordering::Relaxed);
        self.total.fetch_sub(1, Ordering::Relaxed);
    }
}
