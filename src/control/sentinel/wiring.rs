//! The coordinator's part: Sentinels' news become the group's word, its members, and hints.

use std::sync::Arc;

use super::{News, Sentinels, What};
use crate::control::coordinator::Coordinator;
use crate::route::{Endpoint, Moment};
use crate::topology::facts::Id;
use crate::topology::sentinel::{Place, Silence, Word};

impl Coordinator {
    /// Applies the configuration to the Sentinels, and to what they tell of who belongs to the group. `settle` makes that count.
    pub(in crate::control) fn configure_sentinels(&mut self) {
        self.sentinels.configure(&self.config);
        self.sentinels.start_tasks(&self.pace);
        self.discover();
    }

    /// Explicit backends are the authority: without them those are the group that the Sentinels tell of.
    fn discover(&mut self) {
        match &self.sentinels.watched {
            Some(watched) if self.config.backends.is_empty() => self.roster.discover(&watched.found.backends),
            Some(_) | None => self.roster.discover(&[]),
        }
    }

    /// A task of a Sentinel has something to tell.
    pub(in crate::control) fn heard_sentinel(&mut self, news: News, now: Moment) {
        if news.term != self.sentinels.term {
            return;
        }
        match news.what {
            What::Answered { asked, answer } => {
                let Some(watched) = &mut self.sentinels.watched else { return };
                if watched.counts_from.is_some_and(|from| asked < from) {
                    return;
                }
                let said = answer.map(|answer| {
                    watched.found.saw(&news.from, answer.processes);
                    answer.said
                });
                watched.council.said(&news.from, said, now);
                watched.first_round_done |= watched.council.all_heard();
                self.sentinels.start_tasks(&self.pace);
                self.meet_backends(now);
            }
            What::Happened(event) => {
                self.sentinels.remarks.happened(&self.config.name, &news.from, &event);
                self.group.hint(now);
                self.order_round(now);
            }
            What::Hears => self.sentinels.remarks.hears(&news.from),
            What::Deaf(why) => self.sentinels.remarks.deaf(&news.from, why, now),
        }
    }

    /// Where the configuration names no backends, those that the Sentinels tell of are the group's.
    fn meet_backends(&mut self, now: Moment) {
        let Some(watched) = &mut self.sentinels.watched else { return };
        // Half an answer is none: who is not told of by the first Sentinel may be told of by the second.
        if !self.config.backends.is_empty() || !watched.council.all_heard() {
            return;
        }
        let told = watched.council.backends();
        // None of them answers: that says nothing of the backends.
        if told.is_empty() || !watched.found.take(&told) {
            return;
        }
        self.sentinels.remarks.met(&self.config.name, &watched.found.backends);
        self.discover();
        self.settle(now);
    }

    /// Tells the group what the Sentinels say together just now. Before each step: which backend they mean may become known by its check.
    pub(in crate::control) fn weigh_sentinels(&mut self, now: Moment) {
        let word = match self.sentinels.watched.take() {
            None => Word::NotAsked,
            Some(mut watched) => {
                let word = watched.council.word(now, |place, process| {
                    self.find_backend(place, process.into_iter().chain(watched.found.processes_at(place)))
                });
                self.sentinels.watched = Some(watched);
                word
            }
        };
        self.group.set_word(word, now);
    }

    /// Which backend an announced address means: by its name, by where it answers, or by the process that was seen there.
    fn find_backend<'a>(&self, place: &Place, processes: impl Iterator<Item = &'a Id>) -> Option<Arc<str>> {
        let backends = self.group.backends();
        let name = place.to_string();
        if let Some(backend) = backends.iter().find(|backend| *backend.name == name) {
            return Some(backend.name.clone());
        }
        let answers_there = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Tcp(address) if address.to_string() == name);
        if let Some(backend) = backends.iter().find(|backend| self.endpoints.get(&backend.name).is_some_and(answers_there)) {
            return Some(backend.name.clone());
        }
        let run_id = |name: &Id| {
            backends.iter().find(|backend| backend.health.facts().and_then(|facts| facts.run_id.as_ref()) == Some(name))
        };
        processes.into_iter().find_map(run_id).map(|backend| backend.name.clone())
    }

    /// The Sentinels have been heard, or have failed to answer, and so has every backend.
    pub(in crate::control) fn first_round_done(&self) -> bool {
        let Some(watched) = &self.sentinels.watched else { return self.group.first_round_done() };
        // Nobody to check is a round that is done: a proxy that holds has to stay in its Service.
        watched.first_round_done && (self.group.first_round_done() || self.group.backends().is_empty())
    }
}

impl Sentinels {
    /// Why a Sentinel has not answered, for people.
    pub(super) fn explain(silence: &Silence, master_name: &str) -> String {
        match silence {
            Silence::Unasked => "was not asked yet".into(),
            Silence::Failed(why) => why.clone(),
            Silence::UnknownMaster => {
                format!(
                    "watches no master of the name {master_name}; see group.sentinel.master_name, and `sentinel monitor` there"
                )
            }
        }
    }
}
