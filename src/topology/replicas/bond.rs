//! Whom a tenure belongs to. A name may lead elsewhere, and another process may answer at an address: neither is the server that those
//! who read are connected to, which nobody checks any more from then on.

use crate::route::{Endpoint, Way};
use crate::topology::election::Backend;
use crate::topology::facts::Id;

/// The process that a replica was when its tenure began, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bond {
    process: Option<Id>,
    /// Where it answers, and whether encrypted.
    place: Option<(Endpoint, bool)>,
}

impl Bond {
    /// To whoever answers as this backend now.
    pub(super) fn to(backend: &Backend, way: Option<&Way>) -> Self {
        Self { process: process(backend).cloned(), place: way.map(place) }
    }

    /// It was not known where that is until now.
    pub(super) fn is_found(&mut self, way: Option<&Way>) {
        self.place = self.place.take().or_else(|| way.map(place));
    }

    /// Another process answers as this backend now. The same one may do so elsewhere, as where a host has an IPv4 and an IPv6 address; only of
    /// a server that does not tell its `run_id` the place is all that is known. Who tells nothing breaks nothing.
    pub(super) fn is_broken(&self, backend: &Backend, way: Option<&Way>) -> bool {
        if backend.health.facts().is_none() {
            return false;
        }
        match (&self.process, process(backend)) {
            (None, None) => self.place.as_ref().zip(way.map(place)).is_some_and(|(known, now)| *known != now),
            (known, now) => known.as_ref() != now,
        }
    }

    /// The same process, at the same place: both are known.
    pub(super) fn holds(&self, backend: &Backend, way: Option<&Way>) -> bool {
        let is_same_process = backend.health.facts().is_some() && self.process.as_ref() == process(backend);
        is_same_process && self.place.is_some() && self.place == way.map(place)
    }
}

fn process(backend: &Backend) -> Option<&Id> {
    backend.health.facts().and_then(|facts| facts.run_id.as_ref())
}

fn place(way: &Way) -> (Endpoint, bool) {
    (way.endpoint.clone(), way.tls.is_some())
}
