//! Starts the servers that are measured, each on a free loopback port, and ends exactly those.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mainstay::config::Mode;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::client::{Client, Reply};
use super::tls::Tls;

/// A process that ends when this value is dropped, whatever state it is in.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it speaks TLS, if it does.
    pub tls: Option<SocketAddr>,
    child: Child,
    log: PathBuf,
}

/// How mainstay and HAProxy are set up, alike.
#[derive(Clone, Debug)]
pub struct ProxySetup<'a> {
    /// What they lead to.
    pub backends: &'a [SocketAddr],
    /// Data threads.
    pub workers: usize,
    /// Sessions that must fit.
    pub max_connections: usize,
    /// Which side speaks TLS. Where the clients do there is a plain address as well.
    pub tls: Tls,
}

impl Server {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it answers again, but not for ever.
    pub fn serves_again(&self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(15);
        while !self.answers() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        true
    }

    /// The last lines that it wrote.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?).context("a process id is never zero")?;
        kill_process(pid, signal).context("cannot signal a server that was started here")
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// A connection to it.
    pub fn client(&self) -> Result<Client> {
        Client::connect(self.address, Duration::from_secs(5)).with_context(|| format!("cannot connect to {}", self.address))
    }

    /// One command on a connection of its own; an error reply is an error.
    pub fn ask(&self, command: &[&str]) -> Result<Reply> {
        match self.client()?.ask(command)? {
            Reply::Error(why) => bail!("{} answered {command:?} with -{why}", self.address),
            reply => Ok(reply),
        }
    }

