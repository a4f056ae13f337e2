//! A worker: one thread, one single-threaded runtime, its sessions of every group. Nothing here is shared with another worker.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use super::lanes::Lanes;
use super::policy::Policy;
use super::session::{self, Session};
use super::transport::{Accepted, Stream};
use crate::metrics::{ListenerMetrics, Metrics};
use crate::route::GroupLink;

/// The coarse clock of a worker: idle times, waiting times, counters.
pub const TICK: Duration = Duration::from_millis(100);
/// What one read takes at most, and all the buffer that idle sessions share.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Clients that are being let go, for each worker; beyond it they are closed at once.
const LINGERING_MAX: usize = 512;

/// What a worker is told.
pub enum Order {
    /// Serve this group as well.
    Group(GroupLink),
    /// A group without sessions left the configuration.
    Forget(Arc<str>),
    /// Serve this client.
    Session(Accepted, Arc<Policy>),
    /// Cut every session: mainstay is stopping.
    CutAll,
}

/// What others hold of a worker.
#[derive(Clone)]
pub struct WorkerHandle {
    /// Unbounded, as what is sent is bounded: sessions by `max_connections`, the rest by the configuration.
    pub orders: mpsc::UnboundedSender<Order>,
    /// Sessions that it has, or that are on their way to it.
    pub load: Arc<AtomicUsize>,
}

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

    fn tally(&self, policy: &Policy) -> Rc<Tally> {
        let new = || Rc::new(Tally { metrics: policy.metrics.clone(), bytes_in: Cell::new(0), bytes_out: Cell::new(0) });
        self.tallies.borrow_mut().entry(policy.listener.name.clone()).or_insert_with(new).clone()
    }

    /// A session of this worker has ended.
    pub fn left(&self, policy: &Policy) {
        self.flush();
        count_out(policy, &self.load, &self.total);
    }

    /// A place to linger in, if there is one.
    pub fn linger(&self) -> Option<Linger> {
        (self.lingering.get() < LINGERING_MAX).then(|| {
            self.lingering.set(self.lingering.get() + 1);
            Linger(self.lingering.clone())
        })
    }
}

/// Takes a session out of every count that the acceptor put it into.
pub fn count_out(policy: &Policy, load: &AtomicUsize, total: &AtomicUsize) {
    policy.metrics.sessions.dec();
    policy.listener.sessions.fetch_sub(1, Ordering::Relaxed);
    load.fetch_sub(1, Ordering::Relaxed);
    total.fetch_sub(1, Ordering::Relaxed);
}

/// Starts a worker. It ends when every handle is gone. `total` counts the sessions of all workers.
pub fn spawn(index: usize, metrics: Metrics, total: Arc<AtomicUsize>) -> io::Result<(WorkerHandle, std::thread::JoinHandle<()>)> {
    let (orders, inbox) = mpsc::unbounded_channel();
    let load = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = WorkerHandle { orders, load: load.clone() };
    let body = move || {
        let local = Rc::new(Local {
            index,
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            tick: Cell::new(0),
            ticked_at: Cell::new(None),
            load,
            total,
            tallies: RefCell::default(),
            lingering: Rc::default(),
        });
        LocalSet::new().block_on(&runtime, serve(local, metrics, inbox));
    };
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(body)?;
    Ok((handle, thread))
}

async fn serve(local: Rc<Local>, metrics: Metrics, mut inbox: mpsc::UnboundedReceiver<Order>) {
    let mut groups: HashMap<Arc<str>, Rc<Lanes>> = HashMap::new();
    while let Some(order) = inbox.recv().await {
        match order {
            Order::Group(link) => {
                let name = link.name.clone();
                let lanes = Rc::new(Lanes::new(link, local.clone(), metrics.hold(&name)));
                spawn_local(lanes.clone().run());
                groups.insert(name, lanes);
            }
            Order::Forget(name) => {
                if let Some(lanes) = groups.remove(&name) {
                    lanes.finish();
                }
            }
            Order::Session(accepted, policy) => match (groups.get(&policy.listener.group), Stream::from_accepted(accepted)) {
                (Some(lanes), Ok(client)) => {
                    let session = Rc::new(Session::new(policy.clone(), local.tally(&policy)));
                    spawn_local(session::run(lanes.clone(), client, session));
                }
                // The group went while the client was on its way, or no memory for it in the kernel: it is closed.
                (None, _) | (_, Err(_)) => count_out(&policy, &local.load, &local.total),
            },
            Order::CutAll => groups.values().for_each(|lanes| lanes.cut_all()),
        }
    }
}
