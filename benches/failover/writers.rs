//! Clients that write without end, one thread each, and note what became of every write.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::support::client::{Client, Reply};
use crate::verdict::Attempt;

/// How the clients behave.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How many.
    pub clients: usize,
    /// Between two writes.
    pub pause: Duration,
    /// After an error, before the next try or the next connection: real clients do not spin.
    pub pause_after_error: Duration,
    /// A client gives up waiting after this and connects anew.
    pub timeout: Duration,
}

/// A set of clients that write through one address.
pub struct Writers {
    /// How the results call it.
    pub name: &'static str,
    clients: Vec<JoinHandle<Vec<Attempt>>>,
    shared: Arc<Shared>,
}

struct Shared {
    stop: AtomicBool,
    /// For each client: acknowledged writes since its last error.
    calm: Vec<AtomicU64>,
}

/// The list that a client appends its values to.
pub fn list(name: &str, client: usize) -> String {
    format!("{name}:{client}")
}

impl Writers {
    /// Starts them.
    pub fn start(name: &'static str, address: SocketAddr, manners: Manners) -> Self {
        let calm = (0..manners.clients).map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), calm });
        let client = |number| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || write_until_stopped(address, &list(name, number), number, manners, &shared))
        };
        let clients = (0..manners.clients).map(client).collect();
        Self { name, clients, shared }
    }

    /// Every client has had this many writes acknowledged since its last error.
    pub fn all_calm(&self, writes: u64) -> bool {
        self.shared.calm.iter().all(|calm| calm.load(Ordering::Relaxed) >= writes)
    }

    /// Counts again from nothing, so that calm from before an event is not taken for calm after it.
    pub fn forget_calm(&self) {
        self.shared.calm.iter().for_each(|calm| calm.store(0, Ordering::Relaxed));
    }

    /// Stops them and returns what each of them noted.
    pub fn stop(self) -> Result<Vec<Vec<Attempt>>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().map_err(|_| anyhow!("a writing client panicked"))).collect()
    }
}

fn write_until_stopped(address: SocketAddr, list: &str, number: usize, manners: Manners, shared: &Shared) -> Vec<Attempt> {
    let mut attempts = Vec::with_capacity(1 << 14);
    let mut connection: Option<Client> = None;
    for value in 0.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let sent = Instant::now();
        let error = write(&mut connection, address, list, value, manners.timeout).err();
        let done = Instant::now();
        let pause = if error.is_none() { manners.pause } else { manners.pause_after_error };
        match &error {
            None => shared.calm[number].fetch_add(1, Ordering::Relaxed),
            Some(_) => shared.calm[number].swap(0, Ordering::Relaxed),
        };
        attempts.push(Attempt { value, sent, done, error });
        std::thread::sleep(pause);
    }
    attempts
}

/// One write; on an error other than one that Redis sent, the connection is given up.
fn write(connection: &mut Option<Client>, address: SocketAddr, list: &str, value: u64, timeout: Duration) -> Result<(), String> {
    let mut client = match connection.take() {
        Some(client) => client,
        None => Client::connect(address, timeout).map_err(kind)?,
    };
    let reply = client.ask(&["RPUSH", list, &value.to_string()]).map_err(kind)?;
    *connection = Some(client);
    match reply {
        Reply::Error(why) => Err(why.split_whitespace().next().unwrap_or("error").to_owned()),
        Reply::Text(_) | Reply::Bulk(_) | Reply::Array(_) => Ok(()),
    }
}

fn kind(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "timeout",
        io::ErrorKind::InvalidData => "nonsense",
        _ => "closed",
    }
    .to_owned()
}
