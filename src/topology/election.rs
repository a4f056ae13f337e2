//! The choosing rule. First as prose, then as code in the same order.
//!
//! 1. Nothing is primary until proved: while there is no primary, nobody is elected before every backend has answered or failed one
//!    check since mainstay began to look (again: after a stall, after a reload that changed the group).
//! 2. A backend is *eligible* when it says role:master, is not loading, and said so `rise` times running, or once with proof of
//!    succession over the last primary (or, at start, over another claimant). Not eligible are, in this order:
//!    - a backend in maintenance, one that an operator overruled, one that left the configuration;
//!    - an *ancestor*: its id is one that the last primary's history came from, or it continues such an id without proof;
//!    - the last primary's address under a new id while somebody else says role:master: a restart counts only unopposed;
//!    - a former *rival* (barred until it was seen to belong to the last primary's lineage again, see `group.rs`).
//!
//!    The present primary is eligible as long as it is not lost. An ancestor is eligible again once the last primary is seen as its
//!    replica, or most of those that do not say role:master are.
//! 3. One eligible backend is the primary. Without proof it waits for those that say role:master and only lack answers: who happens to
//!    be heard more often must not win. Among several:
//!    a. proof of succession: those that another one provably follows step back; if the present primary is not among the rest, those
//!    that provably follow the last primary go before those that do not; one that is left alone is elected;
//!    b. the one that a majority of the Sentinels names, where there are any (`word.rs`, also for when that makes the others wait);
//!    c. the present primary stays;
//!    d. at start only: the one whose id most of the backends that do not themselves say role:master carry, link up;
//!    e. otherwise nobody. A wrong primary loses data, a refused one only waits.

mod words;

use std::sync::Arc;

use self::words::names;
use super::facts::{Facts, Id, Role};
use super::health::Health;
use super::lineage::Lineage;
use super::sentinel::Word;
use crate::route::AdminState;

/// The numbers that the rules need, from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Answers running before a backend counts.
    pub rise: u32,
    /// Failed checks running before it does not.
    pub fall: u32,
    /// From check to check.
    pub interval: std::time::Duration,
    /// The same in doubt.
    pub fast_interval: std::time::Duration,
    /// See [`Lineage::follows`].
    pub max_succession_gap: u64,
    /// Where proof and Sentinels disagree, nobody is elected for so long.
    pub hold_window: std::time::Duration,
}

/// One backend as the election sees it.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Its configured address.
    pub name: Arc<str>,
    /// What its checks found.
    pub health: Health,
    /// Why it may not be elected although it says role:master.
    pub bar: Option<Bar>,
    /// What an operator wants of it.
    pub admin: AdminState,
    /// Removed from the configuration, kept while it is the primary.
    pub leaving: bool,
}

/// See [`Backend::bar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// Seen saying role:master, without proof, beside a living primary.
    Rival,
    /// An operator elected another one over it.
    Overruled,
    /// It proves that it succeeds the one that the Sentinels decided for.
    Outvoted,
}

/// The primary that is, or the last that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its configured address.
    pub name: Arc<str>,
    /// Its process.
    pub run_id: Option<Id>,
    /// Its history.
    pub replid: Option<Id>,
    /// How far that had come, when last heard.
    pub offset: Option<u64>,
    /// How many keys it had.
    pub keys: u64,
}

/// Everything a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// The group.
    pub backends: &'a [Backend],
    /// The present primary's place in it.
    pub present: Option<usize>,
    /// Absent until the first election.
    pub last: Option<&'a Last>,
    /// Who continues whom.
    pub lineage: &'a Lineage,
    /// Numbers.
    pub rules: &'a Rules,
    /// Every backend has answered or failed one check.
    pub round_done: bool,
    /// What the Sentinels say.
    pub word: &'a Word,
    /// The config epoch at which they named the present primary, or the last one, if they did.
    pub named_at: Option<u64>,
    /// There has been no primary for so long that a dispute between proof and Sentinels is over.
    pub window_over: bool,
}

/// By which rule. The words of `GroupStatus::rule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The only eligible one.
    Only,
    /// Rule 3a.
    Proof,
    /// Rule 3b.
    Sentinel,
    /// Rule 3c.
    Present,
    /// Rule 3d.
    Followers,
    /// `mainstay elect`.
    Operator,
}

impl Rule {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Proof => "proof",
            Self::Sentinel => "sentinel",
            Self::Present => "present",
            Self::Followers => "followers",
            Self::Operator => "operator",
        }
    }
}

/// Why nobody was elected. The words of `GroupStatus::rule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// Rule 1.
    Unproved,
    /// Nobody is eligible.
    Nobody,
    /// Rule 3b: proof and Sentinels disagree, or no proof stands against their word.
    Disputed,
    /// Rule 3e.
    Tie,
}

