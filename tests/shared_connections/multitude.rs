//! Many sessions at once, in one thread, so that a thousand of them leave time for those that are looked at.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::asks::WHOLE;
use super::author::{Author, BIG, Common, DATABASES, SHARED_KEYS};
use super::session::{End, Ledger, Session};
use crate::harness::{Client, Redis, client};

/// Between two looks at who is due.
const TICK: Duration = Duration::from_millis(5);
/// Faults beyond these tell nothing new.
const FAULTS: usize = 10;

/// How sessions behave.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How many at a time.
    pub sessions: usize,
    /// What chance begins with.
    pub seed: u64,
    /// The longest pause between two things that a session does.
    pub think_ms: u64,
    /// Sessions leave in the middle, stop reading for a while, and come again.
    pub leaves: bool,
    /// Upstreams are lost: a session may be closed while the fate of a request is unknown.
    pub rough: bool,
    /// Nothing is asked that a demoted server still executes although it might write, such as a script that does not: nobody can know what
    /// came of that, and the session would be closed.
    pub cautious: bool,
}

/// Users as the servers are to know them.
pub const USERS: &[&str] = &[
    "user alice on >apw ~a:* ~shared:* ~big:* &* +@all",
    "user bob on >bpw ~b:* ~shared:* ~big:* &* +@all",
    "client-output-buffer-limit normal 0 0 0",
];

/// What is there before the sessions come.
pub fn furnish(server: &Redis) {
    let common = Common::new();
    for db in 0..DATABASES {
        let mut client = server.client();
        client.must(&["SELECT", &db.to_string()]);
        for number in 0..BIG.len() {
            client.must(&["SET", &format!("big:{number}"), &common.big[db][number]]);
        }
        for number in 0..SHARED_KEYS {
            let key = format!("shared:{number}");
            client.must(&["SET", &key, &format!("{key}@{db}:nobody{WHOLE}")]);
        }
        for whose in ["a", "b"] {
            let key = format!("{whose}:secret");
            client.must(&["SET", &key, &format!("{key}@{db}")]);
        }
    }
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    answered: AtomicU64,
    faults: Mutex<Vec<String>>,
}

/// Sessions at work.
pub struct Multitude {
    thread: Option<JoinHandle<Outcome>>,
    shared: Arc<Shared>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was wrong.
    pub faults: Vec<String>,
    /// What keys may hold.
    pub ledger: Ledger,
    /// Requests answered.
    pub answered: u64,
    /// Sessions that ended so.
    pub ends: std::collections::BTreeMap<End, u64>,
}

impl Multitude {
    /// They begin at once.
    pub fn start(address: &str, manners: Manners) -> Self {
        let address = address.parse().expect("host:port");
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || Hall::new(address, manners, theirs).work());
        Self { thread: Some(thread), shared }
    }

    /// Requests answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Has a fault been seen?
    pub fn is_faulty(&self) -> bool {
        !self.shared.faults.lock().expect("nobody panics with it").is_empty()
    }

    /// Lets each session finish what it is at.
    pub fn end(mut self) -> Outcome {
        self.shared.over.store(true, Ordering::SeqCst);
        self.thread.take().expect("ended once").join().expect("it does not panic")
    }
}

impl Drop for Multitude {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

/// Where the sessions are driven.
struct Hall {
    address: SocketAddr,
    manners: Manners,
    common: Rc<Common>,
    shared: Arc<Shared>,
    poll: Poll,
    /// A session, or when the next one comes.
    places: Vec<Result<Session, Instant>>,
    come: u64,
    outcome: Outcome,
}

impl Hall {
    fn new(address: SocketAddr, manners: Manners, shared: Arc<Shared>) -> Self {
        let (now, poll) = (Instant::now(), Poll::new().expect("epoll"));
        let places = (0..manners.sessions).map(|_| Err(now)).collect();
        Self { address, manners, common: Common::new(), shared, poll, places, come: 0, outcome: Outcome::default() }
    }

