//! What the Sentinels say, taken together. Each of them has a view of its own, and any one may be wrong: restarted with an old
//! configuration, cut off with a minority, or just not told yet. So all of them are asked, and only a majority has a word:
//!
//! 1. *Known* is every Sentinel that is configured, or that more than half of those that answer told of; the dead among them count, as
//!    they do for Sentinel itself. A majority is more than half of the known.
//! 2. Each that answered lately has one vote: the master that it names, at the config epoch that it gives. Sentinel raises that epoch with
//!    each failover, and the higher one wins among them (Redis' Sentinel documentation, "Configuration epochs").
//! 3. A majority that names one backend at the highest epoch seen is the *word*.
//! 4. Where the highest epoch has no majority (yet), a change is under way, for ten seconds at most: then those that are ahead are
//!    odd ones, and the majority behind them has the word.
//! 5. A majority at a lower epoch than one ever had before is old news, unless all that are known say it: then they were set up anew.
//!    What follows from the word is decided in `word.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::facts::Id;
use crate::route::Moment;

/// After a failover the others hear of it within two seconds (Sentinels publish a hello in that time); this is five times as long.
const CHANGE_TAKES_MAX: Duration = Duration::from_secs(10);
/// Sentinels of one group. Five are many.
pub const SENTINELS_MAX: usize = 32;
/// Backends that Sentinels may tell of: as many as may be configured.
const TOLD_MAX: usize = 256;
/// An address as Sentinels announce it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// An IP address without brackets, or a name.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Another Sentinel, as one tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its `SENTINEL MYID`.
    pub id: Option<Id>,
    /// Where it is.
    pub place: Place,
}

/// What one Sentinel said, asked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// `SENTINEL MYID`, since 6.2.
    pub id: Option<Id>,
    /// The master that it names.
    pub master: Place,
    /// The process that it saw there.
    pub master_run_id: Option<Id>,
    /// Of that naming.
    pub config_epoch: u64,
    /// How many have to agree that the master is down, by its configuration.
    pub quorum: u32,
    /// The replicas that it knows.
    pub replicas: Vec<Place>,
    /// The other Sentinels that it knows.
    pub peers: Vec<Peer>,
    /// It stood still a moment ago, and only watches for a while.
    pub tilt: bool,
    /// It is carrying out a failover.
    pub failover_in_progress: bool,
}

/// Why a Sentinel has said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It was not asked yet.
    Unasked,
    /// It could not be asked, or what it said cannot be used: why, for people.
    Failed(String),
    /// It watches no master of this name.
    UnknownMaster,
}

/// A Sentinel and what it said last.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where it is asked.
    pub address: Arc<str>,
    /// It stands in the configuration.
    pub is_configured: bool,
    /// It has answered, or failed to, since it was first asked or mainstay last stood still.
    pub is_heard: bool,
    /// Its last answer, and when that was.
    pub said: Option<(Said, Moment)>,
    /// Why there was no answer since.
    pub silence: Option<Silence>,
}

impl Member {
    fn new(address: Arc<str>, is_configured: bool) -> Self {
        Self { address, is_configured, is_heard: false, said: None, silence: Some(Silence::Unasked) }
    }

    fn id(&self) -> Option<&Id> {
        self.said.as_ref().and_then(|(said, _)| said.id.as_ref())
    }
}

/// What the Sentinels say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Word {
    /// There are none.
    #[default]
    NotAsked,
    /// They have not all been heard yet.
    Awaited,
    /// There is none to go by: why.
    None(String),
    /// A change is under way among them: what.
    Changing(String),
    /// A majority names this one.
    Names(Named),
}

/// The one that a majority names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which backend of the group that is, if it is one.
    pub backend: Option<Arc<str>>,
    /// Where it is, as announced.
    pub place: Place,
    /// The config epoch of the naming.
    pub config_epoch: u64,
    /// So many name it.
    pub votes: usize,
    /// So many Sentinels are known.
    pub known: usize,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, place, config_epoch, votes, known } = self;
        let named = backend.as_deref().map_or_else(|| format!("{place}, which is no backend of this group,"), str::to_owned);
        write!(f, "{votes} of {known} Sentinels name {named} at config epoch {config_epoch}")
    }
}

/// Whose vote stands apart from the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// At a lower epoch: it has not heard the news.
    Stale,
    /// At a higher epoch: it has news, or is wrong.
    Ahead,
}

