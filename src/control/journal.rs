//! What an operator wants to read at three in the morning: one log line per event, the same as an event for `/api/v1/events`, and the
//! metrics of the control side.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast;
use tracing::{debug, info, warn};

use super::resolve::Incident;
use crate::config::limits::BACKENDS_MAX;
use crate::metrics::{BackendMetrics, GroupMetrics, Metrics};
use crate::route::{Action, Epoch, Event, GroupStatus, Hint, Moment, Refusal, rfc3339};
use crate::topology::{Cause, Group, Outcome, Step};

/// A fault of mainstay's own is said at most this often.
const OWN_FAULT_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub struct Journal {
    group: Arc<str>,
    epoch: Epoch,
    metrics: Metrics,
    group_metrics: GroupMetrics,
    backends: HashMap<Arc<str>, Known>,
    events: broadcast::Sender<Event>,
    /// What was last said about rivals and about an empty place, so that it is said once.
    rivals: Vec<Arc<str>>,
    vacancy: Option<&'static str>,
    own_fault_at: Option<Moment>,
}

struct Known {
    metrics: BackendMetrics,
    outcome: Option<&'static str>,
    /// Each that was counted.
    outcomes: Vec<&'static str>,
    /// Why it did not tell what its commands do.
    tells_not: Option<String>,
}

impl Journal {
    /// For one group.
    pub fn new(group: &Arc<str>, metrics: Metrics, events: broadcast::Sender<Event>, epoch: Epoch) -> Self {
        let group_metrics = metrics.group(group);
        group_metrics.epoch.set(signed(epoch));
        group_metrics.conflict.set(0);
        Self {
            group: group.clone(),
            epoch,
            metrics,
            group_metrics,
            backends: HashMap::new(),
            events,
            rivals: Vec::new(),
            vacancy: None,
            own_fault_at: None,
        }
    }

    fn known(&mut self, backend: &Arc<str>) -> &mut Known {
        let (metrics, group) = (&self.metrics, &self.group);
        self.backends.entry(backend.clone()).or_insert_with(|| Known {
            metrics: metrics.backend(group, backend),
            outcome: None,
            outcomes: Vec::new(),
            tells_not: None,
        })
    }

    fn event(&self, kind: &str, backend: Option<&str>, message: String) {
        // Nobody listening is no fault.
        let _ = self.events.send(Event {
            at: rfc3339(SystemTime::now()),
            group: self.group.to_string(),
            kind: kind.into(),
            epoch: self.epoch,
            backend: backend.map(str::to_owned),
            message,
        });
    }

    /// A check ended. Said when it ended otherwise than the one before.
    pub fn check(&mut self, backend: &Arc<str>, outcome: &Outcome, took: Duration) {
        let word = outcome.as_str();
        let known = self.known(backend);
        known.metrics.check(word);
        if !known.outcomes.contains(&word) {
            known.outcomes.push(word);
        }
        known.metrics.check_duration.observe(took.as_secs_f64());
        let before = known.outcome.replace(word);
        if before == Some(word) {
            return;
        }
        let (group, epoch) = (&self.group, self.epoch);
        match outcome.message() {
            Some(message) => {
                warn!(%group, %backend, epoch, outcome = word, "{backend} {message}");
                self.event("backend", Some(backend), format!("{backend} {message}"));
            }
            None if before.is_some() => {
                info!(%group, %backend, epoch, outcome = word, "{backend} answers again");
                self.event("backend", Some(backend), format!("{backend} answers again"));
            }
            None => debug!(%group, %backend, "{backend} answers"),
        }
    }

    /// A backend was asked what its commands do. Said once, and again when it is otherwise.
    pub fn commands(&mut self, backend: &Arc<str>, tells_not: Option<&str>) {
        let before = std::mem::replace(&mut self.known(backend).tells_not, tells_not.map(str::to_owned));
        let group = &self.group;
        match tells_not {
            Some(why) if before.as_deref() != Some(why) => info!(
                %group, %backend,
                "{backend} does not tell what its commands do: {why}. Until it does, the table shipped with mainstay serves: \
                 a command that is not in it is never asked again after a failover"
            ),
            None if before.is_some() => info!(%group, %backend, "{backend} tells what its commands do"),
            Some(_) | None => debug!(%group, %backend, "asked {backend} what its commands do"),
        }
    }

    /// mainstay itself could not ask.
    pub fn own_fault(&mut self, backend: &Arc<str>, error: &io::Error, now: Moment) {
        if self.own_fault_at.is_some_and(|at| now.since(at) < OWN_FAULT_EVERY) {
            return;
        }
        self.own_fault_at = Some(now);
        let group = &self.group;
        warn!(%group, %backend, "cannot check {backend} for want of a resource of this machine: {error}");
    }

