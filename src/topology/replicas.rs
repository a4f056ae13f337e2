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
//! A replica may know of the change before mainstay does. So a link that is down counts from the moment in which the primary is known to
//! live on without it; until then the replica has nothing but our data. Another id is not believed at all, but it is *unsettled* what it
//! means until everybody else was asked: nothing is sent there meanwhile, and its sessions wait. So it is with one that was told to
//! follow another address, until its link there is up and its id shows whom it follows: its data may be replaced at any moment.
//!
//! One of them that says role:master is usable no more. While there is no primary it may be the next one: that too is unsettled until the
//! election. Beside a primary it is a rival, and out.
//!
//! A tenure is one process (`replicas/bond.rs`). It ends when another one answers to the name, whatever that one says; and only where the
//! primary that is elected is that very process, where it was, was it this replica that was promoted.
//!
//! How far one is behind is told, not judged: each listener has a `max_lag` of its own.

mod bond;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use self::bond::Bond;
use super::election::Backend;
use super::facts::{Facts, Id, Outcome, Role};
use super::group::Group;
use crate::route::{AdminState, Departure, Moment, Way};

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
    /// It says role:master while there is no primary, or follows somebody new: nothing is sent to it until it is known what that means.
    Unsettled,
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
    /// Bytes behind the primary, when that was last known.
    lag: u64,
    /// Whom it followed when it was last in step.
    follows: Option<(Box<str>, Box<str>)>,
    /// Since when its link is down, or since when it carries another id, in this tenure.
    odd_since: Option<Moment>,
    /// What the replies are worth that the last tenure still owes.
    pub left: Departure,
    /// Who the present tenure belongs to.
    bond: Bond,
}

impl Reader {
    /// `usable`, or why not, for people.
    pub fn word(&self) -> String {
        match &self.standing {
            Standing::Usable { .. } => "usable".into(),
            Standing::Unsettled => "it is not known yet what has become of it".into(),
            Standing::Out(why) => why.clone(),
        }
    }

    /// Since then something about it is odd, and it would help to ask everybody.
    pub fn is_odd_since(&self, moment: Moment) -> bool {
        self.odd_since == Some(moment)
    }

    /// In force: usable, or unsettled.
    pub fn is_in_force(&self) -> bool {
        !matches!(self.standing, Standing::Out(_))
    }
}

