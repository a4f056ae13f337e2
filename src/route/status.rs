//! What admin shows: snapshots that control and the acceptor publish, serialised as they stand in `GET /api/v1/status`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::{AdminState, Command, Epoch, Moment};

/// Everything that admin can reach, published anew at each reload.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// In the order of the configuration; removed ones that still have sessions come last.
    pub groups: Vec<GroupEntry>,
    /// Likewise.
    pub listeners: Vec<Arc<ListenerEntry>>,
    /// Data threads.
    pub workers: usize,
}

/// A group as admin sees it.
#[derive(Clone, Debug)]
pub struct GroupEntry {
    /// Its configured name.
    pub name: Arc<str>,
    /// The newest snapshot.
    pub status: watch::Receiver<Arc<GroupStatus>>,
    /// Bounded.
    pub commands: mpsc::Sender<Command>,
    /// Clients parked at present.
    pub held: Arc<AtomicUsize>,
}

/// A listener as admin and the acceptor see it.
#[derive(Debug)]
pub struct ListenerEntry {
    /// Its configured name.
    pub name: Arc<str>,
    /// The address it is bound to.
    pub bind: String,
    /// The group it leads to.
    pub group: Arc<str>,
    /// `primary` or `replica`.
    pub route: &'static str,
    /// `tcp` or `redis`.
    pub mode: &'static str,
    /// New sessions share connections to the primary.
    pub shared_connections: bool,
    /// The limit in force, parked sessions included.
    pub max_connections: usize,
    /// Sessions open at present. Shared with the listener's earlier versions across reloads.
    pub sessions: Arc<AtomicUsize>,
    /// Removed from the configuration: accepts nothing, its sessions live on.
    pub draining: AtomicBool,
}

impl ListenerEntry {
    /// What `status` shows of it.
    pub fn status(&self) -> ListenerStatus {
        ListenerStatus {
            name: self.name.to_string(),
            bind: self.bind.clone(),
            group: self.group.to_string(),
            route: self.route.into(),
            mode: self.mode.into(),
            shared_connections: self.shared_connections,
            sessions: self.sessions.load(Ordering::Relaxed),
            max_connections: self.max_connections,
            draining: self.draining.load(Ordering::Relaxed),
        }
    }
}

/// A request to apply the configuration file again; the answer says what changed or every fault.
pub type ReloadRequest = oneshot::Sender<Result<Vec<String>, String>>;

/// The answer of `GET /api/v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// mainstay's own version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When the process started, RFC 3339 in UTC; epochs count from there.
    pub started_at: String,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Listening, and every group's first check round is done.
    pub ready: bool,
    /// Data threads.
    pub workers: usize,
    /// One entry a group.
    pub groups: Vec<GroupStatus>,
    /// One entry a listener.
    pub listeners: Vec<ListenerStatus>,
}

/// A group, as its coordinator last published it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct GroupStatus {
    /// When this snapshot was taken. Admin adds what has passed since then to the ages in it; absent, they stay as they are.
    #[serde(skip)]
    pub taken_at: Option<Moment>,
    /// Its configured name.
    pub name: String,
    /// The epoch in force.
    pub epoch: Epoch,
    /// The primary's configured address.
    pub primary: Option<String>,
    /// The rule that elected it or that leaves the place empty: `only`, `proof`, `sentinel`, `present`, `followers`, `operator`,
    /// or `unproved`, `nobody`, `disputed`, `tie`, `maintenance`.
    pub rule: String,
    /// One sentence: why this backend, or why none, on which facts.
    pub why: String,
    /// A rival exists.
    pub conflict: bool,
    /// The configured addresses of the rivals.
    pub rivals: Vec<String>,
    /// The group is checked at `fast_interval`.
    pub doubt: bool,
    /// Every backend has answered or failed one check.
    pub first_round_done: bool,
    /// Milliseconds since the primary was elected or lost.
    pub for_ms: u64,
    /// Clients parked at present.
    pub held: usize,
    /// One entry a backend.
    pub backends: Vec<BackendStatus>,
    /// The newest last; bounded.
    pub failovers: Vec<FailoverRecord>,
    /// What the Sentinels say together; absent where there are none.
    #[serde(default)]
    pub sentinel: Option<SentinelWord>,
    /// One entry a Sentinel.
    #[serde(default)]
    pub sentinels: Vec<SentinelStatus>,
}

/// What the Sentinels of a group say together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SentinelWord {
    /// The name by which they know the group.
    pub master_name: String,
    /// The address that a majority names, as announced.
    pub names: Option<String>,
    /// The backend that this is; absent where it is none of the group.
    pub backend: Option<String>,
    /// The config epoch of that.
    pub config_epoch: Option<u64>,
    /// So many name it.
    pub votes: usize,
    /// So many Sentinels are known.
    pub known: usize,
    /// The same as a sentence, or why they name none.
    pub message: String,
}

