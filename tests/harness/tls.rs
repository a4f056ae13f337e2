//! Certificates of the tests' own, and a Redis that speaks TLS with them.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::client::{command, parse};
use super::{PATIENCE, Redis, Reply, free_port};

/// A folder of certificates and keys, made anew for each test. Each file is `NAME.crt` with `NAME.key` beside it.
///
/// | name | what it is |
/// |---|---|
/// | `ca` | signs all but the last two |
/// | `server` | for 127.0.0.1, localhost and redis.test |
/// | `client` | for nobody in particular |
/// | `expired` | as `server`, until 2020-02-03 |
/// | `elsewhere` | for elsewhere.test alone |
/// | `strange-ca` | another CA |
/// | `strange` | as `server`, of the other CA |
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Makes them.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        let here = ["127.0.0.1", "localhost", "redis.test"];
        let ours = authority(dir.path(), "ca", "Test CA");
        issue(dir.path(), &ours, "server", &here, |_| {});
        issue(dir.path(), &ours, "client", &[], |_| {});
        issue(dir.path(), &ours, "expired", &here, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 3);
        });
        issue(dir.path(), &ours, "elsewhere", &["elsewhere.test"], |_| {});
        let theirs = authority(dir.path(), "strange-ca", "Strange CA");
        issue(dir.path(), &theirs, "strange", &here, |_| {});
        Self { dir }
    }

    /// The path of `NAME.crt`.
    pub fn certificate(&self, name: &str) -> String {
        self.dir.path().join(format!("{name}.crt")).display().to_string()
    }

    /// The path of `NAME.key`.
    pub fn key(&self, name: &str) -> String {
        self.dir.path().join(format!("{name}.key")).display().to_string()
    }

    /// A connection to a server that shows `server`.
    pub fn connector(&self) -> mainstay::tls::Connector {
        let ca = fs::read(self.certificate("ca")).expect("it was made");
        let ca = mainstay::tls::Pem { path: Path::new("ca.crt"), bytes: &ca };
        mainstay::tls::Connector::new(Some(ca), None, Some("localhost")).and_then(|all| all.to("")).expect("it can be used")
    }

    /// What accepts clients and shows this certificate; `mutual`: theirs are looked at.
    pub fn acceptor(&self, name: &str, mutual: bool) -> mainstay::tls::Acceptor {
        use mainstay::tls::{Acceptor, Identity, Pem};
        let read = |path: &str| fs::read(path).expect("it was made");
        let (certificate, key, ca) = (self.certificate(name), self.key(name), self.certificate("ca"));
        let (certificates, key_pem, ca_pem) = (read(&certificate), read(&key), read(&ca));
        let identity = Identity {
            certificates: Pem { path: Path::new(&certificate), bytes: &certificates },
            key: Pem { path: Path::new(&key), bytes: &key_pem },
        };
        let ca = Pem { path: Path::new(&ca), bytes: &ca_pem };
        Acceptor::new(identity, mutual.then_some(ca)).expect("it can be used")
    }

    /// `[group.tls]` that trusts `ca`, with more lines.
    pub fn group(&self, lines: &str) -> String {
        format!("[group.tls]\nca_file = \"{}\"\n{lines}\n", self.certificate("ca"))
    }

    /// The lines that make `NAME` mainstay's own certificate.
    pub fn identity(&self, name: &str) -> String {
        format!("cert_file = \"{}\"\nkey_file = \"{}\"", self.certificate(name), self.key(name))
    }
}

fn authority(dir: &Path, file: &str, name: &str) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    write(dir, file, &certificate.pem(), &key);
    Issuer::new(params, key)
}

fn issue(dir: &Path, ca: &Issuer<'static, KeyPair>, file: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) {
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, file);
    change(&mut params);
    write(dir, file, &params.signed_by(&key, ca).expect("a certificate").pem(), &key);
}

