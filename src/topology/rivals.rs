//! Rivals: backends that say role:master beside a living primary without proof. They are barred, so that the loss of the primary
//! does not hand the traffic to a history that has gone its own way, until they were seen to belong to the group again.

use std::sync::Arc;

use super::election::{Backend, Ballot, Bar};
use super::facts::Role;
use super::group::Group;
use crate::route::AdminState;

impl Group {
    /// Rule 2: who is barred as a rival, and who is no longer.
    pub(super) fn settle_bars(&mut self, heard: usize) {
        let living = self.lost.is_none() && self.present_place().is_some_and(|present| self.backends[present].health.is_living());
        if living && self.backends[heard].bar.is_none() && self.is_rival(heard) {
            self.backends[heard].bar = Some(Bar::Rival);
        }
        let Some(last_id) = self.last.as_ref().and_then(|last| last.replid.as_ref()) else { return };
        let max = self.rules.max_succession_gap;
        for place in 0..self.backends.len() {
            if self.backends[place].bar.is_none() {
                continue;
            }
            let health = &self.backends[place].health;
            let belongs = health.facts().filter(|facts| facts.role == Role::Replica).and_then(|facts| facts.replid.as_ref());
            let returned = belongs.is_some_and(|id| id == last_id || self.lineage.follows(id, last_id, max));
            let leads = health.claim().and_then(|facts| facts.replid.as_ref()).is_some_and(|id| {
                // Of all others, those that say role:master included: a living primary is a voice against.
                let others = || self.backends.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, backend)| backend);
                let votes = others().filter(|backend| backend.health.carries_with_link_up(id)).count();
                // An operator's word outweighs a vote, not the submission of the other side.
                self.ballot().last_follows(id) || (self.backends[place].bar == Some(Bar::Rival) && votes * 2 > others().count())
            });
            if returned || leads {
                self.backends[place].bar = None;
            }
        }
    }

    /// Says role:master beside the present primary, without proof that it succeeds it. The primary's own process under another name (a
    /// reload wrote its address differently) is nobody's rival.
    pub(super) fn is_rival(&self, place: usize) -> bool {
        let Some(present) = self.present_place() else { return false };
        let process = |place: usize| self.backends[place].health.facts().and_then(|facts| facts.run_id.as_ref());
        let same = process(place).is_some_and(|run_id| process(present) == Some(run_id));
        present != place
            && !same
            && self.backends[place].health.claim().is_some()
            && (matches!(self.backends[place].bar, Some(Bar::Overruled | Bar::Outvoted)) || !self.ballot().succeeds_last(place))
    }

    /// The rivals of the present primary. What a backend said before the election is no news of it: after a planned failover the old
    /// primary's last word is still role:master, until it is asked again.
    pub fn rivals(&self) -> impl Iterator<Item = &Arc<str>> {
        let (elected, ..) = self.standing();
        let heard_since = move |backend: &Backend| backend.health.facts_at().is_some_and(|at| at > elected);
        let rivals = (0..self.backends.len()).filter(move |place| self.is_rival(*place) && heard_since(&self.backends[*place]));
        rivals.map(|place| &self.backends[place].name)
    }

    /// There is a primary, and every backend's check has ended since it was elected.
    pub fn asked_all_since_election(&self) -> bool {
        let (elected, ..) = self.standing();
        let asked = |backend: &Backend| backend.health.last.as_ref().is_some_and(|(_, at)| *at > elected);
        self.primary().is_some() && self.backends.iter().all(asked)
    }
}