impl Empty {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unproved => "unproved",
            Self::Nobody => "nobody",
            Self::Disputed => "disputed",
            Self::Tie => "tie",
        }
    }
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This one, by its place in the group.
    Elect(usize, Rule, String),
    /// No one, and why.
    Nobody(Empty, String),
}

/// Applies the rules above over a vacant seat.
pub fn choose(ballot: &Ballot<'_>) -> Verdict {
    ballot.heed_sentinels(by_facts(ballot))
}

/// The rules above without 3b. Over a present primary they find a proven successor.
pub fn by_facts(ballot: &Ballot<'_>) -> Verdict {
    if ballot.backends.is_empty() {
        return Verdict::Nobody(
            Empty::Unproved,
            "no backend is known: none is configured, and no Sentinel has told of one".into(),
        );
    }
    // Rule 1.
    if ballot.present.is_none() && !ballot.round_done {
        let waiting = names(ballot.backends.iter().filter(|backend| !backend.health.heard));
        return Verdict::Nobody(Empty::Unproved, format!("waiting for the first check of {waiting}"));
    }
    // Rule 2.
    let eligible: Vec<usize> = (0..ballot.backends.len()).filter(|place| ballot.is_candidate(*place)).collect();
    // Rule 3.
    match eligible[..] {
        [] => Verdict::Nobody(Empty::Nobody, ballot.why_nobody()),
        [one] if ballot.present == Some(one) => ballot.stays(one),
        [one] if ballot.proves_itself(one) => ballot.by_proof(one),
        [_] if ballot.young().next().is_some() => ballot.waits_for_young(),
        [one] => Verdict::Elect(one, Rule::Only, format!("{} is the only eligible backend", ballot.describe(one))),
        _ => ballot.among(&eligible),
    }
}

/// The one reason of rule 2 that time heals.
const YOUNG: &str = "has not said role:master often enough yet";

