//! Which replicas may be read (`route = "replica"`). First as prose, then as code in the same order.
//!
//! A replica is *usable* when
//!
//! 1. it is neither in maintenance nor leaving the group;
//! 2. its facts are fresh: it has answered `rise` checks, not failed `fall` running, and told its facts within [`Terms::fresh_for`]. A
//!    refused connection drops it at once: nobody listens there, and readers have somewhere else to go;
//! 3. it says role:slave and is not loading;
//! 4. it carries the present primary's replication id: never an address, never hearsay. A replica of a replica carries the same id;
//! 5. its link to its master is up.
//!
//! A change of primary breaks 4 and 5 for every replica for a moment, and must not throw readers out. So for [`Terms::window`] after a
//! loss and after the election that follows, those that were usable when the primary was lost stay usable while they say role:slave and
//! carry an id of its line: the old one, or one that provably continues it (`lineage.rs`). Nobody new joins while there is no primary.
//!
//! One of them that says role:master is usable no more. While there is no primary it may be the next one: then it *claims*, nothing is
//! sent to it, and its sessions wait for the election. Beside a primary it is a rival, and out.
//!
//! How far one is behind is told, not judged: each listener has a `max_lag` of its own.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::election::Backend;
use super::facts::{Facts, Id, Outcome, Role};
use super::group::Group;
use crate::route::{AdminState, Departure, Moment};

/// The numbers of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a change of primary may take.
    pub window: Duration,
    /// Facts that are older do not count.
    pub fresh_for: Duration,
}

/// How it stands with one backend, for those who read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may be read.
    Usable {
        /// Bytes behind the primary.
        lag: u64,
        /// Also by those who come now.
        takes_new: bool,
    },
    /// It says role:master, and may be the next primary.
    Claims,
    /// It may not, and why.
    Out(String),
}

/// One backend that is not the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Its name.
    pub name: Arc<str>,
    /// How it stands.
    pub standing: Standing,
    /// Which of all tenures in this group the present one is, or the last one was.
    pub ordinal: u64,
    /// What the replies are worth that the last tenure still owes.
    pub left: Departure,
}

impl Reader {
    /// `usable`, or why not, for people.
    pub fn word(&self) -> String {
        match &self.standing {
            Standing::Usable { .. } => "usable".into(),
            Standing::Claims => "it says role:master and may be elected".into(),
            Standing::Out(why) => why.clone(),
        }
    }

    /// In force: usable, or about to be the primary.
    pub fn is_in_force(&self) -> bool {
        !matches!(self.standing, Standing::Out(_))
    }
}

/// How far the primary had come at some moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    offset: u64,
    at: Moment,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Replicas {
    readers: Vec<Reader>,
    ordinals: u64,
    /// The line that is read: the id of the present primary, or of the last one.
    id: Option<Id>,
    /// What that continues: readers may still carry it.
    before: Option<Id>,
    /// Until when a change of primary excuses them.
    grace_until: Option<Moment>,
    /// Those with newer tenures are not excused: they have seen nothing but the present primary.
    excused_up_to: u64,
    had_primary: bool,
    /// Of the present primary, the older first.
    samples: [Option<Sample>; 2],
    /// Since when nobody, or somebody, is usable.
    since: Moment,
}

/// What the rule asks about the group as a whole.
struct Scene<'a> {
    group: &'a Group,
    terms: Terms,
    now: Moment,
    has_primary: bool,
    in_grace: bool,
}

impl Replicas {
    /// Nothing is known.
    pub fn new(now: Moment) -> Self {
        Self {
            readers: Vec::new(),
            ordinals: 0,
            id: None,
            before: None,
            grace_until: None,
            excused_up_to: 0,
            had_primary: false,
            samples: [None; 2],
            since: now,
        }
    }

    /// Every backend but the primary.
    pub fn readers(&self) -> &[Reader] {
        &self.readers
    }

    /// Since when nobody is usable, or somebody is.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// Applies the rule to the group as it stands. To be called after every event.
    pub fn judge(&mut self, group: &Group, terms: Terms, now: Moment) {
        self.follow_line(group, terms, now);
        let in_grace = self.grace_until.is_some_and(|until| now < until);
        let scene = Scene { group, terms, now, has_primary: group.primary().is_some(), in_grace };
        let had_any = self.has_any();
        let before = std::mem::take(&mut self.readers);
        for backend in group.backends().iter().filter(|backend| group.primary() != Some(&backend.name)) {
            let known = before.iter().find(|reader| reader.name == backend.name);
            let standing = self.standing(backend, known, &scene);
            let begins = !matches!(standing, Standing::Out(_)) && !known.is_some_and(Reader::is_in_force);
            self.ordinals += u64::from(begins);
            let ordinal = if begins { self.ordinals } else { known.map_or(0, |reader| reader.ordinal) };
            let left = departure(backend, self.id.as_ref());
            self.readers.push(Reader { name: backend.name.clone(), standing, ordinal, left });
        }
        if self.has_any() != had_any {
            self.since = now;
        }
    }

    fn has_any(&self) -> bool {
        self.readers.iter().any(|reader| matches!(reader.standing, Standing::Usable { .. }))
    }