    /// Starts a program whose output goes to a log file, and waits until it answers PING.
    pub(super) fn start(mut command: Command, address: SocketAddr, log: PathBuf) -> Result<Self> {
        let output = File::create(&log)?;
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {program:?}: is it installed?"))?;
        let mut server = Self { address, tls: None, child, log };
        let deadline = Instant::now() + Duration::from_secs(15);
        while !server.answers() {
            if server.child.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&server.log).unwrap_or_default();
                bail!("{program:?} does not answer PING at {address}; it said:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn answers(&self) -> bool {
        let pong = Client::connect(self.address, Duration::from_secs(1)).and_then(|mut client| client.ask(&["PING"]));
        pong.is_ok_and(|reply| reply == Reply::Text("PONG".into()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only fails when it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for everything that the servers of one benchmark write.
pub struct Workshop {
    folder: TempDir,
}

impl Workshop {
    /// In the system's folder for temporary files; gone when dropped.
    pub fn open() -> Result<Self> {
        Ok(Self { folder: TempDir::with_prefix("mainstay-bench-")? })
    }

    /// Where the servers write.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A Redis without persistence. `address` is given when one comes back at its place.
    pub fn redis(&self, address: Option<SocketAddr>, arguments: &[&str]) -> Result<Server> {
        let address = address.map_or_else(free_address, Ok)?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(self.folder()).args(["--dbfilename", &format!("{}.rdb", address.port())]);
        command.args(["--repl-diskless-sync-delay", "0", "--enable-debug-command", "local"]).args(arguments);
        Server::start(command, address, self.log("redis", address))
    }

    /// A Sentinel that watches the group `jobs`. It pings once a second, so with less than two seconds to go down it would take the
    /// new primary for dead now and then, just after the change.
    pub fn sentinel(&self, primary: SocketAddr, quorum: usize) -> Result<Server> {
        let address = free_address()?;
        let file = self.folder().join(format!("sentinel-{}.conf", address.port()));
        let text = format!(
            "bind 127.0.0.1\nport {}\ndir {}\nsentinel monitor jobs {} {} {quorum}\nsentinel down-after-milliseconds jobs 2000\n\
             sentinel failover-timeout jobs 5000\n",
            address.port(),
            self.folder().display(),
            primary.ip(),
            primary.port()
        );
        fs::write(&file, text)?;
        let mut command = Command::new("redis-sentinel");
        command.arg(file);
        Server::start(command, address, self.log("sentinel", address))
    }

    /// HAProxy as many teams run it in front of Redis today (the configuration that mainstay replaces), with room for more sessions.
    pub fn haproxy(&self, setup: &ProxySetup) -> Result<Server> {
        let address = free_address()?;
        let sessions = setup.max_connections;
        let mut text = format!(
            "global\n    nbthread {}\n    maxconn {}\n    stats socket {} level admin\n\
             defaults\n    mode tcp\n    timeout connect 3s\n    timeout client 86400s\n\
             frontend redis\n    bind {address}\n    default_backend redis-chargify\n\
             backend redis-chargify\n    option tcp-check\n    option tcpka\n    tcp-check send info\\ replication\\r\\n\n    \
             tcp-check expect string role:master\n    timeout check 1s\n    timeout server 86400s\n",
            setup.workers,
            sessions + 100,
            self.haproxy_socket().display(),
        );
        let tls = (setup.tls == Tls::Clients).then(free_address).transpose()?;
        if let Some(tls) = tls {
            let at = text.find("    default_backend").context("it stands there")?;
            text.insert_str(at, &format!("    bind {tls} {}\n", self.haproxy_bind()));
        }
        let secure = if setup.tls == Tls::Backends { self.haproxy_server() } else { String::new() };
        for (number, backend) in setup.backends.iter().enumerate() {
            let _ = writeln!(
                text,
                "    server redis{} {backend} {secure} maxconn {sessions} check inter 1s rise 2 fall 5 on-marked-down shutdown-sessions",
                number + 1
            );
        }
        let file = self.folder().join(format!("haproxy-{}.cfg", address.port()));
        fs::write(&file, text)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        let mut server = Server::start(command, address, self.log("haproxy", address))?;
        server.tls = tls;
        Ok(server)
    }

    /// Where HAProxy tells how it sees its servers.
    pub fn haproxy_socket(&self) -> PathBuf {
        self.folder().join("haproxy.sock")
    }

    /// mainstay, with every default but the number of sessions and the listener's mode.
    pub fn mainstay(&self, binary: &Path, mode: Mode, setup: &ProxySetup) -> Result<Server> {
        self.mainstay_with(binary, &format!("mode = \"{}\"", mode.as_str()), setup)
    }

    /// The same in redis mode, its sessions on shared connections.
    pub fn shared_mainstay(&self, binary: &Path, setup: &ProxySetup) -> Result<Server> {
        self.mainstay_with(binary, "mode = \"redis\"\nshared_connections = true", setup)
    }

    fn mainstay_with(&self, binary: &Path, listener: &str, setup: &ProxySetup) -> Result<Server> {
        let (address, admin) = (free_address()?, free_address()?);
        let backends: Vec<String> = setup.backends.iter().map(|backend| format!("\"{backend}\"")).collect();
        let table = self.mainstay_table(setup.tls);
        let group = if setup.tls == Tls::Backends { table.as_str() } else { "" };
        let mut text = format!(
            "[admin]\nbind = \"{admin}\"\n[runtime]\nworkers = {}\n[[group]]\nname = \"jobs\"\nbackends = [{}]\n{group}\
             [[listener]]\nname = \"clients\"\nbind = \"{address}\"\ngroup = \"jobs\"\n{listener}\nmax_connections = {}\n",
            setup.workers,
            backends.join(", "),
            setup.max_connections
        );
        let tls = (setup.tls == Tls::Clients).then(free_address).transpose()?;
        if let Some(tls) = tls {
            let _ = write!(
                text,
                "[[listener]]\nname = \"tls\"\nbind = \"{tls}\"\ngroup = \"jobs\"\n{listener}\nmax_connections = {}\n{table}",
                setup.max_connections
            );
        }
        let file = self.folder().join(format!("mainstay-{}.toml", address.port()));
        fs::write(&file, text)?;
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(file);
        let mut server = Server::start(command, address, self.log("mainstay", address))?;
        server.tls = tls;
        Ok(server)
    }

    pub(super) fn log(&self, program: &str, address: SocketAddr) -> PathBuf {
        self.folder().join(format!("{program}-{}.log", address.port()))
    }
}

/// What the tables call mainstay with a listener in redis mode; "mainstay" alone is tcp mode.
pub const REDIS_MODE: &str = "redis mode";

/// mainstay as the benchmark profile built it.
pub fn mainstay_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mainstay"))
}

/// Below the ephemeral range no outgoing connection can take the port before the server binds it; the kernel offers none
/// there by itself, so ports are tried, from a place that differs between runs.
pub(super) fn free_address() -> Result<SocketAddr> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..10_000 {
        let port = 20_000 + (std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port between 20000 and 30000 is free on loopback")
}
