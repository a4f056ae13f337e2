//! Real Sentinels that watch a primary.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Client, PATIENCE, Process, Redis, Reply, free_port, wait_until};

/// One of them. Ends with the test.
pub struct Sentinel {
    /// Where it listens: its host.
    pub host: &'static str,
    /// And its port.
    pub port: u16,
    /// The process; replaced by a restart.
    pub process: Process,
    password: Option<String>,
    program: PathBuf,
    dir: TempDir,
}

/// The lines of one that watches `primary`.
fn watching(primary: &Redis, quorum: usize, down_after_ms: u64) -> String {
    let mut text = format!(
        "sentinel monitor jobs {} {} {quorum}\nsentinel down-after-milliseconds jobs {down_after_ms}\n\
         sentinel failover-timeout jobs 10000\n",
        primary.host, primary.port
    );
    if let Some(password) = primary.password() {
        text += &format!("sentinel auth-pass jobs {password}\n");
    }
    text
}

impl Sentinel {
    /// Starts one with these lines, the first ones before those that watch.
    fn start(host: &'static str, program: &Path, before: &[&str], watching: &str) -> Self {
        let (dir, port) = (tempfile::tempdir().expect("a folder for temporary files"), free_port());
        let before: String = before.iter().map(|line| format!("{line}\n")).collect();
        let password = before.lines().find_map(|line| line.strip_prefix("requirepass ")).map(str::to_owned);
        let plain = if before.contains("tls-port PORT") { 0 } else { port };
        let before = before.replace("PORT", &port.to_string());
        let text = format!("port {plain}\nbind {host}\ndaemonize no\nlogfile sentinel.log\n{before}{watching}");
        fs::write(dir.path().join("sentinel.conf"), text).expect("the folder can be written");
        let process = spawn(program, &dir);
        Self { host, port, process, password, program: program.to_owned(), dir }
    }

    /// `host:port`
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Asks it something over a fresh connection; `None` when it does not answer.
    pub fn ask(&self, words: &[&str]) -> Option<Reply> {
        let mut client = Client::try_connect(&self.address()).ok()?;
        if let Some(password) = &self.password {
            client.ask(&["AUTH", password]).ok()?;
        }
        client.ask(words).ok()
    }

    /// A field of its entry of the master.
    pub fn master(&self, name: &str) -> String {
        let reply = self.ask(&["SENTINEL", "MASTER", "jobs"]);
        reply.map(|reply| field(&reply, name)).unwrap_or_default()
    }

    /// The port that it names to clients.
    pub fn names(&self) -> Option<u16> {
        self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "jobs"])?.items().get(1)?.text().parse().ok()
    }

    /// Its configuration file as it stands: Sentinel rewrites it.
    pub fn configuration(&self) -> String {
        fs::read_to_string(self.dir.path().join("sentinel.conf")).expect("Sentinel keeps its file")
    }

    /// Ends it and starts it again, from this file if one is given.
    pub fn restart(&mut self, configuration: Option<&str>) {
        self.process.kill9();
        if let Some(text) = configuration {
            fs::write(self.dir.path().join("sentinel.conf"), text).expect("the folder can be written");
        }
        self.process = spawn(&self.program, &self.dir);
        wait_until(PATIENCE, "the Sentinel answers again", || self.ask(&["PING"]).is_some());
    }
}

fn spawn(program: &Path, dir: &TempDir) -> Process {
    let output = File::create(dir.path().join("output")).expect("the folder can be written");
    let mut command = Process::command(program);
    command.args(["sentinel.conf", "--sentinel"]).current_dir(dir.path()).stdout(output);
    Process::spawn(&mut command)
}

fn field(entry: &Reply, name: &str) -> String {
    let words: Vec<String> = entry.items().iter().map(Reply::text).collect();
    words.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone()).unwrap_or_default()
}

/// Several Sentinels that know each other. End with the test.
pub struct Sentinels {
    /// Each of them.
    pub all: Vec<Sentinel>,
}

