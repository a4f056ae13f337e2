//! One group's state: what was heard, who is primary, and the one next step.
//!
//! ```text
//!            withdraw (rule 4: lost)                    every worker has acknowledged,
//!        ┌──────────────────────────────┐               and election.rs names one: grant
//!        ▼                              │              ┌───────────────┐
//!     Vacant ──────────────────────────────────────────▶             Held
//! ```
//!
//! Order of calls: feed every event ([`Group::check_started`], [`Group::check_ended`], [`Group::hint`], [`Group::stalled`], [`Group::elect`],
//! ...), then call [`Group::step`] until it returns nothing, carrying out each step before the next call. There is no edge from Held
//! to Held: a change of primary always passes through Vacant, in an epoch of its own.
//!
//! When a primary is lost stands in `loss.rs`, who may follow it in `election.rs`.

use std::sync::Arc;

use super::doubt::Doubt;
use super::election::{Backend, Ballot, Empty, Last, Rule, Rules, Verdict, by_facts, choose};
use super::facts::{Facts, Outcome};
use super::health::Health;
use super::history::{Failover, History};
use super::lineage::Lineage;
use super::loss::Cause;
use super::renaming::Departed;
use super::sentinel::Word;
use super::word::Defied;
use crate::route::{Epoch, Moment};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Raise the fence, publish that there is no primary, let workers abort what is older.
    Withdraw {
        /// The epoch that begins.
        epoch: Epoch,
        /// The primary that was.
        from: Arc<str>,
        /// Why, as a label.
        cause: Cause,
        /// Why, as a sentence.
        why: String,
    },
    /// Publish the primary of the present epoch.
    Grant {
        /// The epoch in force.
        epoch: Epoch,
        /// The new primary.
        to: Arc<str>,
        /// By which rule.
        rule: Rule,
        /// Why, as a sentence.
        why: String,
        /// It is the last primary's address, and it came back with less: the estimate of the loss in bytes and keys.
        returned_empty: Option<String>,
    },
}

/// Who sits on the throne.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    Vacant { since: Moment },
    Held { by: Arc<str>, since: Moment, rule: Rule, why: String },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Group {
    pub(super) rules: Rules,
    pub(super) backends: Vec<Backend>,
    departed: Departed,
    pub(super) seat: Seat,
    pub(super) last: Option<Last>,
    pub(super) lineage: Lineage,
    pub(super) history: History,
    pub(super) doubt: Doubt,
    pub(super) epoch: Epoch,
    /// A loss that an event found and `step` has not yet carried out.
    pub(super) lost: Option<(Cause, String)>,
    /// An operator's choice that `step` has not yet carried out.
    pub(super) chosen: Option<Arc<str>>,
    pub(super) hinted_at: Option<Moment>,
    /// Checks that began before this do not count: mainstay stood still.
    pub(super) counts_from: Option<Moment>,
    /// The present primary has not been heard since the last stall.
    pub(super) unvouched: bool,
    /// Not every backend has been heard, or has failed a check, since the last stall.
    pub(super) round_owed: bool,
    first_round_done: bool,
    /// What `choose` said last while the seat was vacant.
    pub(super) vacancy: (Empty, String),
    /// What the Sentinels say.
    pub(super) word: Word,
    /// What they said when the present primary was elected against it.
    pub(super) defied: Option<Defied>,
    /// The config epoch at which they last named the present primary, if they did.
    pub(super) named_at: Option<u64>,
}

impl Group {
    /// A group about which nothing is known at `now`.
    pub fn new(rules: Rules, backends: &[Arc<str>], epoch: Epoch, now: Moment) -> Self {
        let mut group = Self {
            rules,
            backends: Vec::new(),
            departed: Departed::default(),
            seat: Seat::Vacant { since: now },
            last: None,
            lineage: Lineage::default(),
            history: History::default(),
            doubt: Doubt::default(),
            epoch,
            lost: None,
            chosen: None,
            hinted_at: None,
            counts_from: None,
            unvouched: false,
            round_owed: false,
            first_round_done: false,
            vacancy: (Empty::Unproved, "not checked yet".into()),
            word: Word::default(),
            defied: None,
            named_at: None,
        };
        group.reconfigure(rules, backends);
        group.refresh(now);
        group
    }

    /// Applies a changed configuration: what stays keeps its record; a primary that is removed stays until it is replaced, also while it
    /// is lost and nobody has taken its place.
    pub fn reconfigure(&mut self, rules: Rules, names: &[Arc<str>]) {
        self.rules = rules;
        let last = self.last.as_ref().map(|last| last.name.clone());
        let stays = |backend: &Backend| names.contains(&backend.name) || last.as_ref() == Some(&backend.name);
        self.backends.iter().filter(|backend| !stays(backend)).for_each(|backend| self.departed.remember(backend));
        self.backends.retain(stays);
        for backend in &mut self.backends {
            backend.leaving = !names.contains(&backend.name);
        }
        for name in names {
            if self.place(name).is_none() {
                let (bar, admin) = self.departed.take(name);
                self.backends.push(Backend { name: name.clone(), health: Health::default(), bar, admin, leaving: false });
            }
        }
    }