fn write(dir: &Path, file: &str, certificate: &str, key: &KeyPair) {
    fs::write(dir.join(format!("{file}.crt")), certificate).expect("the folder can be written");
    fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).expect("the folder can be written");
}

/// A Redis with a port for TLS beside its plain one, by which the test speaks to it and replicas replicate.
pub struct TlsRedis {
    /// The server.
    pub redis: Redis,
    /// Where it speaks TLS.
    pub port: u16,
}

impl TlsRedis {
    /// One that shows this certificate. `more`: lines such as `tls-auth-clients no`.
    pub fn start(certificates: &Certificates, name: &str, more: &[&str]) -> Self {
        Self::with(certificates, name, more, None)
    }

    /// A replica of another.
    pub fn replica_of(primary: &Self, certificates: &Certificates, name: &str, more: &[&str]) -> Self {
        Self::with(certificates, name, more, Some(&primary.redis))
    }

    fn with(certificates: &Certificates, name: &str, more: &[&str], primary: Option<&Redis>) -> Self {
        let port = free_port();
        let tls = [
            format!("tls-port {port}"),
            format!("tls-cert-file {}", certificates.certificate(name)),
            format!("tls-key-file {}", certificates.key(name)),
            format!("tls-ca-cert-file {}", certificates.certificate("ca")),
        ];
        let lines: Vec<&str> = tls.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let redis = match primary {
            Some(primary) => Redis::replica_of(primary, &lines),
            None => Redis::start(&lines),
        };
        Self { redis, port }
    }

    /// Where it speaks TLS, as it stands in a configuration.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// A client that speaks TLS to a server which shows `server`.
pub struct TlsClient {
    runtime: tokio::runtime::Runtime,
    stream: mainstay::tls::Stream,
    unread: Vec<u8>,
}

impl TlsClient {
    /// Connects; fails the test where that does not succeed.
    #[track_caller]
    pub fn connect(address: &str, certificates: &Certificates) -> Self {
        Self::try_connect(address, certificates).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Connects.
    pub fn try_connect(address: &str, certificates: &Certificates) -> Result<Self, mainstay::tls::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpStream::connect(address).await.expect("it listens");
            certificates.connector().connect(socket).await
        })?;
        Ok(Self { runtime, stream, unread: Vec::new() })
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        let Self { runtime, stream, .. } = self;
        runtime.block_on(async { timeout(PATIENCE, stream.write_all(bytes)).await }).expect("in time").expect("it is taken");
    }

    /// Waits for one reply.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        loop {
            // Scanning a large reply anew with every part of it would take long.
            let ends = self.unread.ends_with(b"\r\n") || self.unread.len() < 64 * 1024;
            if let Some((reply, length)) = ends.then(|| parse(&self.unread)).flatten() {
                self.unread.drain(..length);
                return reply;
            }
            let mut chunk = vec![0; 256 * 1024];
            let Self { runtime, stream, .. } = self;
            let read = runtime.block_on(async { timeout(PATIENCE, stream.read(&mut chunk)).await });
            let read = read.expect("in time").expect("the connection stands");
            assert!(read > 0, "the connection ended before the reply did");
            self.unread.extend_from_slice(&chunk[..read]);
        }
    }

    /// Asks something; fails the test where an error answers.
    #[track_caller]
    pub fn must(&mut self, words: &[&str]) -> Reply {
        self.send(&command(words));
        let reply = self.reply();
        assert!(!reply.is_error(), "{words:?} was answered {reply:?}");
        reply
    }

    /// Says that nothing follows.
    pub fn finish_writing(&mut self) {
        let _guard = self.runtime.enter();
        self.stream.shut_down_writing();
    }

    /// Everything until the end, which must be said.
    pub fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut all = std::mem::take(&mut self.unread);
        let Self { runtime, stream, .. } = self;
        runtime.block_on(async { timeout(PATIENCE, stream.read_to_end(&mut all)).await }).expect("in time")?;
        Ok(all)
    }
}
