//! One task a backend: it keeps one connection open and asks for the facts, again and again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::asking::{Asking, Question};
use super::connectors::Security;
use super::login::log_in;
use super::mismatch;
use super::wire::{Fault, Reply, Wire, outcome_of_error};
use crate::config::Credentials;
use crate::resp::command::Commands;
use crate::route::{Endpoint, Moment, Way};
use crate::topology::Outcome;
use crate::topology::facts::Id;

/// What is asked in one command where the server takes several sections (Redis 7).
const INFO: [&str; 6] = ["INFO", "server", "persistence", "stats", "replication", "keyspace"];
/// The same for older servers: everything, still one answer and so one state of the server.
const INFO_ALL: [&str; 1] = ["INFO"];

/// Where a backend is, in the order to try them; or why nobody knows yet. Never an empty list.
pub type Whereabouts = Result<Vec<Endpoint>, Arc<str>>;

/// How long a check waits at most for a resolver that has never answered.
const RESOLVER_PATIENCE: Duration = Duration::from_millis(250);

/// How often to ask, as the coordinator wants it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the start of one check to the start of the next.
    pub every: Duration,
    /// Grows to have one check started at once, even behind a running one.
    pub round: u64,
}

/// What a probe tells the coordinator.
#[derive(Debug)]
pub struct Report {
    /// The backend's configured address.
    pub backend: Arc<str>,
    /// What happened.
    pub news: News,
}

/// See [`Report`].
#[derive(Debug)]
pub enum News {
    /// A check began.
    Started(Moment),
    /// The check that began at `started` ended.
    Ended {
        /// When it began.
        started: Moment,
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        took: Duration,
        /// Who answered, or was asked.
        endpoint: Option<Endpoint>,
    },
    /// mainstay itself could not ask; nothing follows for the backend.
    Failed(std::io::Error),
    /// The backend was asked what its commands do.
    Commands {
        /// Who answered.
        process: Option<Id>,
        /// The answer, or why there is none.
        commands: Result<Arc<Commands>, String>,
    },
}

/// One backend's probe.
pub struct Probe {
    /// The backend's configured address.
    pub backend: Arc<str>,
    /// Where to. No check waits for a resolver, whether it hangs or not.
    pub whereabouts: watch::Receiver<Whereabouts>,
    /// Plain, by TLS, or why it cannot be asked at all.
    pub security: Security,
    /// No TLS is configured. Does it speak it all the same? Not known before a connection was closed without a word.
    pub speaks_tls: Option<bool>,
    /// Who mainstay is there.
    pub credentials: Option<Credentials>,
    /// Of one check, connecting included.
    pub timeout: Duration,
    /// Checks that found nobody are repeated no sooner.
    pub interval: Duration,
    /// No two checks begin closer together, unless a round is ordered.
    pub fast_interval: Duration,
    /// How often.
    pub pace: watch::Receiver<Pace>,
    /// To the coordinator.
    pub reports: mpsc::Sender<Report>,
}

impl Probe {
    /// Asks until the coordinator is gone.
    pub async fn run(mut self) {
        let mut wire: Option<Wire> = None;
        let mut old_style = false;
        let mut asking = Asking::default();
        loop {
            let begun = Instant::now();
            let round = self.pace.borrow_and_update().round;
            let started = Moment::now();
            if !self.report(News::Started(started)).await {
                return;
            }
            let mut tried = None;
            let anew = wire.is_none();
            let result = timeout(self.timeout, self.check(&mut wire, &mut old_style, &mut tried)).await;
            let result = result.unwrap_or(Err(Fault::Backend(Outcome::Silent)));
            let endpoint = wire.as_ref().map(|wire| wire.way.endpoint.clone()).or(tried);
            let took = begun.elapsed();
            if let Ok(Outcome::Facts(facts)) = &result {
                self.speaks_tls = None;
                asking.heard(facts, anew, begun);
            }
            let (news, silent) = match result {
                Ok(outcome) => (News::Ended { started, outcome, took, endpoint }, false),
                Err(Fault::Backend(outcome)) => {
                    wire = None;
                    let silent = matches!(outcome, Outcome::Silent);
                    (News::Ended { started, outcome, took, endpoint }, silent)
                }
                Err(Fault::Closed) => {
                    wire = None;
                    (News::Ended { started, outcome: Outcome::Closed, took, endpoint }, false)
                }
                Err(Fault::Own(error)) => {
                    wire = None;
                    (News::Failed(error), false)
                }
            };
            if !self.report(news).await {
                return;
            }
            if !self.wait(begun, round, silent, &mut wire, &mut asking).await {
                return;
            }
        }
    }

    async fn report(&self, news: News) -> bool {
        self.reports.send(Report { backend: self.backend.clone(), news }).await.is_ok()
    }

