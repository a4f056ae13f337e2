//! What the tasks of one worker share. Nothing of it is seen by another thread, but for the counts.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::policy::Policy;
use super::tally::Tally;
use super::trunk::Flusher;
use crate::config::Mode;
use crate::route::Moment;

/// The coarse clock of a worker: idle times, waiting times, counters.
pub const TICK: Duration = Duration::from_millis(100);
/// What one read takes at most, and all the buffer that idle sessions share.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Clients that are being let go, for each worker; beyond it they are closed at once.
const LINGERING_MAX: usize = 512;

/// A worker that does nothing for so long, while there is something to do, was stopped.
const STALL: Duration = Duration::from_millis(300);
/// How long it takes to read what came meanwhile.
const WARY_FOR: Duration = Duration::from_secs(1);

/// A listener's name, group and mode: a reload may change the others, and with them what is counted.
type TallyKey = (Arc<str>, Arc<str>, Mode);

/// What a worker's tasks share.
pub struct Local {
    /// The worker's number, its place on every fence.
    pub index: usize,
    /// Borrowed within one poll, never across an await.
    pub scratch: RefCell<Box<[u8]>>,
    /// The tick of the last turn.
    pub tick: Cell<u32>,
    started: std::time::Instant,
    load: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
    tallies: RefCell<HashMap<TallyKey, Rc<Tally>>>,
    lingering: Rc<Cell<usize>>,
    /// Writes for its trunks.
    pub flusher: Flusher,
    /// When this worker was last known to run.
    alive: Cell<Moment>,
    /// How often it stood still, and until when what it reads may be older than it seems.
    stalls: Cell<u32>,
    wary_until: Cell<Moment>,
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
            started: std::time::Instant::now(),
            load,
            total,
            tallies: RefCell::default(),
            lingering: Rc::default(),
            flusher: Flusher::default(),
            alive: Cell::new(Moment::now()),
            stalls: Cell::new(0),
            wary_until: Cell::new(Moment::default()),
        }
    }

    /// A number that another process would not have here.
    pub fn random(&self) -> usize {
        // Each RandomState has keys of its own: the hash of nothing is a random number.
        RandomState::new().build_hasher().finish() as usize
    }

    /// The tick that it is now; counters are flushed when it is a new one. Told by the clock and not by counting calls: several groups
    /// tick here, each in its own rhythm, and none while it has no sessions.
    pub fn turn_tick(&self) -> u32 {
        self.is_wary(Moment::now());
        // Wraps after 13 years; only differences matter.
        let tick = (self.started.elapsed().as_millis() / TICK.as_millis()) as u32;
        if self.tick.replace(tick) != tick {
            self.flush();
        }
        tick
    }

    /// This worker has stood still just now: the process was stopped, or the machine. What clients sent meanwhile is read after it, and so is
    /// the end of those that have given up: whoever sends something on asks whether its client is still there.
    pub fn is_wary(&self, now: Moment) -> bool {
        if now > self.alive.replace(now.max(self.alive.get())) + STALL {
            self.stalls.set(self.stalls.get() + 1);
            self.wary_until.set(now + WARY_FOR);
        }
        now < self.wary_until.get()
    }

    /// How often it stood still.
    pub fn stalls(&self) -> u32 {
        self.stalls.get()
    }

    /// There was nothing to do, and now there is.
    pub fn wakes_up(&self) {
        self.alive.set(Moment::now());
    }

    fn flush(&self) {
        self.tallies.borrow().values().for_each(|tally| tally.flush());
    }

    /// The counters of a session's listener.
    pub fn tally(&self, policy: &Policy) -> Rc<Tally> {
        let key = (policy.listener.name.clone(), policy.listener.group.clone(), policy.mode);
        self.tallies.borrow_mut().entry(key).or_insert_with(|| Rc::new(Tally::new(policy.metrics.clone()))).clone()
    }

    /// A session of this worker has ended: its listener has room for another.
    pub fn left(&self, policy: &Policy) {
        self.flush();
        policy.metrics.sessions.dec();
        policy.listener.sessions.fetch_sub(1, Ordering::Relaxed);
        self.load.fetch_sub(1, Ordering::Relaxed);
    }

    /// Its client has been let go, and the descriptor with it.
    pub fn closed(&self) {
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
