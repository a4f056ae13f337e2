//! The checker is checked: a relay in front of a server does what a proxy that shares connections must never do, and the sessions have
//! to notice it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::multitude::{Manners, Multitude, Outcome, USERS, furnish};
use super::wire::{encode, parse};
use crate::harness::*;
use crate::{kept_rightly, told_rightly, work};

/// What the relay does wrong, with every so manieth reply or request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// Two replies of one session change places.
    Order,
    /// Two sessions get each other's reply.
    Owner,
    /// A reply never comes.
    Dropped,
    /// A reply comes twice.
    Repeated,
    /// A short text never comes.
    DroppedText,
    /// A write is executed twice, and answered once.
    Doubled,
    /// A write is acknowledged and never executed.
    Lost,
}

const EVERY: usize = 300;

struct Relay {
    wrong: Wrong,
    count: AtomicUsize,
    /// A reply that waits for one of another session to change places with.
    offered: Mutex<Option<(usize, Vec<u8>)>>,
    server: SocketAddr,
}

impl Relay {
    /// Where it listens.
    fn start(wrong: Wrong, server: &Redis) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let server = server.address().parse().expect("host:port");
        let relay = Arc::new(Self { wrong, count: AtomicUsize::default(), offered: Mutex::default(), server });
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let (Ok(client), relay) = (client, relay.clone()) else { continue };
                std::thread::spawn(move || relay.session(number, client));
            }
        });
        address
    }

    fn session(self: Arc<Self>, number: usize, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.server) else { return };
        let handles = (client.try_clone(), server.try_clone());
        let (Ok(mut from_client), Ok(mut to_server)) = handles else { return };
        // Requests whose replies nobody wants.
        let unwanted = Arc::<Mutex<Vec<usize>>>::default();
        let (forward, theirs) = (self.clone(), unwanted.clone());
        std::thread::spawn(move || {
            let mut asked = 0;
            let _ = frames(&mut from_client, |request| {
                asked += 1;
                let is_own_incr = request.starts_with(b"*2\r\n$4\r\nINCR");
                if is_own_incr && forward.wrong == Wrong::Doubled && forward.is_due(20) {
                    theirs.lock().expect("nobody panics").push(asked);
                    asked += 1;
                    to_server.write_all(request)?;
                }
                if is_own_incr && forward.wrong == Wrong::Lost && forward.is_due(20) {
                    // Nothing but the number is missing: a GET of it would show the old one.
                    let key = String::from_utf8_lossy(request).lines().nth(4).unwrap_or_default().to_owned();
                    let words = ["EVAL", "return (redis.call('GET', KEYS[1]) or 0) + 1", "1", &key].map(str::to_owned);
                    return to_server.write_all(&encode(&words));
                }
                to_server.write_all(request)
            });
            let _ = to_server.shutdown(std::net::Shutdown::Both);
        });
        let (mut from_server, mut to_client) = (server, client);
        let (mut answered, mut kept) = (0, None);
        let _ = frames(&mut from_server, |reply| {
            answered += 1;
            if unwanted.lock().expect("nobody panics").contains(&answered) {
                return Ok(());
            }
            to_client.write_all(&self.spoil(number, reply, &mut kept))
        });
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    }

    fn is_due(&self, every: usize) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed) % every == every - 1
    }

    /// What the client gets instead.
    fn spoil(&self, number: usize, reply: &[u8], kept: &mut Option<Vec<u8>>) -> Vec<u8> {
        if let Some(earlier) = kept.take() {
            return [reply, &earlier].concat();
        }
        match self.wrong {
            Wrong::Nothing | Wrong::Doubled | Wrong::Lost => reply.to_vec(),
            Wrong::Order if self.is_due(EVERY) => {
                *kept = Some(reply.to_vec());
                Vec::new()
            }
            Wrong::Dropped if self.is_due(EVERY) => Vec::new(),
            // What mainstay asks for itself is longer, or none.
            Wrong::DroppedText if reply[0] == b'$' && reply.len() < 100 && self.is_due(EVERY) => Vec::new(),
            Wrong::Repeated if self.is_due(EVERY) => reply.repeat(2),
            Wrong::Owner if self.is_due(EVERY) => {
                let mut offered = self.offered.lock().expect("nobody panics");
                match offered.replace((number, reply.to_vec())) {
                    Some((other, theirs)) if other != number => theirs,
                    Some(_) | None => reply.to_vec(),
                }
            }
            Wrong::Order | Wrong::Dropped | Wrong::DroppedText | Wrong::Repeated | Wrong::Owner => reply.to_vec(),
        }
    }
}

