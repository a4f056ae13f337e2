//! The admin side in this process, on a free port, with a made-up directory and a stand-in for the coordinator.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mainstay::admin::{Access, Context, Limits, serve_within};
use mainstay::config::Admin;
use mainstay::config::secret::Secret;
use mainstay::metrics::Metrics;
use mainstay::route::{
    Action, AdminState, BackendStatus, Command, Directory, Event, GroupEntry, GroupStatus, ListenerEntry, Moment, Refusal,
    ReloadRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

/// Nothing in these tests takes longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct World {
    pub address: SocketAddr,
    pub serving: JoinHandle<()>,
    pub directory: watch::Sender<Arc<Directory>>,
    pub status: watch::Sender<Arc<GroupStatus>>,
    pub events: broadcast::Sender<Event>,
    pub listening: watch::Sender<bool>,
    pub held: Arc<AtomicUsize>,
    pub metrics: Metrics,
    pub access: watch::Sender<Arc<Access>>,
    /// What the coordinator was asked.
    pub asked: Arc<Mutex<Vec<Action>>>,
    /// What the next reload answers.
    pub reloaded: Arc<Mutex<Result<Vec<String>, String>>>,
    /// While true, commands are taken and thrown away.
    pub deaf: Arc<AtomicBool>,
}

/// The group `jobs` with two backends, checked, with a primary.
pub fn jobs() -> GroupStatus {
    let backend = |address: &str, state: &str| BackendStatus {
        address: address.into(),
        state: state.into(),
        up: true,
        checked_ms_ago: Some(5),
        ..BackendStatus::default()
    };
    GroupStatus {
        taken_at: Some(Moment::now()),
        name: "jobs".into(),
        epoch: 3,
        primary: Some("a:1".into()),
        rule: "only".into(),
        why: "it is the only one that says role:master".into(),
        first_round_done: true,
        for_ms: 1000,
        backends: vec![backend("a:1", "primary"), backend("unix:/run/b.sock", "replica")],
        ..GroupStatus::default()
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with("127.0.0.1:0", Limits::default()).await
    }

    pub async fn with(bind: &str, limits: Limits) -> Self {
        let listener = TcpListener::bind(bind).await.unwrap();
        let mut address = listener.local_addr().unwrap();
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        let (asked, deaf) = (Arc::<Mutex<Vec<Action>>>::default(), Arc::<AtomicBool>::default());
        let reloaded = Arc::new(Mutex::new(Ok(Vec::new())));
        let (commands, inbox) = mpsc::channel(4);
        tokio::spawn(coordinate(inbox, Arc::clone(&asked), Arc::clone(&deaf)));
        let (reload, requests) = mpsc::channel(1);
        tokio::spawn(answer_reloads(requests, Arc::clone(&reloaded)));

        let status = watch::Sender::new(Arc::new(jobs()));
        let held = Arc::<AtomicUsize>::default();
        let group = GroupEntry { name: "jobs".into(), status: status.subscribe(), commands, held: Arc::clone(&held) };
        let listener_entry = ListenerEntry {
            name: "sidekiq".into(),
            bind: "127.0.0.1:6400".into(),
            group: "jobs".into(),
            route: "primary",
            mode: "tcp",
            shared_connections: false,
            max_connections: 1000,
            sessions: Arc::new(AtomicUsize::new(7)),
            draining: AtomicBool::new(false),
        };
        let content = Directory { groups: vec![group], listeners: vec![Arc::new(listener_entry)], workers: 2 };
        let directory = watch::Sender::new(Arc::new(content));
        let (events, listening) = (broadcast::Sender::new(4), watch::Sender::new(true));
        let metrics = Metrics::new();
        let access = watch::Sender::new(Arc::<Access>::default());
        let context = Context {
            access: access.subscribe(),
            metrics: metrics.clone(),
            directory: directory.subscribe(),
            events: events.clone(),
            reload,
            started: SystemTime::now(),
            listening: listening.subscribe(),
        };
        let serving = tokio::spawn(serve_within(listener, context, limits));
        Self { address, serving, directory, status, events, listening, held, metrics, access, asked, reloaded, deaf }
    }

    /// A second group that has not been checked yet and has no primary.
    pub fn add_unchecked_group(&self) {
        let status = GroupStatus { name: "cache".into(), why: "nobody has answered yet".into(), ..GroupStatus::default() };
        let status = watch::Sender::new(Arc::new(status)).subscribe();
        let entry = GroupEntry { name: "cache".into(), status, commands: mpsc::channel(1).0, held: Arc::default() };
        self.directory.send_modify(|directory| Arc::make_mut(directory).groups.push(entry));
    }

    /// From now on everything but health, readiness and metrics needs this token, or nothing.
    pub fn token(&self, token: Option<&str>) {
        self.access.send_replace(Arc::new(Access::new(&Admin { token: token.map(Secret::new), ..Admin::default() }).unwrap()));
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request without a body.
    pub async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, "", "").await
    }

    pub async fn post(&self, path: &str, body: &str) -> Response {
        self.ask("POST", path, "", body).await
    }

    /// One request; `headers` are whole lines. `Host` is the address, unless given.
    pub async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address) };
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.raw(&format!("{method} {path} HTTP/1.1\r\n{host}{headers}{length}Connection: close\r\n\r\n{body}")).await
    }

    /// Sends bytes as they are and reads until the server closes.
    pub async fn raw(&self, request: &str) -> Response {
        let mut stream = self.connect().await;
        // The server may refuse and close while the rest of a request that is too large is still on its way.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut bytes = Vec::new();
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("an answer in time");
        Response::parse(&String::from_utf8(bytes).unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Debug)]
pub struct Response {
    pub code: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not an HTTP response: {text:?}"));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status code");
        Self { code, head: head.to_ascii_lowercase(), body: body.into() }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// The code and the sentence of `{"message"}` or `{"error"}`.
    pub fn said(&self) -> (u16, String) {
        let json = self.json();
        let key = if self.code == 200 { "message" } else { "error" };
        (self.code, json[key].as_str().unwrap_or_else(|| panic!("no {key}: {json}")).to_owned())
    }
}

async fn coordinate(mut inbox: mpsc::Receiver<Command>, asked: Arc<Mutex<Vec<Action>>>, deaf: Arc<AtomicBool>) {
    while let Some(Command { action, reply }) = inbox.recv().await {
        asked.lock().unwrap().push(action.clone());
        if deaf.load(Ordering::Relaxed) {
            continue;
        }
        let answer = match action {
            Action::Elect { backend } if backend == "a:1" => Ok("a:1 is primary in epoch 4".into()),
            Action::Elect { backend } if backend == "unix:/run/b.sock" => Err(Refusal::NotNow("it is a replica".into())),
            Action::Backend { backend, state: AdminState::Maintenance, force: false } if backend == "a:1" => {
                Err(Refusal::NotNow("a:1 is the only possible primary; force it".into()))
            }
            Action::Backend { backend, state, .. } if backend != "c:1" => Ok(format!("{backend} is now {}", state.as_str())),
            Action::Elect { backend } | Action::Backend { backend, .. } => {
                Err(Refusal::NoSuchBackend(format!("group jobs has no backend {backend}")))
            }
        };
        let _ = reply.send(answer);
    }
}

async fn answer_reloads(mut requests: mpsc::Receiver<ReloadRequest>, reloaded: Arc<Mutex<Result<Vec<String>, String>>>) {
    while let Some(reply) = requests.recv().await {
        let answer = reloaded.lock().unwrap().clone();
        let _ = reply.send(answer);
    }
}
