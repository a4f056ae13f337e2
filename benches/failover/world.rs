//! Three Redis servers, HAProxy and mainstay in front of them, three Sentinels where wanted; and how they are put in order again.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use mainstay::config::Mode;

use crate::HAPROXY;
use crate::support::client::{Client, Reply};
use crate::support::servers::{ProxySetup, REDIS_MODE, Server, Workshop, mainstay_binary};
use crate::support::tls::Tls;
use crate::verdict::Kept;
use crate::writers::list;

/// Everything that takes part.
pub struct World {
    /// The servers; one of them is the primary.
    pub redis: Vec<Server>,
    /// Its place among them.
    pub primary: usize,
    /// By their names in the tables.
    pub proxies: Vec<(&'static str, Server)>,
    sentinels: Vec<Server>,
    workshop: Workshop,
}

/// Sees the promotion: asks every replica for its role each millisecond.
pub struct Poller(JoinHandle<Result<(Instant, SocketAddr)>>);

/// For anything that must come to pass between two events.
const PATIENCE: Duration = Duration::from_secs(60);

impl World {
    /// Starts the servers, and the proxies of these names.
    pub fn start(with_sentinels: bool, proxies: &[&'static str]) -> Result<Self> {
        let workshop = Workshop::open()?;
        let redis: Vec<Server> = (0..3).map(|_| workshop.redis(None, &[])).collect::<Result<_>>()?;
        let backends: Vec<SocketAddr> = redis.iter().map(|server| server.address).collect();
        for replica in &redis[1..] {
            follow(replica, backends[0])?;
        }
        let sentinels = if with_sentinels { 3 } else { 0 };
        let sentinels = (0..sentinels).map(|_| workshop.sentinel(backends[0], 2)).collect::<Result<_>>()?;
        let workers = std::thread::available_parallelism()?.get();
        let setup = ProxySetup { backends: &backends, workers, max_connections: 1000, tls: Tls::None };
        // They answer PING only once they have found the primary.
        let start = |name: &&'static str| {
            let proxy = match *name {
                HAPROXY => workshop.haproxy(&setup),
                REDIS_MODE => workshop.mainstay(mainstay_binary(), Mode::Redis, &setup),
                _ => workshop.mainstay(mainstay_binary(), Mode::Tcp, &setup),
            };
            Ok((*name, proxy?))
        };
        let proxies = proxies.iter().map(start).collect::<Result<_>>()?;
        Ok(Self { redis, primary: 0, proxies, sentinels, workshop })
    }

    /// The replicas' places.
    pub fn replicas(&self) -> Vec<usize> {
        (0..self.redis.len()).filter(|index| *index != self.primary).collect()
    }

    /// Where the server at `address` stands.
    pub fn index_of(&self, address: SocketAddr) -> Result<usize> {
        self.redis.iter().position(|server| server.address == address).context("a server that was never started here")
    }

    /// Watches the replicas from now on.
    pub fn poll_replicas(&self) -> Result<Poller> {
        let replicas: Vec<SocketAddr> = self.replicas().into_iter().map(|index| self.redis[index].address).collect();
        let connect = |address: &SocketAddr| Client::connect(*address, PATIENCE);
        let mut clients = replicas.iter().map(connect).collect::<std::io::Result<Vec<_>>>()?;
        Ok(Poller(spawn(move || {
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                for (client, address) in clients.iter_mut().zip(&replicas) {
                    match role(client) {
                        Ok(role) if role == "master" => return Ok((Instant::now(), *address)),
                        Ok(_) => {}
                        // Sentinel closes every connection of a server whose role it changes.
                        Err(_) => *client = Client::connect(*address, PATIENCE)?,
                    }
                }
                sleep(Duration::from_millis(1));
            }
            bail!("no replica was promoted within {PATIENCE:?}")
        })))
    }

