//! What waits when the next primary is attached, and what that one cannot answer rightly: what was watched elsewhere, cursors of another
//! server, WAIT, and transactions of which a part is missing.

use super::remembered::Bytes;
use super::request::{Stage, What};
use super::transaction::Ghost;
use super::{Conversation, intake};
use crate::resp::command::{Command, Fate, Kind};
use crate::resp::frames::arguments;

impl Conversation {
    /// Will a MULTI that comes now be watched in vain? Not where what waits before it forgets what was watched.
    pub(super) fn foresee_nil(&mut self) {
        let mut intake = intake::Intake { in_multi: self.transaction.is_some(), ghost: None, broken: self.broken };
        for request in self.queue.iter().filter(|request| request.stage == Stage::Waiting) {
            if let What::Client(command) = request.what {
                intake.follow(command.kind);
            }
        }
        self.intake.broken = intake.broken;
    }

    /// The first request was no MULTI after all: is one open by what waits behind it?
    pub(super) fn is_multi_behind(&self) -> bool {
        let mut intake = intake::Intake::default();
        for request in self.queue.iter().skip(1) {
            if let What::Client(command) = request.what {
                intake.follow(command.kind);
            }
        }
        intake.in_multi
    }

    /// The request at `index` is answered by mainstay, in its turn.
    pub(super) fn settle(&mut self, index: usize, reply: Vec<u8>) {
        self.settled.insert(self.queue.sequence(index), reply);
        self.queue.set(index, Stage::Settled);
        if self.queue.is_open() && index + 1 == self.queue.len() {
            // The rest of it is still to come.
            self.swallowing = true;
            self.queue.abandon_open();
        }
    }

    /// Answers it here.
    pub(super) fn reconsider(&mut self) {
        // Answered here since its MULTI, and its EXEC has not come yet: what waits was asked before it.
        let ongoing = self.intake.ghost;
        let ghost = match &self.transaction {
            Some(_) if self.broken => Some(Ghost::Nil),
            Some(transaction) if transaction.dirty => Some(Ghost::Abort),
            _ => None,
        };
        if ghost.is_some() {
            self.transaction = None;
        }
        self.intake = intake::Intake { in_multi: self.transaction.is_some(), ghost, broken: self.broken };
        // Of a WAIT before it that is still true.
        let wrote_before = self.wrote_before;
        let requests: Vec<(usize, Stage, Command, Vec<Bytes>)> = self
            .queue
            .spans()
            .enumerate()
            .filter_map(|(index, (request, bytes))| {
                let What::Client(command) = request.what else { return None };
                let words = if let Kind::Scan(_) = command.kind { 4 } else { 0 };
                let words = arguments(bytes).take(words).map(|word| Box::from(&word[..])).collect();
                Some((index, request.stage, command, words))
            })
            .collect();
        for (at, (index, stage, command, words)) in requests.iter().enumerate() {
            if *stage == Stage::Settled {
                if ends_transaction(command.kind) {
                    (self.intake.in_multi, self.intake.ghost) = (false, None);
                }
                continue;
            }
            let behind = requests[at + 1..].iter().map(|(_, stage, command, _)| (*stage, *command));
            let reply = if command.kind == Kind::Multi && self.intake.ghost.is_none() && has_lost_a_part(behind) {
                self.intake.ghost = Some(if self.intake.broken { Ghost::Nil } else { Ghost::Abort });
                Some(b"+OK\r\n".to_vec())
            } else {
                self.local_reply(*command, words)
            };
            match reply {
                Some(reply) => self.settle(*index, reply),
                None => self.intake.follow(command.kind),
            }
            if command.fate != Fate::Read && self.queue.get(*index).is_some_and(|request| request.stage == Stage::Waiting) {
                self.note_write(*command);
            }
        }
        self.wrote_before = wrote_before;
        if ongoing.is_some() {
            self.intake = intake::Intake { in_multi: false, ghost: ongoing, broken: self.intake.broken };
        }
    }
}

/// The end of a transaction that was answered here: what was watched before it is watched in vain. An error says that there was none.
pub(super) fn forgets_watch(what: What, reply: &[u8]) -> bool {
    let ends = matches!(what, What::Client(Command { kind: Kind::Exec | Kind::Discard, .. }));
    ends && (!reply.starts_with(b"-") || reply.starts_with(b"-EXECABORT"))
}

fn ends_transaction(kind: Kind) -> bool {
    matches!(kind, Kind::Exec | Kind::Discard | Kind::Reset)
}

/// Of the transaction that these requests belong to, up to its end, something has been answered already: it was too large to be asked
/// again.
fn has_lost_a_part(mut requests: impl Iterator<Item = (Stage, Command)>) -> bool {
    let first = requests.find(|(stage, command)| *stage == Stage::Settled || ends_transaction(command.kind));
    first.is_some_and(|(stage, _)| stage == Stage::Settled)
}
