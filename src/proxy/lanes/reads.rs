//! Where a session may go, and whether what it holds is still in force: an epoch of the primary's, or a replica's tenure.
//!
//! Sessions of the primary ask the fence and nothing else; a tenure is only thought of where the fence says no.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::spawn_local;

use super::Lanes;
use crate::config::{Fallback, ListenerRoute};
use crate::conversation::Scripts;
use crate::proxy::policy::{Admission, Policy, admission, read_admission};
use crate::proxy::redis_mode::is_heard_out;
use crate::resp::reply;
use crate::route::{Departure, Epoch, Hint, Moment, Noticed, Passage, Phase, Replica, Route, Tenure, Way, is_tenure};

/// A replica that could not be connected to is not tried for so long.
const AVOID_FOR: Duration = Duration::from_secs(5);
/// And who reads the primary instead does not go back for so long after that.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// Replicas that have been in step for so long, or as long as the hold window, are gone back to.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// Tenures of which it is remembered how they ended: those of sessions that have yet to hear of it.
const ENDED_MAX: usize = 32;

/// Where to connect to.
#[derive(Clone)]
pub struct Target {
    /// The epoch of the primary, or the tenure of the replica.
    pub epoch: Epoch,
    /// How to get there.
    pub way: Way,
    /// Of a replica.
    pub tenure: Option<Arc<Tenure>>,
}

impl Target {
    /// The epoch or tenure, and the way to it.
    pub fn place(&self) -> (Epoch, &Way) {
        (self.epoch, &self.way)
    }
}

/// What becomes of an upstream that is spliced, now that there is a new route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stays,
    /// It leads to the primary of this epoch, which was a replica until now.
    Primary(Epoch),
    /// It is cut. What it had said by now is passed on, or better not.
    Cut {
        /// Passed on.
        heard_out: bool,
    },
}

impl Lanes {
    /// The lanes of a listener that only reads.
    pub fn annex(&self, listener: &Arc<str>) -> Rc<Self> {
        let mut annexes = self.annexes.borrow_mut();
        let annex = annexes.entry(listener.clone()).or_insert_with(|| {
            let lanes = Self::new(self.link.clone(), self.local.clone(), self.metrics.clone());
            let annex = Rc::new(Self { is_annex: true, scripts: RefCell::new(Scripts::of_many_servers()), ..lanes });
            spawn_local(annex.clone().run());
            annex
        });
        annex.clone()
    }

    /// May something be written to an upstream of this epoch or tenure?
    #[inline]
    pub fn passage(&self, epoch: Epoch, now: Moment) -> Passage {
        match self.link.fence.passage(epoch, now.as_micros()) {
            Passage::Passed if is_tenure(epoch) => self.passage_of_tenure(epoch, now),
            passage => passage,
        }
    }

    fn passage_of_tenure(&self, number: Epoch, now: Moment) -> Passage {
        let route = self.route.borrow();
        let phase = match route.reads.of_tenure(number) {
            Some(replica) => replica.tenure.phase(),
            // It is the primary now: its sessions are told in a moment.
            None if route.reads.promoted == Some(number) => Phase::Unsettled,
            None => Phase::Ended(Departure::Gone),
        };
        match phase {
            Phase::Ended(_) => Passage::Passed,
            Phase::Usable if self.reads_are_vouched_for(now) => Passage::Open,
            Phase::Usable | Phase::Unsettled => Passage::Lapsed,
        }
    }

    /// The first byte of a client goes to the primary of this epoch, if it is one.
    pub fn wrote_first(&self, epoch: Epoch, now: Moment) {
        if !is_tenure(epoch) {
            self.link.first_byte.wrote(now);
        }
    }

    fn reads_are_vouched_for(&self, now: Moment) -> bool {
        now.as_micros() <= self.link.reads_until.load(Ordering::SeqCst)
    }

    /// Is what was connected to still what it was?
    pub fn still_grants(&self, epoch: Epoch) -> bool {
        match is_tenure(epoch) {
            false => self.link.fence.epoch() == epoch,
            true => {
                let route = self.route.borrow();
                route.reads.of_tenure(epoch).is_some_and(|replica| replica.tenure.phase() == Phase::Usable)
            }
        }
    }

    /// How to get there now: to the primary of this epoch, or to the replica of this tenure.
    pub fn way_to(&self, epoch: Epoch) -> Option<Way> {
        way(&self.route.borrow(), epoch).cloned()
    }

    /// Is this how to get there now?
    pub fn leads(&self, way_of_then: &Way, epoch: Epoch) -> bool {
        way(&self.route.borrow(), epoch) == Some(way_of_then)
    }

    /// When control last looked at it and found nothing wrong, in microseconds of [`Moment`].
    pub fn looked(&self, epoch: Epoch) -> u64 {
        match is_tenure(epoch) {
            false => self.link.looked.load(Ordering::SeqCst),
            true => self.route.borrow().reads.of_tenure(epoch).map_or(0, |replica| replica.tenure.looked()),
        }
    }

