//! Each file under `examples/` is started as it is, but for addresses and file names: with real servers it serves clients and names
//! its primary.

mod harness;

use std::collections::BTreeSet;
use std::path::Path;

use harness::tls::{Certificates, TlsRedis};
use harness::*;

/// What a file needs around it, and how its clients come in.
struct Example {
    file: &'static str,
    play: fn(&mut Stage),
}

const EXAMPLES: &[Example] = &[
    Example { file: "sidekiq.toml", play: |stage| stage.plain(&[]) },
    Example { file: "redis-mode.toml", play: |stage| stage.plain(&[]) },
    Example { file: "shared-connections.toml", play: |stage| stage.plain(&[]) },
    Example { file: "access.toml", play: Stage::access },
    Example { file: "tls-clients.toml", play: Stage::tls_clients },
    Example { file: "tls-stunnel.toml", play: Stage::tls_stunnel },
    Example { file: "sentinel.toml", play: Stage::sentinel },
    Example { file: "kubernetes.toml", play: Stage::kubernetes },
    Example { file: "replica-reads.toml", play: Stage::replica_reads },
];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"))
}

#[test]
fn every_example_serves_clients_and_names_its_primary() {
    let entries = std::fs::read_dir(folder()).expect("a readable folder").map(|entry| entry.expect("readable").file_name());
    let files: BTreeSet<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    let files: BTreeSet<String> = files.into_iter().filter(|name| name.ends_with(".toml")).collect();
    for file in &files {
        assert!(EXAMPLES.iter().any(|example| example.file == file), "examples/{file} is started by no test: add it to EXAMPLES");
    }
    for example in EXAMPLES.iter().filter(|example| files.contains(example.file)) {
        eprintln!("examples/{}", example.file);
        (example.play)(&mut Stage::of(example.file));
    }
}

/// The text of an example on its way to one that runs here.
struct Stage {
    text: String,
    dir: tempfile::TempDir,
    listen: String,
    token: Option<String>,
}

impl Stage {
    fn of(file: &str) -> Self {
        let text = std::fs::read_to_string(folder().join(file)).expect("UTF-8");
        let (dir, listen) = (tempfile::tempdir().expect("a folder"), format!("127.0.0.1:{}", free_port()));
        let mut stage = Self { text, dir, listen, token: None };
        let bind = stage.text.lines().rfind(|line| line.starts_with("bind = ")).expect("a listener").to_owned();
        let address = bind.split('"').nth(1).expect("an address").to_owned();
        stage.replace(&format!("\"{address}\""), &format!("\"{}\"", stage.listen.clone()));
        stage
    }