impl Sentinels {
    /// Starts `count` that watch `primary` under the name `jobs`, and waits until they know each other and its replicas.
    pub fn start(count: usize, quorum: usize, primary: &Redis, replicas: usize, down_after_ms: u64) -> Self {
        Self::start_with(&[], count, quorum, primary, replicas, down_after_ms)
    }

    /// The same with further lines of configuration, or another `sentinel monitor`; `PORT` in them is the port of each.
    pub fn start_with(lines: &[&str], count: usize, quorum: usize, primary: &Redis, replicas: usize, down_after_ms: u64) -> Self {
        let mut watching = watching(primary, quorum, down_after_ms);
        let (monitor, lines): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.starts_with("sentinel monitor"));
        if let [monitor] = monitor[..] {
            watching = watching.lines().skip(1).fold(format!("{monitor}\n"), |text, line| text + line + "\n");
        }
        let lines = &lines[..];
        let start = |_| Sentinel::start("127.0.0.1", Path::new("redis-server"), lines, &watching);
        let sentinels = Self { all: (0..count).map(start).collect() };
        // Over TLS this client cannot ask.
        if !lines.iter().any(|line| line.starts_with("tls-port")) {
            sentinels.wait_until_met(replicas);
        }
        sentinels
    }

    /// One at each of these addresses, by these programs.
    pub fn start_at(
        places: &[(&'static str, &Path)],
        quorum: usize,
        primary: &Redis,
        replicas: usize,
        down_after_ms: u64,
    ) -> Self {
        let watching = watching(primary, quorum, down_after_ms);
        let start = |(host, program): &(&'static str, &Path)| Sentinel::start(host, program, &[], &watching);
        let sentinels = Self { all: places.iter().map(start).collect() };
        sentinels.wait_until_met(replicas);
        sentinels
    }

    /// One more that watches `primary`.
    pub fn join(&mut self, quorum: usize, primary: &Redis, replicas: usize, down_after_ms: u64) {
        self.all.push(Sentinel::start("127.0.0.1", Path::new("redis-server"), &[], &watching(primary, quorum, down_after_ms)));
        self.wait_until_met(replicas);
    }

    fn wait_until_met(&self, replicas: usize) {
        let entries =
            |sentinel: &Sentinel, what| sentinel.ask(&["SENTINEL", what, "jobs"]).map_or(0, |reply| reply.items().len());
        wait_until(PATIENCE, "the Sentinels know each other", || {
            self.all.iter().all(|one| entries(one, "SENTINELS") == self.all.len() - 1 && entries(one, "REPLICAS") == replicas)
        });
    }

    /// Their addresses.
    pub fn addresses(&self) -> Vec<String> {
        self.all.iter().map(Sentinel::address).collect()
    }

    /// `[group.sentinel]` with all of them.
    pub fn section(&self) -> String {
        format!("master_name = \"jobs\"\naddresses = {:?}\n", self.addresses())
    }

    /// The port of the primary, while all of them name the same one.
    pub fn primary(&self) -> Option<u16> {
        let named: Vec<Option<u16>> = self.all.iter().map(Sentinel::names).collect();
        named.iter().all(|name| *name == named[0]).then_some(named[0]).flatten()
    }

    /// All of them hold `primary` and this many replicas to be well, and know each other.
    pub fn are_content_with(&self, primary: &Redis, replicas: usize) -> bool {
        self.all.iter().all(|sentinel| {
            let well = |what: &str, flags: &str| {
                let reply = sentinel.ask(&["SENTINEL", what, "jobs"]);
                reply.map_or(0, |reply| reply.items().iter().filter(|entry| field(entry, "flags") == flags).count())
            };
            self.primary() == Some(primary.port)
                && well("SENTINELS", "sentinel") == self.all.len() - 1
                && well("REPLICAS", "slave") == replicas
        })
    }
}
