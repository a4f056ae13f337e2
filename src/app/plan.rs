//! What is running, and how to get from there to what a configuration wants. What did not change is not touched: sessions live on and
//! stay watched, epochs never shrink.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::{info, warn};

use super::access::access;
use crate::config::{self, Config, Mode};
use crate::control::{self, GroupHandle};
use crate::metrics::Metrics;
use crate::proxy::acceptor::{AcceptorOrder, Listening};
use crate::proxy::bind::{self, Bound};
use crate::proxy::entrance::Entrance;
use crate::proxy::policy::Policy;
use crate::proxy::worker::{Order, WorkerHandle};
use crate::route::{Directory, Epoch, Event, ListenerEntry};
use crate::tls;

/// See the module.
pub struct Plan {
    metrics: Metrics,
    workers: Vec<WorkerHandle>,
    acceptor: mpsc::UnboundedSender<AcceptorOrder>,
    events: broadcast::Sender<Event>,
    directory: watch::Sender<Arc<Directory>>,
    groups: Vec<(GroupHandle, Standing)>,
    listeners: Vec<Running>,
    /// Earlier versions of listeners that still have sessions.
    retired: Vec<Arc<ListenerEntry>>,
    /// Epochs of groups that left: should one come back, it goes on from there.
    epochs: HashMap<Arc<str>, Epoch>,
}

/// Is a group in the configuration?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Wanted,
    /// Removed; watched until its last session has ended.
    Leaving,
}

struct Running {
    policy: Arc<Policy>,
    bound: Arc<Bound>,
    door: Option<Door>,
}

/// How a listener speaks TLS.
struct Door {
    tls: config::ServerTls,
    acceptor: tls::Acceptor,
}

impl Plan {
    /// Nothing runs yet.
    pub fn new(
        metrics: Metrics,
        workers: Vec<WorkerHandle>,
        acceptor: mpsc::UnboundedSender<AcceptorOrder>,
        events: broadcast::Sender<Event>,
        directory: watch::Sender<Arc<Directory>>,
    ) -> Self {
        let (groups, listeners, retired) = (Vec::new(), Vec::new(), Vec::new());
        Self { metrics, workers, acceptor, events, directory, groups, listeners, retired, epochs: HashMap::new() }
    }

    /// The first configuration.
    pub async fn start(&mut self, wanted: &Config) -> anyhow::Result<()> {
        let mut given = bind::inherited().context("cannot take over the sockets that systemd hands over")?;
        let doors = self.doors(wanted)?;
        let bounds = self.bind_all(wanted, &mut given)?;
        for left in &given {
            warn!("systemd handed over {}, which no listener is bound to; it is closed", left.address);
        }
        for group in &wanted.groups {
            self.add_group(group.clone());
        }
        self.listen(wanted, bounds, doors).await;
        Ok(())
    }

    /// From `present` to `wanted`; says what changed. On an error nothing has changed.
    pub async fn apply(&mut self, present: &Config, wanted: &Config) -> anyhow::Result<Vec<String>> {
        // The only things that can fail come first.
        let doors = self.doors(wanted)?;
        let bounds = self.bind_all(wanted, &mut Vec::new())?;
        let mut changes = Vec::new();
        for group in &wanted.groups {
            let name = &group.name;
            match self.groups.iter_mut().find(|(handle, _)| handle.entry.name == *name) {
                Some((handle, standing)) => {
                    let returned = std::mem::replace(standing, Standing::Wanted) == Standing::Leaving;
                    if returned || !present.groups.contains(group) {
                        handle.reconfigure(group.clone()).await;
                        changes.push(format!("group {name} changed"));
                    }
                }
                None => {
                    self.add_group(group.clone());
                    changes.push(format!("group {name} added"));
                }
            }
        }
        for (handle, standing) in &mut self.groups {
            let name = &handle.entry.name;
            if *standing == Standing::Wanted && !wanted.groups.iter().any(|group| group.name == *name) {
                *standing = Standing::Leaving;
                changes.push(format!("group {name} removed; it is watched until its last session has ended"));
            }
        }
        for listener in &wanted.listeners {
            let name = &listener.name;
            match present.listeners.iter().find(|before| before.name == *name) {
                None => changes.push(format!("listener {name} added")),
                Some(before) if before != listener => changes.push(format!("listener {name} changed")),
                Some(_) => {}
            }
        }
        for gone in
            present.listeners.iter().filter(|before| !wanted.listeners.iter().any(|listener| listener.name == before.name))
        {
            changes.push(format!("listener {} removed; its sessions live on", gone.name));
        }
        self.listen(wanted, bounds, doors).await;
        self.keep_house();
        Ok(changes)
    }

