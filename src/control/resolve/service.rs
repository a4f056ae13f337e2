//! The targets of a service: SRV records (RFC 2782). Priority and weight are passed over: who is primary is found by asking the
//! servers, not by what a zone file prefers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use domain::base::iana::Rcode;
use domain::base::{Name, Rtype, ToName};
use domain::rdata::Srv;
use domain::resolv::StubResolver;
use domain::resolv::stub::conf::{ResolvConf, ServerConf, Transport};

use super::system::{self, System};

/// One server of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    /// Its name, in lower case and without the dot at its end; an IP address where somebody wrote one.
    pub(super) host: Arc<str>,
    /// Its port.
    pub(super) port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The targets of the service `name`, asked of the system's name servers.
pub(super) async fn targets_of(name: Arc<str>) -> Result<Vec<Target>, String> {
    ask(&System::read(system::FILE), &name).await
}

/// Each candidate of the name in turn; each server in turn, and all of them again, as the system's resolver does.
pub(super) async fn ask(system: &System, name: &str) -> Result<Vec<Target>, String> {
    for candidate in system.candidates(name) {
        // With a domain appended it may be too long: then it is none.
        let Ok(absolute) = Name::<Vec<u8>>::from_str(&candidate) else { continue };
        let mut faults: Vec<String> = Vec::new();
        let mut targets = None;
        'asked: for _ in 0..system.attempts {
            for server in &system.servers {
                match ask_server(system, *server, &absolute).await {
                    Ok(found) => {
                        targets = Some(found);
                        break 'asked;
                    }
                    Err(why) => faults.push(format!("name server {}: {why}", server.ip())),
                }
            }
        }
        match targets {
            Some(found) if found.is_empty() => {}
            Some(found) => return Ok(found),
            None => {
                faults.dedup();
                return Err(faults.join("; "));
            }
        }
    }
    Ok(Vec::new())
}

/// A new connection for each question: the last one may be from a network that this machine has left.
async fn ask_server(system: &System, server: std::net::SocketAddr, name: &Name<Vec<u8>>) -> Result<Vec<Target>, String> {
    let mut conf = ResolvConf::new();
    // A truncated answer is asked for again over TCP.
    conf.servers = vec![ServerConf::new(server, if system.tcp { Transport::Tcp } else { Transport::UdpTcp })];
    conf.options.use_vc = system.tcp;
    conf.options.timeout = system.timeout;
    conf.finalize();
    let answer = StubResolver::from_conf(conf).query((name, Rtype::SRV)).await.map_err(|error| error.to_string())?;
    match answer.header().rcode() {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN => return Ok(Vec::new()),
        other => return Err(format!("it says {other}")),
    }
    if answer.is_truncated() {
        return Err("its answer is cut short".into());
    }
    let malformed = |error| format!("its answer cannot be read: {error}");
    // What an alias leads to.
    let owner = answer.canonical_name().ok_or("its answer has an alias that leads to itself")?;
    let mut targets = Vec::new();
    for record in answer.answer().map_err(malformed)?.limit_to_in::<Srv<_>>() {
        let record = record.map_err(malformed)?;
        let target = record.data().target();
        // The root as the target says that there is no such service.
        if *record.owner() == owner && !target.to_name::<Vec<u8>>().is_root() && record.data().port() != 0 {
            let host = target.to_name::<Vec<u8>>().to_string().trim_end_matches('.').to_ascii_lowercase();
            targets.push(Target { host: host.into(), port: record.data().port() });
        }
    }
    // A server's order is a matter of chance, and of two targets that are one server the first gives it its name.
    targets.sort();
    Ok(targets)
}

#[cfg(test)]
mod tests;
