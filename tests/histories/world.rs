//! Real servers, Sentinels where the primary is to crash, and mainstay before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::author::{COUNTERS, OWN_KEYS, QUEUES};
use super::history::*;
use super::judge::Evidence;
use super::wire::{Connection, Value};
use super::workload::{Clock, Crowd, DATABASES, Manners};
use crate::harness::expected::*;
use crate::harness::*;

/// A group of servers and, where wanted, a mainstay that leads to it.
pub struct World {
    /// The one clock.
    pub clock: Clock,
    /// Changes of the primary so far.
    pub failovers: Vec<Failover>,
    /// The first to end: it would warn that the servers are gone.
    mainstay: Option<Mainstay>,
    servers: Vec<Redis>,
    primary: usize,
    sentinels: Option<Sentinels>,
    crowd: Option<Crowd>,
    marker: Option<Marker>,
    watches: usize,
    manners: Manners,
}

impl World {
    /// One server, and no mainstay.
    pub fn direct(manners: Manners) -> Self {
        Self::of(vec![Redis::start(&[])], None, None, manners)
    }

    /// Two servers that change roles by FAILOVER.
    pub fn planned(listener: &str, manners: Manners) -> Self {
        let servers = Redis::family(1);
        let setup = Setup::of(&servers).listener(listener);
        let mainstay = setup.start_on(&servers[0]);
        Self::of(servers, None, Some(mainstay), manners)
    }

    /// Three servers that crash, and three Sentinels that see to it.
    pub fn crashing(listener: &str, manners: Manners) -> Self {
        let servers = Redis::family(2);
        let sentinels = Sentinels::start(3, 2, &servers[0], 2, 1000);
        // Longer than Sentinel's down-after, and its election.
        let setup = Setup::of(&servers).listener(listener).hold("window = \"20s\"");
        let mainstay = setup.expecting(&[DOWN, LOST, SHARED_LOST, CONFLICT, LOADING]).start_on(&servers[0]);
        Self::of(servers, Some(sentinels), Some(mainstay), manners)
    }

    fn of(servers: Vec<Redis>, sentinels: Option<Sentinels>, mainstay: Option<Mainstay>, manners: Manners) -> Self {
        let address = mainstay.as_ref().map_or_else(|| servers[0].address(), |mainstay| mainstay.listen.clone());
        for db in 0..DATABASES {
            let mut connection = database(&servers[0], db);
            for client in 0..manners.clients {
                let reply = connection.ask(&["HSET", &own(client, "hash"), "whose", &client.to_string()]);
                assert_eq!(reply, Ok(Value::Int(1)));
            }
        }
        servers.iter().skip(1).for_each(|replica| replica.wait_in_step(&servers[0]));
        let clock = Clock::start();
        let crowd = Some(Crowd::start(&address, manners, clock));
        let (marker, watches) = (None, 0);
        Self { clock, failovers: Vec::new(), servers, primary: 0, sentinels, mainstay, crowd, marker, watches, manners }
    }

    /// Until the clients have been given this many more answers.
    #[track_caller]
    pub fn work(&self, answers: u64) {
        let crowd = self.crowd.as_ref().expect("clients at work");
        let due = crowd.answered() + answers;
        wait_until(Duration::from_secs(60), "the clients are answered", || crowd.answered() >= due);
    }

    /// A planned change, and a moment of work on the new primary.
    #[track_caller]
    pub fn fail_over(&mut self) {
        let (old, new) = (self.primary, 1 - self.primary);
        let begun = self.clock.now();
        self.servers[old].failover_to(&self.servers[new]);
        self.primary = new;
        self.is_served(begun, None);
        self.servers[old].wait_for_link();
    }

