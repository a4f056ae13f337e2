//! Rule 3b: what follows from the word of the Sentinels (`sentinel.rs` finds it).
//!
//! Facts come first: who says role:slave is not served because a Sentinel praises it, and no Sentinel at all changes nothing. With X as
//! the one that a majority names:
//!
//! - X says role:slave, or an operator has decided against it: the word is of no use, the other rules decide.
//! - X says role:master (`rise` times, or with proof): X is elected, also against the present primary. Where proof (3a) names another
//!   one, nobody is served until they agree or the hold window is over; then X, and the other one is *outvoted*: barred until it is
//!   named, or seen as a replica. (A promotion by hand, which Sentinel reverts after ten seconds.)
//! - X cannot be asked, or is no backend of the group: one that proves its succession is elected when the window is over, one without
//!   proof is not. The present primary is withdrawn where X is named at a higher epoch than it once was: it was replaced by one that mainstay
//!   does not see.
//! - A change is under way among the Sentinels: the present primary stays, one with proof waits for the window, others for the end.
//!
//! A primary that was elected against a word is not withdrawn because of that same word.

use std::sync::Arc;
use std::time::Duration;

use super::election::{Ballot, Bar, Empty, Last, Rule, Verdict};
use super::group::{Group, Seat};
use super::loss::Cause;
use super::sentinel::{Named, Place, Word};
use crate::route::{AdminState, Moment};

/// A dispute lasts that long at least, were clients held for less: Sentinels agree in a second or two after a failover.
const DISPUTE_MIN: Duration = Duration::from_secs(3);
/// A dispute ends so long before the hold window does: those that waited all the time are to be served by its outcome, and not dropped in
/// the same moment.
const BEFORE_THE_END: Duration = Duration::from_millis(250);

/// A word that the present primary was elected against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Defied {
    backend: Option<Arc<str>>,
    place: Place,
    config_epoch: u64,
    /// An operator did, knowing what he did.
    by_operator: bool,
}

/// What is to be made of a word.
enum Meaning {
    /// Nothing: the other rules decide.
    Nothing,
    /// It is about this backend, which can be elected.
    Servable(usize),
    /// It is about one that cannot be served now.
    Unservable,
}

