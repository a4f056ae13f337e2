//! The accepting thread. It owns `max_connections` and the descriptors that sessions may use, and hands each socket to the worker with
//! the fewest sessions: sessions live for days, so a kernel that spreads connections by a hash would leave workers lopsided.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tracing::warn;

use super::bind::Bound;
use super::entrance::Meeting;
use super::place::Place;
use super::policy::Policy;
use super::reception::{Desk, NOT_ALLOWED, NOT_IN_ALLOW, shown};
use super::refusals::Refusals;
use super::transport::{Accepted, Stream};
use super::worker::WorkerHandle;
use crate::config::BindAddress;
use crate::metrics::{ArrivalRefusal, CloseReason};

/// What Redis itself says (networking.c).
const FULL: &[u8] = b"-ERR max number of clients reached\r\n";
/// Refused clients that are being told so; beyond it they are closed without a word.
const REFUSING_MAX: usize = 32;
/// How long accepting rests when descriptors or memory have run out. The backlog keeps clients meanwhile.
const REST: Duration = Duration::from_millis(100);
/// Accepted in a row before other listeners get a turn.
const ACCEPTS_PER_TURN: usize = 64;
/// The same trouble is said at most this often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A listener with its socket.
pub struct Listening {
    /// Its rules.
    pub policy: Arc<Policy>,
    /// Its socket; the same one across reloads that leave the address alone.
    pub bound: Arc<Bound>,
}

/// What the acceptor is told.
pub enum AcceptorOrder {
    /// From now on these, and no others. Answered once the others are closed.
    Listen(Vec<Listening>, oneshot::Sender<()>),
}

/// Sessions of all listeners together.
#[derive(Clone, Debug)]
pub struct Capacity {
    /// Open now.
    pub total: Arc<AtomicUsize>,
    /// As many as there are descriptors for.
    pub max: usize,
}

/// Starts the accepting thread. It ends when the sender is gone.
pub fn spawn(
    workers: Vec<WorkerHandle>,
    capacity: Capacity,
) -> io::Result<(mpsc::UnboundedSender<AcceptorOrder>, std::thread::JoinHandle<()>)> {
    let (sender, inbox) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = move || {
        let acceptor = Acceptor {
            workers: workers.into(),
            capacity,
            reception: RefCell::default(),
            refusals: Refusals::default(),
            refusing: Cell::new(0),
            said: Cell::new(None),
        };
        LocalSet::new().block_on(&runtime, serve(Rc::new(acceptor), inbox));
    };
    let thread = std::thread::Builder::new().name("acceptor".into()).spawn(body)?;
    Ok((sender, thread))
}

struct Acceptor {
    workers: Arc<[WorkerHandle]>,
    capacity: Capacity,
    /// Started when a listener needs it.
    reception: RefCell<Option<Desk>>,
    refusals: Refusals,
    refusing: Cell<usize>,
    said: Cell<Option<Instant>>,
}

/// A listener's task and what it goes by.
struct Running {
    policy: Rc<RefCell<Arc<Policy>>>,
    bound: Arc<Bound>,
    task: JoinHandle<()>,
}

async fn serve(acceptor: Rc<Acceptor>, mut inbox: mpsc::UnboundedReceiver<AcceptorOrder>) {
    let mut running: HashMap<Arc<str>, Running> = HashMap::new();
    while let Some(AcceptorOrder::Listen(listeners, done)) = inbox.recv().await {
        let stays = |name: &str, bound: &Arc<Bound>| {
            listeners.iter().any(|wanted| *wanted.policy.listener.name == *name && Arc::ptr_eq(&wanted.bound, bound))
        };
        let gone: Vec<Arc<str>> =
            running.iter().filter(|(name, task)| !stays(name, &task.bound)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            if let Some(Running { task, .. }) = running.remove(&name) {
                task.abort();
                // Its socket must be free before it is used anew or its address is bound again.
                let _ = task.await;
            }
        }
        for Listening { policy, bound } in listeners {
            acceptor.open_reception(&policy);
            let name = policy.listener.name.clone();
            if let Some(present) = running.get(&name) {
                *present.policy.borrow_mut() = policy;
                continue;
            }
            let policy = Rc::new(RefCell::new(policy));
            match Socket::register(&bound) {
                Ok(socket) => {
                    let task = spawn_local(acceptor.clone().accept(socket, policy.clone()));
                    running.insert(name, Running { policy, bound, task });
                }
                Err(error) => warn!(listener = %name, "cannot wait for clients on this listener: {error}"),
            }
        }
        // Who asked may have gone.
        let _ = done.send(());
    }
}