    /// kill -9 of the primary, and whatever Sentinel makes of it. The dead one comes back as a replica.
    #[track_caller]
    pub fn crash(&mut self) {
        let old = self.primary;
        self.watch();
        self.work(200);
        let role = field(&self.servers[old], "role");
        assert_eq!(role, "master", "Sentinel took a living primary for dead: is the machine too busy?");
        let begun = self.clock.now();
        self.servers[old].kill9();
        let others: Vec<usize> = (0..self.servers.len()).filter(|other| *other != old).collect();
        let promoted = || others.iter().copied().find(|other| field(&self.servers[*other], "role") == "master");
        wait_until(Duration::from_secs(30), "Sentinel has promoted a replica", || promoted().is_some());
        let new = promoted().expect("as just seen");
        let received = self.received(new);
        self.primary = new;
        self.watch();
        // Nobody is promoted before Sentinel's down-after is over; by then the last words of the dead one have been read.
        self.is_served(begun, Some((received, begun + 500_000)));
        let (dead, new) = two(&mut self.servers, old, new);
        dead.start_again_as_replica_of(new);
        let settled = Instant::now() + Duration::from_secs(60);
        while !self.is_settled() {
            assert!(Instant::now() < settled, "the Sentinels are not content, or a replica does not follow");
            self.notice_a_second_failover();
            std::thread::sleep(Duration::from_millis(20));
        }
        self.marker = None;
    }

    /// All replicas follow, and the Sentinels know it.
    fn is_settled(&self) -> bool {
        let port = self.servers[self.primary].port.to_string();
        let follows = |server: &Redis| field(server, "master_port") == port && field(server, "master_link_status") == "up";
        let sentinels = self.sentinels.as_ref().expect("Sentinels");
        (0..self.servers.len()).all(|place| place == self.primary || follows(&self.servers[place]))
            && sentinels.are_content_with(&self.servers[self.primary], self.servers.len() - 1)
    }

    /// Now and then two Sentinels lead, and the second promotes another replica, beside the living primary that the first has made.
    /// What that one had acknowledged meanwhile is lost, as after a crash.
    #[track_caller]
    fn notice_a_second_failover(&mut self) {
        let named = self.sentinels.as_ref().and_then(Sentinels::primary);
        let Some(new) = self.servers.iter().position(|server| Some(server.port) == named) else { return };
        if new == self.primary || field(&self.servers[new], "role") != "master" {
            return;
        }
        self.mainstay.as_ref().expect("a mainstay").wait_for_primary(&self.servers[new].address());
        let last_words = self.clock.now() + 500_000;
        let received = self.received(new);
        println!("the Sentinels failed over a second time");
        self.primary = new;
        self.watch();
        self.is_served(received, Some((received, last_words)));
    }

    /// From now on it can be told what a successor of the primary has received.
    fn watch(&mut self) {
        self.watches += 1;
        let key = format!("marker:{}", self.watches);
        self.marker = Some(Marker::on(&self.servers[self.primary], key, self.clock));
    }

    /// What had been acknowledged at this moment was received by `new`.
    #[track_caller]
    fn received(&mut self, new: usize) -> u64 {
        let (key, sent) = self.marker.take().expect("it is watched").end();
        let mut last = None;
        // Sentinel ends all connections of a server whose role it changes.
        wait_until(PATIENCE, "the new primary shows its marker", || {
            last = Connection::open(self.servers[new].address().parse().expect("host:port"))
                .ok()
                .and_then(|mut connection| connection.ask(&["GET", &key]).ok());
            last.is_some()
        });
        match last {
            Some(Value::Bulk(text)) => text.parse().ok().and_then(|last: usize| sent.get(last - 1).copied()).expect("as sent"),
            // Not even the first.
            _ => sent.first().copied().unwrap_or(0),
        }
    }

    /// The change is over once mainstay leads to the new primary and clients are answered there.
    #[track_caller]
    fn is_served(&mut self, begun: u64, undone: Option<(u64, u64)>) {
        self.mainstay.as_ref().expect("a mainstay").wait_for_primary(&self.servers[self.primary].address());
        self.work(self.manners.clients as u64);
        // The last connections of the old epoch end a moment later.
        let over = self.clock.now() + 500_000;
        self.failovers.push(Failover { begun, over, undone });
    }

