//! Rule 4, when a primary is lost:
//!
//! - *at once* when it says role:slave or is loading, when its `run_id` changed, when a proven successor appears (even if the old one
//!   cannot be asked; found by `election.rs`), when the Sentinels name another one (`word.rs`), or when an operator says so;
//! - after `fall` failed checks running otherwise. What is alive but tells nothing (busy, wrong password, no place for another client)
//!   is no failed check: see [`Outcome::is_failure`]. Only after a stall of mainstay itself, when nothing vouches for the primary any
//!   more, `fall` such answers lose it, rather than that its sessions hang for as long as the password is wrong.

use super::facts::{Facts, Outcome, Role};
use super::group::Group;

/// Why a primary was withdrawn: the label of `mainstay_failovers_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It says role:slave.
    Demoted,
    /// It is loading a data set.
    Loading,
    /// Another process answers at its address.
    Restarted,
    /// `fall` checks failed running.
    Down,
    /// A proven successor appeared.
    Succeeded,
    /// A majority of the Sentinels names another one.
    Sentinel,
    /// An operator elected another one.
    Operator,
    /// An operator put it in maintenance.
    Maintenance,
}

impl Cause {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Demoted => "demoted",
            Self::Loading => "loading",
            Self::Restarted => "restarted",
            Self::Down => "down",
            Self::Succeeded => "succeeded",
            Self::Sentinel => "sentinel",
            Self::Operator => "operator",
            Self::Maintenance => "maintenance",
        }
    }
}

impl Group {
    /// Rule 4, from one answer of the present primary.
    pub(super) fn judge_primary(&mut self, place: usize, outcome: &Outcome) {
        let health = &self.backends[place].health;
        let name = &self.backends[place].name;
        let lost = match outcome {
            Outcome::Facts(facts) => self.judge_facts(name, facts),
            Outcome::Loading => Some((Cause::Loading, format!("{name} is loading a data set"))),
            failure if failure.is_failure() && health.failed_running >= self.rules.fall => {
                let what = failure.message().unwrap_or_default();
                Some((Cause::Down, format!("{name} failed {} checks running; it {what}", health.failed_running)))
            }
            // After a stall the fence is closed until it tells its facts: its sessions hang, they do not "work".
            Outcome::AuthRefused(_) | Outcome::NotPermitted(_) | Outcome::MaxClients
                if self.unvouched && health.answered_running >= self.rules.fall =>
            {
                let what = outcome.message().unwrap_or_default();
                Some((Cause::Down, format!("{name} could not be asked since mainstay stood still; it {what}")))
            }
            _ => None,
        };
        match (lost, outcome) {
            (Some(lost), _) => self.lost = Some(lost),
            (None, Outcome::Facts(facts)) => {
                self.unvouched = false;
                if let Some(last) = &mut self.last {
                    last.replid = facts.replid.clone();
                    last.offset = facts.offset;
                    last.keys = facts.keys;
                }
            }
            (None, _) => {}
        }
    }

    /// A role that mainstay does not know is no news of the primary.
    fn judge_facts(&self, name: &str, facts: &Facts) -> Option<(Cause, String)> {
        let last_process = self.last.as_ref().and_then(|last| last.run_id.as_ref());
        if last_process.is_some() && facts.run_id.is_some() && last_process != facts.run_id.as_ref() {
            return Some((Cause::Restarted, format!("another process answers at {name}: it was restarted")));
        }
        match facts.role {
            Role::Replica => Some((Cause::Demoted, format!("{name} says role:slave"))),
            Role::Master | Role::Unknown => None,
        }
    }
}