impl Ballot<'_> {
    /// Another one's claim is to be heard: an operator has not decided against it.
    pub(super) fn counts_against(&self, other: usize, place: usize) -> bool {
        let backend = &self.backends[other];
        other != place
            && !self.same_process(other, place)
            && backend.bar != Some(Bar::Overruled)
            && backend.admin != AdminState::Maintenance
            && !backend.leaving
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::route::Moment;
    use crate::topology::facts::Id;
    use crate::topology::{Facts, Outcome, Rules, Step};

    const RULES: Rules = Rules {
        rise: 2,
        fall: 5,
        interval: Duration::from_secs(1),
        fast_interval: Duration::from_millis(50),
        max_succession_gap: 1 << 20,
        hold_window: Duration::from_secs(5),
    };

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    fn says(role: Role, run: &str, id: &str, id2: &str) -> Outcome {
        let link_up = (role == Role::Replica).then_some(true);
        let (run_id, replid, replid2) = (Id::new(run), Id::new(id), Id::new(id2));
        Outcome::Facts(Box::new(Facts { run_id, role, replid, replid2, link_up, offset: Some(9), ..Facts::default() }))
    }

    /// Hears it, carries out every step, and says who was granted the traffic.
    fn hear(group: &mut Group, name: &str, outcome: &Outcome, now: u64) -> Vec<String> {
        group.check_started(name, at(now));
        group.check_ended(name, at(now), outcome, at(now));
        let mut granted = Vec::new();
        while let Some(step) = group.step(at(now), true) {
            if let Step::Grant { to, .. } = step {
                granted.push(to.to_string());
            }
        }
        granted
    }

    /// A is the primary, B its replica.
    fn group() -> Group {
        let mut group = Group::new(RULES, &["a".into(), "b".into()], 0, at(0));
        for now in [1, 2] {
            hear(&mut group, "a", &says(Role::Master, "ra", "x", ""), now);
            hear(&mut group, "b", &says(Role::Replica, "rb", "x", ""), now);
        }
        assert_eq!(group.primary().map(|name| &**name), Some("a"));
        group
    }

    #[test]
    fn after_a_stall_a_successor_does_not_wait_for_an_old_primary_that_cannot_be_asked() {
        let mut group = group();
        group.stalled(at(5_000));
        assert!(hear(&mut group, "a", &Outcome::Silent, 6_000).is_empty());
        assert_eq!(hear(&mut group, "b", &says(Role::Master, "rb", "y", "x"), 6_001), ["b"]);
    }

    #[test]
    fn after_a_stall_a_primary_that_refuses_to_tell_is_lost_and_a_busy_one_is_waited_for() {
        let refuses = Outcome::AuthRefused("WRONGPASS".into());
        for (stalled, answer, stays) in [(true, &refuses, false), (false, &refuses, true), (true, &Outcome::Busy, true)] {
            let mut group = group();
            if stalled {
                group.stalled(at(5_000));
            }
            for now in 6_000..6_010 {
                hear(&mut group, "a", answer, now);
            }
            assert_eq!(group.primary().is_some(), stays);
        }
    }

    #[test]
    fn a_busy_primary_is_a_living_one_and_who_claims_beside_it_is_barred() {
        let mut group = group();
        hear(&mut group, "a", &Outcome::Busy, 10);
        let stranger = says(Role::Master, "rc", "z", "");
        hear(&mut group, "b", &stranger, 11);
        for now in 20..30 {
            hear(&mut group, "a", &Outcome::Refused, now);
            assert!(hear(&mut group, "b", &stranger, now).is_empty());
        }
        assert_eq!(group.primary(), None);
    }

    #[test]
    fn one_follower_of_two_others_does_not_clear_a_rival_beside_a_living_primary() {
        let mut group = Group::new(RULES, &["a".into(), "b".into(), "c".into()], 0, at(0));
        let (a, b) = (says(Role::Master, "ra", "x", ""), says(Role::Master, "rb", "z", ""));
        for now in [1, 2, 3] {
            hear(&mut group, "a", &a, now);
            hear(&mut group, "b", &says(Role::Replica, "r0", "x", ""), now);
            hear(&mut group, "c", &says(Role::Replica, "rc", "x", ""), now);
        }
        for now in [10, 11, 12] {
            hear(&mut group, "a", &a, now);
            hear(&mut group, "b", &b, now);
            hear(&mut group, "c", &says(Role::Replica, "rc", "z", ""), now);
        }
        assert_eq!(group.rivals().count(), 1);
        for now in 20..30 {
            hear(&mut group, "a", &Outcome::Silent, now);
            assert!(hear(&mut group, "b", &b, now).is_empty(), "a's writes are not in b's history");
        }
    }

    #[test]
    fn the_primarys_own_process_under_another_name_is_no_rival_and_takes_over_when_the_old_name_fails() {
        let mut group = group();
        group.reconfigure(RULES, &["b".into(), "a.example".into()]);
        let a = says(Role::Master, "ra", "x", "");
        for now in [10, 11, 12] {
            hear(&mut group, "a", &a, now);
            assert!(hear(&mut group, "a.example", &a, now).is_empty());
        }
        assert_eq!(group.rivals().count(), 0);
        hear(&mut group, "b", &says(Role::Replica, "rb", "x", ""), 13);
        let granted: Vec<String> = (20..30).flat_map(|now| hear(&mut group, "a", &Outcome::Refused, now)).collect();
        assert_eq!(granted, ["a.example"]);
    }
}
