//! From addresses to endpoints.
//!
//! Each name is asked by a task of its own (`watched`), so that no check ever waits for a resolver, and twenty backends on one host
//! ask once. Host names go through the system (getaddrinfo: hosts file, search list, whatever it is set up for), the names of services
//! (SRV records) to the name servers of `/etc/resolv.conf`; their targets are then host names like any other.
//!
//! What an answer means for a group (one backend, several, none any more) is `roster`'s matter.

mod service;
mod system;
mod watched;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};

use self::service::Target;
use self::watched::{Ask, Pace, Watched};
use crate::config::BackendAddress;
use crate::config::limits::BACKENDS_MAX;
use crate::route::Endpoint;

/// No name is asked more often, however many checks fail.
const SHORTEST: Duration = Duration::from_millis(250);
/// Host names asked at a time, by all groups: each occupies a thread, for as long as the system's resolver hangs.
static ASKING: Semaphore = Semaphore::const_new(32);

/// Where an address leads: itself, or one target of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    /// `host:port`, a unix socket, or a service that has never been resolved.
    pub address: BackendAddress,
    /// The host name, where it is one: what a certificate is to say.
    pub host: Option<Arc<str>>,
    /// The names that were asked on the way. Give them to [`Names::again`] when the endpoints lead nowhere.
    pub names: Vec<Arc<str>>,
    /// In the resolver's order, each once; or why there is none yet.
    pub endpoints: Result<Vec<Endpoint>, Arc<str>>,
}

/// What became of a name, to be said once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// It has an answer, and now there is none: the last one stays in force.
    Fails {
        /// The name.
        name: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
    /// There are answers again.
    Recovers {
        /// The name.
        name: Arc<str>,
    },
    /// It leads elsewhere than before.
    Leads {
        /// The name.
        name: Arc<str>,
        /// Where to.
        to: String,
    },
    /// Its answer has more than [`BACKENDS_MAX`] addresses.
    Cut {
        /// The name.
        name: Arc<str>,
        /// How many it has.
        of: usize,
    },
}

/// The names of some addresses, and where they lead. Whoever owns it waits for [`Names::told`] and then calls [`Names::update`].
pub struct Names {
    pace: watch::Sender<Pace>,
    told: Arc<Notify>,
    hosts: HashMap<Arc<str>, Watched<HostAddress>>,
    services: HashMap<Arc<str>, Watched<Target>>,
    ask_host: Ask<HostAddress>,
    ask_service: Ask<Target>,
}

impl Names {
    /// None yet. Asked every `interval`, and at once when somebody says [`Names::again`], but then not more often than every
    /// `fast_interval` or 250 ms.
    pub fn new(interval: Duration, fast_interval: Duration) -> Self {
        let ask_host: Ask<HostAddress> = Arc::new(|name| boxed(addresses_of(name)));
        Self::asking(interval, fast_interval, ask_host, Arc::new(|name| boxed(service::targets_of(name))))
    }

    /// The same with resolvers of one's own.
    fn asking(interval: Duration, fast_interval: Duration, ask_host: Ask<HostAddress>, ask_service: Ask<Target>) -> Self {
        let (pace, _) = watch::channel(pace(interval, fast_interval));
        Self { pace, told: Arc::default(), hosts: HashMap::new(), services: HashMap::new(), ask_host, ask_service }
    }

    /// Changes the pace. No answer is forgotten by it.
    pub fn set_pace(&self, interval: Duration, fast_interval: Duration) {
        self.pace.send_if_modified(|present| {
            let pace = pace(interval, fast_interval);
            std::mem::replace(present, pace) != pace
        });
    }

    /// Told each time a question has ended.
    pub fn told(&self) -> Arc<Notify> {
        self.told.clone()
    }

