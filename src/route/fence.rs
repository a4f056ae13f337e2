//! The fence: how control makes sure that nothing is written for an epoch that has passed.
//!
//! Why two steps and not one published value: a worker that has not yet read the new route still believes the old one. If control
//! granted the next primary right away, two backends would receive the group's writes at the same time, and the writes of one
//! of them are lost later. So control *raises* the fence, every worker aborts what is older and *acknowledges*, and only then
//! does control *grant*. Between raise and acknowledgement the atomic epoch already stops a worker that is about to write.
//!
//! The deadline serves another case: the whole process, or its control side, stands still (SIGSTOP, swap, a paused virtual
//! machine). When it wakes up a worker may run first, with client bytes waiting and a primary that was replaced long ago. Its
//! first look at the clock tells it that control has not vouched for the epoch lately, and it forwards nothing until it does.
//!
//! This file names its atomics through `super::sync`, so that a model checker can compile it with its own.

use super::sync::{AtomicU64, Ordering};

/// A number that grows by one whenever a group's primary is withdrawn. The election that follows fills that same epoch.
pub type Epoch = u64;

/// What the fence says to a write that is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Write.
    Open,
    /// The epoch has passed: this write must never happen, abort the upstream.
    Passed,
    /// Control has not vouched for the epoch in time: keep the bytes and wait until it does, or until the epoch passes.
    Lapsed,
}

/// One group's fence, shared by control and every worker.
#[derive(Debug)]
pub struct Fence {
    epoch: AtomicU64,
    valid_until_micros: AtomicU64,
    /// For each worker the newest epoch for which it has nothing older left.
    acknowledged: Box<[AtomicU64]>,
}

impl Fence {
    /// A fence at `epoch` that is closed until it is first renewed. Every worker starts with nothing to abort.
    pub fn new(epoch: Epoch, workers: usize) -> Self {
        Self {
            epoch: AtomicU64::new(epoch),
            valid_until_micros: AtomicU64::new(0),
            acknowledged: (0..workers).map(|_| AtomicU64::new(epoch)).collect(),
        }
    }

    /// The epoch in force.
    pub fn epoch(&self) -> Epoch {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Data side, before every upstream write: may a session of `epoch` write at `now_micros`?
    pub fn passage(&self, epoch: Epoch, now_micros: u64) -> Passage {
        if self.epoch.load(Ordering::SeqCst) != epoch {
            Passage::Passed
        } else if now_micros > self.valid_until_micros.load(Ordering::SeqCst) {
            Passage::Lapsed
        } else {
            Passage::Open
        }
    }

    /// Data side: `worker` holds no upstream older than `epoch` any more.
    pub fn acknowledge(&self, worker: usize, epoch: Epoch) {
        self.acknowledged[worker].fetch_max(epoch, Ordering::SeqCst);
    }

    /// Control side, to withdraw: begins the next epoch and returns it.
    pub fn raise(&self) -> Epoch {
        self.valid_until_micros.store(0, Ordering::SeqCst);
        self.epoch.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Control side, to grant: has every worker acknowledged the epoch in force?
    pub fn all_acknowledged(&self) -> bool {
        let epoch = self.epoch();
        self.acknowledged.iter().all(|worker| worker.load(Ordering::SeqCst) >= epoch)
    }

    /// Control side: vouches for the epoch in force until `until_micros`. Returns the deadline of before: where that has passed on a
    /// clock that is read *after* this call, sessions may have found the fence lapsed and have to be woken. (A clock read before it
    /// would miss a worker that looked in between.)
    pub fn renew(&self, until_micros: u64) -> u64 {
        self.valid_until_micros.swap(until_micros, Ordering::SeqCst)
    }
}