    /// The check of a backend began.
    pub fn check_started(&mut self, name: &str, now: Moment) {
        if let Some(place) = self.place(name) {
            self.backends[place].health.started(now);
        }
        self.refresh(now);
    }

    /// The check of a backend that began at `started` ended.
    pub fn check_ended(&mut self, name: &str, started: Moment, outcome: &Outcome, now: Moment) {
        let Some(place) = self.place(name) else { return };
        if self.counts_from.is_some_and(|from| started < from) {
            self.backends[place].health.waiting_since = None;
            return;
        }
        let before = self.backends[place].health.facts().map(|facts| (facts.role, facts.run_id.clone(), facts.replid.clone()));
        self.backends[place].health.ended(outcome, self.rules.rise, self.rules.fall, now);
        if let Outcome::Facts(facts) = outcome {
            self.lineage.observe(facts, now);
            if before != Some((facts.role, facts.run_id.clone(), facts.replid.clone())) {
                self.doubt.news(now);
            }
        }
        self.drop_choice(place);
        if self.present_place() == Some(place) {
            self.judge_primary(place, outcome);
        }
        self.settle_bars(place);
        self.first_round_done |= self.all_heard();
        self.round_owed &= !self.all_heard();
        self.refresh(now);
    }

    /// Traffic noticed something.
    pub fn hint(&mut self, now: Moment) {
        self.hinted_at = Some(now);
        self.refresh(now);
    }

    /// mainstay itself stood still until `now`: what it knew does not count any more.
    pub fn stalled(&mut self, now: Moment) {
        self.counts_from = Some(now);
        self.unvouched = self.primary().is_some();
        self.round_owed = true;
        for backend in &mut self.backends {
            backend.health.stalled();
        }
        self.refresh(now);
    }

    /// May the fence be renewed: is there a primary that was heard since the last stall, and everybody else as well? A primary that was
    /// replaced meanwhile may still say role:master, and be the first to answer.
    pub fn vouches(&self) -> bool {
        self.primary().is_some() && !self.unvouched && !self.round_owed && self.lost.is_none()
    }

    /// Not everybody has been heard since the last stall: what is known of replicas does not count yet.
    pub fn owes_a_round(&self) -> bool {
        self.round_owed
    }

    /// The one next thing to do. `acknowledged`: every worker has acknowledged the epoch in force.
    pub fn step(&mut self, now: Moment, acknowledged: bool) -> Option<Step> {
        let step = match self.primary().cloned() {
            Some(by) => self.step_held(by, now),
            None => self.step_vacant(now, acknowledged),
        };
        if step.is_some() {
            self.doubt.set(true, now);
            self.doubt.news(now);
        }
        self.refresh(now);
        step
    }

    fn step_held(&mut self, by: Arc<str>, now: Moment) -> Option<Step> {
        if self.lost.is_none() {
            // What the Sentinels make of a proven successor is asked when the seat is vacant: it may be that nobody is served for a while.
            match by_facts(&self.ballot()) {
                Verdict::Elect(place, ..) if self.backends[place].name == by => self.lost = self.judge_by_word(&by),
                Verdict::Elect(_, _, why) => self.lost = Some((Cause::Succeeded, why)),
                // The present primary is eligible until it is lost, so there is always somebody.
                Verdict::Nobody(..) => {}
            }
        }
        let (cause, why) = self.lost.take()?;
        self.epoch += 1;
        self.seat = Seat::Vacant { since: now };
        // Until the rules have looked at those that are left; what they said of an earlier outage says nothing about this one.
        self.vacancy = (Empty::Nobody, why.clone());
        self.unvouched = false;
        if let Some(place) = self.place(&by).filter(|_| cause != Cause::Down) {
            // What it said while it was the primary does not count towards `rise`.
            let claims = self.backends[place].health.claim().is_some();
            self.backends[place].health.master_running = u32::from(claims);
        }
        self.history.begin(Failover {
            epoch: self.epoch,
            cause,
            why: why.clone(),
            from: by.clone(),
            lost: now,
            to: None,
            rule: None,
            first_seen: None,
            elected: None,
            first_byte: None,
            gap: None,
        });
        Some(Step::Withdraw { epoch: self.epoch, from: by, cause, why })
    }

