//! The servers that Sentinels tell of: which announced address is which process, and who belongs to a group without `backends`.
//!
//! Sentinels announce what they were told to: an IP address, a name (`resolve-hostnames`, `announce-hostnames`), or the address outside
//! of a container. Two of them may call the same server differently. The `run_id` that they saw there joins the two.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::BackendAddress;
use crate::config::limits::BACKENDS_MAX;
use crate::topology::facts::Id;
use crate::topology::sentinel::Place;

/// See the module.
#[derive(Default)]
pub(super) struct Found {
    /// What each Sentinel saw last, where: bounded by what is read of an answer.
    processes: HashMap<Arc<str>, Vec<(Place, Id)>>,
    /// Each server once.
    pub(super) backends: Vec<BackendAddress>,
}

impl Found {
    /// What remains under another configuration.
    pub(super) fn known_only(self) -> Self {
        Self { processes: HashMap::new(), backends: self.backends }
    }

    /// A Sentinel answered.
    pub(super) fn saw(&mut self, sentinel: &Arc<str>, processes: Vec<(Place, Id)>) {
        self.processes.insert(sentinel.clone(), processes);
    }

    /// Forgets what those saw that are no Sentinels of the group any more.
    pub(super) fn forget_others(&mut self, is_member: impl Fn(&Arc<str>) -> bool) {
        self.processes.retain(|sentinel, _| is_member(sentinel));
    }

    /// Which processes were seen at an announced address.
    pub(super) fn processes_at<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = &'a Id> {
        self.seen().filter(move |(seen, _)| seen == place).map(|(_, id)| id)
    }

    fn seen(&self) -> impl Iterator<Item = &(Place, Id)> {
        self.processes.values().flatten()
    }

    /// Takes over who was told of; true where that changes anything.
    pub(super) fn take(&mut self, told: &[Place]) -> bool {
        let mut process: HashMap<&Place, &Id> = HashMap::new();
        let mut tellers: HashMap<&Place, usize> = HashMap::new();
        for (place, id) in self.seen() {
            process.insert(place, id);
            *tellers.entry(place).or_default() += 1;
        }
        let address = |place: &Place| BackendAddress::Tcp { host: place.host.clone(), port: place.port };
        let is_used = |place: &Place| self.backends.contains(&address(place));
        // Where there is not room for all, and of two addresses of one process, those count that more of them tell of: one liar crowds
        // nobody out. But a server that is known by one of its addresses keeps it.
        let mut places: Vec<&Place> = told.iter().collect();
        places.sort_by_key(|place| (std::cmp::Reverse(tellers.get(place).copied().unwrap_or(0)), !is_used(place)));
        let kept: HashMap<&Id, &Place> =
            places.iter().rev().filter(|place| is_used(place)).filter_map(|place| Some((*process.get(place)?, *place))).collect();
        let (mut backends, mut met) = (Vec::new(), HashSet::new());
        for place in places {
            let id = process.get(place).copied();
            let is_double = id.is_some_and(|id| kept.get(id).is_some_and(|kept| *kept != place) || !met.insert(id));
            if !is_double && backends.len() < BACKENDS_MAX {
                backends.push(address(place));
            }
        }
        // In an order of their own: who is master today is not to move a server up in the list.
        backends.sort_by_key(ToString::to_string);
        let is_news = backends != self.backends;
        self.backends = backends;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str) -> Place {
        Place { host: host.into(), port: 6379 }
    }

    fn names(found: &Found) -> Vec<String> {
        found.backends.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_server_with_two_announced_addresses_is_one_backend_and_keeps_its_first_name() {
        let (a, b) = (Id::new("a").unwrap(), Id::new("b").unwrap());
        let mut found = Found::default();
        found.saw(&"s1".into(), vec![(at("10.0.0.1"), a.clone()), (at("10.0.0.2"), b.clone())]);
        assert!(found.take(&[at("10.0.0.1"), at("10.0.0.2")]));
        assert_eq!(names(&found), ["10.0.0.1:6379", "10.0.0.2:6379"]);
        for sentinel in ["s2", "s3"] {
            found.saw(&sentinel.into(), vec![(at("redis1"), a.clone()), (at("redis2"), b.clone())]);
        }
        let told = [at("redis1"), at("10.0.0.1"), at("redis2"), at("10.0.0.2")];
        assert!(!found.take(&told));
        let mut afresh = Found { backends: Vec::new(), ..found };
        assert!(afresh.take(&told));
        assert_eq!(names(&afresh), ["redis1:6379", "redis2:6379"], "most of them call it so");
        assert!(afresh.take(&[at("redis1")]), "one that nobody tells of any more has left");
    }
}
