//! The load generator: one thread, edge-triggered polling, requests written down beforehand, replies compared and counted in place.
//!
//! It must cost little, because it shares the cores with what it measures. redis-benchmark parses every reply into an object and
//! formats every request; here a request is a slice that many connections share, and a reply is bytes that must look as expected.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::{Events, Interest, Poll, Token};

use super::link::Link;
use super::replies::{Expected, Replies};
use crate::support::client::encode;

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Connections.
    pub clients: usize,
    /// Requests that a client sends at once before it waits for all their replies.
    pub pipeline: usize,
    /// `GET` or `SET`.
    pub command: Command,
    /// Bytes.
    pub value_len: usize,
}

/// See [`Workload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The reply carries the value.
    Get,
    /// The request carries the value.
    Set,
}

/// What one run measured.
pub struct Measured<T> {
    /// Replies received within the window.
    pub operations: u64,
    /// How long the window was.
    pub elapsed: Duration,
    /// From sending a batch to its last reply, in microseconds, ascending.
    pub latencies_micros: Vec<u32>,
    /// What the probe said when the window opened and when it closed.
    pub probed: (T, T),
}

/// Different keys, so that Redis does not answer from one cache line.
const KEYS: usize = 128;
/// Different batches, shared by all connections.
const BATCHES: usize = 8;
/// A window lasts at least until every client was served so often on average. Thousands of clients with batches are like a wave that goes
/// back and forth between proxy and server: a shorter window would see the proxy hand out replies and no server make them.
const TURNS: usize = 4;
/// Without a reply for this long the server is taken for dead.
pub const PATIENCE: Duration = Duration::from_secs(10);

impl Workload {
    /// For example `50 GET 100 B ×16`.
    pub fn label(&self) -> String {
        let command = match self.command {
            Command::Get => "GET",
            Command::Set => "SET",
        };
        let value =
            if self.value_len < 1024 { format!("{} B", self.value_len) } else { format!("{} KiB", self.value_len / 1024) };
        format!("{} {command} {value} ×{}", self.clients, self.pipeline)
    }

    /// The name of the n-th key; one set of keys for each length of values.
    fn key(&self, n: usize) -> String {
        format!("bench:{}:{:03}", self.value_len, n % KEYS)
    }

    fn value(&self) -> String {
        "v".repeat(self.value_len)
    }

    /// Writes every key, so that each GET finds its value.
    pub fn fill(&self, address: SocketAddr) -> Result<()> {
        let mut client = crate::support::client::Client::connect(address, PATIENCE)?;
        let value = self.value();
        for n in 0..KEYS {
            client.ask(&["SET", &self.key(n), &value])?;
        }
        Ok(())
    }

    fn batches(&self) -> Vec<Rc<[u8]>> {
        let value = self.value();
        let request = |n: usize| match self.command {
            Command::Get => encode(&["GET", &self.key(n)]),
            Command::Set => encode(&["SET", &self.key(n), &value]),
        };
        (0..BATCHES).map(|batch| (0..self.pipeline).flat_map(|n| request(batch * self.pipeline + n)).collect()).collect()
    }

    /// What each reply looks like.
    pub fn expected(&self) -> Expected {
        match self.command {
            Command::Get => Expected::value(self.value_len),
            Command::Set => Expected::ok(),
        }
    }
}

/// Where a client connects to, and by which TLS.
pub type Address<'a> = (SocketAddr, Option<&'a std::sync::Arc<rustls::ClientConfig>>);

/// One client.
pub struct Connection {
    link: Link,
    /// What it sends, again and again.
    batch: Rc<[u8]>,
    /// Bytes of the batch that the kernel has taken.
    written: usize,
    /// Replies to the batch that have arrived.
    replies: Replies,
    answered: usize,
    sent_at: Instant,
    /// Whether it was ever served. A proxy may have much to do for a new connection.
    is_served: bool,
}