    /// Whom the Sentinels, where there are any, hold to be the primary, once they agree. Now and then, on a busy machine, they fail
    /// over a second time at once.
    pub fn ask_sentinels(&self) -> Result<usize> {
        let mut agreed = self.primary;
        wait_until("the Sentinels agree on a primary", || {
            let ask = |sentinel: &Server| {
                let address = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "jobs"])?;
                Ok(address.elements().get(1).map(Reply::text).unwrap_or_default())
            };
            let ports = self.sentinels.iter().map(ask).collect::<Result<HashSet<_>>>()?;
            if let [port] = ports.iter().collect::<Vec<_>>()[..] {
                agreed =
                    self.redis.iter().position(|server| server.address.port().to_string() == *port).context("an unknown port")?;
            }
            Ok(ports.len() <= 1)
        })?;
        Ok(agreed)
    }

    /// Starts the killed server again at its place, as a replica of the primary, the way an operator would.
    pub fn revive(&mut self, index: usize) -> Result<()> {
        let (address, primary) = (self.redis[index].address, self.redis[self.primary].address);
        let replicaof = format!("{} {}", primary.ip(), primary.port());
        self.redis[index] = self.workshop.redis(Some(address), &["--replicaof", &replicaof])?;
        Ok(())
    }

    /// Attaches every replica to the primary, and waits until all of them are in step.
    pub fn reattach(&self) -> Result<()> {
        let primary = &self.redis[self.primary];
        for index in self.replicas() {
            let replica = &self.redis[index];
            let follows = info(replica)?;
            if follows.get("role").is_none_or(|role| role != "slave")
                || follows.get("master_port").is_none_or(|port| *port != primary.address.port().to_string())
            {
                follow(replica, primary.address)?;
            }
        }
        wait_until("the replicas are in step", || {
            let offset = info(primary)?.get("master_repl_offset").cloned().unwrap_or_default();
            for index in self.replicas() {
                let info = info(&self.redis[index])?;
                let is = |key: &str, value: &str| info.get(key).is_some_and(|is| is == value);
                if !(is("master_link_status", "up") && is("slave_repl_offset", &offset)) {
                    return Ok(false);
                }
            }
            let online = info(primary)?.values().filter(|value| value.contains("state=online")).count();
            Ok(online == self.replicas().len())
        })
    }

    /// Waits until the Sentinels and the proxies see the world as it is.
    pub fn wait_until_known(&self, through_haproxy: bool) -> Result<()> {
        let primary = self.redis[self.primary].address;
        for sentinel in &self.sentinels {
            wait_until("the Sentinels agree", || sees_all_well(sentinel, primary, self.replicas().len()))?;
        }
        for (name, proxy) in &self.proxies {
            if *name != HAPROXY {
                wait_until("a write passes mainstay", || {
                    let reply = proxy.client()?.ask(&["SET", "settled", "1"]);
                    Ok(reply.is_ok_and(|reply| reply == Reply::Text("OK".into())))
                })?;
            } else if through_haproxy {
                wait_until("HAProxy has found the primary", || Ok(self.up_in_haproxy()? == [self.primary]))?;
            }
        }
        Ok(())
    }

    /// What the primary has of each client's values.
    pub fn values(&self, name: &str, clients: usize) -> Result<Vec<Kept>> {
        let mut primary = self.redis[self.primary].client()?;
        let values = |client| {
            let reply = primary.ask(&["LRANGE", &list(name, client), "0", "-1"])?;
            let mut kept = Kept::new();
            for value in reply.elements() {
                *kept.entry(value.text().parse().context("a value that nobody wrote")?).or_default() += 1;
            }
            Ok(kept)
        };
        (0..clients).map(values).collect()
    }

    /// The servers that HAProxy holds to be up.
    fn up_in_haproxy(&self) -> Result<Vec<usize>> {
        let mut socket = UnixStream::connect(self.workshop.haproxy_socket()).context("cannot ask HAProxy for its servers")?;
        socket.write_all(b"show stat redis-chargify 4 -1\n")?;
        let mut csv = String::new();
        socket.read_to_string(&mut csv)?;
        let mut lines = csv.lines();
        let head = lines.next().unwrap_or_default();
        let status = head.split(',').position(|column| column == "status").context("HAProxy names no column `status`")?;
        let servers = lines.filter(|line| !line.is_empty()).enumerate();
        Ok(servers
            .filter(|(_, line)| line.split(',').nth(status).is_some_and(|is| is.starts_with("UP")))
            .map(|(i, _)| i)
            .collect())
    }
}

impl Poller {
    /// When a replica said role:master, and which.
    pub fn wait(self) -> Result<(Instant, SocketAddr)> {
        self.0.join().map_err(|_| anyhow!("the poller panicked"))?
    }
}

/// `REPLICAOF`
pub fn follow(replica: &Server, primary: SocketAddr) -> Result<()> {
    replica.ask(&["REPLICAOF", &primary.ip().to_string(), &primary.port().to_string()]).map(drop)
}

/// Asks again every 20 ms.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().with_context(|| format!("while waiting until {what}"))? {
        ensure!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn role(client: &mut Client) -> std::io::Result<String> {
    Ok(client.ask(&["ROLE"])?.elements().first().map(Reply::text).unwrap_or_default())
}

fn info(server: &Server) -> Result<HashMap<String, String>> {
    let text = server.ask(&["INFO", "replication"])?.text();
    Ok(text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.into(), value.into())).collect())
}

/// This Sentinel knows the primary, both others, and every replica, and holds none of them to be down.
fn sees_all_well(sentinel: &Server, primary: SocketAddr, replicas: usize) -> Result<bool> {
    let mut client = sentinel.client()?;
    let master = fields(&client.ask(&["SENTINEL", "MASTER", "jobs"])?);
    let is = |key: &str, value: &str| master.get(key).is_some_and(|is| is == value);
    let others = client.ask(&["SENTINEL", "SENTINELS", "jobs"])?.elements().len();
    let known = client.ask(&["SENTINEL", "REPLICAS", "jobs"])?;
    let well = known.elements().iter().map(fields).filter(|replica| replica.get("flags").is_some_and(|flags| flags == "slave"));
    Ok(is("port", &primary.port().to_string()) && is("flags", "master") && others == 2 && well.count() == replicas)
}

/// Redis writes a map as an array in which keys and values take turns.
fn fields(reply: &Reply) -> HashMap<String, String> {
    reply.elements().chunks_exact(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
}
