//! What is true after every event, and in the end.

use std::collections::BTreeSet;

use super::world::World;
use crate::conversation::Conversation;

/// Requests that wait are kept up to 256 KiB, then one more read comes in, behind what is kept to be asked again.
const HELD_BYTES_MAX: usize = (256 + 64 + 64 + 64) * 1024;
const HOLDING_BYTES_MAX: usize = 64 * 1024 + 64 * 1024;
const SETTLED_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

impl World {
    pub(super) fn check(&mut self) {
        check_bounds(&self.conversation);
        // Control has not seen yet that another one was promoted.
        self.route.filter(|server| self.servers[*server].usurped).into_iter().for_each(|server| self.forgive(server));
        let log = &self.servers.last().expect("there is one").data.log;
        let executed: BTreeSet<u32> = log.iter().copied().collect();
        // What blocks is asked again, whatever became of it, unless it writes elsewhere.
        let once = |number: &&u32| !self.ledger.may_be_repeated(**number);
        assert_eq!(executed.iter().filter(once).count(), log.iter().filter(once).count(), "a write was executed twice: {log:?}");
        if let Some(doubled) =
            self.ledger.effects.iter().find(|(number, times)| **times > 1 && !self.ledger.may_be_repeated(**number))
        {
            panic!("#{} was executed {} times", doubled.0, doubled.1);
        }
        // An element that a replaced server gave away is passed on all the same.
        let excused = |number: &&u32| self.lost.contains(number) || self.rough && !once(number);
        let missing = self.client.acknowledged.iter().find(|number| !executed.contains(number) && !excused(number));
        assert_eq!(missing, None, "acknowledged, and not in the data: {log:?}");
        let denied = self.client.denied.iter().find(|number| executed.contains(number) && (once(number) || !self.rough));
        assert_eq!(denied, None, "the client was told that it was not executed: {log:?}");
    }

    /// When everything has come to rest.
    pub(super) fn check_the_end(&mut self) {
        self.check();
        if self.closed.is_some() || self.left {
            return;
        }
        assert!(self.client.is_answered(), "unanswered: {:?}", self.client.asked);
        assert!(self.ended || !self.client.is_in_frame(), "it ends in the middle of a frame");
        let log = &self.servers.last().expect("there is one").data.log;
        let popped =
            log.iter().find(|number| self.ledger.ends.contains_key(number) && !self.client.acknowledged.contains(number));
        assert!(popped.is_none() || self.rough, "{popped:?} popped an element that nobody was given");
    }
}

/// What is kept has bounds.
pub(super) fn check_bounds(conversation: &Conversation) {
    let Conversation { queue, settled, holding, effects, .. } = conversation;
    assert!(queue.held() <= HELD_BYTES_MAX, "{} bytes are held", queue.held());
    assert!(holding.len() <= HOLDING_BYTES_MAX, "{} bytes of a frame", holding.len());
    let kept: usize = settled.values().map(Vec::len).sum();
    assert!(kept <= SETTLED_BYTES_MAX && settled.len() <= queue.len() && effects.len() <= queue.len());
}
