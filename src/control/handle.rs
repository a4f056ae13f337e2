//! Starting a group, and what others hold of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use super::asking::Told;
use super::connectors::Connectors;
use super::coordinator::{Coordinator, Inbox, rules};
use super::journal::Journal;
use super::probe::Pace;
use super::readers::Readers;
use super::resolve::Names;
use super::roster::Roster;
use super::sentinel::Sentinels;
use crate::config;
use crate::metrics::Metrics;
use crate::route::{
    Departure, Epoch, Event, Fence, FirstByte, GroupEntry, GroupLink, GroupStatus, Moment, Reads, Route, Vacancy,
};
use crate::topology::Group;

/// Messages that may wait for the coordinator. It answers each in microseconds.
const INBOX: usize = 256;

/// What `app` holds of a running group.
pub struct GroupHandle {
    /// For the workers.
    pub link: GroupLink,
    /// For admin.
    pub entry: GroupEntry,
    reconfigure: mpsc::Sender<config::Group>,
    task: JoinHandle<()>,
}

impl GroupHandle {
    /// Applies a changed configuration. The name stays.
    pub async fn reconfigure(&self, group: config::Group) {
        // The coordinator lives as long as this handle: a panic of its ends the process.
        let _ = self.reconfigure.send(group).await;
    }

    /// The epoch in force.
    pub fn epoch(&self) -> Epoch {
        self.link.fence.epoch()
    }

    /// Ends the group: its checks, its coordinator. The fence is no longer renewed.
    pub fn stop(self) {
        self.task.abort();
    }
}

/// Starts a group at `epoch` for `workers` workers, on the runtime of the control side.
pub fn spawn(
    config: config::Group,
    epoch: Epoch,
    workers: usize,
    metrics: &Metrics,
    events: broadcast::Sender<Event>,
) -> GroupHandle {
    let now = Moment::now();
    let mut roster = Roster::default();
    roster.configure(&config.backends);
    let names = Names::new(config.resolve_interval, config.check.fast_interval);
    // Nobody yet: the coordinator begins with finding out who belongs to it.
    let group = Group::new(rules(&config), &[], epoch, now);
    let (news_sender, news) = mpsc::channel(INBOX);
    let (route_sender, route) = watch::channel(Arc::new(Route {
        epoch,
        primary: Err(Vacancy { since: now, why: "not checked yet".into(), left: Departure::Gone }),
        reads: Reads::none(now),
        hold_window: config.hold.window,
        hold_max_bytes: config.hold.max_bytes,
        hint_interval: config.check.fast_interval,
    }));
    let (hint_sender, hints) = mpsc::channel(INBOX);
    let (report_sender, reports) = mpsc::channel(INBOX);
    let (command_sender, commands) = mpsc::channel(INBOX);
    let (reconfigure, changes) = mpsc::channel(1);
    let (status_sender, status) =
        watch::channel(Arc::new(GroupStatus { name: config.name.to_string(), ..GroupStatus::default() }));
    let (pace, _) = watch::channel(Pace { every: config.check.fast_interval, round: 0 });
    let link = GroupLink {
        name: config.name.clone(),
        route,
        fence: Arc::new(Fence::new(epoch, workers)),
        reads_until: Arc::new(AtomicU64::new(0)),
        suspected: Arc::new(AtomicBool::new(false)),
        looked: Arc::new(AtomicU64::new(0)),
        acknowledged: Arc::new(Notify::new()),
        hints: hint_sender,
        held_bytes: Arc::new(AtomicU64::new(0)),
        held: Arc::new(AtomicUsize::new(0)),
        is_read: Arc::new(AtomicBool::new(false)),
        first_byte: Arc::new(FirstByte::default()),
    };
    let entry = GroupEntry { name: config.name.clone(), status, commands: command_sender, held: link.held.clone() };
    let mut connectors = Connectors::default();
    connectors.configure(config.tls.as_ref());
    let journal = Journal::new(&config.name, metrics.clone(), events, epoch);
    let coordinator = Coordinator {
        config,
        group,
        link: link.clone(),
        route: route_sender,
        status: status_sender,
        probes: HashMap::new(),
        roster,
        names,
        report_sender,
        pace,
        endpoints: HashMap::new(),
        told: Told::default(),
        suspect: None,
        round_at: now,
        round_due: None,
        round_asked: now,
        awake: now,
        left: Departure::Gone,
        readers: Readers::new(now),
        sentinels: Sentinels::new(news_sender),
        journal,
        connectors,
    };
    let task = tokio::spawn(coordinator.run(Inbox { reports, news, hints, commands, changes }));
    GroupHandle { link, entry, reconfigure, task }
}