    /// A socket for each listener: the present one where the address stays, one that was handed over, or a new one.
    fn bind_all(&self, wanted: &Config, given: &mut Vec<Bound>) -> anyhow::Result<Vec<Arc<Bound>>> {
        let mut bounds = Vec::new();
        for listener in &wanted.listeners {
            if let Some(running) = self.listeners.iter().find(|running| running.bound.address == listener.bind) {
                bounds.push(running.bound.clone());
                continue;
            }
            if let Some(place) = given.iter().position(|bound| bound.address == listener.bind) {
                let bound = given.swap_remove(place);
                info!(listener = %listener.name, "taking over {} from systemd", listener.bind);
                bound.tune(listener.keepalive).with_context(|| format!("cannot set keepalive on {}", listener.bind))?;
                bounds.push(Arc::new(bound));
                continue;
            }
            let bound = Bound::bind(&listener.bind, listener.keepalive).with_context(|| {
                format!("listener {} cannot listen on {}; free the address or choose another", listener.name, listener.bind)
            })?;
            bounds.push(Arc::new(bound));
        }
        Ok(bounds)
    }

    fn add_group(&mut self, group: config::Group) {
        let epoch = self.epochs.remove(&group.name).unwrap_or_default();
        let handle = control::spawn(group, epoch, self.workers.len(), &self.metrics, self.events.clone());
        self.order(|| Order::Group(handle.link.clone()));
        self.groups.push((handle, Standing::Wanted));
    }

    /// How each listener speaks TLS. What stays as it was is the same one, so that clients can resume what they had.
    fn doors(&self, wanted: &Config) -> anyhow::Result<Vec<Option<Door>>> {
        let door = |listener: &config::Listener| {
            let Some(tls) = &listener.tls else { return Ok(None) };
            let known = self.listeners.iter().filter_map(|running| running.door.as_ref()).find(|door| door.tls == *tls);
            let acceptor = match known {
                Some(door) => Ok(door.acceptor.clone()),
                None => tls::Acceptor::configured(tls)
                    .map_err(|error| anyhow::anyhow!("[listener.tls] of listener {}: {error}", listener.name)),
            };
            Ok(Some(Door { tls: tls.clone(), acceptor: acceptor? }))
        };
        wanted.listeners.iter().map(door).collect()
    }

    async fn listen(&mut self, wanted: &Config, bounds: Vec<Arc<Bound>>, doors: Vec<Option<Door>>) {
        for (group, _) in &self.groups {
            let reads = |listener: &config::Listener| {
                listener.group == group.entry.name && listener.route != config::ListenerRoute::Primary
            };
            group.link.is_read.store(wanted.listeners.iter().any(reads), Ordering::Relaxed);
        }
        let before = std::mem::take(&mut self.listeners);
        for ((listener, bound), door) in wanted.listeners.iter().zip(bounds).zip(doors) {
            let same = |running: &&Running| {
                let entry = &running.policy.listener;
                entry.name == listener.name && entry.group == listener.group
            };
            let same = before.iter().find(same).map(|running| &*running.policy);
            // The socket may be the one of before: what is accepted from now on has the keepalive of now.
            if let Err(error) = bound.tune(listener.keepalive) {
                warn!(listener = %listener.name, "cannot set keepalive: {error}");
            }
            let policy = Arc::new(self.policy(wanted, listener, door.as_ref(), same));
            self.listeners.push(Running { policy, bound, door });
        }
        for gone in before {
            let entry = &gone.policy.listener;
            let lives_on = self.listeners.iter().any(|running| Arc::ptr_eq(&running.policy.listener.sessions, &entry.sessions));
            if !lives_on {
                entry.draining.store(true, Ordering::Relaxed);
                self.retired.push(entry.clone());
            }
        }
        let listening =
            self.listeners.iter().map(|running| Listening { policy: running.policy.clone(), bound: running.bound.clone() });
        self.tell_acceptor(listening.collect()).await;
        self.publish();
    }