/// Runs a workload: until every client was served once, then `warm_up` unmeasured, then `window` measured (or longer, see [`TURNS`]),
/// then until every client has its replies. `probe` is asked when the window opens and when it closes.
pub fn run<T>(
    address: Address<'_>,
    workload: Workload,
    warm_up: Duration,
    window: Duration,
    mut probe: impl FnMut() -> Result<T>,
) -> Result<Measured<T>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(workload.clients);
    let mut scratch = vec![0; 256 * 1024];
    let expected = workload.expected();
    let mut connections = connect(address, workload, &poll)?;
    let address = address.0;

    let mut opened: Option<(Instant, T)> = None;
    let mut closed: Option<(Duration, T)> = None;
    let (mut operations, mut latencies_micros) = (0, Vec::with_capacity(1 << 18));
    let (mut unanswered, mut unserved) = (connections.len(), connections.len());
    let mut all_served = None;
    for connection in &mut connections {
        connection.begin(Instant::now())?;
    }
    while unanswered > 0 {
        poll.poll(&mut events, Some(PATIENCE)).or_else(|error| match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            _ => Err(error),
        })?;
        if events.is_empty() {
            bail!("no reply from {address} for {PATIENCE:?}");
        }
        let now = Instant::now();
        if unserved == 0 && opened.is_none() && now - *all_served.get_or_insert(now) >= warm_up {
            opened = Some((now, probe()?));
        }
        if let Some((since, _)) = &opened
            && closed.is_none()
            && now - *since >= window
            && operations >= (workload.clients * workload.pipeline * TURNS) as u64
        {
            closed = Some((now - *since, probe()?));
        }
        let measuring = opened.is_some() && closed.is_none();
        for event in &events {
            let connection = &mut connections[event.token().0];
            connection.write()?;
            let replies = connection.read(&mut scratch, &expected).with_context(|| format!("a client of {address}"))?;
            operations += if measuring { replies as u64 } else { 0 };
            if connection.answered == workload.pipeline {
                let done = Instant::now();
                unserved -= usize::from(!std::mem::replace(&mut connection.is_served, true));
                if measuring {
                    latencies_micros.push(u32::try_from((done - connection.sent_at).as_micros())?);
                }
                if closed.is_some() {
                    connection.answered = 0;
                    unanswered -= 1;
                } else {
                    connection.begin(done)?;
                }
            }
        }
    }
    latencies_micros.sort_unstable();
    let ((_, before), (elapsed, after)) = opened.zip(closed).context("the window never opened")?;
    Ok(Measured { operations, elapsed, latencies_micros, probed: (before, after) })
}

/// All clients of a workload, registered for both directions; the token is the index.
pub fn connect((address, tls): Address<'_>, workload: Workload, poll: &Poll) -> Result<Vec<Connection>> {
    let batches = workload.batches();
    let connection = |n: usize| {
        let mut link = Link::connect(address, tls)?;
        poll.registry().register(&mut link.socket, Token(n), Interest::READABLE | Interest::WRITABLE)?;
        let batch = Rc::clone(&batches[n % BATCHES]);
        let (replies, sent_at) = (Replies::default(), Instant::now());
        Ok(Connection { link, batch, written: 0, replies, answered: 0, sent_at, is_served: false })
    };
    (0..workload.clients).map(connection).collect()
}

impl Connection {
    /// Sends the next batch, as far as the kernel takes it.
    pub fn begin(&mut self, now: Instant) -> Result<()> {
        (self.written, self.answered, self.sent_at) = (0, 0, now);
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        self.link.flush().context("cannot write")?;
        while self.written < self.batch.len() {
            match self.link.write(&self.batch[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("cannot write"),
            }
        }
        Ok(())
    }

    /// Whether the kernel has taken the whole batch.
    pub fn has_sent_all(&self) -> bool {
        self.written == self.batch.len() && self.link.has_flushed()
    }

    /// Returns how many replies became complete.
    pub fn read(&mut self, scratch: &mut [u8], expected: &Expected) -> Result<usize> {
        let Self { link, replies, answered, .. } = self;
        let before = *answered;
        let goes_on = link.read(scratch, |bytes| {
            *answered += replies.count(bytes, expected)?;
            Ok(())
        })?;
        ensure!(goes_on, "the connection was closed in the middle of a round");
        Ok(*answered - before)
    }
}