    /// Traffic noticed something.
    pub fn hint(&self, hint: &Hint) {
        debug!(group = %self.group, epoch = hint.epoch, hint = hint.what.as_str(), "traffic hints at a change; checking");
    }

    /// The process stood still.
    pub fn stalled(&self, stood: Duration) {
        let group = &self.group;
        let message =
            format!("mainstay stood still for {} ms; checking everything anew before traffic goes on", stood.as_millis());
        warn!(%group, epoch = self.epoch, "{message}");
        self.event("stalled", None, message);
    }

    /// A step was carried out.
    pub fn step(&mut self, step: &Step, group: &Group) {
        let name = self.group.clone();
        match step {
            Step::Withdraw { epoch, from, cause, why } => {
                self.epoch = *epoch;
                self.vacancy = None;
                self.group_metrics.epoch.set(signed(*epoch));
                self.group_metrics.failover(cause.as_str());
                let cause_word = cause.as_str();
                match cause {
                    Cause::Demoted | Cause::Succeeded | Cause::Sentinel | Cause::Operator | Cause::Maintenance => {
                        info!(group = %name, backend = %from, epoch, cause = cause_word, "primary withdrawn: {why}");
                    }
                    Cause::Loading | Cause::Restarted | Cause::Down => {
                        warn!(group = %name, backend = %from, epoch, cause = cause_word, "primary withdrawn: {why}");
                    }
                }
                self.event("withdrawn", Some(from), format!("{from} is no longer the primary: {why}"));
            }
            Step::Grant { epoch, to, rule, why, returned_empty } => {
                let failover = group.history().iter().last().filter(|failover| failover.epoch == *epoch);
                let took = failover.and_then(|failover| Some(failover.elected?.since(failover.lost)));
                let loss = failover.and_then(|failover| failover.gap).map(|gap| gap.bytes).filter(|bytes| *bytes > 0);
                if let Some(took) = took {
                    self.group_metrics.failover_duration.observe(took.as_secs_f64());
                }
                let after = took.map(|took| format!(", {} ms after the last one was lost", took.as_millis())).unwrap_or_default();
                let missing =
                    loss.map(|bytes| format!("; it misses about {bytes} bytes of the old one's writes")).unwrap_or_default();
                info!(group = %name, backend = %to, epoch, rule = rule.as_str(), "primary elected: {why}{after}{missing}");
                self.event("elected", Some(to), format!("{to} is the primary: {why}{after}{missing}"));
                if let Some(message) = returned_empty {
                    warn!(group = %name, backend = %to, epoch, "{message}");
                    self.event("returned_empty", Some(to), message.clone());
                }
            }
        }
    }

    /// Says once what has become of rivals and of an empty place.
    pub fn watch(&mut self, group: &Group) {
        let rivals: Vec<Arc<str>> = group.rivals().cloned().collect();
        self.group_metrics.conflict.set(i64::from(!rivals.is_empty()));
        // Right after an election a rival may just not have been asked again: that is no end of the conflict.
        if rivals != self.rivals && (!rivals.is_empty() || group.asked_all_since_election()) {
            let name = &self.group;
            if rivals.is_empty() {
                info!(group = %name, epoch = self.epoch, "conflict over: nobody but the primary says role:master");
                self.event("conflict_over", None, "nobody but the primary says role:master any more".into());
            } else {
                let (who, primary) = (rivals.join(", "), group.primary().map_or("", |primary| primary));
                let (say, them) = if rivals.len() == 1 { ("says", "it a replica") } else { ("say", "them replicas") };
                let message = format!(
                    "{who} {say} role:master beside the primary {primary}; traffic stays with the primary. Make {them}, or run `mainstay elect`"
                );
                warn!(group = %name, backend = %who, epoch = self.epoch, "conflict: {message}");
                self.event("conflict", Some(&who), message);
            }
            self.rivals = rivals;
        }
        let (_, word, why) = group.standing();
        let vacancy = group.primary().is_none().then_some(word);
        if vacancy != self.vacancy {
            self.vacancy = vacancy;
            if vacancy == Some("tie") {
                warn!(group = %self.group, epoch = self.epoch, "no primary: {why}");
                self.event("tie", None, why.to_owned());
            } else if vacancy.is_some() {
                info!(group = %self.group, epoch = self.epoch, "no primary: {why}");
            }
        }
    }

    /// Whether a replica may be read has changed. `matters`: somebody reads.
    pub fn replica(&self, backend: &str, out: Option<&str>, matters: bool) {
        let (group, epoch) = (&self.group, self.epoch);
        let message = match out {
            None => "it is in step with the primary and may be read".to_owned(),
            Some(why) => format!("it is not read any more: {why}"),
        };
        match matters {
            true => info!(%group, %backend, epoch, "replica {backend}: {message}"),
            false => debug!(%group, %backend, epoch, "replica {backend}: {message}"),
        }
        self.event("replica", Some(backend), message);
    }

