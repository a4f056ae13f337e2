//! A connection to one Sentinel, logged in.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::config;
use crate::control::connectors::Security;
use crate::control::login::log_in;
use crate::control::mismatch;
use crate::control::resolve::Names;
use crate::control::wire::{Fault, Wire};
use crate::route::{Endpoint, Way};
use crate::topology::Outcome;

/// How long a question waits at most for a resolver that has never answered.
const RESOLVER_PATIENCE: Duration = Duration::from_millis(250);

/// How the Sentinels of a group are reached, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) sentinel: config::Sentinel,
    pub(super) check: config::Check,
    pub(super) resolve_interval: Duration,
}

/// See the module.
pub(super) struct Link {
    address: config::BackendAddress,
    names: Names,
    security: Security,
    /// The last address led nowhere.
    again: bool,
}

impl Link {
    pub(super) fn new(address: config::BackendAddress, security: Security, manner: &Manner) -> Self {
        let mut names = Names::new(manner.resolve_interval, manner.check.fast_interval);
        names.update([&address]);
        Self { address, names, security, again: false }
    }

    /// Connects to the first of its addresses that answers, and says who mainstay is. An error is for people.
    pub(super) async fn open(&mut self, manner: &Manner) -> Result<Wire, String> {
        let patience = manner.check.timeout;
        let opened = timeout(patience, self.try_all(manner)).await.unwrap_or_else(|_| Err(silent(patience)));
        self.again = opened.is_err();
        opened
    }

    async fn try_all(&mut self, manner: &Manner) -> Result<Wire, String> {
        let patience = manner.check.timeout;
        let tls = self.security.clone().map_err(|error| error.to_string())?;
        let endpoints = self.endpoints(patience).await;
        let endpoints = endpoints.map_err(|why| Outcome::NameNotResolved(why).message().unwrap_or_default())?;
        let share = patience / u32::try_from(endpoints.len()).unwrap_or(u32::MAX).max(1);
        let mut fault = None;
        for endpoint in endpoints {
            let connecting = async {
                tokio::select! {
                    connected = Wire::connect(Way { endpoint: endpoint.clone(), tls: tls.clone() }) => connected,
                    fault = mismatch::turns_out_plain(&endpoint, share / 2), if tls.is_some() => Err(fault),
                }
            };
            let connected = timeout(share, connecting).await;
            match connected.unwrap_or(Err(Fault::Backend(Outcome::Silent))) {
                Ok(mut wire) => {
                    let greeted = greet(&mut wire, manner).await;
                    return greeted.map(|()| wire).map_err(|fault| explain(fault, patience));
                }
                Err(other) => fault = Some(other.or_rather(fault)),
            }
        }
        // A resolver's answer is never empty.
        Err(fault.map_or_else(|| silent(patience), |fault| explain(fault, patience)))
    }

    /// Where the Sentinel is. One that is found by the name of a service tells of the others behind it.
    async fn endpoints(&mut self, patience: Duration) -> Result<Vec<Endpoint>, String> {
        let told = self.names.told();
        if self.again {
            let names: Vec<_> = self.names.leads(&self.address).into_iter().flat_map(|lead| lead.names).collect();
            self.names.again(&names);
        }
        let waits = Instant::now() + RESOLVER_PATIENCE.min(patience / 4);
        loop {
            self.names.update([&self.address]);
            let leads = self.names.leads(&self.address);
            let why = leads.iter().find_map(|lead| lead.endpoints.clone().err());
            let endpoints: Vec<Endpoint> = leads.into_iter().filter_map(|lead| lead.endpoints.ok()).flatten().collect();
            if !endpoints.is_empty() {
                return Ok(endpoints);
            }
            if timeout_at(waits, told.notified()).await.is_err() {
                return Err(why.map_or_else(String::new, |why| why.to_string()));
            }
        }
    }
}

/// Says who mainstay is, to something that answers at all.
async fn greet(wire: &mut Wire, manner: &Manner) -> Result<(), Fault> {
    match wire.ask(&["PING"]).await {
        // A TLS server ends a connection in plain without a word.
        Err(Fault::Closed) if wire.way.tls.is_none() && mismatch::does_tls(&wire.way.endpoint).await => {
            return Err(Fault::Backend(mismatch::speaks_tls()));
        }
        // What it says does not matter: without a password it may be an error.
        answered => answered.map(drop)?,
    }
    match log_in(wire, manner.sentinel.credentials.as_ref()).await? {
        None => Ok(()),
        Some(refusal) => Err(Fault::Backend(refusal)),
    }
}

/// Why there is no answer, for people, without the name of who was asked.
pub(super) fn explain(fault: Fault, patience: Duration) -> String {
    match fault {
        Fault::Backend(Outcome::Silent) => silent(patience),
        Fault::Backend(Outcome::AuthRefused(said)) => format!("refuses the username or password of [group.sentinel]: {said}"),
        // The wire knows the group's keys alone.
        Fault::Backend(Outcome::TlsMismatch(why)) => why.replace("[group.tls]", "[group.sentinel.tls]"),
        Fault::Backend(outcome) => outcome.message().unwrap_or_else(|| outcome.as_str().to_owned()),
        Fault::Closed => "closed the connection".to_owned(),
        Fault::Own(error) => format!("cannot be asked for want of a resource of this machine: {error}"),
    }
}

pub(super) fn silent(patience: Duration) -> String {
    format!("does not answer within {} ms", patience.as_millis())
}
