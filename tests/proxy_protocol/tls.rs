//! TLS at the door.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::*;

/// A certificate for 127.0.0.1 in files, the lines of configuration that name them, and how to trust it.
pub struct Door {
    dir: tempfile::TempDir,
    trust: Arc<ClientConfig>,
}

impl Door {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).expect("the folder can be written");
        write("crt", made.cert.pem());
        write("key", made.signing_key.serialize_pem());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        Self { trust: Arc::new(config.with_root_certificates(roots).with_no_client_auth()), dir }
    }

    pub fn lines(&self) -> String {
        let path = |name: &str| Path::new(self.dir.path()).join(name).display().to_string();
        format!("[listener.tls]\ncert_file = {:?}\nkey_file = {:?}\n", path("crt"), path("key"))
    }

    /// PING over a new connection.
    pub fn ping(&self, stream: TcpStream) -> std::io::Result<String> {
        let mut session = self.open(stream)?;
        pings(&mut session)
    }

    pub fn open(&self, stream: TcpStream) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        Ok(StreamOwned::new(ClientConnection::new(self.trust.clone(), name).expect("a connection"), stream))
    }
}

pub fn pings(session: &mut (impl Read + Write)) -> std::io::Result<String> {
    session.write_all(b"PING\r\n")?;
    let mut reply = [0; 7];
    session.read_exact(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

#[test]
fn a_header_comes_before_the_handshake_and_its_address_is_the_one_that_counts() {
    let server = Redis::start(&[]);
    let door = Door::new();
    for mode in ["mode = \"tcp\"", "mode = \"redis\"\nshared_connections = true"] {
        let rules = "allow = [\"10.0.0.0/8\", \"127.0.0.2\"]\nproxy_protocol_from = [\"127.0.0.9\"]";
        let setup = Setup::of([&server]).listener(&format!("{mode}\n{rules}")).more(door.lines());
        let mainstay = setup.expecting(&[&["refused: "]]).start_on(&server);
        assert_eq!(door.ping(try_from("127.0.0.2", &mainstay.listen).unwrap()).unwrap(), "+PONG\r\n");
        for (from, enters) in [("10.0.0.1", true), ("192.168.0.1", false)] {
            let mut stream = try_from("127.0.0.9", &mainstay.listen).unwrap();
            stream.write_all(&header(from)).unwrap();
            assert_eq!(door.ping(stream).is_ok(), enters, "{mode} {from}");
        }
        // Who expects TLS is told nothing else.
        let mut stranger = client_from("127.0.0.3", &mainstay.listen);
        assert_eq!(stranger.drain(PATIENCE).0, b"");
        // Who speaks no TLS is said to.
        let mut plain = client_from("127.0.0.2", &mainstay.listen);
        plain.send(b"PING\r\n").unwrap();
        plain.end(PATIENCE);
        wait_until(PATIENCE, "it is counted", || refused(&mainstay, "handshake") == 1.0);
        assert_eq!(refused(&mainstay, "network"), 2.0);
    }
}

#[test]
fn a_slow_hello_has_ten_seconds_as_well() {
    let server = Redis::start(&[]);
    let door = Door::new();
    let mainstay = Setup::of([&server]).more(door.lines()).start_on(&server);
    let begun = std::time::Instant::now();
    let mut slow = client_from("127.0.0.2", &mainstay.listen);
    let hello = [&b"\x16\x03\x01\x01\0\x01\0\0\xfc\x03\x03"[..], &[7; 64]].concat();
    for byte in hello {
        if slow.send(&[byte]).is_err() || begun.elapsed() > Duration::from_secs(30) {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!((Duration::from_secs(9)..Duration::from_secs(20)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    wait_until(PATIENCE, "it is counted", || refused(&mainstay, "time") == 1.0);
}