    /// Every place where it stands; it must stand somewhere.
    fn replace(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "{from} does not stand in\n{}", self.text);
        self.text = self.text.replace(from, to);
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.dir.path().join(name), content).expect("the folder can be written");
    }

    /// Starts it; `environment`: its variables. Waits for the primary.
    fn start(&mut self, environment: &[(&str, &str)], primary: &str) -> Process {
        let admin = format!("127.0.0.1:{}", free_port());
        if self.text.contains("[admin]") {
            self.replace("\"127.0.0.1:9600\"", &format!("\"{admin}\""));
        } else {
            self.text += &format!("\n[admin]\nbind = \"{admin}\"\n");
        }
        let config = self.dir.path().join("mainstay.toml");
        std::fs::write(&config, &self.text).expect("the folder can be written");
        let mut command = Process::command(env!("CARGO_BIN_EXE_mainstay"));
        command.args(["run", "--config"]).arg(&config).envs(environment.iter().copied());
        let mut process = Process::spawn(&mut command);
        let way_in = WayIn { token: self.token.clone(), ..WayIn::default() };
        wait_until(PATIENCE, "the primary is elected", || {
            assert!(process.ended().is_none(), "it ended with\n{}", self.text);
            let status = http::ask_by(&way_in, &admin, "GET", "/api/v1/status", "");
            status.is_some_and(|(code, text)| code == 200 && text.contains(&format!("\"primary\": \"{primary}\"")))
        });
        process
    }

    fn client(&self) -> Client {
        Client::connect(&self.listen)
    }

    fn plain(&mut self, environment: &[(&str, &str)]) {
        let count = (1..4).filter(|number| self.text.contains(&format!("redis{number}:6379"))).count();
        let family = Redis::family(count - 1);
        for (index, server) in family.iter().enumerate() {
            self.replace(&format!("\"redis{}:6379\"", index + 1), &format!("\"{}\"", server.address()));
        }
        let _process = self.start(environment, &family[0].address());
        serves(self.client());
    }

    fn replica_reads(&mut self) {
        let family = Redis::family(2);
        for (index, server) in family.iter().enumerate() {
            self.replace(&format!("\"redis{}:6379\"", index + 1), &format!("\"{}\"", server.address()));
        }
        let writes = format!("127.0.0.1:{}", free_port());
        self.replace("\"127.0.0.1:6400\"", &format!("\"{writes}\""));
        let _process = self.start(&[], &family[0].address());
        Client::connect(&writes).must(&["SET", "greeting", "hello"]);
        let mut reader = self.client();
        wait_until(PATIENCE, "what was written is read", || {
            reader.ask(&["GET", "greeting"]).is_ok_and(|reply| reply.text() == "hello")
        });
        assert!(reader.ask(&["SET", "greeting", "bye"]).expect("a reply").text().starts_with("READONLY"));
    }

    fn access(&mut self) {
        let acl = ["user mainstay on >of-mainstay-alone ~* &* +@all", "user default off"];
        let server = Redis::start(&acl[..1]);
        self.replace("\"redis1:6379\", \"redis2:6379\"", &format!("\"{}\"", server.address()));
        let token = "0123456789abcdef0123456789abcdef";
        self.file("admin.token", token);
        self.token = Some(token.into());
        let _process = self.start(&[("REDIS_PASSWORD", "of-mainstay-alone")], &server.address());
        let mut client = self.client();
        assert!(client.ask(&["PING"]).expect("a reply").text().starts_with("NOAUTH"));
        client.must(&["AUTH", "web", "change-me"]);
        assert!(client.ask(&["FLUSHALL"]).expect("a reply").text().starts_with("NOPERM"));
        serves(client);
    }

    /// Two servers that speak TLS, under names that resolve here.
    fn tls_servers(&mut self, certificates: &Certificates) -> (TlsRedis, TlsRedis) {
        let first = TlsRedis::start(certificates, "server", &[]);
        let second = TlsRedis::replica_of(&first, certificates, "server", &[]);
        for (name, server) in [("redis1", &first), ("redis2", &second)] {
            self.replace(&format!("\"{name}.example.com:6380\""), &format!("\"{}\"", server.address()));
        }
        let read = |path: String| std::fs::read(path).expect("it was made");
        self.file("ca.pem", read(certificates.certificate("ca")));
        self.file("clients.pem", read(certificates.certificate("ca")));
        self.file("server.crt", read(certificates.certificate("server")));
        self.file("server.key", read(certificates.key("server")));
        (first, second)
    }

    fn tls_clients(&mut self) {
        let certificates = Certificates::new();
        let (first, _second) = self.tls_servers(&certificates);
        let _process = self.start(&[], &first.address());
        let port = self.listen.rsplit(':').next().expect("a port").to_owned();
        let (ca, certificate, key) =
            (certificates.certificate("ca"), certificates.certificate("client"), certificates.key("client"));
        let cli = |words: &[&str]| {
            let way = ["-h", "127.0.0.1", "-p", &port, "--tls", "--cacert", &ca, "--cert", &certificate, "--key", &key];
            let output = std::process::Command::new("redis-cli").args(way).args(words).output().expect("redis-cli is there");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        assert_eq!((cli(&["PING"]), cli(&["SET", "k", "v"]), cli(&["GET", "k"])), ("PONG".into(), "OK".into(), "v".into()));
    }

    fn tls_stunnel(&mut self) {
        let certificates = Certificates::new();
        let (first, second) = self.tls_servers(&certificates);
        // The servers of this example ask for no certificate.
        for server in [&first, &second] {
            assert_eq!(server.redis.command(&["CONFIG", "SET", "tls-auth-clients", "no"]), Reply::ok());
        }
        let _process = self.start(&[], &first.address());
        serves(self.client());
    }

    /// What one name with several addresses does is shown in `tests/names.rs`.
    fn kubernetes(&mut self) {
        let server = Redis::start(&[]);
        self.replace("\"redis.default.svc.cluster.local.:6379\"", &format!("\"{}\"", server.address()));
        let _process = self.start(&[], &server.address());
        serves(self.client());
    }

    fn sentinel(&mut self) {
        let family = Redis::family(1);
        let sentinels = Sentinels::start(3, 2, &family[0], 1, 5000);
        for (index, address) in sentinels.addresses().iter().enumerate() {
            self.replace(&format!("\"sentinel{}:26379\"", index + 1), &format!("\"{address}\""));
        }
        self.replace("\"mymaster\"", "\"jobs\"");
        let _process = self.start(&[], &family[0].address());
        serves(self.client());
    }
}

fn serves(mut client: Client) {
    assert_eq!(client.must(&["PING"]), Reply::Status("PONG".into()));
    assert_eq!(client.must(&["SET", "k", "v"]), Reply::ok());
    assert_eq!(client.must(&["GET", "k"]), Reply::bulk("v"));
}