    /// `before`: of the same listener until now.
    fn policy(&self, wanted: &Config, listener: &config::Listener, door: Option<&Door>, before: Option<&Policy>) -> Policy {
        Policy {
            listener: Arc::new(ListenerEntry {
                name: listener.name.clone(),
                bind: listener.bind.to_string(),
                group: listener.group.clone(),
                route: listener.route.as_str(),
                mode: listener.mode.as_str(),
                shared_connections: listener.shared_connections,
                max_connections: listener.max_connections,
                sessions: before.map(|policy| policy.listener.sessions.clone()).unwrap_or_default(),
                draining: AtomicBool::new(false),
            }),
            route: listener.route,
            mode: listener.mode,
            shared_connections: listener.shared_connections,
            verify_alignment: listener.verify_alignment,
            entrance: Entrance::new(
                listener.allow.clone(),
                listener.proxy_protocol_from.clone(),
                door.map(|door| door.acceptor.clone()),
                || self.metrics.arrivals_refused(&listener.name),
            ),
            access: access(wanted, listener, before),
            connect_timeout: listener.connect_timeout,
            idle_timeout: listener.idle_timeout,
            keepalive: listener.keepalive,
            metrics: match listener.mode {
                Mode::Tcp => self.metrics.listener(&listener.name),
                Mode::Redis => self.metrics.redis_mode_listener(&listener.name, &listener.group),
            },
        }
    }

    /// Nobody new from now on.
    pub async fn stop_accepting(&mut self) {
        self.tell_acceptor(Vec::new()).await;
        let stopped: Vec<Running> = self.listeners.drain(..).collect();
        self.retired.extend(stopped.iter().map(|running| running.policy.listener.clone()));
    }

    async fn tell_acceptor(&self, listening: Vec<Listening>) {
        let (done, finished) = oneshot::channel();
        // The accepting thread ends only with the process.
        let _ = self.acceptor.send(AcceptorOrder::Listen(listening, done));
        let _ = finished.await;
    }

    /// Tells every worker.
    pub fn order(&self, order: impl Fn() -> Order) {
        for worker in &self.workers {
            // Workers end only with the process.
            let _ = worker.orders.send(order());
        }
    }

    /// Lets go of listeners and groups that were removed and have no sessions left.
    pub fn keep_house(&mut self) {
        let before = (self.retired.len(), self.groups.len());
        let (metrics, listeners) = (&self.metrics, &self.listeners);
        self.retired.retain(|entry| {
            let empty = entry.sessions.load(Ordering::Relaxed) == 0;
            if empty && !listeners.iter().any(|running| running.policy.listener.name == entry.name) {
                metrics.forget_listener(&entry.name);
            }
            !empty
        });
        let mut place = 0;
        while place < self.groups.len() {
            let (handle, standing) = &self.groups[place];
            let name = handle.entry.name.clone();
            let served = self.entries().any(|entry| entry.group == name);
            if *standing == Standing::Wanted || served {
                place += 1;
                continue;
            }
            let (handle, _) = self.groups.remove(place);
            info!(group = %name, "group {name} has no sessions left and ends");
            self.epochs.insert(name.clone(), handle.epoch());
            self.order(|| Order::Forget(name.clone()));
            handle.stop();
        }
        if before != (self.retired.len(), self.groups.len()) {
            self.publish();
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Arc<ListenerEntry>> {
        self.listeners.iter().map(|running| &running.policy.listener).chain(&self.retired)
    }

    fn publish(&self) {
        let directory = Directory {
            groups: self.groups.iter().map(|(handle, _)| handle.entry.clone()).collect(),
            listeners: self.entries().cloned().collect(),
            workers: self.workers.len(),
        };
        self.directory.send_replace(Arc::new(directory));
    }

    /// Every group has heard of each of its backends.
    pub fn first_rounds_done(&self) -> bool {
        self.groups.iter().all(|(handle, _)| handle.entry.status.borrow().first_round_done)
    }
}
