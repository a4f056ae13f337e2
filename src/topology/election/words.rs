//! What is said of an election, for people.

use super::{Backend, Ballot};
use crate::topology::Role;
use crate::topology::facts::Id;

impl Ballot<'_> {
    pub(in crate::topology) fn describe(&self, place: usize) -> String {
        let id = self.replid(place).map_or("id unknown".into(), Id::to_string);
        format!("{} ({id})", self.backends[place].name)
    }

    pub(super) fn why_nobody(&self) -> String {
        let reasons: Vec<String> = (0..self.backends.len())
            .filter_map(|place| {
                let backend = &self.backends[place];
                let silent = || match &backend.health.last {
                    Some((outcome, _)) => outcome.message(),
                    None => Some("has not been checked yet".into()),
                };
                let says_replica =
                    backend.health.facts().filter(|facts| facts.role == Role::Replica).map(|_| "says role:slave".to_owned());
                let reason = match backend.health.claim() {
                    Some(_) => self.ineligible(place)?.to_owned(),
                    None => silent().or(says_replica)?,
                };
                Some(format!("{} {reason}", backend.name))
            })
            .collect();
        format!("no backend is eligible: {}", reasons.join("; "))
    }
}

/// Their names.
pub(super) fn names<'a>(backends: impl Iterator<Item = &'a Backend>) -> String {
    backends.map(|backend| &*backend.name).collect::<Vec<_>>().join(", ")
}
