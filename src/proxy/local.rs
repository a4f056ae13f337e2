//! What the tasks of one worker share. Nothing of it is seen by another thread, but for the counts.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::policy::Policy;
use crate::metrics::ListenerMetrics;

/// The coarse clock of a worker: idle times, waiting times, counters.
pub const TICK: Duration = Duration::from_millis(100);
/// What one read takes at most, and all the buffer that idle sessions share.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Clients that are being let go, for each worker; beyond it they are closed at once.
const LINGERING_MAX: usize = 512;

/// What a worker's tasks share.
pub struct Local {
    /// The worker's number, its place on every fence.
    pub index: usize,
    /// Borrowed within one poll, never across an await.
    pub scratch: RefCell<Box<[u8]>>,
    /// Ticks so far.
    pub tick: Cell<u32>,
    ticked_at: Cell<Option<std::time::Instant>>,
    load: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
    tallies: RefCell<HashMap<Arc<str>, Rc<Tally>>>,
    lingering: Rc<Cell<usize>>,
}

/// A listener's bytes, counted without atomics and flushed on the tick.
pub struct Tally {
    metrics: ListenerMetrics,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
}

impl Tally {
    /// Bytes from and to clients.
    #[inline]
    pub fn add(&self, bytes_in: u64, bytes_out: u64) {
        self.bytes_in.set(self.bytes_in.get() + bytes_in);
        self.bytes_out.set(self.bytes_out.get() + bytes_out);
    }

    fn flush(&self) {
        self.metrics.bytes_in.inc_by(self.bytes_in.take());
        self.metrics.bytes_out.inc_by(self.bytes_out.take());
    }
}

/// A place among the lingering, given back when dropped.
pub struct Linger(Rc<Cell<usize>>);

impl Drop for Linger {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Local {
    /// Of worker number `index`; the counts are shared with the acceptor.
    pub fn new(index: usize, load: Arc<AtomicUsize>, total: Arc<AtomicUsize>) -> Self {
        Self {
            index,
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            tick: Cell::new(0),
            ticked_at: Cell::new(None),
            load,
            total,
            tallies: RefCell::default(),
            lingering: Rc::default(),
        }
    }

    /// The next tick, counters flushed. Each group ticks; time counts once.
    pub fn turn_tick(&self) -> u32 {
        let now = std::time::Instant::now();
        let due = self.ticked_at.get().is_none_or(|at| now.duration_since(at) >= TICK / 2);
        if due {
            self.ticked_at.set(Some(now));
            self.tick.set(self.tick.get().wrapping_add(1));
            self.flush();
        }
        self.tick.get()
    }

    fn flush(&self) {
        self.tallies.borrow().values().for_each(|tally| tally.flush());
    }

    /// The counters of a session's listener.
    pub fn tally(&self, policy: &Policy) -> Rc<Tally> {
        let new = || Rc::new(Tally { metrics: policy.metrics.clone(), bytes_in: Cell::new(0), bytes_out: Cell::new(0) });
        self.tallies.borrow_mut().entry(policy.listener.name.clone()).or_insert_with(new).clone()
    }

    /// A session of this worker has ended: takes it out of every count that the acceptor put it into.
    pub fn left(&self, policy: &Policy) {
        self.flush();
        policy.metrics.sessions.dec();
        policy.listener.sessions.fetch_sub(1, Ordering::Relaxed);
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.total.fetch_sub(1, Ordering::Relaxed);
    }

    /// A place to linger in, if there is one.
    pub fn linger(&self) -> Option<Linger> {
        (self.lingering.get() < LINGERING_MAX).then(|| {
            self.lingering.set(self.lingering.get() + 1);
            Linger(self.lingering.clone())
        })
    }
}
