//! A small name server whose answers a test changes: A, AAAA and SRV records, over UDP and TCP.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::message_builder::AnswerBuilder;
use domain::base::{Message, MessageBuilder, Name, Rtype, ToName};
use domain::rdata::{A, Aaaa, Srv};

/// Bytes that fit into an answer over UDP (RFC 1035).
const DATAGRAM_BYTES_MAX: usize = 512;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As its zone says.
    Answers,
    /// Not at all.
    Silent,
    /// SERVFAIL.
    Fails,
}

/// See the module. Ends when it is dropped.
pub struct Dns {
    /// Where it listens, on port 53.
    pub address: Ipv4Addr,
    zone: Arc<Mutex<Zone>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

struct Zone {
    addresses: HashMap<String, Vec<IpAddr>>,
    services: HashMap<String, Vec<(String, u16)>>,
    manner: Manner,
    over_tcp: usize,
    asked: usize,
}

impl Dns {
    /// Starts one; nothing where this user may not listen on port 53.
    pub fn start() -> Option<Self> {
        let mut chance = crate::harness::Chance::new(u64::from(crate::harness::free_port()));
        let (address, udp, tcp) = (0..20).find_map(|_| {
            // Any address of 127.0.0.0/8 is this machine's.
            let address = Ipv4Addr::new(127, 53, 1 + chance.below(250) as u8, 1 + chance.below(250) as u8);
            let udp = UdpSocket::bind((address, 53)).ok()?;
            Some((address, udp, TcpListener::bind((address, 53)).ok()?))
        })?;
        let zone = Zone { addresses: HashMap::new(), services: HashMap::new(), manner: Manner::Answers, over_tcp: 0, asked: 0 };
        let (zone, over) = (Arc::new(Mutex::new(zone)), Arc::new(AtomicBool::new(false)));
        let threads = vec![
            std::thread::spawn({
                let (zone, over) = (zone.clone(), over.clone());
                move || serve_udp(&udp, &zone, &over)
            }),
            std::thread::spawn({
                let (zone, over) = (zone.clone(), over.clone());
                move || serve_tcp(&tcp, &zone, &over)
            }),
        ];
        Some(Self { address, zone, over, threads })
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        self.zone.lock().expect("no panic under the lock")
    }

    /// From now on the name stands for these addresses.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        self.zone().addresses.insert(name.into(), addresses);
    }

    /// From now on the service is at these targets.
    pub fn set_service(&self, name: &str, targets: &[(&str, u16)]) {
        let targets = targets.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect();
        self.zone().services.insert(name.into(), targets);
    }

    /// Changes how it answers.
    pub fn behave(&self, manner: Manner) {
        self.zone().manner = manner;
    }

    /// Questions that came over TCP.
    pub fn asked_over_tcp(&self) -> usize {
        self.zone().over_tcp
    }

    /// Questions so far.
    pub fn asked(&self) -> usize {
        self.zone().asked
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>, over: &AtomicBool) {
    let _ = socket.set_read_timeout(Some(Duration::from_millis(20)));
    let mut buffer = [0; 4096];
    while !over.load(Ordering::SeqCst) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        let Some(answer) = answer(&buffer[..length], zone, false) else { continue };
        let answer = if answer.len() > DATAGRAM_BYTES_MAX { cut_short(&buffer[..length]) } else { answer };
        let _ = socket.send_to(&answer, peer);
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Mutex<Zone>, over: &AtomicBool) {
    let _ = listener.set_nonblocking(true);
    while !over.load(Ordering::SeqCst) {
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut question).is_err() {
                break;
            }
            let Some(answer) = answer(&question, zone, true) else { break };
            let prefix = u16::try_from(answer.len()).expect("test answers are small").to_be_bytes();
            let _ = stream.write_all(&[&prefix[..], &answer].concat());
        }
    }
}

fn answer(question: &[u8], zone: &Mutex<Zone>, over_tcp: bool) -> Option<Vec<u8>> {
    let mut zone = zone.lock().expect("no panic under the lock");
    zone.asked += 1;
    zone.over_tcp += usize::from(over_tcp);
    let message = Message::from_octets(question).ok()?;
    let asked = message.sole_question().ok()?;
    let name = asked.qname().to_name::<Vec<u8>>().to_string().trim_end_matches('.').to_ascii_lowercase();
    let known = zone.addresses.contains_key(&name) || zone.services.contains_key(&name);
    let code = match zone.manner {
        Manner::Silent => return None,
        Manner::Fails => Rcode::SERVFAIL,
        Manner::Answers if known => Rcode::NOERROR,
        Manner::Answers => Rcode::NXDOMAIN,
    };
    let mut answer: AnswerBuilder<Vec<u8>> = MessageBuilder::new_vec().start_answer(&message, code).ok()?;
    answer.header_mut().set_ra(true);
    if zone.manner == Manner::Answers {
        let owner = asked.qname();
        let mut addresses = zone.addresses.get(&name).cloned().unwrap_or_default();
        // In another order each time, as real ones do.
        let turn = zone.asked.checked_rem(addresses.len()).unwrap_or(0);
        addresses.rotate_left(turn);
        for address in &addresses {
            match (address, asked.qtype()) {
                (IpAddr::V4(address), Rtype::A) => answer.push((owner, 0, A::new(*address))).ok()?,
                (IpAddr::V6(address), Rtype::AAAA) => answer.push((owner, 0, Aaaa::new(*address))).ok()?,
                _ => {}
            }
        }
        for (target, port) in zone.services.get(&name).into_iter().flatten().filter(|_| asked.qtype() == Rtype::SRV) {
            let target: Name<Vec<u8>> = target.parse().expect("a name");
            answer.push((owner, 0, Srv::new(10, 5, *port, target))).ok()?;
        }
    }
    Some(answer.finish())
}

/// The answer without records that says: ask again over TCP.
fn cut_short(question: &[u8]) -> Vec<u8> {
    let message = Message::from_octets(question).expect("it was answered just now");
    let mut answer = MessageBuilder::new_vec().start_answer(&message, Rcode::NOERROR).expect("a vector grows");
    answer.header_mut().set_tc(true);
    answer.finish()
}
