//! Real Sentinels that watch a primary.

use std::fs::{self, File};

use tempfile::TempDir;

use super::{Client, PATIENCE, Process, Redis, free_port, wait_until};

/// Several Sentinels that know each other. End with the test.
pub struct Sentinels {
    ports: Vec<u16>,
    _processes: Vec<Process>,
    _dirs: Vec<TempDir>,
}

impl Sentinels {
    /// Starts `count` that watch `primary` under the name `jobs`, and waits until they know each other and its replicas.
    pub fn start(count: usize, quorum: usize, primary: &Redis, replicas: usize, down_after_ms: u64) -> Self {
        let (mut ports, mut processes, mut dirs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let (dir, port) = (tempfile::tempdir().expect("a folder for temporary files"), free_port());
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndaemonize no\nlogfile sentinel.log\n\
                 sentinel monitor jobs {} {} {quorum}\nsentinel down-after-milliseconds jobs {down_after_ms}\n\
                 sentinel failover-timeout jobs 10000\n",
                primary.host, primary.port
            );
            fs::write(dir.path().join("sentinel.conf"), text).expect("the folder can be written");
            let output = File::create(dir.path().join("output")).expect("the folder can be written");
            let mut command = Process::command("redis-server");
            command.args(["sentinel.conf", "--sentinel"]).current_dir(dir.path()).stdout(output);
            processes.push(Process::spawn(&mut command));
            ports.push(port);
            dirs.push(dir);
        }
        let sentinels = Self { ports, _processes: processes, _dirs: dirs };
        let knows = |port: u16| {
            let Ok(mut client) = Client::try_connect(&format!("127.0.0.1:{port}")) else { return false };
            let mut entries = |what| client.ask(&["SENTINEL", what, "jobs"]).map_or(0, |reply| reply.items().len());
            entries("SENTINELS") == count - 1 && entries("REPLICAS") == replicas
        };
        wait_until(PATIENCE, "the Sentinels know each other", || sentinels.ports.iter().all(|port| knows(*port)));
        sentinels
    }

    /// The port of the primary, while all of them name the same one.
    pub fn primary(&self) -> Option<u16> {
        let names = |port: &u16| {
            let mut client = Client::try_connect(&format!("127.0.0.1:{port}")).ok()?;
            let reply = client.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "jobs"]).ok()?;
            reply.items().get(1)?.text().parse::<u16>().ok()
        };
        let named: Vec<Option<u16>> = self.ports.iter().map(names).collect();
        named.iter().all(|name| *name == named[0]).then_some(named[0]).flatten()
    }

    /// All of them hold `primary` and this many replicas to be well, and know each other.
    pub fn are_content_with(&self, primary: &Redis, replicas: usize) -> bool {
        self.ports.iter().all(|port| {
            let Ok(mut client) = Client::try_connect(&format!("127.0.0.1:{port}")) else { return false };
            let mut entries = |what: &str| -> Vec<Vec<String>> {
                let Ok(reply) = client.ask(&["SENTINEL", what, "jobs"]) else { return Vec::new() };
                reply.items().iter().map(|entry| entry.items().iter().map(|word| word.text()).collect()).collect()
            };
            let field = |entry: &Vec<String>, name: &str| -> String {
                entry.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone()).unwrap_or_default()
            };
            let well =
                |entries: Vec<Vec<String>>, flags: &str| entries.iter().filter(|entry| field(entry, "flags") == flags).count();
            let named = self.primary() == Some(primary.port);
            named
                && well(entries("SENTINELS"), "sentinel") == self.ports.len() - 1
                && well(entries("REPLICAS"), "slave") == replicas
        })
    }
}