    /// Which line is read, and what it continues.
    fn follow_line(&mut self, group: &Group, terms: Terms, now: Moment) {
        let primary = group.present_place().map(|place| &group.backends[place]);
        if primary.is_none() && self.had_primary {
            (self.grace_until, self.excused_up_to) = (Some(now + terms.window), self.ordinals);
        }
        let elected = primary.is_some() && !self.had_primary;
        self.had_primary = primary.is_some();
        let Some((facts, at)) = primary.and_then(|primary| Some((primary.health.facts()?, primary.health.facts_at()?))) else {
            return;
        };
        if facts.replid != self.id {
            let last = std::mem::replace(&mut self.id, facts.replid.clone());
            let continues = |id: &Id, last: &Id| group.lineage.follows(id, last, group.rules.max_succession_gap);
            self.before = last.filter(|last| facts.replid.as_ref().is_some_and(|id| continues(id, last)));
            self.samples = [None; 2];
            if !elected {
                // The same process goes on under another id.
                self.excused_up_to = self.ordinals;
            }
            self.grace_until = Some(now + terms.window);
        } else if elected {
            self.grace_until = Some(now + terms.window);
        }
        let known_at = self.samples[1].map(|sample| sample.at);
        if let (Some(offset), true) = (facts.offset, known_at != Some(at)) {
            self.samples = [self.samples[1], Some(Sample { offset, at })];
        }
    }

    /// The rule, for one backend.
    fn standing(&self, backend: &Backend, known: Option<&Reader>, scene: &Scene<'_>) -> Standing {
        let health = &backend.health;
        let out = |why: &str| Standing::Out(why.to_owned());
        let last = match (&health.last, known) {
            // After a stall of mainstay itself: what was usable stays so in name, and nothing is sent until all were heard again.
            (Some(_), Some(known)) if !health.heard => return known.standing.clone(),
            (Some((last, _)), _) if health.heard => last,
            (None | Some(_), _) => return out("it has not been checked yet"),
        };
        if backend.admin == AdminState::Maintenance {
            return out("it is in maintenance");
        }
        if backend.leaving {
            return out("it is not in the configuration any more");
        }
        if matches!(last, Outcome::Refused | Outcome::Loading) {
            return Standing::Out(format!("it {}", last.message().unwrap_or_default()));
        }
        let fresh = health.facts_at().is_some_and(|at| scene.now.since(at) <= scene.terms.fresh_for);
        let facts = match health.facts() {
            Some(facts) if fresh => facts,
            Some(_) | None => {
                let message = last.message().unwrap_or_else(|| "has not told its facts lately".to_owned());
                return Standing::Out(format!("it {message}"));
            }
        };
        if !health.up {
            return out("it has not answered `rise` checks running yet");
        }
        let excused = scene.in_grace && known.is_some_and(|known| known.is_in_force() && known.ordinal <= self.excused_up_to);
        match facts.role {
            Role::Replica => {}
            Role::Master if excused && !scene.has_primary && facts.claims() => return Standing::Claims,
            Role::Master => return out("it says role:master"),
            Role::Unknown => return out("it does not say what role it has"),
        }
        if !scene.has_primary && !excused {
            return out("the group has no primary that it could be in step with");
        }
        if !(self.carries_the_line(facts) || excused && self.carries_kin(facts, scene)) {
            return out("it replicates another history than the primary's");
        }
        if facts.link_up != Some(true) && !excused {
            return out("its link to its master is down");
        }
        let lag = self.lag(facts, health.facts_at()).or_else(|| lag_before(known).filter(|_| excused));
        let Some(lag) = lag else { return out("it does not tell how far it has come") };
        let takes_new = backend.admin == AdminState::Ready && health.failed_running == 0;
        Standing::Usable { lag, takes_new }
    }

    fn carries_the_line(&self, facts: &Facts) -> bool {
        self.id.is_some() && facts.replid == self.id
    }

    /// It carries what the line continues, or, while there is no primary, what continues the line.
    fn carries_kin(&self, facts: &Facts, scene: &Scene<'_>) -> bool {
        let Some(id) = &facts.replid else { return false };
        let gap = scene.group.rules.max_succession_gap;
        let continues = || self.id.as_ref().is_some_and(|line| scene.group.lineage.follows(id, line, gap));
        self.before.as_ref() == Some(id) || !scene.has_primary && continues()
    }

    /// Bytes behind the primary at the moment in which the replica told how far it was. The primary is not asked at that very moment: in
    /// between its offset is taken to have grown evenly, or a busy primary would make everybody look late by what it writes in an interval.
    fn lag(&self, facts: &Facts, at: Option<Moment>) -> Option<u64> {
        let (own, at) = (facts.offset?, at?);
        if facts.replid != self.id || !self.had_primary {
            return None;
        }
        let newest = self.samples[1]?;
        let primary = match self.samples[0] {
            Some(older) if at < newest.at && older.at < newest.at => {
                let whole = newest.at.since(older.at).as_micros().max(1);
                let part = at.since(older.at).as_micros().min(whole);
                let grown = u128::from(newest.offset.saturating_sub(older.offset)) * part / whole;
                older.offset.saturating_add(u64::try_from(grown).unwrap_or(u64::MAX))
            }
            Some(_) | None => newest.offset,
        };
        Some(primary.saturating_sub(own))
    }
}

fn lag_before(known: Option<&Reader>) -> Option<u64> {
    match known?.standing {
        Standing::Usable { lag, .. } => Some(lag),
        Standing::Claims | Standing::Out(_) => None,
    }
}

/// One that still carries the line as a replica tells the truth, even if it is not wanted any more. Of any other nothing more is heard.
fn departure(backend: &Backend, line: Option<&Id>) -> Departure {
    let answered = matches!(backend.health.last, Some((Outcome::Facts(_), _)));
    let truthful = |facts: &Facts| facts.role == Role::Replica && line.is_some() && facts.replid.as_ref() == line;
    match backend.health.facts().is_some_and(|facts| answered && truthful(facts)) {
        true => Departure::Demoted,
        false => Departure::Gone,
    }
}