    /// An upstream of this epoch or tenure is not in force any more, and how what it leads to has left. In redis mode one that may become
    /// the primary is left as well: there are others, or it is come back to.
    pub fn passed(&self, epoch: Epoch, policy: &Policy) -> Option<Departure> {
        let route = self.route.borrow();
        if !is_tenure(epoch) {
            return (epoch < route.epoch).then(|| left(&route));
        }
        match self.phase_for(&route, epoch, policy) {
            Phase::Usable => None,
            Phase::Unsettled => Some(Departure::Gone),
            Phase::Ended(left) => Some(left),
        }
    }

    /// What becomes of a spliced upstream.
    pub fn fate(&self, epoch: Epoch, policy: &Policy) -> Fate {
        let route = self.route.borrow();
        if !is_tenure(epoch) {
            return if epoch < route.epoch { Fate::Cut { heard_out: true } } else { Fate::Stays };
        }
        if route.reads.promoted == Some(epoch) && route.primary.is_ok() && policy.keeps_promoted() {
            return Fate::Primary(route.epoch);
        }
        match self.phase_for(&route, epoch, policy) {
            Phase::Usable | Phase::Unsettled => Fate::Stays,
            Phase::Ended(left) => Fate::Cut { heard_out: is_heard_out(epoch, left) },
        }
    }

    /// A tenure as it stands for sessions of this listener.
    fn phase_for(&self, route: &Route, number: Epoch, policy: &Policy) -> Phase {
        match route.reads.of_tenure(number) {
            Some(replica) if replica.tenure.phase() == Phase::Usable && replica.tenure.lag() > policy.max_lag() => {
                Phase::Ended(Departure::Demoted)
            }
            Some(replica) => replica.tenure.phase(),
            None => {
                let ended = self.ended.borrow();
                let known = ended.iter().find(|tenure| tenure.number() == number).map(|tenure| tenure.phase());
                known.filter(|phase| matches!(phase, Phase::Ended(_))).unwrap_or(Phase::Ended(Departure::Gone))
            }
        }
    }

    /// Remembers how tenures ended that the new route has no more.
    pub(super) fn note_ended(&self, before: &Route) {
        let route = self.route.borrow();
        let mut ended = self.ended.borrow_mut();
        for replica in before.reads.replicas.iter().filter(|replica| route.reads.of_tenure(replica.tenure.number()).is_none()) {
            if ended.len() >= ENDED_MAX {
                ended.pop_front();
            }
            ended.push_back(replica.tenure.clone());
        }
    }

    /// Some replica is farther behind than some listener allows.
    pub(super) fn someone_lags(&self) -> bool {
        let strictest = self.strictest.get();
        self.route.borrow().reads.replicas.iter().any(|replica| replica.tenure.lag() > strictest)
    }

    pub(super) fn admission(&self, wanted: ListenerRoute, waiting_since: Moment, now: Moment) -> Admission {
        let route = self.route.borrow();
        let newest = || self.link.route.borrow().clone();
        match wanted {
            ListenerRoute::Primary => match admission(&route, self.is_suspected(), waiting_since, now) {
                Admission::Refuse if route.primary.is_err() && newest().primary.is_ok() => Admission::Park,
                other => other,
            },
            ListenerRoute::Replica { max_lag, fallback } => {
                let in_step = self.reads_are_vouched_for(now) && self.readable(&route, max_lag).next().is_some();
                match (in_step, fallback) {
                    (true, _) => Admission::Attach,
                    (false, Fallback::Primary) => match admission(&route, self.is_suspected(), waiting_since, now) {
                        Admission::Refuse if newest().primary.is_ok() && route.primary.is_err() => Admission::Park,
                        other => other,
                    },
                    (false, Fallback::Refuse) => match read_admission(&route, waiting_since, now) {
                        Admission::Refuse if self.readable(&newest(), max_lag).next().is_some() => Admission::Park,
                        other => other,
                    },
                }
            }
        }
    }

    /// Where a session of this listener may connect to now. It stays with the replica that it had, as long as it may.
    pub fn target(&self, policy: &Policy, had: Option<Epoch>) -> Option<Target> {
        let route = self.route.borrow();
        let ListenerRoute::Replica { max_lag, fallback } = policy.route else { return primary(&route) };
        match self.choose(&route, max_lag, had) {
            Some(replica) => {
                Some(Target { epoch: replica.tenure.number(), way: replica.way.clone(), tenure: Some(replica.tenure.clone()) })
            }
            None if fallback == Fallback::Primary => primary(&route),
            None => None,
        }
    }

