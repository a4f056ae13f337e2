//! Rivals: backends that say role:master beside a living primary without proof. They are barred, so that the loss of the primary
//! does not hand the traffic to a history that has gone its own way, until they were seen to belong to the group again.

use std::sync::Arc;

use super::election::{Backend, Bar};
use super::facts::Role;
use super::group::Group;

impl Group {
    /// Rule 2: who is barred as a rival, and who is no longer.
    pub(super) fn settle_bars(&mut self, heard: usize) {
        let living = self.lost.is_none()
            && self.present_place().is_some_and(|present| present != heard && self.backends[present].health.claim().is_some());
        if living && self.backends[heard].bar.is_none() && self.is_rival(heard) {
            self.backends[heard].bar = Some(Bar::Rival);
        }
        let Some(last) = self.last.as_ref() else { return };
        let Some(last_id) = &last.replid else { return };
        let max = self.rules.max_succession_gap;
        for place in 0..self.backends.len() {
            if self.backends[place].bar.is_none() {
                continue;
            }
            let health = &self.backends[place].health;
            let belongs = health.facts().filter(|facts| facts.role == Role::Replica).and_then(|facts| facts.replid.as_ref());
            let returned = belongs.is_some_and(|id| id == last_id || self.lineage.follows(id, last_id, max));
            let leads = health.claim().and_then(|facts| facts.replid.as_ref()).is_some_and(|id| {
                let last_follows =
                    self.backends.iter().any(|backend| backend.name == last.name && backend.health.carries_with_link_up(id));
                let voters = || {
                    let others = self.backends.iter().enumerate().filter(|(other, _)| *other != place);
                    others.map(|(_, backend)| backend).filter(|backend| backend.health.claim().is_none())
                };
                let votes = voters().filter(|backend| backend.health.carries_with_link_up(id)).count();
                // An operator's word outweighs a vote, not the submission of the other side.
                last_follows || (self.backends[place].bar == Some(Bar::Rival) && votes * 2 > voters().count())
            });
            if returned || leads {
                self.backends[place].bar = None;
            }
        }
    }

    /// Says role:master beside the present primary, without proof that it succeeds it.
    pub(super) fn is_rival(&self, place: usize) -> bool {
        let Some(present) = self.present_place() else { return false };
        present != place
            && self.backends[place].health.claim().is_some()
            && (self.backends[place].bar == Some(Bar::Overruled) || !self.ballot().succeeds_last(place))
    }

    /// The rivals of the present primary. What a backend said before the election is no news of it: after a planned failover the old
    /// primary's last word is still role:master, until it is asked again.
    pub fn rivals(&self) -> impl Iterator<Item = &Arc<str>> {
        let (elected, ..) = self.standing();
        let heard_since = move |backend: &Backend| backend.health.facts_at().is_some_and(|at| at > elected);
        let rivals = (0..self.backends.len()).filter(move |place| self.is_rival(*place) && heard_since(&self.backends[*place]));
        rivals.map(|place| &self.backends[place].name)
    }
}
