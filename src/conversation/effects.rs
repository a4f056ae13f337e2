//! What changes when requests succeed that are not answered yet. Names may be long and replies slow: how much of it is kept is counted, so
//! that a client can be left waiting.

use std::collections::VecDeque;

use super::remembered::Effect;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// By sequence number.
    waiting: VecDeque<(u64, Effect)>,
    bytes: usize,
}

impl Effects {
    /// The request of this number has this effect. Numbers only grow.
    pub(super) fn push(&mut self, sequence: u64, effect: Effect) {
        self.bytes += effect.len();
        self.waiting.push_back((sequence, effect));
    }

    /// The effect of the request of this number, if it has one. Those of earlier requests are forgotten.
    pub(super) fn take(&mut self, sequence: u64) -> Option<Effect> {
        while self.waiting.front().is_some_and(|(of, _)| *of <= sequence) {
            let (of, effect) = self.waiting.pop_front()?;
            self.bytes -= effect.len();
            if of == sequence {
                return Some(effect);
            }
        }
        None
    }

    /// That of the earliest request.
    pub(super) fn first(&self) -> Option<&Effect> {
        self.waiting.front().map(|(_, effect)| effect)
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the arguments that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives spare memory back.
    pub(super) fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
    }
}
