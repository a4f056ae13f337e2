//! From a configured address to endpoints. Names are resolved again every `resolve_interval` and after a failed check; a resolver
//! that fails, or hangs, keeps the last answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::config::BackendAddress;
use crate::route::{Endpoint, Moment};

/// How long a check waits for a resolver before it goes on with the last answer.
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
            BackendAddress::Unix(path) => vec![Endpoint::Unix(path.as_path().into())],
            BackendAddress::Tcp { host, port } => {
                host.parse::<IpAddr>().map(|ip| vec![Endpoint::Tcp(SocketAddr::new(ip, *port))]).unwrap_or_default()
            }
        };
        Self { address, interval, answer, asked: None, running: None, error: "no answer from the resolver yet".into() }
    }

    /// The endpoints, in the order to try them; empty where the name was never resolved: then the error says why.
    pub async fn endpoints(&mut self, again: bool, now: Moment) -> Result<&[Endpoint], String> {
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
            self.collect().await;
        }
        if self.answer.is_empty() { Err(self.error.clone()) } else { Ok(&self.answer) }
    }

    async fn collect(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Ok(finished) = tokio::time::timeout(PATIENCE, running).await else { return };
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