    /// Everything there is to judge by. Ends the clients.
    pub fn end(mut self) -> Evidence {
        let histories = self.crowd.take().expect("clients at work").end();
        let mut evidence = Evidence { histories, failovers: std::mem::take(&mut self.failovers), ..Evidence::default() };
        for db in 0..DATABASES {
            let mut connection = database(&self.servers[self.primary], db);
            let counters = (0..COUNTERS).map(|number| format!("n{number}")).chain([SCRIPT_COUNT.to_owned()]);
            let clients = 0..self.manners.clients;
            let own_keys = clients.clone().flat_map(|client| (0..OWN_KEYS).map(move |key| own(client, &format!("k{key}"))));
            let own_counters = clients.clone().map(|client| own(client, "n"));
            for key in counters.chain(own_keys).chain(own_counters) {
                let value = match connection.ask(&["GET", &key]) {
                    Ok(Value::Bulk(text)) => Some(text),
                    Ok(Value::Nil(_)) => None,
                    other => panic!("{key}: {other:?}"),
                };
                evidence.strings.insert((db, key), value);
            }
            let queues = (0..QUEUES).map(|number| format!("q{number}")).chain([PAIRS.to_owned(), SCRIPTS.to_owned()]);
            for key in queues.chain(clients.clone().map(|client| own(client, "log"))) {
                let list = match connection.ask(&["LRANGE", &key, "0", "-1"]) {
                    Ok(Value::Array(items)) => items.into_iter().map(text).collect(),
                    other => panic!("{key}: {other:?}"),
                };
                evidence.lists.insert((db, key), list);
            }
        }
        evidence
    }

    /// How often mainstay asked something again, by reason; for people.
    pub fn retries(&self) -> String {
        let text = self.mainstay.as_ref().and_then(|mainstay| mainstay.get("/metrics")).map(|(_, body)| body).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("mainstay_retries_total")).collect::<Vec<_>>().join("\n")
    }
}

fn text(value: Value) -> String {
    if let Value::Bulk(text) = value { text } else { format!("{value:?}") }
}

fn database(server: &Redis, db: usize) -> Connection {
    let mut connection = Connection::open(server.address().parse().expect("host:port")).expect("the server listens");
    assert_eq!(connection.ask(&["SELECT", &db.to_string()]), Ok(Value::Status("OK".into())));
    connection
}

/// A field of INFO; nothing while Sentinel changes the server's role, which ends all its connections.
fn field(server: &Redis, name: &str) -> String {
    let info = Connection::open(server.address().parse().expect("host:port")).ok().and_then(|mut connection| {
        let Ok(Value::Bulk(info)) = connection.ask(&["INFO", "replication"]) else { return None };
        Some(info)
    });
    let line = info.as_deref().and_then(|info| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')));
    line.unwrap_or_default().trim().to_owned()
}

fn two(servers: &mut [Redis], one: usize, other: usize) -> (&mut Redis, &Redis) {
    let [one, other] = servers.get_disjoint_mut([one, other]).expect("two different servers");
    (one, other)
}

/// Writes a number directly to the primary, over and over, and notes when it sent which: so that what its successor has of it tells
/// up to when the successor received everything.
struct Marker {
    key: String,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<u64>>>,
}

impl Marker {
    fn on(server: &Redis, key: String, clock: Clock) -> Self {
        let mut connection = database(server, 0);
        let over = Arc::<AtomicBool>::default();
        let (stop, name) = (over.clone(), key.clone());
        let work = move || {
            let mut sent = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                sent.push(clock.now());
                if connection.ask(&["SET", &name, &sent.len().to_string()]).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            sent
        };
        Self { key, over, thread: Some(std::thread::spawn(work)) }
    }

    /// The key, and when number 1, 2, … was sent.
    fn end(mut self) -> (String, Vec<u64>) {
        self.over.store(true, Ordering::SeqCst);
        let sent = self.thread.take().map(|thread| thread.join().expect("it does not panic"));
        (std::mem::take(&mut self.key), sent.unwrap_or_default())
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