    /// The replica with the fewest sessions of all workers. Among equals each has its turn: many small mainstays, with a session each,
    /// must not all read the first.
    fn choose<'a>(&self, route: &'a Route, max_lag: u64, had: Option<Epoch>) -> Option<&'a Replica> {
        let kept = had.filter(|had| is_tenure(*had)).and_then(|had| route.reads.of_tenure(had));
        let may_stay = |replica: &&Replica| replica.tenure.phase() == Phase::Usable && replica.tenure.lag() <= max_lag;
        if let Some(replica) = kept.filter(may_stay).filter(|replica| !self.avoids(replica.tenure.number())) {
            return Some(replica);
        }
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        let count = route.reads.replicas.len().max(1);
        let rank = |(place, replica): &(usize, &Replica)| (replica.tenure.sessions(), (place + turn) % count);
        self.readable(route, max_lag).enumerate().min_by_key(rank).map(|(_, replica)| replica)
    }

    fn avoids(&self, number: Epoch) -> bool {
        self.avoided.borrow().iter().any(|(avoided, until)| *avoided == number && Moment::now() < *until)
    }

    /// A replica could not be connected to, although its checks are answered: it is passed over for a while, and where there is no other one it
    /// is as if there were none. True where there is another one.
    pub(super) fn avoid(&self, number: Epoch, now: Moment) -> bool {
        let mut avoided = self.avoided.borrow_mut();
        avoided.retain(|(other, until)| *other != number && now < *until + REMEMBERED_FOR);
        avoided.push((number, now + AVOID_FOR));
        drop(avoided);
        self.readable(&self.route.borrow(), u64::MAX).next().is_some()
    }

    /// Those in step that could be connected to, as far as is known.
    fn readable<'r>(&self, route: &'r Route, max_lag: u64) -> impl Iterator<Item = &'r Replica> {
        in_step(route, max_lag).filter(|replica| !self.avoids(replica.tenure.number()))
    }

    /// Is there a replica in step for sessions of this listener?
    pub fn has_replica(&self, policy: &Policy) -> bool {
        self.readable(&self.route.borrow(), policy.max_lag()).next().is_some()
    }

    /// For so long that who reads the primary may go back to replicas: one that comes and goes moves nobody to and fro.
    pub(super) fn replicas_have_settled(&self) -> bool {
        let (route, now) = (self.route.borrow(), Moment::now());
        // Nobody leaves the primary for one that may be out of reach still.
        let failed = self.avoided.borrow().iter().any(|(_, until)| now < *until + REMEMBERED_FOR);
        !failed && !route.reads.replicas.is_empty() && now >= route.reads.since + route.hold_window.max(SETTLED_AFTER)
    }

    /// Is there somewhere to go for a session of this listener?
    pub fn has_target(&self, policy: &Policy) -> bool {
        let route = self.route.borrow();
        let reads = |max_lag| self.readable(&route, max_lag).next().is_some();
        match policy.route {
            ListenerRoute::Primary => route.primary.is_ok(),
            ListenerRoute::Replica { max_lag, fallback } => {
                reads(max_lag) || fallback == Fallback::Primary && route.primary.is_ok()
            }
        }
    }

    /// What a replica says is no news of the primary: it puts nobody in question, and makes control look no more than once in each
    /// `hint_interval`. That it takes no writes is no news at all.
    pub(super) fn hint_of_reader(&self, epoch: Epoch, what: Noticed) -> bool {
        let now = Moment::now();
        let ordinary = matches!(what, Noticed::Error(reply::READONLY | reply::NOREPLICAS));
        let interval = self.route.borrow().hint_interval;
        if ordinary || self.read_hint_at.get().is_some_and(|at| now.since(at) < interval) {
            return false;
        }
        self.read_hint_at.set(Some(now));
        self.link.hints.try_send(Hint { epoch, what }).is_ok()
    }

    /// Why a client that waits has no upstream, for that client.
    pub fn why_waiting(&self, policy: &Policy) -> String {
        let name = &self.link.name;
        let route = self.route.borrow();
        let why_no_replica = || match route.reads.replicas.is_empty() {
            true => format!("no replica of group {name} is in step: {}", route.reads.why),
            false => {
                format!("no replica of group {name} is in step: those that are usable lag too far behind, or cannot be reached")
            }
        };
        let why = match (&route.primary, policy.route) {
            (_, ListenerRoute::Replica { fallback: Fallback::Refuse, .. }) => why_no_replica(),
            (Err(vacancy), _) => format!("no primary for group {name}: {}", vacancy.why),
            (Ok(primary), _) if !primary.takes_new => format!("the primary of group {name} is being drained"),
            (Ok(_), _) => format!("the primary of group {name} cannot be reached"),
        };
        // It becomes a line of the protocol.
        why.replace(|character: char| character.is_control(), " ")
    }
}

fn way(route: &Route, epoch: Epoch) -> Option<&Way> {
    match is_tenure(epoch) {
        false => route.primary.as_ref().ok().filter(|_| route.epoch == epoch).map(|primary| &primary.way),
        true => route.reads.of_tenure(epoch).map(|replica| &replica.way),
    }
}

fn primary(route: &Route) -> Option<Target> {
    let primary = route.primary.as_ref().ok()?;
    Some(Target { epoch: route.epoch, way: primary.way.clone(), tenure: None })
}

/// How the last primary left.
pub(super) fn left(route: &Route) -> Departure {
    route.primary.as_ref().err().map_or(Departure::Gone, |vacancy| vacancy.left)
}

/// Those that a newcomer may read.
fn in_step(route: &Route, max_lag: u64) -> impl Iterator<Item = &Replica> {
    let fits =
        move |replica: &&Replica| replica.takes_new && replica.tenure.phase() == Phase::Usable && replica.tenure.lag() <= max_lag;
    route.reads.replicas.iter().filter(fits)
}