    /// Waits for the next check; false when the coordinator is gone.
    async fn wait(&mut self, begun: Instant, round: u64, silent: bool, wire: &mut Option<Wire>, asking: &mut Asking) -> bool {
        let jitter = jitter();
        loop {
            let pace = *self.pace.borrow_and_update();
            if pace.round > round {
                return true;
            }
            if let Some(wire) = wire {
                asking.ask_if_due(pace.every >= self.interval, Instant::now(), || Question {
                    backend: self.backend.clone(),
                    way: wire.way.clone(),
                    credentials: self.credentials.clone(),
                    reports: self.reports.clone(),
                });
            }
            // Silence in doubt is not asked faster: each question waits for its time-out anyway.
            let every = if silent { pace.every.max(self.interval) } else { pace.every };
            let due = begun + every.mul_f64(jitter);
            tokio::select! {
                () = sleep_until(due) => return true,
                changed = self.pace.changed() => if changed.is_err() { return false },
                changed = self.whereabouts.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    let stays = |wire: &Wire| matches!(&*self.whereabouts.borrow(), Ok(all) if all.contains(&wire.way.endpoint));
                    if !wire.as_ref().is_some_and(stays) {
                        // It is elsewhere now.
                        sleep_until((begun + self.fast_interval).min(due)).await;
                        return true;
                    }
                }
                () = disturbed(wire), if wire.is_some() => {
                    *wire = None;
                    // Closed between two checks: ask at once, but do not let a server that always closes set the pace.
                    sleep_until((begun + self.fast_interval).min(due)).await;
                    return true;
                }
            }
        }
    }

    /// Where to, now. Only at the very start it may be worth a moment to wait for the first answer.
    async fn resolved(&mut self) -> Whereabouts {
        let patience = RESOLVER_PATIENCE.min(self.timeout / 4);
        // Whether it came or not is read below.
        let _ = timeout(patience, self.whereabouts.wait_for(Result::is_ok)).await;
        self.whereabouts.borrow_and_update().clone()
    }

    async fn check(
        &mut self,
        slot: &mut Option<Wire>,
        old_style: &mut bool,
        tried: &mut Option<Endpoint>,
    ) -> Result<Outcome, Fault> {
        let endpoints = match self.resolved().await {
            Ok(endpoints) => endpoints,
            Err(why) => return Ok(Outcome::NameNotResolved(why.to_string())),
        };
        // The name leads elsewhere now: what answers at the old address is not this backend any more.
        if slot.as_ref().is_some_and(|wire| !endpoints.contains(&wire.way.endpoint)) {
            *slot = None;
        }
        if let Some(wire) = slot {
            match ask_info(wire, old_style).await {
                // What is learned from the end of an old connection is little: a new one tells.
                Err(Fault::Closed) => *slot = None,
                result => return result,
            }
        }
        let tls = match &self.security {
            Ok(tls) => tls,
            Err(error) => return Ok(Outcome::TlsMismatch(error.to_string())),
        };
        // A name may stand for several addresses: one that swallows everything must leave time for the next.
        let share = self.timeout / u32::try_from(endpoints.len()).unwrap_or(u32::MAX).max(1);
        let mut fault = None;
        for endpoint in endpoints {
            *tried = Some(endpoint.clone());
            let connecting = async {
                tokio::select! {
                    connected = Wire::connect(Way { endpoint: endpoint.clone(), tls: tls.clone() }) => connected,
                    fault = mismatch::turns_out_plain(&endpoint, share / 2), if tls.is_some() => Err(fault),
                }
            };
            let connected = timeout(share, connecting).await;
            match connected.unwrap_or(Err(Fault::Backend(Outcome::Silent))) {
                Ok(mut wire) => {
                    let outcome = match self.ask_new(&mut wire, old_style).await {
                        Err(Fault::Closed) if tls.is_none() => return self.closed_in_plain(&wire.way.endpoint).await,
                        result => match result? {
                            Ok(outcome) => outcome,
                            Err(refusal) => return Ok(refusal),
                        },
                    };
                    if !matches!(outcome, Outcome::AuthRefused(_) | Outcome::MaxClients | Outcome::ProtectedMode) {
                        *slot = Some(wire);
                    }
                    return Ok(outcome);
                }
                Err(other) => fault = Some(other.or_rather(fault)),
            }
        }
        // A resolver's answer is never empty.
        Err(fault.unwrap_or(Fault::Backend(Outcome::Refused)))
    }
}

impl Probe {
    /// The inner error: it does not let mainstay in.
    async fn ask_new(&self, wire: &mut Wire, old_style: &mut bool) -> Result<Result<Outcome, Outcome>, Fault> {
        match log_in(wire, self.credentials.as_ref()).await? {
            Some(refusal) => Ok(Err(refusal)),
            None => ask_info(wire, old_style).await.map(Ok),
        }
    }

    /// A new connection was closed without a word, and no TLS is configured. Should it be? Asked once, until a check succeeds.
    async fn closed_in_plain(&mut self, endpoint: &Endpoint) -> Result<Outcome, Fault> {
        let speaks_tls = match self.speaks_tls {
            Some(known) => known,
            None => mismatch::does_tls(endpoint).await,
        };
        self.speaks_tls = Some(speaks_tls);
        if speaks_tls { Ok(mismatch::speaks_tls()) } else { Err(Fault::Closed) }
    }
}

async fn ask_info(wire: &mut Wire, old_style: &mut bool) -> Result<Outcome, Fault> {
    if !*old_style {
        match wire.ask(&INFO).await? {
            Reply::Text(text) => return Ok(Outcome::of_info(&text)),
            Reply::Error(text) if text.starts_with("ERR syntax error") || text.starts_with("ERR wrong number") => {
                *old_style = true
            }
            Reply::Error(text) => return Ok(outcome_of_error(&text)),
        }
    }
    match wire.ask(&INFO_ALL).await? {
        Reply::Text(text) => Ok(Outcome::of_info(&text)),
        Reply::Error(text) => Ok(outcome_of_error(&text)),
    }
}

async fn disturbed(wire: &mut Option<Wire>) {
    match wire {
        Some(wire) => wire.disturbed().await,
        None => std::future::pending().await,
    }
}

/// A factor from 0.9 to 1, so that the checks of a fleet of mainstays do not fall into step, and none comes later than configured.
pub(super) fn jitter() -> f64 {
    // Each RandomState has keys of its own: the hash of nothing is a random number.
    let random = RandomState::new().build_hasher().finish();
    0.9 + 0.1 * (random % 1000) as f64 / 1000.0
}
