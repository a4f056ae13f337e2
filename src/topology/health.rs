//! One backend's record: rise, fall, and what it said last. HAProxy's users know the words.

use super::facts::{Facts, Id, Outcome, Role};
use crate::route::Moment;

/// What mainstay knows of one backend.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Checks that were answered running.
    pub answered_running: u32,
    /// Checks that failed running.
    pub failed_running: u32,
    /// Checks running in which this process said role:master, its data in memory.
    pub master_running: u32,
    /// Answers its checks, `rise` and `fall` counted.
    pub up: bool,
    /// The newest facts, while they count: since the last stall, and not followed by a failure that lost the backend.
    facts: Option<(Facts, Moment)>,
    /// When the check began that told them.
    facts_began: Option<Moment>,
    /// How the last check ended, and when.
    pub last: Option<(Outcome, Moment)>,
    /// Since when the running check waits.
    pub waiting_since: Option<Moment>,
    /// A check that began after the last stall has ended.
    pub heard: bool,
}

impl Health {
    /// A check began.
    pub fn started(&mut self, now: Moment) {
        self.waiting_since = Some(now);
    }

    /// A check ended.
    pub fn ended(&mut self, outcome: &Outcome, rise: u32, fall: u32, now: Moment) {
        let began = self.waiting_since.take();
        self.heard = true;
        if outcome.is_failure() {
            self.answered_running = 0;
            self.master_running = 0;
            self.failed_running = self.failed_running.saturating_add(1);
            if self.failed_running >= fall {
                self.up = false;
                self.facts = None;
            }
        } else {
            self.failed_running = 0;
            self.answered_running = self.answered_running.saturating_add(1);
            self.up |= self.answered_running >= rise;
        }
        match outcome {
            Outcome::Facts(facts) => {
                let same_process = self.facts.as_ref().is_none_or(|(before, _)| before.run_id == facts.run_id);
                self.master_running = match (facts.claims(), same_process) {
                    (false, _) => 0,
                    (true, true) => self.master_running.saturating_add(1),
                    (true, false) => 1,
                };
                self.facts = Some(((**facts).clone(), now));
                self.facts_began = began;
            }
            Outcome::Loading => {
                self.master_running = 0;
                self.facts = None;
            }
            // Alive without facts (no failure), or failed (counted above).
            Outcome::Busy
            | Outcome::AuthRefused(_)
            | Outcome::NotPermitted(_)
            | Outcome::MaxClients
            | Outcome::Refused
            | Outcome::Silent
            | Outcome::Closed
            | Outcome::ProtectedMode
            | Outcome::NotRedis(_)
            | Outcome::TlsMismatch(_)
            | Outcome::NameNotResolved(_) => {}
        }
        self.last = Some((outcome.clone(), now));
    }

    /// mainstay itself stood still: nothing that was heard before counts.
    pub fn stalled(&mut self) {
        self.facts = None;
        self.answered_running = 0;
        self.master_running = 0;
        self.waiting_since = None;
        self.heard = false;
    }

    /// The facts that count, if any.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref().map(|(facts, _)| facts)
    }

    /// When they were heard.
    pub fn facts_at(&self) -> Option<Moment> {
        self.facts.as_ref().map(|(_, at)| *at)
    }

    /// When the check began that told them.
    pub fn facts_began(&self) -> Option<Moment> {
        self.facts_began.filter(|_| self.facts.is_some()).or(self.facts_at())
    }

    /// Its facts, while it says role:master with its data in memory. Who did not answer the last check with facts claims nothing.
    pub fn claim(&self) -> Option<&Facts> {
        let answered = matches!(self.last, Some((Outcome::Facts(_), _)));
        self.facts().filter(|facts| answered && facts.claims())
    }

    /// Its last check was answered, and it says role:slave.
    pub fn says_replica(&self) -> bool {
        let answered = matches!(self.last, Some((Outcome::Facts(_), _)));
        answered && self.facts().is_some_and(|facts| facts.role == Role::Replica)
    }

    /// Its last check, which began after the last stall, was answered, if only with "busy" or "wrong password".
    pub fn is_living(&self) -> bool {
        self.heard && self.last.as_ref().is_some_and(|(outcome, _)| !outcome.is_failure())
    }

    /// Carries `id` as a replica whose link is up.
    pub fn carries_with_link_up(&self, id: &Id) -> bool {
        self.facts().is_some_and(|facts| {
            facts.role == Role::Replica
                && facts.link_up == Some(true)
                && facts.replid.as_ref() == Some(id)
                && self.failed_running == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(run_id: &str) -> Outcome {
        Outcome::Facts(Box::new(Facts { run_id: Id::new(run_id), role: Role::Master, ..Facts::default() }))
    }

    #[test]
    fn rise_counts_one_process_and_fall_forgets_it() {
        let mut health = Health::default();
        let end = |health: &mut Health, outcome: &Outcome| health.ended(outcome, 2, 3, Moment::from_millis(1));
        end(&mut health, &master("a"));
        assert!(!health.up);
        end(&mut health, &master("a"));
        assert!(health.up && health.master_running == 2);
        end(&mut health, &master("b"));
        assert_eq!(health.master_running, 1, "another process begins anew");
        for _ in 0..2 {
            end(&mut health, &Outcome::Refused);
        }
        assert!(health.up && health.facts().is_some() && health.claim().is_none());
        end(&mut health, &Outcome::Refused);
        assert!(!health.up && health.facts().is_none());
    }

    #[test]
    fn a_busy_server_neither_fails_nor_forgets_nor_claims() {
        let mut health = Health::default();
        health.ended(&master("a"), 1, 1, Moment::from_millis(1));
        health.ended(&Outcome::Busy, 1, 1, Moment::from_millis(2));
        assert!(health.up && health.facts().is_some() && health.failed_running == 0);
        assert!(health.claim().is_none());
    }
}