impl Ballot<'_> {
    /// Rule 3 for several.
    fn among(&self, eligible: &[usize]) -> Verdict {
        // 3a
        let mut rest: Vec<usize> = eligible
            .iter()
            .copied()
            .filter(|place| !eligible.iter().any(|other| self.follows(*other, self.history(*place))))
            .collect();
        let present = self.present.filter(|place| rest.contains(place));
        if present.is_none() && rest.iter().any(|place| self.succeeds_last(*place)) {
            rest.retain(|place| self.succeeds_last(*place));
        }
        match rest[..] {
            [one] if present == Some(one) => return self.stays(one),
            [one] => return self.by_proof(one),
            _ => {}
        }
        // 3c: also against several that provably follow it, but not one another.
        if let Some(present) = self.present.filter(|place| eligible.contains(place)) {
            return self.stays(present);
        }
        if self.young().next().is_some() {
            return self.waits_for_young();
        }
        // 3d
        if self.last.is_none() {
            let voters = || self.backends.iter().filter(|backend| backend.health.claim().is_none());
            let most = |place: &&usize| {
                let votes =
                    self.replid(**place).map_or(0, |id| voters().filter(|voter| voter.health.carries_with_link_up(id)).count());
                votes * 2 > voters().count()
            };
            if let Some(one) = rest.iter().find(most) {
                let why = format!("most of the other backends replicate from {}", self.describe(*one));
                return Verdict::Elect(*one, Rule::Followers, why);
            }
        }
        // 3e
        let tied = names(rest.iter().map(|place| &self.backends[*place]));
        let why = format!(
            "{tied} all say role:master and none proves that it succeeds the others; make all but one a replica, or run `mainstay elect`"
        );
        Verdict::Nobody(Empty::Tie, why)
    }

    pub(super) fn stays(&self, place: usize) -> Verdict {
        Verdict::Elect(place, Rule::Present, format!("{} is the present primary", self.describe(place)))
    }

    fn by_proof(&self, place: usize) -> Verdict {
        let from = match self.last.filter(|_| self.succeeds_last(place)) {
            Some(last) => format!("{} ({})", last.name, last.replid.as_ref().map_or("id unknown".into(), Id::to_string)),
            None => "the other backends that say role:master".into(),
        };
        Verdict::Elect(place, Rule::Proof, format!("{} provably succeeds {from}", self.describe(place)))
    }

    /// Rule 2: why not, or nothing.
    pub fn ineligible(&self, place: usize) -> Option<&'static str> {
        let backend = &self.backends[place];
        if self.present == Some(place) {
            return None;
        }
        let Some(facts) = backend.health.claim() else { return Some("does not say role:master") };
        match backend.bar {
            _ if backend.admin == AdminState::Maintenance => return Some("is in maintenance"),
            Some(Bar::Overruled) => return Some("was overruled by an operator"),
            // Without them, and without a primary that they decided for, nothing is left of that.
            Some(Bar::Outvoted) if self.present.is_none() && matches!(self.word, Word::NotAsked | Word::None(_)) => {}
            Some(Bar::Outvoted) => return Some("succeeds the primary, but the Sentinels name another one"),
            Some(Bar::Rival) | None => {}
        }
        if backend.leaving {
            return Some("left the configuration");
        }
        if self.is_ancestor(backend, facts) && !self.leads(place) {
            return Some("has the data of a server that the last primary succeeded");
        }
        if self.proves_itself(place) {
            return None;
        }
        if self.is_restart(backend, facts) && self.claimants().any(|other| self.counts_against(other, place)) {
            return Some("was restarted and another backend says role:master too");
        }
        if backend.bar == Some(Bar::Rival) {
            return Some("said role:master beside a living primary, without proof that it succeeds it");
        }
        (backend.health.master_running < self.rules.rise).then_some(YOUNG)
    }

    /// Those that only lack answers: until they have them, who happens to be heard more often must not win.
    fn young(&self) -> impl Iterator<Item = usize> {
        (0..self.backends.len()).filter(|place| self.ineligible(*place) == Some(YOUNG))
    }

    fn waits_for_young(&self) -> Verdict {
        let waiting = names(self.young().map(|place| &self.backends[place]));
        Verdict::Nobody(Empty::Unproved, format!("{waiting} says role:master too, but not often enough yet"))
    }

    /// Rule 2: proof over the last primary or, at start, over another claimant.
    pub(super) fn proves_itself(&self, place: usize) -> bool {
        match self.last {
            Some(_) => self.succeeds_last(place),
            None => self.claimants().any(|other| self.follows(place, self.replid(other))),
        }
    }

    fn is_ancestor(&self, backend: &Backend, facts: &Facts) -> bool {
        let (Some(last), Some(id)) = (self.last, &facts.replid) else { return false };
        let Some(last_id) = &last.replid else { return false };
        // Started as master from a file that is older than the last primary's promotion. The last primary itself may do so: a restart.
        let continues_one = facts.replid2.as_ref().is_some_and(|id2| self.lineage.is_ancestor(id2, last_id))
            && last.name != backend.name
            && id != last_id
            && !self.lineage.follows(id, last_id, u64::MAX);
        self.lineage.is_ancestor(id, last_id) || continues_one
    }

    /// Rule 2, the way back: the last primary is its replica, or most of those that do not say role:master are.
    fn leads(&self, place: usize) -> bool {
        let Some(id) = self.replid(place) else { return false };
        let voters = || self.backends.iter().filter(|backend| backend.health.claim().is_none());
        let votes = voters().filter(|backend| backend.health.carries_with_link_up(id)).count();
        self.last_follows(id) || votes * 2 > voters().count()
    }

    /// The last primary was seen as a replica of the history `id`.
    pub fn last_follows(&self, id: &Id) -> bool {
        let is_last = |backend: &&Backend| self.last.is_some_and(|last| last.name == backend.name);
        self.backends.iter().filter(is_last).any(|backend| backend.health.carries_with_link_up(id))
    }

    /// The last primary's address under another id.
    fn is_restart(&self, backend: &Backend, facts: &Facts) -> bool {
        self.last.is_some_and(|last| last.name == backend.name && (last.run_id != facts.run_id || last.replid != facts.replid))
    }

    /// The places of those that say role:master.
    fn claimants(&self) -> impl Iterator<Item = usize> {
        self.backends.iter().enumerate().filter(|(_, backend)| backend.health.claim().is_some()).map(|(place, _)| place)
    }

    fn replid(&self, place: usize) -> Option<&Id> {
        self.backends[place].health.facts().filter(|facts| facts.role == Role::Master)?.replid.as_ref()
    }

    /// As [`Ballot::replid`]; of the present primary also while it cannot be asked, or was not asked again since a stall: a successor
    /// must not wait for it.
    fn history(&self, place: usize) -> Option<&Id> {
        self.replid(place).or_else(|| self.last.filter(|_| self.present == Some(place))?.replid.as_ref())
    }

    fn follows(&self, place: usize, ancestor: Option<&Id>) -> bool {
        let (Some(id), Some(ancestor)) = (self.replid(place), ancestor) else { return false };
        self.lineage.follows(id, ancestor, self.rules.max_succession_gap)
    }

    /// Proof of succession over the last primary.
    pub fn succeeds_last(&self, place: usize) -> bool {
        self.follows(place, self.last.and_then(|last| last.replid.as_ref()))
    }
}
