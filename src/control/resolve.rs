//! From a configured address to endpoints. Names are resolved again every `resolve_interval` and after a failed check; a resolver
//! that fails, or hangs, keeps the last answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::config::BackendAddress;
use crate::route::{Endpoint, Moment};

/// How long a check waits at most for a resolver that has never answered, or whose last answer led nowhere.
const PATIENCE: Duration = Duration::from_millis(250);

/// One backend's address.
pub struct Resolver {
    address: BackendAddress,
    interval: Duration,
    answer: Vec<Endpoint>,
    asked: Option<Moment>,
    /// At most one: a resolver that hangs must not collect threads.
    running: Option<JoinHandle<io::Result<Vec<SocketAddr>>>>,
    error: String,
}

impl Resolver {
    /// Addresses that are no names need no resolver.
    pub fn new(address: BackendAddress, interval: Duration) -> Self {
        let answer = match &address {
            BackendAddress::Service(_) => Vec::new(),
            BackendAddress::Unix(path) => vec![Endpoint::Unix(path.as_path().into())],
            BackendAddress::Tcp { host, port } => {
                host.parse::<IpAddr>().map(|ip| vec![Endpoint::Tcp(SocketAddr::new(ip, *port))]).unwrap_or_default()
            }
        };
        Self { address, interval, answer, asked: None, running: None, error: "no answer from the resolver yet".into() }
    }

    /// The endpoints, in the order to try them; empty where the name was never resolved: then the error says why. `again`: the last
    /// ones led nowhere. `check_timeout`: all the time that the check has.
    pub async fn endpoints(&mut self, again: bool, check_timeout: Duration, now: Moment) -> Result<&[Endpoint], String> {
        if let BackendAddress::Tcp { host, port } = &self.address
            && host.parse::<IpAddr>().is_err()
        {
            let due = self.asked.is_none_or(|asked| again || now.since(asked) >= self.interval);
            if self.running.is_none() && due {
                let (host, port) = (host.clone(), *port);
                self.asked = Some(now);
                self.running =
                    Some(tokio::spawn(async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) }));
            }
            // While the last answer serves, no check waits for a newer one: a resolver that hangs must not fail it.
            let waits = again || self.answer.is_empty();
            self.collect(if waits { PATIENCE.min(check_timeout / 4) } else { Duration::ZERO }).await;
        }
        if self.answer.is_empty() { Err(self.error.clone()) } else { Ok(&self.answer) }
    }

    async fn collect(&mut self, patience: Duration) {
        let Some(running) = &mut self.running else { return };
        let Ok(finished) = tokio::time::timeout(patience, running).await else { return };
        self.running = None;
        match finished {
            Ok(Ok(addresses)) if !addresses.is_empty() => {
                self.answer.clear();
                for address in addresses.into_iter().map(Endpoint::Tcp) {
                    if !self.answer.contains(&address) {
                        self.answer.push(address);
                    }
                }
            }
            Ok(Ok(_)) => self.error = "the resolver knows no address for it".into(),
            Ok(Err(error)) => self.error = error.to_string(),
            Err(error) => self.error = error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_resolver_that_hangs_leaves_a_check_its_time() {
        let name = BackendAddress::Tcp { host: "redis1".into(), port: 6379 };
        let mut resolver = Resolver::new(name, Duration::from_secs(1));
        resolver.answer = vec![Endpoint::Tcp(([127, 0, 0, 1], 6379).into())];
        resolver.running = Some(tokio::spawn(std::future::pending()));
        for again in [false, true] {
            let all = Duration::from_millis(200);
            let answer = tokio::time::timeout(all / 2, resolver.endpoints(again, all, Moment::from_millis(1))).await;
            assert!(answer.is_ok_and(|endpoints| endpoints.is_ok()), "the last answer serves");
        }
    }
}
