//! Whom a tenure belongs to. A name may lead elsewhere, and another process may answer at an address: neither is the server that those
//! who read are connected to, which nobody checks any more from then on.

use crate::route::{Endpoint, Way};
use crate::topology::election::Backend;
use crate::topology::facts::Id;

/// The process that a replica was when its tenure began, and where. Renewed certificates break no bond: the process is the same one, and it
/// is still checked.
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

    /// Another process answers as this backend now, or it does so elsewhere. Who tells nothing breaks nothing.
    pub(super) fn is_broken(&self, backend: &Backend, way: Option<&Way>) -> bool {
        let is_elsewhere = |(known, now): (&(Endpoint, bool), _)| *known != now;
        backend.health.facts().is_some() && process(backend) != self.process.as_ref()
            || self.place.as_ref().zip(way.map(place)).is_some_and(is_elsewhere)
    }

    /// It is known to hold.
    pub(super) fn holds(&self, backend: &Backend, way: Option<&Way>) -> bool {
        let is_known = backend.health.facts().is_some() && self.place.is_some() && way.is_some();
        is_known && !self.is_broken(backend, way)
    }
}

fn process(backend: &Backend) -> Option<&Id> {
    backend.health.facts().and_then(|facts| facts.run_id.as_ref())
}

fn place(way: &Way) -> (Endpoint, bool) {
    (way.endpoint.clone(), way.tls.is_some())
}
