//! What the rule for replicas decides becomes tenures in the route: begun, told how far behind they are, ended.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::coordinator::{Coordinator, VOUCH_FOR};
use super::login;
use super::publishing::way;
use crate::route::{Departure, Epoch, Moment, Phase, Reads, Replica, Tenure};
use crate::topology::replicas::{Reader, Replicas, Standing, Terms};

/// Facts of a replica count for so many intervals of its checks.
const FRESH_INTERVALS: u32 = 3;
/// What a route says of why there is no replica, at most.
const WHY_BYTES_MAX: usize = 400;

/// The tenures of a group, and what they follow from.
pub(super) struct Readers {
    rule: Replicas,
    tenures: HashMap<Arc<str>, Arc<Tenure>>,
    /// The epoch whose primary was read until it was promoted, and its tenure.
    promoted: Option<(Epoch, Epoch)>,
    /// When somebody who reads last had everybody checked.
    hinted_at: Option<Moment>,
}

impl Readers {
    pub(super) fn new(now: Moment) -> Self {
        Self { rule: Replicas::new(now), tenures: HashMap::new(), promoted: None, hinted_at: None }
    }

    /// The same server under another name. Who had that name until now makes way.
    pub(super) fn rename(&mut self, old: &Arc<str>, new: &Arc<str>) {
        self.rule.rename(old, new);
        end(self.tenures.remove(new), Departure::Gone);
        if let Some(tenure) = self.tenures.remove(old) {
            self.tenures.insert(new.clone(), tenure);
        }
    }

    /// How it stands with a backend, and how many sessions read there. None for the primary.
    pub(super) fn view(&self, backend: &str) -> Option<(&Reader, usize)> {
        let reader = self.rule.readers().iter().find(|reader| &*reader.name == backend)?;
        Some((reader, self.tenures.get(backend).map_or(0, |tenure| tenure.sessions())))
    }
}

impl Coordinator {
    /// Applies the rule to the group as it stands. Tenures that it ends are over when this returns.
    pub(super) fn judge_readers(&mut self) {
        let check = &self.config.check;
        let terms = Terms {
            window: self.config.hold.window,
            fresh_for: (check.interval * FRESH_INTERVALS).saturating_add(check.timeout),
        };
        let backends = self.group.backends();
        let matters = self.link.is_read.load(Ordering::Relaxed);
        let (endpoints, connectors) = (&self.endpoints, &self.connectors);
        let Readers { rule, tenures, promoted, .. } = &mut self.readers;
        rule.judge(&self.group, terms, |name| way(endpoints, connectors, name), self.awake);
        for reader in rule.readers().iter().filter(|reader| reader.is_in_force()) {
            // It is in force, but it is not the one that it was.
            if tenures.get(&reader.name).is_some_and(|tenure| !tenure.is_the(reader.ordinal)) {
                end(tenures.remove(&reader.name), Departure::Gone);
                self.journal.replica(&reader.name, Some("another process answers to its name"), matters);
            }
        }
        let was_in_force = |name: &Arc<str>| tenures.contains_key(name);
        for reader in rule.readers().iter().filter(|reader| reader.is_in_force() != was_in_force(&reader.name)) {
            match &reader.standing {
                Standing::Out(why) => self.journal.replica(&reader.name, Some(why), matters),
                Standing::Usable { .. } | Standing::Unsettled => self.journal.replica(&reader.name, None, matters),
            }
        }
        for reader in rule.readers() {
            if !reader.is_in_force() {
                end(tenures.remove(&reader.name), reader.left);
                continue;
            }
            let tenure = tenures.entry(reader.name.clone()).or_insert_with(|| Arc::new(Tenure::new(reader.ordinal)));
            match &reader.standing {
                Standing::Usable { lag, .. } => {
                    let backend = backends.iter().find(|backend| backend.name == reader.name);
                    if let Some(began) = backend.and_then(|backend| backend.health.facts_began()) {
                        tenure.checked(*lag, began);
                    }
                    tenure.set_phase(Phase::Usable);
                }
                Standing::Unsettled | Standing::Out(_) => tenure.set_phase(Phase::Unsettled),
            }
        }
        let readers = rule.readers();
        let primary = self.group.primary();
        tenures.retain(|name, tenure| {
            let stays = readers.iter().any(|reader| reader.name == *name);
            if !stays && primary == Some(name) && rule.promoted().is_some_and(|ordinal| tenure.is_the(ordinal)) {
                // Its sessions are under the epoch from now on, those that stay.
                tenure.set_phase(Phase::Unsettled);
                *promoted = Some((self.group.epoch(), tenure.number()));
            } else if !stays {
                tenure.set_phase(Phase::Ended(Departure::Gone));
            }
            stays
        });
        if self.readers.rule.readers().iter().any(|reader| reader.is_odd_since(self.awake)) {
            // Everybody is asked at once what is the matter.
            self.order_round(self.awake);
        }
    }

