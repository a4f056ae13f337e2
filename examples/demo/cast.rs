//! Who plays: three Redis servers, mainstay in front of them, and in the second act three Sentinels.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::resp::{Reply, ask_once};
use crate::stage::{Stage, free_ports};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// One Redis server.
pub struct Redis {
    /// What it is called in the timeline.
    pub name: &'static str,
    /// Where it listens.
    pub port: u16,
}

/// Ports and names of everyone.
pub struct Cast {
    /// The first one begins as the primary.
    pub redis: [Redis; 3],
    /// For the second act.
    pub sentinel_ports: Vec<u16>,
    /// Where clients connect to: a listener in tcp mode, and one in redis mode.
    pub mainstay_ports: [u16; 2],
    /// mainstay's status and events.
    pub admin_port: u16,
}

/// Long enough for a loaded machine; nothing takes that long otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);

impl Cast {
    /// Chooses free ports.
    pub fn new() -> Outcome<Self> {
        let ports = free_ports(9)?;
        let redis = [("redis-a", 0), ("redis-b", 1), ("redis-c", 2)].map(|(name, at)| Redis { name, port: ports[at] });
        Ok(Self { redis, sentinel_ports: ports[3..6].to_vec(), mainstay_ports: [ports[6], ports[7]], admin_port: ports[8] })
    }

    /// What to call the addresses.
    pub fn names(&self) -> Vec<(String, String)> {
        let redis = self.redis.iter().map(|redis| (address(redis.port), redis.name.to_owned()));
        redis.chain(self.mainstay_ports.map(|port| (address(port), "mainstay".to_owned()))).collect()
    }

    /// The server that listens at `address`.
    pub fn by_address(&self, wanted: &str) -> Option<&Redis> {
        self.redis.iter().find(|redis| address(redis.port) == wanted)
    }

    /// Starts a primary and two replicas, and waits until they are in step.
    pub fn start_redis(&self, stage: &Stage) -> Outcome<()> {
        let primary = self.redis[0].port;
        for Redis { name, port } in &self.redis {
            let folder = stage.path().join(name);
            fs::create_dir(&folder)?;
            let mut config = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsave \"\"\nappendonly no\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\n",
                folder.display()
            );
            if *port != primary {
                config.push_str(&format!("replicaof 127.0.0.1 {primary}\n"));
            }
            let file = folder.join("redis.conf");
            fs::write(&file, config)?;
            stage.start(name, Path::new("redis-server"), &[text(&file)])?;
        }
        stage.wait_for("two replicas in step", PATIENCE, || self.in_step_with(primary))?;
        Ok(())
    }

    /// Whether the two other living servers replicate from `primary`, link up.
    pub fn in_step_with(&self, primary: u16) -> bool {
        let others = self.redis.iter().filter(|redis| redis.port != primary);
        others.map(|redis| ask_once(redis.port, &["ROLE"])).all(|answer| {
            let texts = answer.map(|reply| reply.texts()).unwrap_or_default();
            texts.len() >= 4 && texts[0] == "slave" && texts[2] == primary.to_string() && texts[3] == "connected"
        })
    }

    /// Whether the server at `port` calls itself a master.
    pub fn says_master(&self, port: u16) -> bool {
        ask_once(port, &["ROLE"]).is_ok_and(|reply| reply.texts().first().is_some_and(|role| role == "master"))
    }

    /// Starts mainstay with a configuration file of a few lines, and waits until it has elected a primary.
    pub fn start_mainstay(&self, stage: &Stage) -> Outcome<String> {
        let backends: Vec<String> = self.redis.iter().map(|redis| format!("\"{}\"", address(redis.port))).collect();
        let config = format!(
            "[admin]\nbind = \"{admin}\"\n\n\
             [[group]]\nname = \"jobs\"\nbackends = [{backends}]\n\
             [group.hold]\nwindow = \"10s\"   # Sentinel needs a few seconds to promote; nobody is turned away before\n\n\
             [[listener]]\nname = \"plain\"\nbind = \"{plain}\"\ngroup = \"jobs\"   # mode = \"tcp\" is the default\n\n\
             [[listener]]\nname = \"smooth\"\nbind = \"{smooth}\"\ngroup = \"jobs\"\nmode = \"redis\"\n",
            admin = address(self.admin_port),
            backends = backends.join(", "),
            plain = address(self.mainstay_ports[0]),
            smooth = address(self.mainstay_ports[1]),
        );
        let file = stage.path().join("mainstay.toml");
        fs::write(&file, &config)?;
        stage.start("mainstay", &mainstay_binary()?, &["run", "--config", text(&file)])?;
        let elected = || crate::watch::group_status(self.admin_port).is_some_and(|group| group.primary.is_some());
        stage.wait_for("mainstay elects a primary", PATIENCE, elected)?;
        Ok(config)
    }

    /// Starts three Sentinels that watch `primary`, and waits until they know each other and its replicas.
    pub fn start_sentinels(&self, stage: &Stage, primary: u16) -> Outcome<()> {
        for (number, port) in (1..).zip(&self.sentinel_ports) {
            let name = format!("sentinel-{number}");
            let folder = stage.path().join(&name);
            fs::create_dir(&folder)?;
            let config = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor jobs 127.0.0.1 {primary} 2\n\
                 sentinel down-after-milliseconds jobs 1000\nsentinel failover-timeout jobs 5000\n",
                folder.display()
            );
            let file = folder.join("sentinel.conf");
            fs::write(&file, config)?;
            stage.start(&name, Path::new("redis-sentinel"), &[text(&file)])?;
        }
        let acquainted = |port: &u16| {
            let facts = ask_once(*port, &["SENTINEL", "MASTER", "jobs"]).map(|reply| reply.texts()).unwrap_or_default();
            let fact = |name| facts.iter().position(|text| text == name).map(|at| facts[at + 1].as_str());
            fact("num-other-sentinels") == Some("2") && fact("num-slaves") == Some("2") && fact("flags") == Some("master")
        };
        stage.wait_for("three Sentinels know each other", PATIENCE, || self.sentinel_ports.iter().all(acquainted))?;
        Ok(())
    }
}

/// How mainstay, and everybody else, names the server at `port`.
pub fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// How many writes of these clients the server at `port` has.
pub fn writes_found(port: u16, clients: impl Iterator<Item = String>) -> Outcome<u64> {
    let mut found = 0;
    for client in clients {
        match ask_once(port, &["SCARD", &crate::workload::key(&client)])? {
            Reply::Integer(count) => found += u64::try_from(count)?,
            other => return Err(format!("SCARD answered {other:?}").into()),
        }
    }
    Ok(found)
}

/// What `mainstay status` prints.
pub fn mainstay_status(admin_port: u16) -> Outcome<String> {
    let admin = format!("http://{}", address(admin_port));
    let output = std::process::Command::new(mainstay_binary()?).args(["status", "--admin", &admin]).output()?;
    Ok(String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr }).into_owned())
}

/// Cargo puts an example into a folder beside the binary.
fn mainstay_binary() -> Outcome<PathBuf> {
    let example = std::env::current_exe()?;
    let binary = example.parent().and_then(Path::parent).map(|folder| folder.join("mainstay"));
    binary.filter(|binary| binary.exists()).ok_or_else(|| "mainstay itself is not built yet: use make demo".into())
}

/// A path that we chose ourselves, under the system's temporary folder.
fn text(path: &Path) -> &str {
    path.to_str().expect("our own paths are UTF-8")
}