    /// Something is wrong with one Sentinel.
    pub fn sentinel_warns(&self, sentinel: &str, state: &str, message: &str) {
        warn!(group = %self.group, sentinel, state, epoch = self.epoch, "Sentinel {sentinel} {message}");
        self.event("sentinel", None, format!("Sentinel {sentinel} {message}"));
    }

    /// And now it is not any more.
    pub fn sentinel_informs(&self, sentinel: &str, message: &str) {
        info!(group = %self.group, sentinel, epoch = self.epoch, "Sentinel {sentinel} {message}");
        self.event("sentinel", None, format!("Sentinel {sentinel} {message}"));
    }

    /// Something is wrong with what the Sentinels say together.
    pub fn sentinels_warn(&self, message: &str) {
        warn!(group = %self.group, epoch = self.epoch, "{message}");
        self.event("sentinels", None, message.into());
    }

    /// And now it is not any more.
    pub fn sentinels_inform(&self, message: &str) {
        info!(group = %self.group, epoch = self.epoch, "{message}");
        self.event("sentinels", None, message.into());
    }

    /// How each Sentinel stands, and whether they agree with the election; absent where there are none.
    pub fn measure_sentinels(&self, sentinels: Option<(&[&str], bool)>) {
        self.group_metrics.sentinels(sentinels);
    }

    /// An operator asked for something.
    pub fn command(&self, action: &Action, result: &Result<String, Refusal>) {
        let (group, epoch) = (&self.group, self.epoch);
        let (Action::Elect { backend } | Action::Backend { backend, .. }) = action;
        match result {
            Ok(message) => {
                info!(%group, %backend, epoch, "operator: {message}");
                self.event("command", Some(backend), message.clone());
            }
            Err(Refusal::NoSuchBackend(why) | Refusal::NotNow(why)) => info!(%group, %backend, epoch, "operator refused: {why}"),
        }
    }

    /// Brings the gauges up to date.
    pub fn measure(&mut self, status: &GroupStatus) {
        for backend in &status.backends {
            let name: Arc<str> = backend.address.as_str().into();
            let metrics = &self.known(&name).metrics;
            metrics.primary.set(i64::from(status.primary.as_deref() == Some(&backend.address)));
            metrics.up.set(i64::from(backend.up));
            metrics.role(backend.role.as_deref());
            metrics.lag(backend.lag_bytes);
            metrics.replica(backend.reads.as_deref() == Some("usable"), backend.read_sessions);
        }
    }

    /// Something became of a name.
    pub fn name(&mut self, incident: &Incident) {
        let group = &self.group;
        match incident {
            Incident::Fails { name, why } => {
                let message = format!("{name} cannot be resolved: {why}. Its last answer stays in force until there is another");
                warn!(%group, %name, "{message}");
                self.event("name", None, message);
            }
            Incident::Recovers { name } => info!(%group, %name, "{name} is resolved again"),
            Incident::Leads { name, to } => {
                info!(%group, %name, "{name} leads to {to}");
                self.event("name", None, format!("{name} leads to {to}"));
            }
            Incident::Cut { name, of } => {
                warn!(%group, %name, "{name} stands for {of} addresses; a group has at most {BACKENDS_MAX} backends, the rest is passed over");
            }
        }
    }

    /// A backend goes by another name from now on.
    pub fn rename(&mut self, old: &Arc<str>, new: &Arc<str>) {
        let said = self.backends.get(old).map(|known| (known.outcome, known.tells_not.clone()));
        self.forget(old);
        if let Some((outcome, tells_not)) = said {
            let known = self.known(new);
            (known.outcome, known.tells_not) = (outcome, tells_not);
        }
        for rival in self.rivals.iter_mut().filter(|rival| *rival == old) {
            *rival = new.clone();
        }
        let group = &self.group;
        info!(%group, backend = %new, epoch = self.epoch, "{old} goes by the name {new} from now on");
        self.event("name", Some(new), format!("{old} goes by the name {new} from now on"));
    }

    /// A backend left the group.
    pub fn forget(&mut self, backend: &Arc<str>) {
        if let Some(known) = self.backends.remove(backend) {
            known.metrics.forget(&known.outcomes);
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.group_metrics.forget();
        for known in self.backends.values() {
            known.metrics.forget(&known.outcomes);
        }
    }
}

fn signed(epoch: Epoch) -> i64 {
    i64::try_from(epoch).unwrap_or(i64::MAX)
}