/// What is told of a Sentinel.
#[derive(Default)]
struct Told {
    /// So many tell of it.
    tellers: usize,
    /// By these ids.
    ids: BTreeSet<Id>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Council {
    members: Vec<Member>,
    /// An answer counts for so long.
    fresh_for: Duration,
    /// The highest epoch that a majority ever had.
    highest: Option<u64>,
    /// Somebody has been ahead of a majority since then.
    apart_since: Option<Moment>,
}

/// One Sentinel's.
#[derive(Clone, Debug)]
struct Vote {
    backend: Option<Arc<str>>,
    place: Place,
    epoch: u64,
}

impl Vote {
    /// Do both name the same? One may know it by its name, another by its address.
    fn agrees(&self, other: &Self) -> bool {
        self.place == other.place || self.backend.is_some() && self.backend == other.backend
    }
}

impl Council {
    /// Nobody has been asked. An answer counts for `fresh_for`: longer than from one question to the next.
    pub fn new(configured: &[Arc<str>], fresh_for: Duration) -> Self {
        let members = configured.iter().take(SENTINELS_MAX).map(|address| Member::new(address.clone(), true)).collect();
        Self { members, fresh_for, highest: None, apart_since: None }
    }

    /// The same Sentinels are asked in another way: what was old news stays old news.
    pub fn follows(&mut self, before: &Self) {
        self.highest = before.highest;
    }

    /// The Sentinel that was asked at `address` answered, or did not.
    pub fn said(&mut self, address: &str, said: Result<Said, Silence>, now: Moment) {
        let Some(member) = self.members.iter_mut().find(|member| &*member.address == address) else { return };
        member.is_heard = true;
        match said {
            Ok(said) => {
                member.said = Some((said, now));
                member.silence = None;
            }
            Err(silence) => {
                if silence == Silence::UnknownMaster {
                    // What it said before it forgot the name counts no more.
                    member.said = None;
                }
                member.silence = Some(silence);
            }
        }
        self.meet_peers();
    }

    /// mainstay itself stood still: what was said before does not count.
    pub fn stalled(&mut self) {
        for member in &mut self.members {
            member.is_heard = false;
            member.said = None;
        }
    }

    /// Those that were told of join, each process once; discovered ones that nobody tells of any more leave.
    fn meet_peers(&mut self) {
        // Half an answer is none: the first to answer does not choose the others.
        if !self.all_heard() {
            return;
        }
        let told = self.told();
        let voices = self.members.iter().filter(|member| member.said.is_some()).count();
        self.members.retain(|member| member.is_configured || told.contains_key(&*member.address));
        for (address, Told { tellers, ids }) in &told {
            let here = |member: &Member| {
                *member.address == **address || ids.len() == 1 && member.id().is_some_and(|id| ids.contains(id))
            };
            // More than half of those that answer have to know it: one that lies brings no friends.
            if tellers * 2 > voices && self.members.len() < SENTINELS_MAX && !self.members.iter().any(here) {
                self.members.push(Member::new(address.as_str().into(), false));
            }
        }
        // One that was discovered before the configured name of the same process had answered; or that is announced at an address
        // where mainstay cannot reach it.
        let ids: BTreeSet<Id> =
            self.members.iter().filter(|member| member.is_configured).filter_map(|member| member.id().cloned()).collect();
        let is_double = |member: &Member| match (member.id(), told.get(&*member.address)) {
            (Some(id), _) => ids.contains(id),
            (None, Some(told)) => !told.ids.is_empty() && told.ids.is_subset(&ids),
            (None, None) => false,
        };
        self.members.retain(|member| member.is_configured || !is_double(member));
    }

    /// Whom they tell of, by address.
    fn told(&self) -> BTreeMap<String, Told> {
        let mut told: BTreeMap<String, Told> = BTreeMap::new();
        for (said, _) in self.members.iter().flat_map(|member| &member.said) {
            let places: BTreeSet<String> = said.peers.iter().map(|peer| peer.place.to_string()).collect();
            for place in places {
                told.entry(place).or_default().tellers += 1;
            }
            for peer in &said.peers {
                told.entry(peer.place.to_string()).or_default().ids.extend(peer.id.clone());
            }
        }
        told
    }

    /// What each said.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Each configured one has answered, or failed to.
    pub fn all_heard(&self) -> bool {
        self.members.iter().filter(|member| member.is_configured).all(|member| member.is_heard)
    }

    /// The backends that more than half of those that answered tell of, masters first: one alone must not make mainstay log in anywhere. The
    /// last answer counts, however old: who falls silent forgets nothing.
    pub fn backends(&self) -> Vec<Place> {
        if !self.all_heard() {
            return Vec::new();
        }
        let answers = || self.members.iter().flat_map(|member| &member.said).map(|(said, _)| said);
        let masters = answers().map(|said| &said.master);
        let told_by = |place: &Place| answers().filter(|said| said.master == *place || said.replicas.contains(place)).count();
        let mut seen = BTreeSet::new();
        let told = masters.chain(answers().flat_map(|said| &said.replicas).take(SENTINELS_MAX * TOLD_MAX));
        let told = told.filter(|place| seen.insert((*place).clone()) && told_by(place) * 2 > answers().count());
        told.take(TOLD_MAX).cloned().collect()
    }