/// Of the primary's offsets so many are remembered.
const SAMPLES_MAX: usize = 4;

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
    /// The tenure that the primary had, if it was elected since the last judgement.
    promoted: Option<u64>,
    /// Of the present primary, the older first.
    samples: VecDeque<Sample>,
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
            promoted: None,
            samples: VecDeque::new(),
            since: now,
        }
    }

    /// Every backend but the primary.
    pub fn readers(&self) -> &[Reader] {
        &self.readers
    }

    /// The tenure of the replica that has become the primary since the last judgement.
    pub fn promoted(&self) -> Option<u64> {
        self.promoted
    }

    /// The same server under another name. Who had that name until now makes way.
    pub fn rename(&mut self, old: &str, new: &Arc<str>) {
        self.readers.retain(|reader| reader.name != *new);
        self.readers.iter_mut().filter(|reader| &*reader.name == old).for_each(|reader| reader.name = new.clone());
    }

    /// Since when nobody is usable, or somebody is.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// Applies the rule to the group as it stands. To be called after every event. `ways`: how to get to a backend, where that is known.
    pub fn judge(&mut self, group: &Group, terms: Terms, ways: impl Fn(&str) -> Option<Way>, now: Moment) {
        self.follow_line(group, terms, now);
        let in_grace = self.grace_until.is_some_and(|until| now < until);
        let scene = Scene { group, terms, now, has_primary: group.primary().is_some(), in_grace };
        let had_any = self.has_any();
        let before = std::mem::take(&mut self.readers);
        self.promoted = group.present_place().map(|place| &group.backends[place]).and_then(|primary| {
            let reader = before.iter().find(|reader| reader.name == primary.name).filter(|reader| reader.is_in_force())?;
            reader.bond.holds(primary, ways(&primary.name).as_ref()).then_some(reader.ordinal)
        });
        for backend in group.backends().iter().filter(|backend| group.primary() != Some(&backend.name)) {
            let (known, way) = (before.iter().find(|reader| reader.name == backend.name), ways(&backend.name));
            // Nothing that is known of another one counts for who answers now.
            let is_another = known.is_some_and(|known| known.is_in_force() && known.bond.is_broken(backend, way.as_ref()));
            let known = known.filter(|_| !is_another);
            let in_force = known.filter(|known| known.is_in_force());
            let odd_since = match is_odd(backend, self.id.as_ref()) {
                true => in_force.map(|known| known.odd_since.unwrap_or(now)),
                false => None,
            };
            let standing = self.standing(backend, known, odd_since, &scene);
            let begins = !matches!(standing, Standing::Out(_)) && !known.is_some_and(Reader::is_in_force);
            self.ordinals += u64::from(begins);
            let ordinal = if begins { self.ordinals } else { known.map_or(0, |reader| reader.ordinal) };
            let lag = match standing {
                Standing::Usable { lag, .. } => lag,
                Standing::Unsettled | Standing::Out(_) => known.map_or(0, |known| known.lag),
            };
            let in_step =
                backend.health.facts().filter(|facts| facts.link_up == Some(true) && matches!(standing, Standing::Usable { .. }));
            let follows = match in_step {
                Some(facts) => facts.follows.clone(),
                None => known.and_then(|known| known.follows.clone()),
            };
            let left = if is_another { Departure::Gone } else { departure(backend, self.id.as_ref()) };
            let mut bond = in_force.map_or_else(|| Bond::to(backend, way.as_ref()), |known| known.bond.clone());
            bond.is_found(way.as_ref());
            self.readers.push(Reader { name: backend.name.clone(), standing, ordinal, lag, follows, odd_since, left, bond });
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
            self.samples.clear();
            if !elected {
                // The same process goes on under another id.
                self.excused_up_to = self.ordinals;
            }
            self.grace_until = Some(now + terms.window);
        } else if elected {
            self.grace_until = Some(now + terms.window);
        }
        if let (Some(offset), true) = (facts.offset, self.samples.back().is_none_or(|newest| newest.at != at)) {
            if self.samples.len() >= SAMPLES_MAX {
                self.samples.pop_front();
            }
            self.samples.push_back(Sample { offset, at });
        }
    }

    /// The rule, for one backend.
    fn standing(&self, backend: &Backend, known: Option<&Reader>, odd_since: Option<Moment>, scene: &Scene<'_>) -> Standing {
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
            Role::Master if excused && !scene.has_primary && facts.claims() => return Standing::Unsettled,
            Role::Master => return out("it says role:master"),
            Role::Unknown => return out("it does not say what role it has"),
        }
        if !scene.has_primary && !excused {
            return out("the group has no primary that it could be in step with");
        }
        let was_told_to = |known: &Reader| known.is_in_force() && known.follows.is_some() && known.follows != facts.follows;
        if facts.link_up != Some(true) && known.is_some_and(was_told_to) {
            return match odd_since.is_some_and(|since| scene.now < since + scene.terms.window) {
                true => Standing::Unsettled,
                false => out("it was told to follow another master, and its link there is down"),
            };
        }
        if !(self.carries_the_line(facts) || excused && self.carries_kin(facts, scene)) {
            return match odd_since.is_some_and(|since| scene.is_open(backend, since)) {
                true => Standing::Unsettled,
                false => out("it replicates another history than the primary's"),
            };
        }
        if facts.link_up != Some(true) && !excused && !odd_since.is_some_and(|since| scene.may_be_orphaned(since)) {
            return out("its link to its master is down");
        }
        let lag = self
            .lag(facts, health.facts_began())
            .or_else(|| known.map(|known| known.lag).filter(|_| excused || odd_since.is_some()));
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

    /// Bytes behind what the primary had when it was asked last before the replica was. What it has written since then is no lag: a busy
    /// primary would make everybody look late.
    fn lag(&self, facts: &Facts, began: Option<Moment>) -> Option<u64> {
        let (own, began) = (facts.offset?, began?);
        if facts.replid != self.id || !self.had_primary {
            return None;
        }
        let before = self.samples.iter().rev().find(|sample| sample.at <= began);
        Some(before.or(self.samples.front())?.offset.saturating_sub(own))
    }
}

impl Scene<'_> {
    /// Not everybody else was asked since then.
    fn is_open(&self, asked: &Backend, since: Moment) -> bool {
        let was_asked = |backend: &Backend| {
            let told = backend.health.facts_began().is_some_and(|began| began >= since);
            let failed = backend.health.last.as_ref().is_some_and(|(outcome, at)| outcome.is_failure() && *at >= since);
            told || failed
        };
        let others = || self.group.backends().iter().filter(|backend| backend.name != asked.name);
        self.now < since + self.terms.window && !others().all(was_asked)
    }

    /// The primary has not answered since then: perhaps it is gone, and that is why its replicas have no link.
    fn may_be_orphaned(&self, since: Moment) -> bool {
        let primary = self.group.present_place().map(|place| &self.group.backends[place]);
        let lives = primary.and_then(|primary| primary.health.facts_began()).is_some_and(|began| began >= since);
        !lives && self.now < since + self.terms.window
    }
}

/// Something about it is not as it should be in a replica in step, and may have been brought about by a change of primary.
fn is_odd(backend: &Backend, line: Option<&Id>) -> bool {
    backend
        .health
        .facts()
        .is_some_and(|facts| facts.role == Role::Replica && (facts.link_up != Some(true) || facts.replid.as_ref() != line))
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