/// A listening socket registered with the accepting thread's runtime.
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    fn register(bound: &Bound) -> io::Result<Self> {
        let own = bound.socket.try_clone()?;
        Ok(match bound.address {
            BindAddress::Tcp(_) => Self::Tcp(TcpListener::from_std(own.into())?),
            BindAddress::Unix(_) => Self::Unix(UnixListener::from_std(own.into())?),
        })
    }

    /// The client is taken out of this thread's runtime again: its worker has another.
    async fn accept(&self) -> io::Result<(Accepted, Option<SocketAddr>)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                (Accepted::Tcp(stream.into_std()?), Some(peer))
            }
            Self::Unix(listener) => (Accepted::Unix(listener.accept().await?.0.into_std()?), None),
        })
    }
}

impl Acceptor {
    async fn accept(self: Rc<Self>, socket: Socket, policy: Rc<RefCell<Arc<Policy>>>) {
        let mut in_turn = 0;
        loop {
            match socket.accept().await {
                Ok((accepted, peer)) => {
                    let policy = policy.borrow().clone();
                    self.place(accepted, peer, policy);
                    in_turn += 1;
                    if in_turn >= ACCEPTS_PER_TURN {
                        in_turn = 0;
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if is_exhaustion(&error) => {
                    self.say(&policy.borrow(), &error);
                    tokio::time::sleep(REST).await;
                }
                // The client gave up in the backlog (accept(2) lists the errors that concern it alone).
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// Listeners that ask for more than an address have it shown elsewhere.
    fn open_reception(&self, policy: &Policy) {
        let is_needed = policy.entrance.as_ref().is_some_and(|entrance| entrance.tls.is_some() || !entrance.proxies.is_empty());
        let mut reception = self.reception.borrow_mut();
        if is_needed && reception.is_none() {
            match Desk::open() {
                Ok(desk) => *reception = Some(desk),
                Err(error) => {
                    warn!(listener = %policy.listener.name, "cannot start the thread for TLS and PROXY headers: {error}")
                }
            }
        }
    }

    fn place(self: &Rc<Self>, accepted: Accepted, peer: Option<SocketAddr>, policy: Arc<Policy>) {
        policy.metrics.accepted.inc();
        let entrance = policy.entrance.as_ref();
        let meeting = entrance.map_or(Meeting::Enters, |entrance| entrance.meets(peer));
        let speaks_tls = entrance.is_some_and(|entrance| entrance.tls.is_some());
        // Who expects TLS is told nothing else.
        let refuse = |accepted, word| if speaks_tls { drop(accepted) } else { self.refuse(accepted, word) };
        if meeting == Meeting::Refused {
            policy.metrics.closed(CloseReason::Refused).inc();
            self.refusals.note(&policy, &shown(peer, None), ArrivalRefusal::Network, || NOT_IN_ALLOW.into());
            return refuse(accepted, NOT_ALLOWED);
        }
        let full = policy.listener.sessions.load(Ordering::Relaxed) >= policy.listener.max_connections;
        let no_descriptors = self.capacity.total.load(Ordering::Relaxed) >= self.capacity.max;
        if full || no_descriptors {
            policy.metrics.closed(CloseReason::Refused).inc();
            return refuse(accepted, FULL);
        }
        let take = |policy| Place::take(policy, self.workers.clone(), self.capacity.total.clone());
        let Meeting::Waits { header } = meeting else { return take(policy).hand_on(accepted) };
        match self.reception.borrow_mut().as_mut().map(|desk| (desk.enter(peer, header), desk)) {
            Some((Ok(source), desk)) => desk.receive(accepted, peer, source, take(policy)),
            Some((Err(full), _)) => {
                policy.metrics.closed(CloseReason::Refused).inc();
                self.refusals.note(&policy, &shown(peer, None), ArrivalRefusal::Crowd, || full.to_string());
            }
            // There is no thread for it, which was said.
            None => policy.metrics.closed(CloseReason::Error).inc(),
        }
    }

    fn refuse(self: &Rc<Self>, accepted: Accepted, word: &'static [u8]) {
        if self.refusing.get() >= REFUSING_MAX {
            return;
        }
        let Ok(client) = Stream::from_accepted(accepted) else { return };
        self.refusing.set(self.refusing.get() + 1);
        let acceptor = self.clone();
        spawn_local(async move {
            client.close_lingering(word).await;
            acceptor.refusing.set(acceptor.refusing.get() - 1);
        });
    }

    fn say(&self, policy: &Policy, error: &io::Error) {
        if self.said.get().is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said.set(Some(Instant::now()));
            let listener = &policy.listener.name;
            warn!(%listener, "cannot accept clients: {error}; they wait. Raise the limit of open files (LimitNOFILE), or lower max_connections");
        }
    }
}

/// Errors that stay until something is given back: resting helps, trying again at once would spin.
fn is_exhaustion(error: &io::Error) -> bool {
    let lasting = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| lasting.iter().any(|errno| errno.raw_os_error() == code))
}
