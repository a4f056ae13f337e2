//! A transaction between MULTI and EXEC, kept so that it can be replayed: nothing of it has been executed.

use std::collections::HashSet;
use std::fmt;
use std::mem::discriminant;

use super::bounds::STATE_BYTES_MAX;
use super::queue::KEPT_BYTES_MAX;
use super::remembered::{Effect, request};
use super::request::Own;
use crate::resp::frames::ReplyScanner;

/// See the module.
#[derive(Default)]
pub(super) struct Transaction {
    bytes: Vec<u8>,
    lengths: Vec<usize>,
    /// Something queued may write.
    pub writes: bool,
    /// A command was refused while it was queued: EXEC will abort.
    pub dirty: bool,
    /// Too large to be kept.
    pub lost: bool,
    /// Commands that were queued.
    count: usize,
    /// What changes when it is executed, by the places of the commands that do it.
    effects: Vec<(usize, Effect)>,
    effect_bytes: usize,
}

/// Commands may hold secrets.
impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("queued", &self.lengths.len()).finish_non_exhaustive()
    }
}

/// What becomes of a transaction that cannot be executed any more, although the client does not know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ghost {
    /// What it watched may have changed: EXEC answers nil.
    Nil,
    /// A command was refused while it was queued: EXEC aborts.
    Abort,
}

impl Transaction {
    /// One that EXEC will abort.
    pub(super) fn aborted() -> Self {
        Self { dirty: true, ..Self::default() }
    }

    /// A command was queued; None where its bytes are gone.
    pub(super) fn queue(&mut self, command: Option<&[u8]>) {
        self.count += 1;
        match command {
            Some(bytes) if self.bytes.len() + bytes.len() <= KEPT_BYTES_MAX => {
                self.bytes.extend_from_slice(bytes);
                self.lengths.push(bytes.len());
            }
            _ => {
                self.lost = true;
                (self.bytes, self.lengths) = (Vec::new(), Vec::new());
            }
        }
    }

    /// When it is executed the last command changes something.
    pub(super) fn change(&mut self, effect: Effect) {
        self.effect_bytes += effect.len();
        self.effects.push((self.count, effect));
    }

    /// More than can be kept until it is executed, also without what is overwritten then.
    pub(super) fn changes_too_much(&mut self) -> bool {
        if self.effect_bytes > STATE_BYTES_MAX {
            let mut later = HashSet::new();
            self.effects.reverse();
            self.effects.retain(|(_, effect)| !effect.overwrites() || later.insert(discriminant(effect)));
            self.effects.reverse();
            self.effect_bytes = self.effects.iter().map(|(_, effect)| effect.len()).sum();
        }
        self.effect_bytes > STATE_BYTES_MAX
    }

    /// Commands whose failure would leave something unchanged: their replies have to be looked at. Subscriptions cannot fail, and where
    /// there are some the replies cannot be told apart by their places.
    pub(super) fn may_change_less(&self) -> bool {
        !self.effects.is_empty() && !self.effects.iter().any(|(_, effect)| effect.is_about_channels())
    }

    /// It was executed, and `reply` says how, from its beginning on: what failed has changed nothing. False where the reply does not reach to
    /// all that may have changed something.
    pub(super) fn executed(&mut self, reply: &[u8]) -> bool {
        let (mut scanner, mut place) = (ReplyScanner::default(), 0);
        let mut rest = reply.iter().position(|byte| *byte == b'\n').map_or(&[][..], |end| &reply[end + 1..]);
        let mut failed = HashSet::new();
        while let (Some(first), Ok(Some(length))) = (rest.first(), scanner.scan(rest)) {
            place += 1;
            if let b'-' | b'!' = first {
                failed.insert(place);
            }
            rest = &rest[length..];
        }
        self.effects.retain(|(place, _)| !failed.contains(place));
        self.effects.iter().all(|(changes, _)| *changes <= place)
    }

    /// It was executed: what has changed.
    pub(super) fn into_effects(self) -> impl Iterator<Item = Effect> {
        self.effects.into_iter().map(|(_, effect)| effect)
    }

    /// The queued commands.
    pub(super) fn queued(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        self.lengths.iter().map(move |length| {
            at += length;
            &self.bytes[at - length..at]
        })
    }

    /// The same for another connection. MULTI goes alone: were it refused, what follows would be executed at once.
    pub(super) fn replay(&self) -> Vec<(Own, bool, Vec<u8>)> {
        let begin = (Own::State, true, request(["MULTI"]));
        std::iter::once(begin).chain(self.queued().map(|bytes| (Own::Queued, false, bytes.to_vec()))).collect()
    }
}