impl Ballot<'_> {
    /// The verdict of the other rules over a vacant seat, and what the Sentinels make of it.
    pub(super) fn heed_sentinels(&self, verdict: Verdict) -> Verdict {
        match self.word {
            Word::NotAsked | Word::None(_) => verdict,
            // Rule 1 holds for whomever they name.
            _ if !self.round_done => verdict,
            Word::Awaited => Verdict::Nobody(Empty::Unproved, "waiting for the first answer of the Sentinels".into()),
            Word::Changing(what) => match verdict {
                Verdict::Elect(place, Rule::Proof, why) if self.window_over => Verdict::Elect(place, Rule::Proof, why),
                Verdict::Elect(place, ..) => Verdict::Nobody(Empty::Disputed, format!("{} waits: {what}", self.describe(place))),
                nobody @ Verdict::Nobody(..) => nobody,
            },
            Word::Names(named) => match self.meaning(named) {
                Meaning::Nothing => verdict,
                Meaning::Servable(place) if self.is_old_news(named) && self.opponent(place).is_some() => verdict,
                Meaning::Servable(place) => self.serve(place, named, verdict),
                Meaning::Unservable => self.without(named, verdict),
            },
        }
    }

    fn meaning(&self, named: &Named) -> Meaning {
        let place = self.backends.iter().position(|backend| named.backend.as_ref() == Some(&backend.name));
        let Some(place) = place else { return Meaning::Unservable };
        let backend = &self.backends[place];
        let decided_against = backend.admin == AdminState::Maintenance || backend.bar == Some(Bar::Overruled);
        let left = backend.leaving && self.present != Some(place);
        if backend.health.says_replica() || decided_against {
            Meaning::Nothing
        } else if !left && (self.present == Some(place) || self.may_serve(place)) {
            Meaning::Servable(place)
        } else {
            Meaning::Unservable
        }
    }

    /// It says role:master, and not only just now.
    fn may_serve(&self, place: usize) -> bool {
        let health = &self.backends[place].health;
        health.claim().is_some() && (health.master_running >= self.rules.rise || self.proves_itself(place))
    }

    /// They say it at a higher config epoch than they once named the present primary, or the last one.
    fn is_news(&self, named: &Named) -> bool {
        self.named_at.is_some_and(|epoch| named.config_epoch > epoch)
    }

    /// They once named the present primary, or the last one, and say this at a lower config epoch, or the same: they were set up anew.
    fn is_old_news(&self, named: &Named) -> bool {
        self.named_at.is_some_and(|epoch| named.config_epoch <= epoch)
    }

    /// It succeeds the last primary by proof, or is the last primary's own process, with the same data.
    fn stands_by_proof(&self, place: usize, rule: Rule) -> bool {
        let facts = self.backends[place].health.facts();
        let is_last = |last: &Last| {
            last.run_id.is_some() && facts.is_some_and(|facts| facts.run_id == last.run_id && facts.replid == last.replid)
        };
        rule == Rule::Proof || self.last.is_some_and(is_last)
    }

    /// The named one can be elected.
    fn serve(&self, place: usize, named: &Named, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Elect(elected, ..) if elected == place || self.same_process(elected, place) => verdict,
            Verdict::Elect(elected, rule, _) if self.stands_by_proof(elected, rule) && !self.window_over => Verdict::Nobody(
                Empty::Disputed,
                format!("{} provably continues the last primary, but {named}", self.describe(elected)),
            ),
            _ if !self.window_over && !self.is_news(named) && self.opponent(place).is_some() => Verdict::Nobody(
                Empty::Disputed,
                format!(
                    "{} continues the last primary, but {named}",
                    self.opponent(place).map_or_else(String::new, |it| self.describe(it))
                ),
            ),
            Verdict::Elect(..) | Verdict::Nobody(..) => Verdict::Elect(place, Rule::Sentinel, named.to_string()),
        }
    }

    /// Another one that says role:master and is the last primary's own process, though it may not have said so often enough; where the named
    /// one does not continue that.
    fn opponent(&self, named: usize) -> Option<usize> {
        if self.stands_by_proof(named, Rule::Only) || self.succeeds_last(named) {
            return None;
        }
        (0..self.backends.len()).find(|place| {
            let backend = &self.backends[*place];
            let is_decided =
                matches!(backend.bar, Some(Bar::Overruled | Bar::Outvoted)) || backend.admin == AdminState::Maintenance;
            *place != named && !is_decided && backend.health.claim().is_some() && self.stands_by_proof(*place, Rule::Only)
        })
    }

    /// The named one cannot be elected.
    fn without(&self, named: &Named, verdict: Verdict) -> Verdict {
        // The last primary itself stands against old news alone.
        let stands = |place, rule| rule == Rule::Proof || self.stands_by_proof(place, rule) && !self.is_news(named);
        match verdict {
            Verdict::Elect(place, rule, _) if stands(place, rule) && self.window_over => verdict,
            Verdict::Elect(place, rule, _) => {
                let then = if stands(place, rule) {
                    "it waits until they agree, or for the end of the hold window"
                } else {
                    "without proof it is not served against that"
                };
                Verdict::Nobody(
                    Empty::Disputed,
                    format!("{} says role:master, but {named}, which cannot be served; {then}", self.describe(place)),
                )
            }
            nobody @ Verdict::Nobody(..) => nobody,
        }
    }
}

impl Group {
    /// What the Sentinels say now.
    pub fn set_word(&mut self, word: Word, now: Moment) {
        if self.word == word {
            return;
        }
        self.word = word;
        if let Word::Names(Named { backend: Some(name), .. }) = &self.word {
            let name = name.clone();
            for backend in self.backends.iter_mut().filter(|backend| backend.name == name) {
                if matches!(backend.bar, Some(Bar::Rival | Bar::Outvoted)) {
                    backend.bar = None;
                }
            }
        }
        self.note_naming();
        self.doubt.news(now);
        self.refresh(now);
    }

