//! Fifty clients that do everything at once, and write down what they see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::author::Author;
use super::history::*;
use super::wire::{Connection, Lost, Unasked, Value, encode};

/// No client waits longer for a reply: longer than any hold window of these tests.
const PATIENCE: Duration = Duration::from_secs(40);

/// Databases that the clients are spread over, so that a forgotten SELECT shows.
pub const DATABASES: usize = 2;

/// The one clock of a test.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Zero is now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since its start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// How the clients behave.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How many.
    pub clients: usize,
    /// The longest pause between two batches; the mean is half of it.
    pub pause_ms: u64,
    /// What chance begins with.
    pub seed: u64,
}

/// The clients at work.
pub struct Crowd {
    threads: Vec<JoinHandle<History>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    answered: AtomicU64,
}

impl Crowd {
    /// They begin at once.
    pub fn start(address: &str, manners: Manners, clock: Clock) -> Self {
        let address: SocketAddr = address.parse().expect("host:port");
        let shared = Arc::<Shared>::default();
        let work = |client| {
            let shared = shared.clone();
            let worker = move || Worker::new(client, address, manners, clock, shared).work();
            std::thread::Builder::new().stack_size(512 << 10).spawn(worker).expect("a thread")
        };
        Self { threads: (0..manners.clients).map(work).collect(), shared }
    }

    /// Requests answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Lets each finish what it is at.
    pub fn end(self) -> Vec<History> {
        self.shared.over.store(true, Ordering::SeqCst);
        self.threads.into_iter().map(|thread| thread.join().expect("a client does not panic")).collect()
    }
}

struct Worker {
    address: SocketAddr,
    clock: Clock,
    pause_ms: u64,
    author: Author,
    shared: Arc<Shared>,
    history: History,
    batches: u64,
}

impl Worker {
    fn new(client: usize, address: SocketAddr, manners: Manners, clock: Clock, shared: Arc<Shared>) -> Self {
        let history = History {
            client,
            db: client % DATABASES,
            resp3: (client / DATABASES) % 2 == 1,
            events: Vec::new(),
            oddities: Vec::new(),
        };
        let author = Author::new(client, manners.seed);
        Self { address, clock, pause_ms: manners.pause_ms, author, shared, history, batches: 0 }
    }

    fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::SeqCst)
    }

    fn work(mut self) -> History {
        while !self.is_over() {
            match Connection::open(self.address) {
                Ok(connection) => _ = self.converse(connection),
                Err(error) => self.odd(format!("cannot connect: {error}")),
            }
            // Here only after a connection ended; real clients do not spin.
            std::thread::sleep(Duration::from_millis(20));
        }
        self.history
    }

    /// Until the end, or until the connection is lost.
    fn converse(&mut self, mut connection: Connection) -> Result<(), Ended> {
        let mut greeting = self.history.resp3.then_some(Request::Hello).into_iter().collect::<Vec<_>>();
        greeting.push(Request::SetName(own(self.history.client, "name")));
        greeting.push(Request::Select(self.history.db));
        greeting.push(Request::LoadScript);
        for request in greeting {
            self.batch(&mut connection, vec![request])?;
        }
        while !self.is_over() {
            for batch in self.author.next() {
                self.batch(&mut connection, batch)?;
                let pause = self.author.chance.below(self.pause_ms.max(1));
                std::thread::sleep(Duration::from_millis(pause));
            }
        }
        Ok(())
    }

    /// Sends requests in one piece and waits for all their replies.
    fn batch(&mut self, connection: &mut Connection, requests: Vec<Request>) -> Result<(), Ended> {
        match connection.unasked() {
            None => {}
            Some(Unasked::Close) => {
                self.odd("closed although nothing was under way".into());
                return Err(Ended);
            }
            Some(Unasked::Bytes(bytes)) => {
                self.odd(format!("came unasked: {bytes:?}"));
                return Err(Ended);
            }
        }
        self.batches += 1;
        let client = self.history.client;
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(&request.words(client))).collect();
        let sent = self.clock.now();
        // A closed connection shows when reading, after what the server still said.
        let _ = connection.send(&bytes);
        let mut ended = Ok(());
        for request in requests {
            let outcome = if ended.is_ok() { self.outcome(connection) } else { Outcome::Closed };
            match &outcome {
                Outcome::Answered(_) => _ = self.shared.answered.fetch_add(1, Ordering::Relaxed),
                Outcome::Closed | Outcome::Silent => ended = Err(Ended),
            }
            let done = self.clock.now();
            self.history.events.push(Event { batch: self.batches, sent, done, request, outcome });
        }
        ended
    }

    fn outcome(&mut self, connection: &mut Connection) -> Outcome {
        match connection.reply(PATIENCE) {
            Ok(Value::Push(items)) => {
                self.odd(format!("a push that nobody asked for: {items:?}"));
                self.outcome(connection)
            }
            Ok(value) => Outcome::Answered(value),
            Err(Lost::Closed) => Outcome::Closed,
            Err(Lost::Silent) => Outcome::Silent,
            Err(Lost::Garbage(what)) => {
                self.odd(format!("no RESP: {what}"));
                Outcome::Closed
            }
        }
    }

    fn odd(&mut self, what: String) {
        self.history.oddities.push((self.clock.now(), what));
    }
}

/// The connection is gone.
struct Ended;