    fn step_vacant(&mut self, now: Moment, acknowledged: bool) -> Option<Step> {
        self.lost = None;
        let chosen =
            self.chosen.as_ref().and_then(|name| self.place(name)).filter(|place| self.backends[*place].health.claim().is_some());
        let verdict = match chosen {
            Some(place) => Verdict::Elect(place, Rule::Operator, format!("an operator elected {}", self.backends[place].name)),
            None => choose(&Ballot { window_over: self.is_window_over(now), ..self.ballot() }),
        };
        let (place, rule, why) = match verdict {
            Verdict::Elect(place, rule, why) => (place, rule, why),
            Verdict::Nobody(empty, why) => {
                self.vacancy = (empty, why);
                return None;
            }
        };
        let to = self.backends[place].name.clone();
        let seen = self.backends[place].health.facts_at();
        if let Some(failover) = self.history.newest().filter(|failover| failover.elected.is_none()) {
            failover.first_seen = failover.first_seen.or(seen);
        }
        if !acknowledged {
            return None;
        }
        let facts = self.backends[place].health.facts().cloned().unwrap_or_default();
        let returned_empty = self.returned_empty(&to, &facts);
        let gap = match (&self.last, &facts.replid) {
            (Some(Last { replid: Some(last), .. }), Some(id)) => self.lineage.gap(id, last),
            _ => None,
        };
        if let Some(failover) = self.history.newest().filter(|failover| failover.elected.is_none()) {
            failover.to = Some(to.clone());
            failover.rule = Some(rule);
            failover.elected = Some(now);
            failover.gap = gap;
        }
        self.chosen = None;
        self.backends[place].bar = None;
        self.note_word(&to, rule);
        self.last =
            Some(Last { name: to.clone(), run_id: facts.run_id, replid: facts.replid, offset: facts.offset, keys: facts.keys });
        self.seat = Seat::Held { by: to.clone(), since: now, rule, why: why.clone() };
        let stays = |backend: &Backend| !backend.leaving || backend.name == to;
        self.backends.iter().filter(|backend| !stays(backend)).for_each(|backend| self.departed.remember(backend));
        self.backends.retain(stays);
        Some(Step::Grant { epoch: self.epoch, to, rule, why, returned_empty })
    }

    /// The last primary's address came back as another process, with less than it had.
    fn returned_empty(&self, to: &str, facts: &Facts) -> Option<String> {
        let last = self.last.as_ref().filter(|last| &*last.name == to && last.run_id != facts.run_id)?;
        let shrank = facts.offset <= last.offset && facts.keys < last.keys;
        shrank.then(|| {
            let offset = |offset: Option<u64>| offset.map_or("unknown".into(), |bytes| bytes.to_string());
            format!(
                "{to} returned empty: it had {} keys at offset {}, now {} keys at offset {}",
                last.keys,
                offset(last.offset),
                facts.keys,
                offset(facts.offset)
            )
        })
    }

    /// The first byte of a client went to the present primary at `at`.
    pub fn first_byte(&mut self, at: Moment) {
        if let Some(failover) =
            self.history.newest().filter(|failover| failover.elected.is_some() && failover.first_byte.is_none())
        {
            failover.first_byte = Some(at);
        }
    }

    /// The epoch in force.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The present primary's configured address.
    pub fn primary(&self) -> Option<&Arc<str>> {
        match &self.seat {
            Seat::Held { by, .. } => Some(by),
            Seat::Vacant { .. } => None,
        }
    }

    /// Since when, by which rule and why there is this primary or none.
    pub fn standing(&self) -> (Moment, &'static str, &str) {
        match &self.seat {
            Seat::Held { since, rule, why, .. } => (*since, rule.as_str(), why),
            Seat::Vacant { since } => (*since, self.vacancy.0.as_str(), &self.vacancy.1),
        }
    }

    /// The backends, in configured order; a leaving one first.
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// Failovers so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// In doubt?
    pub fn doubts(&self) -> bool {
        self.doubt.is_some()
    }

    /// Every backend has answered or failed one check; from then on this stays true.
    pub fn first_round_done(&self) -> bool {
        self.first_round_done
    }

    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.backends.iter().position(|backend| &*backend.name == name)
    }

    /// Every backend has answered or failed one check since mainstay began to look, or last stood still.
    fn all_heard(&self) -> bool {
        self.backends.iter().all(|backend| backend.health.heard)
    }

    pub(super) fn present_place(&self) -> Option<usize> {
        self.primary().and_then(|name| self.place(name))
    }

    pub(super) fn ballot(&self) -> Ballot<'_> {
        Ballot {
            backends: &self.backends,
            present: self.present_place(),
            last: self.last.as_ref(),
            lineage: &self.lineage,
            rules: &self.rules,
            round_done: self.all_heard(),
            word: &self.word,
            named_at: self.named_at,
            window_over: false,
        }
    }
}
