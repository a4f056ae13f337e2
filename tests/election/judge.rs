//! What is right in a made-up world: who may be elected, held against its truth.

use std::sync::Arc;

use mainstay::route::AdminState;
use mainstay::topology::election::{Bar, Rule};
use mainstay::topology::sentinel::Word;

use crate::world::World;

impl World {
    /// S4: who is elected without an operator either provably continues the last primary, or nobody else could have been meant.
    pub fn judge_grant(&self, to: &Arc<str>, rule: Rule) {
        self.judge_by_word(to, rule);
        let last = self.last.map(|(_, id)| id);
        let id = self.heard_id(to);
        let fits = |other: u32| self.truth.continues(id, other);
        match rule {
            Rule::Operator => {}
            Rule::Sentinel => {
                assert!(self.named().is_some_and(|named| named == *to), "{to} is not the one that the Sentinels name")
            }
            Rule::Proof => {
                let over_claimant = || self.claimants().any(fits);
                assert!(last.is_some_and(fits) || over_claimant(), "S4: {to} was elected by proof of what is not true");
            }
            // Once the Sentinels have taken the traffic from somebody, or given it to somebody, that is a reason for what follows.
            Rule::Only if self.story.iter().any(|step| step.contains("Sentinel")) => {}
            Rule::Only => {
                for (other, other_id) in self.rest(to) {
                    let excused = fits(other_id) || last.is_some_and(|last| self.truth.is_of_the_past(other_id, last));
                    let restarted = self.group.history().iter().last().is_some_and(|failover| failover.from == other);
                    assert!(excused || restarted, "S4: {to} was elected as the only one beside {other}, by luck of the order");
                }
            }
            Rule::Present | Rule::Followers => {}
        }
    }

    /// Those beside `to` that say role:master and that nothing speaks against.
    /// Rule 3b: nobody is served against a word without proof, and nobody at all who does not say role:master.
    fn judge_by_word(&self, to: &Arc<str>, rule: Rule) {
        let backend = |name: &Arc<str>| self.group.backends().iter().find(|backend| backend.name == *name).expect("a server");
        assert!(backend(to).health.claim().is_some(), "{to} was elected and does not say role:master");
        let Some(named) = self.named().filter(|named| named != to) else { return };
        let named = backend(&named);
        let useless = named.health.says_replica() || named.bar == Some(Bar::Overruled) || named.admin == AdminState::Maintenance;
        assert!(
            useless || matches!(rule, Rule::Proof | Rule::Operator),
            "{to} was elected by {rule:?} against the word for {}",
            named.name
        );
    }

    fn named(&self) -> Option<Arc<str>> {
        match self.group.word() {
            Word::Names(named) => named.backend.clone(),
            _ => None,
        }
    }

    fn rest(&self, to: &Arc<str>) -> impl Iterator<Item = (Arc<str>, u32)> {
        let free = self.group.backends().iter().filter(move |backend| {
            backend.name != *to && backend.bar.is_none() && backend.admin == AdminState::Ready && backend.health.claim().is_some()
        });
        free.map(|backend| (backend.name.clone(), self.heard_id(&backend.name)))
    }

    pub fn somebody_succeeds(&self) -> bool {
        let Some((_, last)) = self.last else { return false };
        self.claimants().any(|id| self.truth.continues(id, last))
    }

    /// The ids of those that say role:master.
    fn claimants(&self) -> impl Iterator<Item = u32> {
        let claimants = self.group.backends().iter().filter(|backend| backend.health.claim().is_some());
        claimants.map(|backend| self.heard_id(&backend.name))
    }
}
