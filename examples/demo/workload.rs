//! Clients that write as fast as a busy application would, and count what they were promised.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::resp::{Connection, Reply};
use crate::timeline::Timeline;

/// Some writing clients.
pub struct Workload {
    /// The mode of the listener that they go through.
    pub mode: &'static str,
    clients: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

struct Shared {
    port: u16,
    timeline: Arc<Timeline>,
    tally: Mutex<Tally>,
    stopped: AtomicBool,
}

/// What all clients together saw.
#[derive(Clone, Default)]
pub struct Tally {
    /// Writes that a server confirmed.
    pub acknowledged: u64,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u64>,
    /// The longest time that one client was without an answer.
    pub longest_pause: Duration,
    /// Clients that had an error and have not been answered since.
    waiting: u64,
}

const PAUSE_BETWEEN_WRITES: Duration = Duration::from_millis(1);
const PAUSE_BETWEEN_CONNECTS: Duration = Duration::from_millis(10);
/// Longer than mainstay holds clients in this demo.
const PATIENCE: Duration = Duration::from_secs(15);

impl Workload {
    /// Starts clients of these names of the Redis at `port`.
    pub fn start(mode: &'static str, names: impl Iterator<Item = String>, port: u16, timeline: &Arc<Timeline>) -> Self {
        let (tally, stopped) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { port, timeline: Arc::clone(timeline), tally, stopped });
        let clients = names.map(|name| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || Client { name, shared, written: 0, answered: Instant::now(), failed: false }.run())
        });
        Self { mode, clients: clients.collect(), shared }
    }

    /// What was seen since the last call.
    pub fn take_tally(&self) -> Tally {
        let mut tally = self.shared.tally.lock().expect("nothing panics under this lock");
        let waiting = tally.waiting;
        std::mem::replace(&mut *tally, Tally { waiting, ..Tally::default() })
    }

    /// No client waits for anything after an error.
    pub fn all_served(&self) -> bool {
        self.shared.tally.lock().expect("nothing panics under this lock").waiting == 0
    }

    /// Lets every client finish the write that it is at.
    pub fn stop(self) -> Tally {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let Self { clients, shared, .. } = self;
        clients.into_iter().for_each(|client| client.join().expect("a client that does not panic"));
        shared.tally.lock().expect("nothing panics under this lock").clone()
    }
}

/// The key of a client's writes: a set, so that a write which is sent again, because nobody knows whether it ran, counts once.
pub fn key(client: &str) -> String {
    format!("demo:written-by-client-{client}")
}

struct Client {
    name: String,
    shared: Arc<Shared>,
    written: u64,
    answered: Instant,
    failed: bool,
}

impl Client {
    fn run(mut self) {
        while !self.is_done() {
            let Err(error) = self.write_over_one_connection() else { continue };
            // The first new connection at once, the next ones with a pause, as client libraries do.
            if self.failed(&error) {
                thread::sleep(PAUSE_BETWEEN_CONNECTS);
            }
        }
    }

    /// Stopping in the middle of a retry would leave a write whose fate nobody knows.
    fn is_done(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst) && !self.failed
    }

    fn write_over_one_connection(&mut self) -> io::Result<()> {
        let mut connection = Connection::open(self.shared.port, PATIENCE)?;
        let key = key(&self.name);
        while !self.is_done() {
            match connection.ask(&["SADD", &key, &self.written.to_string()])? {
                Reply::Integer(_) => self.acknowledged(),
                Reply::Error(text) => return Err(io::Error::other(text)),
                Reply::Text(_) | Reply::List(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
            thread::sleep(PAUSE_BETWEEN_WRITES);
        }
        Ok(())
    }

    fn acknowledged(&mut self) {
        self.written += 1;
        let pause = self.answered.elapsed();
        self.answered = Instant::now();
        {
            let mut tally = self.shared.tally.lock().expect("nothing panics under this lock");
            tally.acknowledged += 1;
            tally.longest_pause = tally.longest_pause.max(pause);
            tally.waiting -= u64::from(self.failed);
        }
        if std::mem::take(&mut self.failed) {
            self.note(&format!("writes again, after {:.1} ms without an answer", pause.as_secs_f64() * 1000.0));
        }
    }

    /// Like a real client library: whatever went wrong, open a new connection and ask again. Returns whether this write had failed
    /// before.
    fn failed(&mut self, error: &io::Error) -> bool {
        let what = match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "connection closed".into()
            }
            io::ErrorKind::ConnectionRefused => "connection refused".into(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".into(),
            io::ErrorKind::Other => format!("-{error}").split(' ').next().unwrap_or_default().to_owned(),
            _ => error.to_string(),
        };
        {
            let mut tally = self.shared.tally.lock().expect("nothing panics under this lock");
            *tally.errors.entry(what.clone()).or_default() += 1;
            tally.waiting += u64::from(!self.failed);
        }
        let again = std::mem::replace(&mut self.failed, true);
        self.note(&if again { format!("{what}, once more") } else { format!("{what}; connects again and repeats its write") });
        again
    }

    fn note(&self, what: &str) {
        self.shared.timeline.note(&format!("client {}", self.name), what);
    }
}
