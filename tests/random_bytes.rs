//! Whatever bytes come to whatever port: nothing ends but the connection that they came by.

mod harness;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::expected::*;
use harness::*;

/// Connections to each port.
const ROUNDS: u64 = 60;

/// A mouthful of nonsense, more or less like something that the port knows.
fn nonsense(chance: &mut Chance) -> Vec<u8> {
    const BEGINNINGS: [&[u8]; 14] = [
        b"",
        b"",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$999999999\r\n",
        b"*1000000\r\n",
        b"$-1\r\n*-1\r\n",
        b"GET / HTTP/1.1\r\nHost: ",
        b"POST /api/v1/reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x03\xff\xff",
        b"\x17\x03\x03\x40\x00",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 ",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff",
        b"HELLO 3 AUTH ",
        b"\x00\x00\x00\x00",
    ];
    let mut bytes = chance.pick(&BEGINNINGS).to_vec();
    let length = if chance.percent(10) { 60_000 } else { chance.below(600) };
    let lines = chance.percent(50);
    for _ in 0..length {
        let byte = if lines && chance.percent(10) { b'\n' } else { u8::try_from(chance.below(256)).expect("a byte") };
        bytes.push(byte);
    }
    bytes
}

/// Says it, and ends in one of the ways in which connections end.
fn say(address: &str, chance: &mut Chance, left_open: &mut Vec<TcpStream>) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let _ = stream.set_read_timeout(Some(ms(20)));
    let _ = stream.set_write_timeout(Some(ms(200)));
    let bytes = nonsense(chance);
    let piece = 1 + usize::try_from(chance.below(4000)).expect("small");
    for part in bytes.chunks(piece) {
        if stream.write_all(part).is_err() {
            return;
        }
    }
    let mut answer = [0; 4096];
    match chance.below(4) {
        0 => {}
        1 => drop(stream.read(&mut answer)),
        2 => {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut answer);
        }
        _ => left_open.push(stream),
    }
}

/// A session that works all the while.
struct Neighbour {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<u64, String>>,
}

impl Neighbour {
    fn of(address: &str, key: String) -> Self {
        let (mut client, over) = (Client::connect(address), Arc::new(AtomicBool::new(false)));
        let theirs = over.clone();
        let work = move || {
            let mut done = 0;
            while !theirs.load(Ordering::SeqCst) {
                match client.ask_within(PATIENCE, &["INCR", &key]) {
                    Ok(Reply::Int(number)) if number == done as i64 + 1 => done += 1,
                    other => return Err(format!("{key} after {done}: {other:?}")),
                }
                std::thread::sleep(ms(2));
            }
            Ok(done)
        };
        Self { over, thread: std::thread::spawn(work) }
    }
}

fn run(admin: &str, way_in: WayIn, seed: u64) {
    let (authority, server) = (Authority::new("ours"), Redis::start(&[]));
    let pair = authority.issue("web", &["127.0.0.1"]);
    let ports: Vec<String> = (0..5).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let kinds = [
        "mode = \"redis\"".to_owned(),
        "mode = \"redis\"\nshared_connections = true".to_owned(),
        format!("mode = \"redis\"\n[listener.tls]\n{}", pair.toml()),
        "proxy_protocol_from = [\"127.0.0.0/8\"]".to_owned(),
        format!("mode = \"redis\"\n[listener.auth]\nusers = [\"app:{}\"]", "5e".repeat(32)),
    ];
    let listener = |(index, (port, kind)): (usize, (&String, &String))| {
        format!("[[listener]]\nname = \"l{index}\"\nbind = \"{port}\"\ngroup = \"jobs\"\n{kind}\n")
    };
    let more: String = ports.iter().zip(&kinds).enumerate().map(listener).collect();
    let setup = Setup::of([&server]).admin(admin, way_in).more(more).expecting(&[SHARED_LOST, CUT]);
    let mut mainstay = setup.expecting(&[&["wrong token", "do not fit", "refused: 127.0.0.1"]]).start_on(&server);
    let neighbours: Vec<Neighbour> = [&mainstay.listen, &ports[0], &ports[1]]
        .iter()
        .enumerate()
        .map(|(index, address)| Neighbour::of(address, format!("work:{index}")))
        .collect();
    wait_until(PATIENCE, "all are at work", || server.command(&["EXISTS", "work:0", "work:1", "work:2"]) == Reply::Int(3));
    let (memory, descriptors) = (mainstay.process.memory(), mainstay.process.descriptors());

    let (mut chance, mut left_open) = (Chance::new(seed), Vec::new());
    for _ in 0..ROUNDS {
        for address in ports.iter().chain([&mainstay.listen, &mainstay.admin]) {
            say(address, &mut chance, &mut left_open);
        }
        // Not so many that the places of the admin side are all taken.
        if left_open.len() > 40 {
            left_open.clear();
        }
    }
    let grown = mainstay.process.memory().saturating_sub(memory);
    assert!(grown < 64 << 20, "{grown} bytes more for some hundred connections");
    drop(left_open);
    for neighbour in neighbours {
        neighbour.over.store(true, Ordering::SeqCst);
        let done = neighbour.thread.join().expect("no panic");
        assert!(done.as_ref().is_ok_and(|done| *done > 10), "{done:?}");
    }
    assert!(mainstay.process.ended().is_none(), "it has ended:\n{}", mainstay.log.text());
    // The sessions of the neighbours have ended as well; some connections to the backend stay for a while.
    wait_until(PATIENCE, "no descriptor is left over", || mainstay.process.descriptors() <= descriptors + 4);
    wait_until(PATIENCE, "the admin side answers", || mainstay.get("/healthz").is_some_and(|(code, _)| code == 200));
    assert_eq!(mainstay.primary(), Some(server.address()));
    assert!(!mainstay.log.has("panicked"));
}

#[test]
fn random_bytes_on_every_port_harm_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef").expect("writable");
    let lines = format!("token_file = \"{}\"", token.display());
    run(&lines, WayIn { token: Some("0123456789abcdef0123456789abcdef".into()), ca_file: None }, 1);
}

#[test]
fn random_bytes_on_an_admin_port_that_speaks_tls_harm_nobody() {
    let authority = Authority::new("ours");
    let lines = format!("[admin.tls]\n{}", authority.issue("admin", &["127.0.0.1"]).toml());
    run(&lines, WayIn { token: None, ca_file: Some(authority.file()) }, 2);
}
