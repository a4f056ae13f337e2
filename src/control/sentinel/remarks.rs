//! What is said about Sentinels in the log: what they say together when it changes, and each that does not answer or stands apart.
//!
//! In a failover they disagree for a second or two, and a restart of one is a matter of a moment. So only what lasts is worth a line, and
//! one that comes and goes has one line in each [`EVERY`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info};

use super::standing::{State, in_short};
use super::{Sentinels, Watched};
use crate::config::BackendAddress;
use crate::control::journal::Journal;
use crate::route::Moment;
use crate::topology::Group;
use crate::topology::sentinel::Word;

/// One line about the same Sentinel in this time.
const EVERY: Duration = Duration::from_secs(5);
/// To stand apart for less is part of any failover: the news reach the others in two seconds.
const APART_MIN: Duration = Duration::from_secs(10);
/// To be without its events for less is part of a restart.
const DEAF_MIN: Duration = Duration::from_secs(10);
/// Naming another one for less is part of a failover that mainstay saw first.
const DISPUTE_MIN: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Default)]
pub(super) struct Remarks {
    sentinels: HashMap<Arc<str>, Remark>,
    /// What they said together, since when, and whether that was said here.
    word: Option<(Standing, Moment, bool)>,
    /// The last line about what they say together was a complaint.
    complained: bool,
}

/// About one Sentinel.
struct Remark {
    state: State,
    since: Moment,
    /// What was last said of it, and when.
    said: Option<(State, Moment)>,
    deaf: Option<(String, Moment)>,
    deaf_said: bool,
}

impl Remark {
    fn new(now: Moment) -> Self {
        Self { state: State::Silent, since: now, said: None, deaf: None, deaf_said: false }
    }
}

/// What they say together, as far as it is worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// They name the primary, or have not been heard yet.
    Fine,
    /// There is a primary, and they name another one.
    Another(String),
    /// They have no word.
    Nothing(String),
}

impl Remarks {
    pub(super) fn forget_others(&mut self, is_member: impl Fn(&Arc<str>) -> bool) {
        self.sentinels.retain(|address, _| is_member(address));
    }

    /// One told of an event.
    pub(super) fn happened(&self, group: &str, sentinel: &str, event: &str) {
        debug!(group, sentinel, event, "a Sentinel tells of an event; checking");
    }

    /// Its events are followed.
    pub(super) fn hears(&mut self, sentinel: &Arc<str>) {
        if let Some(remark) = self.sentinels.get_mut(sentinel) {
            remark.deaf = None;
        }
    }

    /// Its events cannot be followed.
    pub(super) fn deaf(&mut self, sentinel: &Arc<str>, why: String, now: Moment) {
        let remark = self.sentinels.entry(sentinel.clone()).or_insert_with(|| Remark::new(now));
        let since = remark.deaf.take().map_or(now, |(_, since)| since);
        remark.deaf = Some((why, since));
    }

    /// The group has no `backends`: these are told of.
    pub(super) fn met(&self, group: &str, backends: &[BackendAddress]) {
        let all: Vec<String> = backends.iter().map(ToString::to_string).collect();
        info!(group, "the Sentinels tell of these backends: {}", all.join(", "));
    }
}

impl Sentinels {
    /// Says what is worth saying, and brings the gauges up to date.
    pub(in crate::control) fn watch(&mut self, group: &Group, journal: &Journal, now: Moment) {
        let Some(watched) = &self.watched else {
            journal.measure_sentinels(None);
            return;
        };
        let agree =
            matches!(group.word(), Word::Names(named) if named.backend.as_ref() == group.primary() && named.backend.is_some());
        let states: Vec<&'static str> = watched.council.members().iter().map(|member| watched.state(member).as_str()).collect();
        journal.measure_sentinels(Some((&states, agree)));
        self.remarks.about_each(watched, journal, now);
        self.remarks.about_all(group, journal, now);
    }
}

impl Remarks {
    fn about_each(&mut self, watched: &Watched, journal: &Journal, now: Moment) {
        for member in watched.council.members().iter().filter(|member| member.is_heard) {
            let state = watched.state(member);
            let remark = self.sentinels.entry(member.address.clone()).or_insert_with(|| Remark::new(now));
            if remark.state != state {
                (remark.state, remark.since) = (state, now);
            }
            let lasts = match state {
                State::Answering | State::Silent | State::UnknownMaster | State::Tilt => Duration::ZERO,
                State::Stale | State::Ahead => APART_MIN,
            };
            let (before, at) = remark.said.map_or((State::Answering, None), |(state, at)| (state, Some(at)));
            let may = at.is_none_or(|at| now.since(at) >= EVERY) && now.since(remark.since) >= lasts;
            if state != before && may {
                remark.said = Some((state, now));
                match watched.message(member) {
                    Some(message) => journal.sentinel_warns(&member.address, state.as_str(), &message),
                    None => journal.sentinel_informs(&member.address, "answers again"),
                }
            }
            match &remark.deaf {
                Some((why, since)) if !remark.deaf_said && state == State::Answering && now.since(*since) >= DEAF_MIN => {
                    let message = format!(
                        "answers, but its events cannot be followed: it {why}. Until they can, news of it come with the next question"
                    );
                    journal.sentinel_warns(&member.address, "deaf", &message);
                    remark.deaf_said = true;
                }
                None if remark.deaf_said => {
                    journal.sentinel_informs(&member.address, "tells of its events again");
                    remark.deaf_said = false;
                }
                Some(_) | None => {}
            }
        }
    }

    fn about_all(&mut self, group: &Group, journal: &Journal, now: Moment) {
        let standing = match (group.word(), group.primary()) {
            (Word::Names(named), Some(primary)) if named.backend.as_ref() != Some(primary) => {
                Standing::Another(named.to_string())
            }
            (word @ Word::None(_), _) => Standing::Nothing(in_short(word)),
            // Between two primaries, and on the way from one word to the next, nothing is settled.
            (Word::Awaited | Word::Changing(_), _) | (Word::Names(_), None) => return,
            (Word::NotAsked, _) | (Word::Names(_), Some(_)) => Standing::Fine,
        };
        let (since, said) = match self.word.take() {
            Some((before, since, said)) if before == standing => (since, said),
            _ => (now, false),
        };
        let lasts = if matches!(standing, Standing::Another(_)) { DISPUTE_MIN } else { Duration::ZERO };
        let due = !said && now.since(since) >= lasts;
        if due {
            match &standing {
                Standing::Fine if self.complained => {
                    journal.sentinels_inform("a majority of the Sentinels names the primary again");
                }
                Standing::Fine => {}
                Standing::Another(named) => {
                    let primary = group.primary().map_or("", |primary| primary);
                    journal.sentinels_warn(&format!(
                        "the Sentinels disagree: the primary is {primary} by its own word and its history, but {named}; \
                         what does not say role:master is not served"
                    ));
                }
                Standing::Nothing(why) => {
                    journal.sentinels_warn(&format!("the Sentinels have no word: {why}. The election goes on without them"));
                }
            }
            self.complained = standing != Standing::Fine;
        }
        self.word = Some((standing, since, said || due));
    }
}