    /// How many there are, each process once, the dead included. A configured one that never answered may be one of those that are told of by
    /// another address and do not answer either.
    fn known(&self) -> usize {
        let told = self.told();
        let name = |member: &Member| match (member.id(), told.get(&*member.address)) {
            (Some(id), _) => Some(id.as_str().to_owned()),
            (None, Some(told)) if told.ids.len() == 1 => Some(told.ids.iter().map(Id::as_str).collect()),
            (None, told) => (told.is_some() || !member.is_configured).then(|| member.address.to_string()),
        };
        let (mut sure, mut silent, mut nameless) = (BTreeSet::new(), BTreeSet::new(), 0);
        for member in &self.members {
            match name(member) {
                Some(name) if member.is_configured || member.said.is_some() => drop(sure.insert(name)),
                Some(name) => drop(silent.insert(name)),
                None => nameless += 1,
            }
        }
        let silent = silent.difference(&sure).count();
        sure.len() + silent.max(nameless)
    }

    /// What they say together. `find`: which backend of the group an announced place, or the process seen there, is.
    pub fn word(&mut self, now: Moment, find: impl Fn(&Place, Option<&Id>) -> Option<Arc<str>>) -> Word {
        if !self.all_heard() {
            return Word::Awaited;
        }
        let known = self.known();
        let majority = known / 2 + 1;
        let fresh = |at: Moment| now.since(at) <= self.fresh_for;
        // Two addresses of one process, or two that claim to be it, have one vote.
        let mut voted = BTreeSet::new();
        let votes: Vec<Vote> = self
            .members
            .iter()
            .flat_map(|member| &member.said)
            .filter(|(said, at)| fresh(*at) && said.id.as_ref().is_none_or(|id| voted.insert(id)))
            .map(|(said, _)| {
                let backend = find(&said.master, said.master_run_id.as_ref());
                Vote { backend, place: said.master.clone(), epoch: said.config_epoch }
            })
            .collect();
        if votes.is_empty() {
            let unknown = self.members.iter().any(|member| member.silence == Some(Silence::UnknownMaster));
            return Word::None(if unknown { "no Sentinel knows a master of that name" } else { "no Sentinel answers" }.into());
        }
        if votes.len() < majority {
            return Word::None(format!("{} of {known} Sentinels answer, which is no majority", votes.len()));
        }
        // From the highest epoch down, until a majority names the same at that epoch or above.
        let epochs: BTreeSet<u64> = votes.iter().map(|vote| vote.epoch).collect();
        for epoch in epochs.iter().rev().copied() {
            let newest = || votes.iter().filter(|vote| vote.epoch >= epoch);
            let count = |named: &Vote| newest().filter(|vote| vote.agrees(named)).count();
            let Some(named) = newest().find(|named| count(named) >= majority) else { continue };
            let ahead = newest().filter(|vote| vote.epoch > epoch && !vote.agrees(named)).map(|vote| vote.epoch).max();
            match ahead {
                Some(ahead) if self.is_changing(now) => {
                    return Word::Changing(format!("a Sentinel is ahead of the others, at config epoch {ahead}"));
                }
                Some(_) => {}
                None => self.apart_since = None,
            }
            let count = count(named);
            if self.highest.is_some_and(|highest| highest > epoch) && count < known {
                return Word::None(format!("what {count} of {known} Sentinels say is old news (config epoch {epoch})"));
            }
            self.highest = Some(epoch);
            let Vote { backend, place, .. } = named.clone();
            return Word::Names(Named { backend, place, config_epoch: epoch, votes: count, known });
        }
        // Votes enough, and none for the same: on the way from one to the other.
        let highest = epochs.last().copied().unwrap_or_default();
        if self.is_changing(now) {
            return Word::Changing(format!("the Sentinels do not agree yet, the newest is at config epoch {highest}"));
        }
        Word::None("the Sentinels do not agree".into())
    }

    /// Somebody is ahead of the others, and not for long; at whatever epoch, or one that fails over alone, again and again, would keep the
    /// others from having a word.
    fn is_changing(&mut self, now: Moment) -> bool {
        let since = *self.apart_since.get_or_insert(now);
        now.since(since) < CHANGE_TAKES_MAX
    }

    /// Who of those that answer stands apart from the word.
    pub fn odd(&self, member: &Member) -> Option<Odd> {
        let (said, _) = member.said.as_ref()?;
        match said.config_epoch.cmp(&self.highest?) {
            std::cmp::Ordering::Less => Some(Odd::Stale),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Odd::Ahead),
        }
    }
}