/// Reads whole frames, requests or replies, until the end.
fn frames(from: &mut TcpStream, mut each: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    let (mut all, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let length = from.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        all.extend_from_slice(&chunk[..length]);
        loop {
            // An inline request is none of these: the sessions send a whole array before or behind it, or wait.
            let inline = all.first().is_some_and(u8::is_ascii_uppercase);
            let length = if inline {
                all.windows(2).position(|two| two == b"\r\n").map(|end| end + 2)
            } else {
                parse(&all).map_err(std::io::Error::other)?.map(|(_, length)| length)
            };
            let Some(length) = length else { break };
            each(&all[..length])?;
            all.drain(..length);
        }
    }
}

fn through_relay(wrong: Wrong) -> (Outcome, Redis) {
    let server = Redis::start(USERS);
    furnish(&server);
    let address = Relay::start(wrong, &server);
    let manners = Manners { sessions: 30, seed: 1, think_ms: 20, leaves: false, rough: false, cautious: false };
    let multitude = Multitude::start(&address, manners);
    work(&multitude, if wrong == Wrong::Nothing { ms(1000) } else { ms(10_000) }, || false);
    (multitude.end(), server)
}

#[test]
fn a_relay_that_does_nothing_wrong_is_found_to_be_without_fault() {
    let _alone = crate::alone();
    let (outcome, server) = through_relay(Wrong::Nothing);
    told_rightly(&outcome, None);
    kept_rightly(&outcome, &server);
}

#[test]
fn replies_that_changed_places_or_owners_are_noticed() {
    let _alone = crate::alone();
    for wrong in [Wrong::Order, Wrong::Owner, Wrong::Dropped, Wrong::Repeated] {
        let (outcome, _) = through_relay(wrong);
        assert!(!outcome.faults.is_empty(), "{wrong:?} was not noticed in {} replies", outcome.answered);
        println!("{wrong:?}: {}", outcome.faults[0].lines().next().unwrap_or_default());
    }
}

#[test]
fn writes_that_were_lost_or_doubled_are_noticed() {
    let _alone = crate::alone();
    for wrong in [Wrong::Doubled, Wrong::Lost] {
        let (outcome, server) = through_relay(wrong);
        let noticed = outcome.faults.len() + outcome.lost_or_doubled(&server).len();
        assert!(noticed > 0, "{wrong:?} was not noticed in {} replies", outcome.answered);
    }
}

/// The server itself loses a reply: the next check tells, and everything is asked again over another connection.
#[test]
fn with_the_alignment_verified_a_reply_that_is_lost_harms_one_moment_only() {
    let _alone = crate::alone();
    let server = Redis::start(&[]);
    let relay = Relay::start(Wrong::DroppedText, &server);
    let mainstay = Setup::at([&relay]).runtime("workers = 1").listener(crate::VERIFIED).start();
    mainstay.wait_for_primary(&relay);
    const AT_ONCE: usize = 10;
    let mut sessions: Vec<Client> = (0..8).map(|_| mainstay.client()).collect();
    let (mut wrong_rounds, mut asked) = (0, 0);
    for round in 0..100 {
        let word = |session: usize, number: usize| format!("{round}:{session}:{number}");
        for (place, session) in sessions.iter_mut().enumerate() {
            let words: Vec<u8> = (0..AT_ONCE).flat_map(|number| client::command(&["ECHO", &word(place, number)])).collect();
            session.send(&words).expect("nobody is closed");
        }
        let mut wrong = 0;
        for (place, session) in sessions.iter_mut().enumerate() {
            for number in 0..AT_ONCE {
                let reply = session.reply(PATIENCE).expect("a reply, whichever").text();
                // None is ever older than the moment.
                assert!(reply.starts_with(&format!("{round}:")) || reply.len() == 16, "{reply:?} in round {round}");
                wrong += usize::from(reply != word(place, number));
                asked += 1;
            }
        }
        wrong_rounds += usize::from(wrong > 0);
    }
    let lost = asked / EVERY + 20;
    println!("{wrong_rounds} rounds of 100 with something wrong");
    assert!(wrong_rounds > 0 && wrong_rounds <= lost, "{wrong_rounds} rounds with something wrong");
    assert!(mainstay.log.has("a check of the alignment was answered with something else"));
}
