//! A real Redis (or Valkey: set `MAINSTAY_TEST_REDIS` to its path) on a free port, in a folder of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{Client, PATIENCE, Process, Reply, free_port, wait_until};

/// One server. Ends with the test.
pub struct Redis {
    /// Where it listens.
    pub port: u16,
    /// Its host: `127.0.0.1`, or `::1` when started so.
    pub host: &'static str,
    /// The process; replaced by a restart.
    pub process: Process,
    program: PathBuf,
    lines: Vec<String>,
    dir: TempDir,
}

/// Quick to synchronise, quiet on disk, open to DEBUG.
const ALWAYS: &str = "daemonize no\nappendonly no\nsave \"\"\nlogfile redis.log\nrepl-diskless-sync yes\n\
    repl-diskless-sync-delay 0\nenable-debug-command yes\n";

impl Redis {
    /// Starts one with these lines of configuration added, and waits until it answers.
    pub fn start(lines: &[&str]) -> Self {
        Self::start_at("127.0.0.1", lines)
    }

    /// The same on another address of this machine.
    pub fn start_at(host: &'static str, lines: &[&str]) -> Self {
        let program = std::env::var_os("MAINSTAY_TEST_REDIS").unwrap_or_else(|| "redis-server".into());
        Self::start_server(Path::new(&program), host, lines)
    }

    /// The same of another server's program.
    pub fn start_program(program: &Path, lines: &[&str]) -> Self {
        Self::start_server(program, "127.0.0.1", lines)
    }

    /// Another program at another address.
    pub fn start_program_at(program: &Path, host: &'static str, lines: &[&str]) -> Self {
        Self::start_server(program, host, lines)
    }

    /// On this very port; nothing where it does not start there, as when another process has the port.
    pub fn try_start_on(host: &'static str, port: u16, lines: &[&str]) -> Option<Self> {
        let program: PathBuf = std::env::var_os("MAINSTAY_TEST_REDIS").unwrap_or_else(|| "redis-server".into()).into();
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        let process = spawn(&program, dir.path(), host, port, &lines);
        let mut server = Self { port, host, process, program, lines, dir };
        server.answers().then_some(server)
    }

    fn start_server(program: &Path, host: &'static str, lines: &[&str]) -> Self {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        // Between choosing a port and listening on it another process may take it: then try the next one.
        for _ in 0..5 {
            let (dir, port) = (tempfile::tempdir().expect("a folder for temporary files"), free_port());
            let process = spawn(program, dir.path(), host, port, &lines);
            let mut server = Self { port, host, process, program: program.to_owned(), lines: lines.clone(), dir };
            if server.answers() {
                return server;
            }
        }
        panic!("redis-server does not start with {lines:?}");
    }

