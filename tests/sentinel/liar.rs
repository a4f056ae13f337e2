//! A made-up Sentinel: it says whatever the test wants.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::harness::*;

/// What it says.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Its `MYID`.
    pub id: String,
    /// Host and port that it names.
    pub master: (String, u16),
    /// Of that.
    pub config_epoch: u64,
    /// Each answer has a higher epoch.
    pub races: bool,
    /// Ports on 127.0.0.1.
    pub replicas: Vec<u16>,
    /// Ids, and ports on 127.0.0.1.
    pub peers: Vec<(String, u16)>,
    /// In TILT.
    pub tilt: bool,
    /// Replies as bytes, by the second word of the question in capitals; sent again and again where the flag is set.
    pub raw: HashMap<&'static str, (Vec<u8>, bool)>,
    /// Sends events of this payload, as fast as they are taken.
    pub flood: Option<String>,
}

impl Story {
    /// One that names this server.
    pub fn naming(id: char, master: &Redis, config_epoch: u64) -> Self {
        let id = id.to_string().repeat(40);
        Self { id, master: (master.host.into(), master.port), config_epoch, ..Self::default() }
    }

    fn answer(&self, words: &[String]) -> Vec<u8> {
        let what = words.get(1).map(|word| word.to_uppercase()).unwrap_or_default();
        if let Some((bytes, _)) = self.raw.get(what.as_str()) {
            return bytes.clone();
        }
        let (host, port) = (self.master.0.as_str(), self.master.1.to_string());
        let epoch = self.config_epoch.to_string();
        let of = |port: &u16, id: &str| strings(&["ip", "127.0.0.1", "port", &port.to_string(), "runid", id]);
        match what.as_str() {
            "MYID" => string(&self.id),
            "MASTER" => {
                strings(&["name", "jobs", "ip", host, "port", &port, "flags", "master", "config-epoch", &epoch, "quorum", "1"])
            }
            "GET-MASTER-ADDR-BY-NAME" => strings(&[host, &port]),
            "REPLICAS" => list(self.replicas.iter().map(|port| of(port, "")).collect()),
            "SENTINELS" => list(self.peers.iter().map(|(id, port)| of(port, id)).collect()),
            "SENTINEL" => string(&format!("# Sentinel\r\nsentinel_tilt:{}\r\n", u8::from(self.tilt))),
            _ => b"+PONG\r\n".to_vec(),
        }
    }
}

/// See the module. Ends with the test.
pub struct Liar {
    /// Where it listens.
    pub port: u16,
    story: Arc<Mutex<Story>>,
    over: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Liar {
    /// Starts one.
    pub fn telling(story: Story) -> Self {
        let (listener, port) = loop {
            let port = free_port();
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                break (listener, port);
            }
        };
        listener.set_nonblocking(true).expect("a fresh socket");
        let liar = Self { port, story: Arc::new(Mutex::new(story)), over: Arc::default(), asked: Arc::default() };
        let (story, over, asked) = (liar.story.clone(), liar.over.clone(), liar.asked.clone());
        thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                };
                let (story, over, asked) = (story.clone(), over.clone(), asked.clone());
                thread::spawn(move || serve(stream, &story, &over, &asked));
            }
        });
        liar
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes what it says.
    pub fn change(&self, change: impl FnOnce(&mut Story)) {
        change(&mut self.story.lock().expect("no panic holds it"));
    }

    /// How often it was asked for the master.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// `[group.sentinel]` with these.
pub fn section(liars: &[Liar]) -> String {
    let addresses: Vec<String> = liars.iter().map(Liar::address).collect();
    format!("master_name = \"jobs\"\naddresses = {addresses:?}\n")
}

fn serve(mut stream: TcpStream, story: &Mutex<Story>, over: &AtomicBool, asked: &AtomicUsize) {
    let _ = (stream.set_nonblocking(false), stream.set_nodelay(true));
    let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
    let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
    let (mut unread, mut chunk) = (Vec::new(), [0; 4096]);
    while !over.load(Ordering::SeqCst) {
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => unread.extend_from_slice(&chunk[..length]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
        while let Some((words, length)) = question(&unread) {
            unread.drain(..length);
            let now = {
                let mut story = story.lock().expect("no panic holds it");
                let what = words.get(1).map(|word| word.to_uppercase()).unwrap_or_default();
                if what == "MASTER" {
                    asked.fetch_add(1, Ordering::SeqCst);
                    story.config_epoch += u64::from(story.races);
                }
                story.clone()
            };
            if words[0].eq_ignore_ascii_case("PSUBSCRIBE") {
                let mut greeting = b"*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n".to_vec();
                if let Some(payload) = &now.flood {
                    let event = strings(&["pmessage", "*", "+sdown", payload]);
                    let many = event.repeat(200);
                    let _ = stream.write_all(&greeting);
                    while !over.load(Ordering::SeqCst) && stream.write_all(&many).is_ok() {}
                    return;
                }
                if let Some((bytes, _)) = now.raw.get("*") {
                    greeting = bytes.clone();
                }
                let _ = stream.write_all(&greeting);
                continue;
            }
            let bytes = now.answer(&words);
            let repeats =
                words.get(1).and_then(|word| now.raw.get(word.to_uppercase().as_str())).is_some_and(|(_, again)| *again);
            while stream.write_all(&bytes).is_ok() && repeats && !over.load(Ordering::SeqCst) {}
            if repeats {
                return;
            }
        }
    }
}

/// The first command in `bytes` and its length, once it is complete.
fn question(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let line = |at: usize| {
        let end = at + bytes.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
        Some((String::from_utf8_lossy(&bytes[at + 1..end]).parse::<usize>().ok()?, end + 2))
    };
    let (count, mut at) = line(0)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, begin) = line(at)?;
        words.push(String::from_utf8_lossy(bytes.get(begin..begin + length)?).into_owned());
        at = begin + length + 2;
    }
    (bytes.len() >= at).then_some((words, at))
}

/// A bulk string.
pub fn string(text: &str) -> Vec<u8> {
    format!("${}\r\n{text}\r\n", text.len()).into_bytes()
}

/// An array of them.
pub fn strings(words: &[&str]) -> Vec<u8> {
    list(words.iter().map(|word| string(word)).collect())
}

/// An array of what is encoded already.
pub fn list(entries: Vec<Vec<u8>>) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", entries.len()).into_bytes();
    entries.into_iter().for_each(|entry| bytes.extend(entry));
    bytes
}
