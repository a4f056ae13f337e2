//! Everything at once, in an order that chance decides: crashes, stops, silences, promotions beside living primaries, a mainstay
//! that stands still, reloads. A writer works all the time. Each of its commands carries the number of the last settled change,
//! so that a byte which reaches a server after mainstay has named another one is seen.
//!
//! `CHAOS_SEED=1234 cargo test --test chaos` plays the same order again; `CHAOS_TURNS=100` plays longer.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use harness::expected::*;
use harness::*;

/// A writer that connects again whenever it is cut off. Counts the writes acknowledged since the last settled change.
struct Writer {
    settled: Arc<AtomicU64>,
    acknowledged: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn on(address: String) -> Self {
        let (settled, acknowledged, over) = (Arc::default(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (change, count, stop) = (Arc::<AtomicU64>::clone(&settled), acknowledged.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            let mut client: Option<Client> = None;
            while !stop.load(Ordering::SeqCst) {
                let key = marker(change.load(Ordering::SeqCst));
                let answer = match &mut client {
                    Some(client) => client.ask_within(ms(2000), &["INCR", &key]),
                    None => Err(Gone::Closed),
                };
                match answer {
                    Ok(Reply::Int(_)) => _ = count.fetch_add(1, Ordering::SeqCst),
                    _ => client = Client::try_connect(&address).ok(),
                }
                std::thread::sleep(ms(2));
            }
        });
        Self { settled, acknowledged, over, thread: Some(thread) }
    }

    /// From now on commands carry the number of the next change.
    fn settle(&self) -> u64 {
        self.acknowledged.store(0, Ordering::SeqCst);
        self.settled.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Ends in a letter, so that no marker is the beginning of another.
fn marker(change: u64) -> String {
    format!("after-change-{change}-x")
}

/// Chance that can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Three servers, each behind a relay by which mainstay knows it; `primary` is the one that is rightly so.
struct World {
    servers: Vec<Redis>,
    relays: Vec<Recorder>,
    mainstay: Mainstay,
    primary: usize,
}

impl World {
    fn start() -> Self {
        let servers = Redis::family(2);
        let relays: Vec<Recorder> = servers.iter().map(|server| Recorder::relay(&server.address())).collect();
        let setup = Setup::at(relays.iter().map(Recorder::address)).hold("window = \"20s\"");
        let mainstay = setup.expecting(&[LOST, DOWN, SILENT, CONFLICT, TIE, STALLED, LOADING, RETURNED_EMPTY]).start();
        mainstay.wait_for_primary(&relays[0].address());
        Self { servers, relays, mainstay, primary: 0 }
    }

    /// Plays one thing; returns what it was.
    fn disturb(&mut self, what: usize, other: usize) -> &'static str {
        let (old, new) = (self.primary, (self.primary + 1 + other) % 3);
        self.servers[new].wait_in_step(&self.servers[old]);
        match what {
            0 => {
                self.servers[old].failover_to(&self.servers[new]);
                self.primary = new;
                "a planned failover"
            }
            1 => {
                self.servers[old].kill9();
                self.servers[new].promote();
                self.primary = new;
                self.follow_all(Some(old));
                self.mainstay.wait_for_primary(&self.relays[new].address());
                self.servers[old].start_again_as_master();
                "a crash, a promotion, and the return of the old one as a master"
            }
            2 => {
                self.servers[old].process.stop();
                self.servers[new].promote();
                self.primary = new;
                self.mainstay.wait_for_primary(&self.relays[new].address());
                self.servers[old].process.cont();
                "a stopped primary that wakes up after a promotion"
            }
            3 => {
                self.mainstay.process.stop();
                self.servers[new].promote();
                self.primary = new;
                std::thread::sleep(ms(2500));
                self.mainstay.process.cont();
                "a promotion beside the living primary while mainstay stands still"
            }
            4 => {
                self.relays[old].hold_replies(true);
                std::thread::sleep(ms(700));
                self.relays[old].hold_replies(false);
                "a silence of the primary"
            }
            5 => {
                self.servers[new].kill9();
                self.servers[new].lose_rdb();
                self.servers[new].start_again_as_master();
                std::thread::sleep(ms(500));
                "a replica that returns as an empty master"
            }
            _ => {
                self.mainstay.setup.hold = format!("window = \"{}s\"", 15 + other);
                let (code, answer) = self.mainstay.reload();
                assert_eq!(code, 200, "{answer}");
                self.servers[new].promote();
                self.primary = new;
                "a reload and a promotion"
            }
        }
    }

    /// mainstay has seen that the others are replicas of the primary. Proof of succession rests on that: a replica that is promoted
    /// before any check saw it carry the primary's id proves nothing.
    fn all_seen(&self) -> bool {
        let all = self.mainstay.group()["backends"].take();
        let id = |place: usize| all[place]["replid"].as_str().map(str::to_owned);
        (0..3).all(|place| id(place).is_some() && id(place) == id(self.primary))
            && (0..3).all(|place| place == self.primary || all[place]["link_up"] == true)
    }

    /// Makes every server but `except` and the primary a replica of the primary.
    fn follow_all(&self, except: Option<usize>) {
        for place in (0..3).filter(|place| *place != self.primary && Some(*place) != except) {
            self.servers[place].follow(&self.servers[self.primary]);
        }
    }
}

#[test]
fn no_byte_reaches_a_server_after_mainstay_has_named_another_whatever_happens() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let seed = number("CHAOS_SEED", clock as u64);
    println!("CHAOS_SEED={seed}");
    let mut chance = Chance(seed);
    let mut world = World::start();
    let writer = Writer::on(world.mainstay.listen.clone());
    let (mut epoch, mut change) = (world.mainstay.epoch(), 0);
    for turn in 0..number("CHAOS_TURNS", 8) {
        let wrote = || writer.acknowledged.load(Ordering::SeqCst);
        wait_until(PATIENCE, "the writer writes", || wrote() >= 20);
        let what = world.disturb(chance.below(7), chance.below(2));
        println!("turn {turn}: {what}; the primary is {}", world.relays[world.primary].address());
        world.mainstay.wait_for_primary(&world.relays[world.primary].address());
        change = writer.settle();
        wait_until(PATIENCE, "the writer writes to the rightful one", || wrote() >= 20);
        world.follow_all(None);
        for place in (0..3).filter(|place| *place != world.primary) {
            world.servers[place].wait_for_link();
            let strayed = world.relays[place].count(&marker(change), None);
            assert_eq!(strayed, 0, "{} got writes that were not its own after: {what}", world.relays[place].address());
        }
        wait_until(PATIENCE, "mainstay has seen the replicas", || world.all_seen());
        let now = world.mainstay.epoch();
        assert!(now >= epoch, "the epoch shrank from {epoch} to {now}");
        epoch = now;
    }
    drop(writer);
    let last = world.servers[world.primary].command(&["GET", &marker(change)]).text();
    assert!(last.parse::<u64>().is_ok_and(|count| count >= 15), "{last:?}");
}
