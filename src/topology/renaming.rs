//! A backend is known by another name from now on: a name that led to one address leads to several, or the other way round. It is the
//! same server, so everything that is known of it stays: its health, its bar, that it is the primary.
//!
//! And one that comes back after its address had vanished is the one that it was: a rival must not become eligible by that.

use std::collections::VecDeque;
use std::sync::Arc;

use super::election::{Backend, Ballot, Bar};
use super::group::{Group, Seat};
use super::sentinel::{Named, Word};
use crate::route::AdminState;

/// Backends that left and are remembered.
const DEPARTED_MAX: usize = 64;

/// What is remembered of backends that left, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Departed(VecDeque<(Arc<str>, Option<Bar>, AdminState)>);

impl Departed {
    /// It left.
    pub(super) fn remember(&mut self, backend: &Backend) {
        self.0.retain(|(name, ..)| *name != backend.name);
        if backend.bar.is_none() && backend.admin == AdminState::Ready {
            return;
        }
        if self.0.len() >= DEPARTED_MAX {
            self.0.pop_front();
        }
        self.0.push_back((backend.name.clone(), backend.bar, backend.admin));
    }

    /// It is back.
    pub(super) fn take(&mut self, name: &str) -> (Option<Bar>, AdminState) {
        let place = self.0.iter().position(|(departed, ..)| **departed == *name);
        place.and_then(|place| self.0.remove(place)).map_or((None, AdminState::Ready), |(_, bar, admin)| (bar, admin))
    }
}

impl Group {
    /// The backend `old` is called `new` from now on. One that has that name already makes way for the primary, or where it is leaving
    /// itself and not the primary. True when it happened.
    pub fn rename(&mut self, old: &str, new: &Arc<str>) -> bool {
        let is_primary = self.primary().is_some_and(|primary| **primary == *old);
        let makes_way = |backend: &Backend| is_primary || (backend.leaving && self.primary() != Some(new));
        let taken = self.place(new).is_some_and(|place| !makes_way(&self.backends[place]));
        if self.place(old).is_none() || *old == **new || taken {
            return false;
        }
        self.backends.retain(|backend| backend.name != *new);
        // The lost primary was called so: what is said of the new bearer of the name is not said of it.
        if let Some(last) = self.last.as_mut().filter(|last| last.name == *new) {
            last.name = format!("the former {new}").into();
        }
        if let Some(last) = self.last.as_mut().filter(|last| *last.name == *old) {
            last.name = new.clone();
        }
        if let Seat::Held { by, why, .. } = &mut self.seat
            && **by == *old
        {
            *by = new.clone();
            *why = why.split(' ').map(|word| if word == old { new } else { word }).collect::<Vec<_>>().join(" ");
        }
        if let Some(chosen) = self.chosen.as_mut().filter(|chosen| ***chosen == *old) {
            *chosen = new.clone();
        }
        if let Word::Names(Named { backend: Some(named), .. }) = &mut self.word
            && **named == *old
        {
            *named = new.clone();
        }
        if let Some(place) = self.place(old) {
            let backend = &mut self.backends[place];
            backend.name = new.clone();
            // Whoever asked it under the old name asks no more.
            backend.health.waiting_since = None;
        }
        true
    }

    /// A backend that is to leave, kept as the primary, and the one of its names that stays: its own process answers under that one
    /// too, as when a name leads to another address of the same machine.
    pub fn heir_of_leaving_primary(&self) -> Option<(Arc<str>, Arc<str>)> {
        let primary = &self.backends[self.present_place()?];
        let process = primary.health.facts()?.run_id.as_ref().filter(|_| primary.leaving)?;
        let same = |backend: &&Backend| {
            let answered = backend.health.claim().and_then(|facts| facts.run_id.as_ref());
            !backend.leaving && answered == Some(process)
        };
        let heir = self.backends.iter().find(same)?;
        Some((primary.name.clone(), heir.name.clone()))
    }
}

impl Ballot<'_> {
    /// Eligible, and no other name of a process that stands already: two names of one process are one candidate, the present primary's
    /// or else the first.
    pub(super) fn is_candidate(&self, place: usize) -> bool {
        let goes_before = |other: usize| self.present == Some(other) || (self.present != Some(place) && other < place);
        let same = |other: usize| other != place && self.same_process(other, place) && self.ineligible(other).is_none();
        self.ineligible(place).is_none() && !(0..self.backends.len()).any(|other| goes_before(other) && same(other))
    }

    /// Both say role:master, and are one process.
    pub(super) fn same_process(&self, one: usize, other: usize) -> bool {
        let process = |place: usize| self.backends[place].health.claim().and_then(|facts| facts.run_id.as_ref());
        process(one).is_some() && process(one) == process(other)
    }
}

#[cfg(test)]
mod tests;
