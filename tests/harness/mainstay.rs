//! mainstay itself, as a user runs it: the binary, a configuration file, an admin address.

use std::fs::{self, File};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::log::Log;
use super::{Client, PATIENCE, Process, Redis, Reply, Setup, free_port, http, wait_until};

/// A running mainstay. When it is dropped at the end of a test it fails that test for every warning that was not expected.
pub struct Mainstay {
    /// Where clients connect to.
    pub listen: String,
    /// `host:port` of its admin address.
    pub admin: String,
    /// The process.
    pub process: Process,
    /// What it was told; change it and call [`Mainstay::reload`].
    pub setup: Setup,
    /// What it wrote.
    pub log: Log,
    dir: TempDir,
}

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_mainstay");

impl Mainstay {
    /// Starts it and waits until it is ready, which says nothing of a primary.
    #[track_caller]
    pub fn start(setup: Setup) -> Self {
        for _ in 0..5 {
            let mut mainstay = Self::spawn(setup.clone());
            let begun = std::time::Instant::now();
            while mainstay.process.ended().is_none() {
                if mainstay.get("/readyz").is_some_and(|(code, _)| code == 200) {
                    return mainstay;
                }
                assert!(begun.elapsed() < PATIENCE, "mainstay does not become ready:\n{}", mainstay.log.text());
                std::thread::sleep(Duration::from_millis(10));
            }
            // Another process took the port in between: try the next one.
            let text = mainstay.log.text();
            mainstay.setup.expected.push(String::new());
            assert!(text.contains("in use"), "mainstay ended at once:\n{text}");
        }
        panic!("no free port");
    }

    /// Starts it and waits for nothing.
    pub fn spawn(setup: Setup) -> Self {
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        let admin = format!("127.0.0.1:{}", free_port());
        let listen = setup.bind.clone().unwrap_or_else(|| format!("127.0.0.1:{}", free_port()));
        let (config, output) = (dir.path().join("mainstay.toml"), dir.path().join("output"));
        fs::write(&config, setup.toml(&admin, &listen)).expect("the folder can be written");
        let both = File::create(&output).expect("the folder can be written");
        let words: Vec<&str> = setup.wrapper.iter().map(String::as_str).chain([PROGRAM, "run", "--config"]).collect();
        let mut command = Process::command(words[0]);
        command.args(&words[1..]).arg(&config);
        command.envs(setup.environment.iter().map(|(name, value)| (name, value))).env_remove("RUST_LOG");
        command.stdout(both.try_clone().expect("a second handle")).stderr(both);
        let process = Process::spawn(&mut command);
        Self { listen, admin, process, setup, log: Log::at(&output), dir }
    }

    /// A client's connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&self.listen)
    }

    /// Is a client served just now? Asks with a fresh connection.
    pub fn serves(&self) -> bool {
        Client::try_connect(&self.listen)
            .and_then(|mut client| client.ask_within(Duration::from_secs(2), &["PING"]))
            .is_ok_and(|reply| reply == Reply::Status("PONG".into()))
    }

    /// GET; `None` when nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http::ask_by(&self.setup.way_in, &self.admin, "GET", path, "")
    }

    /// `GET /api/v1/status`
    #[track_caller]
    pub fn status(&self) -> Value {
        let (code, body) = self.get("/api/v1/status").expect("the admin address answers");
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body}"))
    }

    /// The first group of the status.
    #[track_caller]
    pub fn group(&self) -> Value {
        self.status()["groups"][0].take()
    }

    /// A backend of the first group.
    #[track_caller]
    pub fn backend(&self, address: &str) -> Value {
        let group = self.group();
        let found = group["backends"].as_array().and_then(|all| all.iter().find(|one| one["address"] == address).cloned());
        found.unwrap_or_else(|| panic!("no backend {address} in {group:#}"))
    }

    /// The first group's epoch.
    #[track_caller]
    pub fn epoch(&self) -> u64 {
        self.group()["epoch"].as_u64().expect("an epoch")
    }

    /// The first group's primary.
    #[track_caller]
    pub fn primary(&self) -> Option<String> {
        self.group()["primary"].as_str().map(str::to_owned)
    }

    /// Waits until this backend is the primary.
    #[track_caller]
    pub fn wait_for_primary(&self, address: &str) {
        let begun = std::time::Instant::now();
        while self.primary().as_deref() != Some(address) {
            let waited = begun.elapsed();
            assert!(waited < PATIENCE, "{address} is not the primary after {waited:?}: {:#}", self.group());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until there is no primary.
    #[track_caller]
    pub fn wait_for_no_primary(&self) {
        wait_until(PATIENCE, "there is no primary", || self.primary().is_none());
    }

    /// The sum of a metric over all samples that carry these labels (`r#"backend="x""#`).
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (code, body) = self.get("/metrics").expect("the admin address answers");
        assert_eq!(code, 200, "{body}");
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (this, its_labels) = series.split_once('{').unwrap_or((series, ""));
            (this == name && labels.iter().all(|label| its_labels.contains(label))).then(|| value.parse::<f64>().ok())?
        };
        body.lines().filter_map(sample).sum()
    }

    /// Writes [`Mainstay::setup`] to the file and has it applied through the admin address: status code and answer.
    pub fn reload(&self) -> (u16, String) {
        self.write(&self.setup.toml(&self.admin, &self.listen));
        http::ask_by(&self.setup.way_in, &self.admin, "POST", "/api/v1/reload", "").expect("the admin address answers")
    }

    /// Replaces the configuration file and tells nobody.
    pub fn write(&self, toml: &str) {
        fs::write(self.dir.path().join("mainstay.toml"), toml).expect("the folder can be written");
    }

    /// Runs `mainstay WORDS --admin …`: exit status and everything it printed.
    pub fn cli(&self, words: &[&str]) -> (ExitStatus, String) {
        let admin = format!("http://{}", self.admin);
        let output = Command::new(PROGRAM).args(words).args(["--admin", &admin]).output().expect("mainstay can be run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status, text)
    }

    /// SIGTERM, SIGHUP and the like.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Expects one more kind of warning.
    pub fn expect(&mut self, parts: &[&str]) {
        self.setup.expected.extend(parts.iter().map(|part| (*part).to_owned()));
    }

    /// The backend's word in `/api/v1/status`: its state.
    #[track_caller]
    pub fn state_of(&self, server: &Redis) -> String {
        self.backend(&server.address())["state"].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Mainstay {
    fn drop(&mut self) {
        self.process.kill9();
        if std::thread::panicking() {
            // The test has failed already: its log is what one looks at first.
            eprintln!("--- mainstay's log ---\n{}--- end of log ---", self.log.text());
            return;
        }
        let unexpected = self.log.unexpected(&self.setup.expected);
        let (lines, all) = (unexpected.join("\n"), self.log.text());
        assert!(unexpected.is_empty(), "unexpected in mainstay's log:\n{lines}\n--- all of it ---\n{all}");
    }
}