/// A Sentinel, as it last answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SentinelStatus {
    /// Where it is asked.
    pub address: String,
    /// It stands in the configuration; the others were told of by these.
    pub configured: bool,
    /// Its own id, where it tells.
    pub id: Option<String>,
    /// `answering`, `silent`, `unknown_master`, `stale`, `ahead` or `tilt`.
    pub state: String,
    /// The address that it names, as announced.
    pub names: Option<String>,
    /// The config epoch of that.
    pub config_epoch: Option<u64>,
    /// What is wrong with it, for people.
    pub message: Option<String>,
}

/// A backend, as its checks last found it. Absent facts are unknown.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Its configured address.
    pub address: String,
    /// The address last connected to.
    pub endpoint: Option<String>,
    /// Answers checks (`rise` and `fall` counted).
    pub up: bool,
    /// `primary`, `rival`, `barred`, `master`, `replica`, `loading`, or the outcome of the last check.
    pub state: String,
    /// What it says of itself: `master`, `slave`; absent while unknown.
    pub role: Option<String>,
    /// How the last check ended, the word of `mainstay_checks_total`.
    pub last_check: Option<String>,
    /// What was wrong with it, for people.
    pub message: Option<String>,
    /// Milliseconds since the last check ended.
    pub checked_ms_ago: Option<u64>,
    /// Failed checks running.
    pub failed_running: u32,
    /// What an operator wants of it.
    pub admin_state: AdminState,
    /// `redis_version` or `valkey_version`.
    pub version: Option<String>,
    /// The process.
    pub run_id: Option<String>,
    /// `master_replid`.
    pub replid: Option<String>,
    /// `master_repl_offset`.
    pub offset: Option<u64>,
    /// Bytes behind the primary, for its replicas.
    pub lag_bytes: Option<u64>,
    /// A replica's link to its master is up.
    pub link_up: Option<bool>,
    /// Removed from the configuration, kept until it is replaced.
    pub leaving: bool,
    /// May those read here who go by `route = "replica"`? `usable`, or why not. Absent for the primary.
    #[serde(default)]
    pub reads: Option<String>,
    /// Sessions that read here.
    #[serde(default)]
    pub read_sessions: usize,
}

/// A listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Its configured name.
    pub name: String,
    /// The address it is bound to.
    pub bind: String,
    /// The group it leads to.
    pub group: String,
    /// `primary` or `replica`.
    pub route: String,
    /// `tcp` or `redis`.
    pub mode: String,
    /// New sessions share connections to the primary.
    #[serde(default)]
    pub shared_connections: bool,
    /// Open sessions, parked ones included.
    pub sessions: usize,
    /// The limit in force.
    pub max_connections: usize,
    /// Removed from the configuration, its sessions live on.
    pub draining: bool,
}

/// One change of primary, with its timeline. Times are milliseconds since the process started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FailoverRecord {
    /// The epoch that the loss began.
    pub epoch: Epoch,
    /// When the primary was lost, wall clock, RFC 3339 in UTC.
    pub at: String,
    /// Why the old primary was withdrawn: the label of `mainstay_failovers_total`.
    pub cause: String,
    /// The same as a sentence.
    pub why: String,
    /// The primary that was lost.
    pub from: String,
    /// The one elected.
    pub to: Option<String>,
    /// The rule that elected it.
    pub rule: Option<String>,
    /// The old primary was lost.
    pub lost_ms: u64,
    /// The new one was first seen saying role:master.
    pub first_seen_ms: Option<u64>,
    /// The new one was elected, all workers having acknowledged.
    pub elected_ms: Option<u64>,
    /// The first byte of a client went to it.
    pub first_byte_ms: Option<u64>,
    /// Writes that the old primary had and the new one has not, in bytes of the replication stream; an estimate.
    pub lost_bytes: Option<u64>,
    /// How old the old primary's offset was when it was lost: what came after it is not in the estimate.
    pub lost_bytes_age_ms: Option<u64>,
}

/// One line of `GET /api/v1/events`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Wall clock, RFC 3339 in UTC.
    pub at: String,
    /// The group.
    pub group: String,
    /// `withdrawn`, `elected`, `conflict`, `conflict_over`, `backend`, `replica`, `sentinel`, `sentinels`, `command`, `stalled`, `reload`.
    pub kind: String,
    /// The epoch in force.
    pub epoch: Epoch,
    /// The backend it is about.
    pub backend: Option<String>,
    /// One sentence.
    pub message: String,
}
