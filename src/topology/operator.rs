//! What an operator may decide: settle a conflict, take a backend out of service. Each answer is a sentence that says what was done,
//! or why not and what to do.

use super::election::Bar;
use super::group::Group;
use super::loss::Cause;
use crate::route::{AdminState, Moment};

impl Group {
    /// An operator settles what the rules refuse to guess. The error says what to do.
    pub fn elect(&mut self, name: &str, now: Moment) -> Result<String, String> {
        let place = self.place(name).ok_or_else(|| format!("{name} is not a backend of this group"))?;
        if self.present_place() == Some(place) {
            // Those that say role:master beside it are overruled for good.
            self.overrule_others(place);
            return Ok(format!("{name} is the primary already"));
        }
        let backend = &self.backends[place];
        if backend.health.claim().is_none() {
            return Err(format!("{name} does not say role:master now; promote it first (REPLICAOF NO ONE there), then elect it"));
        }
        if backend.admin == AdminState::Maintenance {
            return Err(format!("{name} is in maintenance; make it ready first"));
        }
        self.overrule_others(place);
        let name = self.backends[place].name.clone();
        self.backends[place].bar = None;
        self.backends[place].leaving = false;
        self.chosen = Some(name.clone());
        if self.primary().is_some() {
            self.lost = Some((Cause::Operator, format!("an operator elected {name}")));
        }
        self.refresh(now);
        Ok(format!("{name} is elected"))
    }

    /// The operator's choice stepped down before it was granted the traffic: the choice, and what it overruled, is past.
    pub(super) fn drop_choice(&mut self, heard: usize) {
        let backend = &self.backends[heard];
        let stepped_down = backend.health.facts().is_some_and(|facts| !facts.claims());
        if self.chosen.as_ref() != Some(&backend.name) || !stepped_down {
            return;
        }
        self.chosen = None;
        for backend in self.backends.iter_mut().filter(|backend| backend.bar == Some(Bar::Overruled)) {
            backend.bar = None;
        }
    }

    fn overrule_others(&mut self, place: usize) {
        for (other, backend) in self.backends.iter_mut().enumerate() {
            if other != place && backend.health.claim().is_some() {
                backend.bar = Some(Bar::Overruled);
            }
        }
    }

    /// An operator wants something else of a backend. The error says what to do.
    pub fn set_admin(&mut self, name: &str, state: AdminState, force: bool, now: Moment) -> Result<String, String> {
        let place = self.place(name).ok_or_else(|| format!("{name} is not a backend of this group"))?;
        let primary = self.present_place() == Some(place);
        if state == AdminState::Maintenance && primary {
            let successor = (0..self.backends.len()).any(|other| other != place && self.ballot().ineligible(other).is_none());
            if !successor && !force {
                return Err(format!(
                    "{name} is the primary and no other backend could take its place: promote one first, or force it and hold clients"
                ));
            }
            self.lost = Some((Cause::Maintenance, format!("an operator put {name} in maintenance")));
        }
        self.backends[place].admin = state;
        self.refresh(now);
        let done = match state {
            AdminState::Ready => "is ready",
            AdminState::Maintenance => "is in maintenance",
            AdminState::Drain if primary => {
                "drains. It is the primary: new clients wait until there is another, or it is ready again"
            }
            AdminState::Drain => "drains",
        };
        Ok(format!("{name} {done}"))
    }
}