    /// What the route says to readers.
    pub(super) fn reads(&self) -> Reads {
        let Readers { rule, tenures, promoted, .. } = &self.readers;
        let login = self.config.credentials.as_ref().map(login::of);
        let replica = |reader: &Reader| {
            let takes_new = match reader.standing {
                Standing::Usable { takes_new, .. } => takes_new,
                Standing::Unsettled => false,
                Standing::Out(_) => return None,
            };
            let backend = self.group.backends().iter().find(|backend| backend.name == reader.name)?;
            Some(Replica {
                backend: reader.name.clone(),
                way: self.way_to(&reader.name)?,
                takes_new,
                is_settled: reader.standing != Standing::Unsettled,
                commands: self.told.commands_of(backend),
                login: login.clone(),
                tenure: tenures.get(&reader.name)?.clone(),
            })
        };
        let replicas: Vec<Replica> = rule.readers().iter().filter_map(replica).collect();
        let promoted = promoted.filter(|(epoch, _)| *epoch == self.group.epoch() && self.group.primary().is_some());
        Reads {
            why: if replicas.is_empty() { why(rule.readers()).into() } else { "".into() },
            replicas: replicas.into(),
            since: rule.since(),
            promoted: promoted.map(|(_, tenure)| tenure),
        }
    }

    /// Vouches for every tenure while the facts are fresh, whether there is a primary or not. True where readers may wait for it.
    pub(super) fn vouch_for_readers(&self, now: Moment) -> bool {
        if self.group.owes_a_round() {
            return false;
        }
        let before = self.link.reads_until.swap((now + VOUCH_FOR).as_micros(), Ordering::SeqCst);
        before < Moment::now().as_micros()
    }

    /// Somebody who reads noticed something: everybody is checked, which puts nobody in question. Not more than a few times in each
    /// interval: what replicas say is no news of the primary.
    pub(super) fn hint_of_reader(&mut self, now: Moment) {
        let pause = self.config.check.fast_interval.max(self.config.check.interval / 4);
        if self.readers.hinted_at.is_none_or(|at| now.since(at) >= pause) {
            self.readers.hinted_at = Some(now);
            self.order_round(now);
        }
    }
}

fn end(tenure: Option<Arc<Tenure>>, left: Departure) {
    if let Some(tenure) = tenure {
        tenure.set_phase(Phase::Ended(left));
    }
}

/// Why nobody is usable, for people. Without numbers, which would change all the time.
fn why(readers: &[Reader]) -> String {
    let mut why = String::new();
    for reader in readers {
        if let (Standing::Out(reason), true) = (&reader.standing, why.len() < WHY_BYTES_MAX) {
            let separator = if why.is_empty() { "" } else { "; " };
            // Writing to a String does not fail.
            let _ = write!(why, "{separator}{}: {reason}", reader.name);
        }
    }
    if why.is_empty() { "it has no other backend than its primary".into() } else { why }
}