    /// These addresses are to be resolved from now on, and no others; call it whenever they change, and when told.
    pub fn update<'a>(&mut self, addresses: impl IntoIterator<Item = &'a BackendAddress>) {
        let (mut hosts, mut services) = (HashSet::new(), HashSet::new());
        for address in addresses {
            match address {
                BackendAddress::Unix(_) => {}
                BackendAddress::Tcp { host, .. } => {
                    hosts.extend(host.parse::<IpAddr>().is_err().then(|| Arc::from(host.as_str())));
                }
                BackendAddress::Service(name) => {
                    services.insert(Arc::from(name.as_str()));
                }
            }
        }
        keep(&mut self.services, services, &self.ask_service, &self.pace, &self.told);
        let targets = self.services.values().flat_map(|service| service.answer().found.clone());
        hosts.extend(targets.map(|target| target.host).filter(|host| host.parse::<IpAddr>().is_err()));
        keep(&mut self.hosts, hosts, &self.ask_host, &self.pace, &self.told);
    }

    /// Where an address leads, as far as is known: at least one lead.
    pub fn leads(&self, address: &BackendAddress) -> Vec<Lead> {
        match address {
            BackendAddress::Unix(path) => vec![Lead {
                address: address.clone(),
                host: None,
                names: Vec::new(),
                endpoints: Ok(vec![Endpoint::Unix(path.as_path().into())]),
            }],
            BackendAddress::Tcp { host, port } => vec![self.host(host, *port)],
            BackendAddress::Service(name) => {
                let Some((name, service)) = self.services.get_key_value(name.as_str()) else {
                    return vec![unresolved(address, Vec::new())];
                };
                let answer = service.answer();
                if answer.found.is_empty() {
                    let why = answer.error.clone().unwrap_or_else(|| watched::NOT_YET.into());
                    return vec![Lead { endpoints: Err(why), ..unresolved(address, vec![name.clone()]) }];
                }
                let lead = |target: &Target| {
                    let mut lead = self.host(&target.host, target.port);
                    lead.names.push(name.clone());
                    lead
                };
                answer.found.iter().map(lead).collect()
            }
        }
    }

    fn host(&self, host: &str, port: u16) -> Lead {
        let address = BackendAddress::Tcp { host: host.to_owned(), port };
        if let Ok(ip) = host.parse::<IpAddr>() {
            let endpoints = Ok(vec![Endpoint::Tcp(SocketAddr::new(ip, port))]);
            return Lead { address, host: None, names: Vec::new(), endpoints };
        }
        let Some((name, watched)) = self.hosts.get_key_value(host) else { return unresolved(&address, Vec::new()) };
        let answer = watched.answer();
        let endpoints = match &answer.error {
            _ if !answer.found.is_empty() => Ok(answer.found.iter().map(|address| address.at(port)).collect()),
            Some(why) => Err(why.clone()),
            None => Err(watched::NOT_YET.into()),
        };
        Lead { address, host: Some(name.clone()), names: vec![name.clone()], endpoints }
    }

    /// Where these names lead serves nobody: ask again.
    pub fn again(&self, names: &[Arc<str>]) {
        for name in names {
            if let Some(host) = self.hosts.get(name) {
                host.again();
            }
            if let Some(service) = self.services.get(name) {
                service.again();
            }
        }
    }

    /// What has happened since this was last asked.
    pub fn incidents(&mut self) -> Vec<Incident> {
        let hosts = self.hosts.iter_mut().flat_map(|(name, host)| host.incidents(name));
        let services = self.services.iter_mut().flat_map(|(name, service)| service.incidents(name));
        hosts.chain(services).collect()
    }

    /// The names whose resolver fails while their last answer stays in force, and why.
    pub fn failing(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let hosts = self.hosts.iter().filter_map(|(name, host)| Some((name.clone(), host.answer().stale()?)));
        let services = self.services.iter().filter_map(|(name, service)| Some((name.clone(), service.answer().stale()?)));
        hosts.chain(services).collect()
    }
}

/// One address of a host. A link-local one is of use only with its interface, so this is more than an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct HostAddress(SocketAddr);

impl HostAddress {
    fn at(self, port: u16) -> Endpoint {
        let Self(mut address) = self;
        address.set_port(port);
        Endpoint::Tcp(address)
    }
}

impl From<SocketAddr> for HostAddress {
    fn from(mut address: SocketAddr) -> Self {
        // An IPv4 address in the clothes of IPv6 is an IPv4 address.
        address.set_ip(address.ip().to_canonical());
        address.set_port(0);
        Self(address)
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SocketAddr::V6(address) if address.scope_id() != 0 => write!(f, "{}%{}", address.ip(), address.scope_id()),
            address => address.ip().fmt(f),
        }
    }
}

fn pace(interval: Duration, fast_interval: Duration) -> Pace {
    Pace { interval, shortest: fast_interval.max(SHORTEST).min(interval) }
}

fn unresolved(address: &BackendAddress, names: Vec<Arc<str>>) -> Lead {
    Lead { address: address.clone(), host: None, names, endpoints: Err(watched::NOT_YET.into()) }
}

/// One task for each wanted name, and none for another.
fn keep<T: watched::Found>(
    watched: &mut HashMap<Arc<str>, Watched<T>>,
    wanted: HashSet<Arc<str>>,
    ask: &Ask<T>,
    pace: &watch::Sender<Pace>,
    told: &Arc<Notify>,
) {
    watched.retain(|name, _| wanted.contains(name));
    for name in wanted {
        let start = || Watched::start(name.clone(), ask.clone(), pace.subscribe(), told.clone());
        watched.entry(name.clone()).or_insert_with(start);
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = Result<Vec<T>, String>> + Send>>;

fn boxed<T>(future: impl Future<Output = Result<Vec<T>, String>> + Send + 'static) -> Boxed<T> {
    Box::pin(future)
}

/// The addresses of a host, by the system's resolver.
async fn addresses_of(host: Arc<str>) -> Result<Vec<HostAddress>, String> {
    // The semaphore is never closed.
    let permit = ASKING.acquire().await.map_err(|error| error.to_string())?;
    let lookup = tokio::task::spawn_blocking(move || {
        // Held by the thread: whoever asked may be gone, and the system's resolver still hangs.
        let _permit = permit;
        let addresses = (&*host, 0).to_socket_addrs()?.map(HostAddress::from);
        io::Result::Ok(unique(addresses))
    });
    lookup.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Each once, in their order.
fn unique<T: Clone + Eq + Hash>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    all.into_iter().filter(|one| seen.insert(one.clone())).collect()
}

/// At most [`BACKENDS_MAX`]: those that were there before go first, then the order of the values, so that an answer in changing order
/// does not exchange them.
fn bounded<T: watched::Found>(mut all: Vec<T>, before: &[T]) -> Vec<T> {
    if all.len() > BACKENDS_MAX {
        all.sort();
        all.sort_by_key(|one| !before.contains(one));
        all.truncate(BACKENDS_MAX);
    }
    all
}

#[cfg(test)]
mod tests;