    fn work(mut self) -> Outcome {
        let mut events = Events::with_capacity(1024);
        let (mut looked, mut ends_by) = (Instant::now(), None);
        loop {
            let over = self.shared.over.load(Ordering::SeqCst);
            self.poll.poll(&mut events, Some(TICK)).or_else(interrupted).expect("epoll");
            let now = Instant::now();
            for event in &events {
                self.drive(event.token().0, now, over);
            }
            if now >= looked + TICK {
                looked = now;
                for place in 0..self.places.len() {
                    match &self.places[place] {
                        Ok(session) if over || session.is_due(now) => self.drive(place, now, over),
                        Err(next) if !over && now >= *next => self.admit(place, now),
                        Ok(_) | Err(_) => {}
                    }
                }
            }
            if over {
                let ends_by = *ends_by.get_or_insert(now + Duration::from_secs(60));
                if now > ends_by || self.places.iter().all(Result::is_err) {
                    break;
                }
            }
        }
        for place in 0..self.places.len() {
            self.vacate(place, Instant::now(), End::Left);
        }
        self.outcome.answered = self.shared.answered.load(Ordering::Relaxed);
        self.outcome.faults = std::mem::take(&mut *self.shared.faults.lock().expect("nobody panics with it"));
        self.outcome
    }

    fn admit(&mut self, place: usize, now: Instant) {
        // Numbered by place and by how many came, so that a seed lets each do the same again.
        let id = self.come;
        self.come += 1;
        let Ok(socket) = TcpStream::connect(self.address) else {
            self.fault(format!("cannot connect to {}", self.address));
            return;
        };
        let _ = socket.set_nodelay(true);
        let author = Author::new(id, self.manners, self.common.clone());
        let mut session = Session::new(author, socket, self.manners, now);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(session.socket(), Token(place), interest).expect("a fresh socket");
        self.places[place] = Ok(session);
    }

    fn drive(&mut self, place: usize, now: Instant, over: bool) {
        let Ok(session) = &mut self.places[place] else { return };
        let before = session.answered;
        let driven = session.drive(now, over);
        self.shared.answered.fetch_add(session.answered - before, Ordering::Relaxed);
        if let Err((end, fault)) = driven {
            if let Some(fault) = fault {
                self.fault(fault);
            }
            self.vacate(place, now, end);
        }
    }

    fn vacate(&mut self, place: usize, now: Instant, end: End) {
        let next = now + Duration::from_millis(20);
        if let Ok(session) = std::mem::replace(&mut self.places[place], Err(next)) {
            session.enter_into(&mut self.outcome.ledger);
            *self.outcome.ends.entry(end).or_default() += 1;
        }
    }

    fn fault(&self, fault: String) {
        let mut faults = self.shared.faults.lock().expect("nobody panics with it");
        if faults.len() < FAULTS {
            faults.push(fault);
        }
    }
}

fn interrupted(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

impl Outcome {
    /// Keys of which the server holds what cannot be. Nobody may be at work any more.
    pub fn lost_or_doubled(&self, server: &Redis) -> Vec<String> {
        let mut wrong = Vec::new();
        for db in 0..DATABASES {
            let keys: Vec<_> = self.ledger.iter().filter(|((of, _), _)| *of == db).collect();
            let mut connection = server.client();
            connection.must(&["SELECT", &db.to_string()]);
            for some in keys.chunks(500) {
                let asked: Vec<u8> = some.iter().flat_map(|((_, key), _)| client::command(&["GET", key])).collect();
                connection.send(&asked).expect("the server lives");
                for ((_, key), may) in some {
                    let reply = answer(&mut connection);
                    if !may.iter().any(|one| one.as_deref() == reply.as_deref()) {
                        let told = |text: Option<&str>| super::asks::shown(text.unwrap_or("nothing"));
                        let may: Vec<String> = may.iter().map(|one| told(one.as_deref())).collect();
                        wrong.push(format!("{key}@{db} holds {} instead of {may:?}", told(reply.as_deref())));
                    }
                }
            }
        }
        wrong
    }
}

fn answer(connection: &mut Client) -> Option<String> {
    match connection.reply(crate::harness::PATIENCE) {
        Ok(crate::harness::Reply::Bulk(text)) => text.map(|text| String::from_utf8_lossy(&text).into_owned()),
        other => panic!("GET was answered {other:?}"),
    }
}