    /// Starts a replica of `primary` and waits until its link is up.
    pub fn replica_of(primary: &Redis, lines: &[&str]) -> Self {
        let mut all = vec![format!("replicaof {} {}", primary.host, primary.port)];
        if let Some(password) = primary.password() {
            all.extend([format!("masterauth {password}"), format!("requirepass {password}")]);
        }
        all.extend(lines.iter().map(|line| (*line).to_owned()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let replica = Self::start_at(primary.host, &all);
        replica.wait_for_link();
        replica
    }

    /// A primary and `replicas` replicas of it, all in step.
    pub fn family(replicas: usize) -> Vec<Self> {
        let mut family = vec![Self::start(&[])];
        for _ in 0..replicas {
            let replica = Self::replica_of(&family[0], &[]);
            family.push(replica);
        }
        family
    }

    /// `host:port`, as it stands in a configuration.
    pub fn address(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// A connection of its own, with the password given.
    pub fn client(&self) -> Client {
        let mut client = Client::connect(&self.address());
        if let Some(password) = self.password() {
            client.must(&["AUTH", &password]);
        }
        client
    }

    /// Asks it something over a fresh connection. Errors are replies as well.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> Reply {
        self.client().ask(words).unwrap_or_else(|gone| panic!("{} did not answer {words:?}: {gone:?}", self.address()))
    }

    /// A field of INFO.
    pub fn info(&self, field: &str) -> String {
        // Promoted by Sentinel, a server ends its connections once, this one perhaps.
        let info = self.client().ask(&["INFO", "everything"]).unwrap_or_else(|_| self.command(&["INFO", "everything"])).text();
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    }

    /// Does it say role:master?
    pub fn is_master(&self) -> bool {
        self.info("role") == "master"
    }

    /// Waits until its link to its primary is up.
    #[track_caller]
    pub fn wait_for_link(&self) {
        wait_until(PATIENCE, "the replica's link is up", || self.info("master_link_status") == "up");
    }

    /// Waits until this replica has everything that `primary` had when asked.
    #[track_caller]
    pub fn wait_in_step(&self, primary: &Redis) {
        let offset = |server: &Redis| server.info("master_repl_offset").parse::<u64>().unwrap_or(0);
        let target = offset(primary);
        wait_until(PATIENCE, "the replica is in step", || offset(self) >= target);
    }

    /// REPLICAOF.
    #[track_caller]
    pub fn follow(&self, primary: &Redis) {
        let reply = self.command(&["REPLICAOF", primary.host, &primary.port.to_string()]).text();
        // Also "OK Already connected to specified master".
        assert!(reply.starts_with("OK"), "{reply}");
    }

    /// REPLICAOF NO ONE.
    #[track_caller]
    pub fn promote(&self) {
        assert_eq!(self.command(&["REPLICAOF", "NO", "ONE"]), Reply::ok());
    }

    /// A planned FAILOVER to `successor`; returns when that one says role:master.
    #[track_caller]
    pub fn failover_to(&self, successor: &Redis) {
        // Right after a change of roles the replica may not have acknowledged anything yet, and FAILOVER is refused.
        let port = successor.port.to_string();
        wait_until(PATIENCE, "FAILOVER is accepted", || {
            self.command(&["FAILOVER", "TO", successor.host, &port, "TIMEOUT", "5000"]) == Reply::ok()
        });
        wait_until(PATIENCE, "the successor is master", || successor.is_master());
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts a killed one again, on the same port, from what its folder holds, as its configuration says: what SENTINEL or
    /// REPLICAOF changed meanwhile is forgotten, as when a machine is built anew.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.process.kill9();
        self.process = spawn(&self.program, self.dir.path(), self.host, self.port, &self.lines);
        assert!(self.answers(), "{} does not start again", self.address());
    }

    /// Starts again as a master, whatever it was.
    #[track_caller]
    pub fn start_again_as_master(&mut self) {
        self.lines.retain(|line| !line.starts_with("replicaof"));
        self.start_again();
    }

    /// Starts again as a replica of `primary`, whatever it was.
    #[track_caller]
    pub fn start_again_as_replica_of(&mut self, primary: &Redis) {
        self.lines.retain(|line| !line.starts_with("replicaof"));
        self.lines.push(format!("replicaof {} {}", primary.host, primary.port));
        self.start_again();
    }

    /// Starts again with one more line of configuration.
    #[track_caller]
    pub fn start_again_with(&mut self, line: &str) {
        self.lines.push(line.to_owned());
        self.start_again();
    }

    /// SAVE. Redis refuses it while a replica is still being synchronised.
    #[track_caller]
    pub fn save(&self) {
        wait_until(PATIENCE, "it has saved its data", || self.command(&["SAVE"]) == Reply::ok());
    }

    /// Deletes what it saved.
    pub fn lose_rdb(&self) {
        let _ = fs::remove_file(self.dir.path().join("dump.rdb"));
    }

    fn answers(&mut self) -> bool {
        let (begun, address) = (std::time::Instant::now(), self.address());
        while begun.elapsed() < PATIENCE {
            if self.process.ended().is_some() {
                return false;
            }
            // Any answer will do: NOAUTH and LOADING as well.
            let answer =
                Client::try_connect(&address).and_then(|mut client| client.ask_within(Duration::from_secs(2), &["PING"]));
            if answer.is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// The `requirepass` that it was started with.
    pub fn password(&self) -> Option<String> {
        self.lines.iter().find_map(|line| line.strip_prefix("requirepass ")).map(str::to_owned)
    }
}

fn spawn(program: &Path, dir: &Path, host: &str, port: u16, lines: &[String]) -> Process {
    let text = format!("{ALWAYS}port {port}\nbind {host}\n{}\n", lines.join("\n"));
    fs::write(dir.join("redis.conf"), text).expect("the folder can be written");
    let output = File::create(dir.join("output")).expect("the folder can be written");
    Process::spawn(Process::command(program).arg("redis.conf").current_dir(dir).stdout(output))
}