    /// They name the present primary: at which config epoch is remembered.
    fn note_naming(&mut self) {
        let (Word::Names(named), Some(present)) = (&self.word, self.primary()) else { return };
        if self.is_about(named, present) {
            self.named_at = Some(named.config_epoch);
            self.defied = None;
        }
    }

    /// Proof and Sentinels have disagreed for long enough.
    pub(super) fn is_window_over(&self, now: Moment) -> bool {
        let lasts = self.rules.hold_window.saturating_sub(BEFORE_THE_END).max(DISPUTE_MIN);
        matches!(&self.seat, Seat::Vacant { since } if now >= *since + lasts)
    }

    /// What the Sentinels say, as it was last set.
    pub fn word(&self) -> &Word {
        &self.word
    }

    /// They name another one than the present primary, and nothing has been made of that yet.
    pub(super) fn word_disputes(&self) -> bool {
        match &self.word {
            Word::Changing(_) => true,
            Word::Names(named) => self.primary().is_some_and(|present| !self.is_about(named, present)) && !self.is_defied(named),
            Word::NotAsked | Word::Awaited | Word::None(_) => false,
        }
    }

    /// They name this one, by this name or by another one of the same process.
    fn is_about(&self, named: &Named, name: &str) -> bool {
        let Some(backend) = named.backend.as_deref() else { return false };
        let places = self.place(backend).zip(self.place(name));
        backend == name || places.is_some_and(|(one, other)| self.ballot().same_process(one, other))
    }

    fn is_defied(&self, named: &Named) -> bool {
        let same = |defied: &Defied| defied.place == named.place || defied.backend.is_some() && defied.backend == named.backend;
        self.defied.as_ref().is_some_and(|defied| same(defied) && defied.config_epoch == named.config_epoch)
    }

    /// Is the present primary lost by what the Sentinels say?
    pub(super) fn judge_by_word(&self, by: &Arc<str>) -> Option<(Cause, String)> {
        let Word::Names(named) = &self.word else { return None };
        // After a stall nobody has been asked whether it is so.
        if self.is_about(named, by) || self.round_owed {
            return None;
        }
        let ballot = self.ballot();
        let is_servable = match ballot.meaning(named) {
            Meaning::Nothing => return None,
            Meaning::Servable(_) => true,
            Meaning::Unservable => false,
        };
        let defied = self.defied.as_ref().filter(|_| self.is_defied(named));
        // One that cannot be served must not come to be seen as master only because it is asked less often: it may just lack answers.
        let young = named
            .backend
            .as_ref()
            .and_then(|name| self.place(name))
            .is_some_and(|place| self.backends[place].health.claim().is_some());
        // What cannot be seen is believed where it is newer than what they said of this one. Anything else may be old news: they were set up anew.
        let is_newer = ballot.is_news(named);
        match defied {
            Some(defied) if defied.by_operator || !is_servable => None,
            _ if ballot.is_old_news(named) => None,
            None if !is_servable && (young || !is_newer) => None,
            Some(_) | None => Some((Cause::Sentinel, format!("{by} is not the one: {named}"))),
        }
    }

    /// A primary was granted the traffic by this rule: what becomes of those that the Sentinels decided against, and of a word that was
    /// decided against.
    pub(super) fn note_word(&mut self, to: &str, rule: Rule) {
        self.defied = match &self.word {
            Word::Names(named) if !self.is_about(named, to) => {
                let by_operator = rule == Rule::Operator;
                let backend = named.backend.clone();
                Some(Defied { backend, place: named.place.clone(), config_epoch: named.config_epoch, by_operator })
            }
            _ => None,
        };
        self.named_at = match &self.word {
            Word::Names(named) if self.is_about(named, to) => Some(named.config_epoch),
            _ => None,
        };
        if rule == Rule::Sentinel {
            for backend in self.backends.iter_mut().filter(|backend| &*backend.name != to) {
                if backend.health.claim().is_some() && backend.bar.is_none() {
                    backend.bar = Some(Bar::Outvoted);
                }
            }
        }
    }
}
