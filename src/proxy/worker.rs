//! A worker: one thread, one single-threaded runtime, its sessions of every group. Nothing here is shared with another worker.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use super::lanes::Lanes;
use super::local::Local;
use super::policy::Policy;
use super::session::{self, Session};
use super::transport::{Accepted, Stream};
use crate::metrics::Metrics;
use crate::route::GroupLink;

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

/// Starts a worker. It ends when every handle is gone. `total` counts the sessions of all workers.
pub fn spawn(index: usize, metrics: Metrics, total: Arc<AtomicUsize>) -> io::Result<(WorkerHandle, std::thread::JoinHandle<()>)> {
    let (orders, inbox) = mpsc::unbounded_channel();
    let load = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = WorkerHandle { orders, load: load.clone() };
    let body = move || {
        let local = Rc::new(Local::new(index, load, total));
        LocalSet::new().block_on(&runtime, serve(local, metrics, inbox));
    };
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(body)?;
    Ok((handle, thread))
}

async fn serve(local: Rc<Local>, metrics: Metrics, mut inbox: mpsc::UnboundedReceiver<Order>) {
    let flushing = local.clone();
    spawn_local(async move { flushing.flusher.run().await });
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
                    let lanes = if policy.reads() { lanes.annex(&policy.listener.name) } else { lanes.clone() };
                    let session = Rc::new(Session::new(policy.clone(), local.tally(&policy)));
                    spawn_local(session::run(lanes, client, session));
                }
                // The group went while the client was on its way, or no memory for it in the kernel: it is closed.
                (None, _) | (_, Err(_)) => {
                    local.left(&policy);
                    local.closed();
                }
            },
            Order::CutAll => groups.values().for_each(|lanes| lanes.cut_all()),
        }
    }
}
