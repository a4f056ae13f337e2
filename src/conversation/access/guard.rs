//! What a client may not say although it may be here: denied commands, writes where there must be none, and what could not be checked.

use super::{Access, POISON, READ_ONLY};
use crate::conversation::request::{Own, Stage, What};
use crate::conversation::transaction::Ghost;
use crate::conversation::{Conversation, Turn};
use crate::resp::command::{Command, Fate, Kind};
use crate::resp::frames::{self, arguments};

/// What stands in the place of a request that is refused here. Nothing follows from it.
const REFUSED: Command = Command { fate: Fate::Read, kind: Kind::Plain };

impl Conversation {
    /// From now on it must not write, or may again: its upstream leads to a primary in place of a replica. What waits to be sent is answered as
    /// a replica would, and so is what comes. To be called before the upstream is attached.
    pub fn forbid_writes(&mut self, forbidden: bool, turn: &mut Turn<'_>) {
        self.writes_forbidden = forbidden;
        if !forbidden {
            return;
        }
        // A replica refuses a write while it is queued, but not a script.
        self.transaction.iter_mut().for_each(|transaction| transaction.dirty |= transaction.writes);
        let (mut writes, mut is_open) = (Vec::new(), self.transaction.is_some());
        for (index, (request, bytes)) in self.queue.spans().enumerate() {
            let What::Client(command) = request.what else { continue };
            is_open &= !matches!(command.kind, Kind::Exec | Kind::Discard | Kind::Reset);
            let reply = match command.kind {
                _ if request.stage != Stage::Waiting => None,
                Kind::Opaque => Some(unchecked()),
                _ => turn.commands.is_write(bytes).then(|| READ_ONLY.to_vec()),
            };
            writes.extend(reply.map(|reply| (index, is_open, reply)));
        }
        for (index, in_transaction, reply) in writes {
            self.settle(index, reply);
            self.transaction.iter_mut().for_each(|transaction| transaction.dirty |= in_transaction);
        }
        self.emit(turn);
    }

    /// A request has come in, whole or so far. True where it is answered here.
    pub(in crate::conversation) fn is_refused(&mut self, command: Command, turn: &mut Turn<'_>) -> bool {
        let is_at_door = turn.access.is_some_and(|access| access.gate.is_some());
        if is_at_door && self.meets_the_door(command, turn) {
            return true;
        }
        let passes = is_at_door && matches!(command.kind, Kind::Hello | Kind::Quit | Kind::Reset);
        let Some(reply) = self.objection(command, turn).filter(|_| !passes) else { return false };
        self.refuse_one(command, reply, turn)
    }

    /// Why it may not be asked, as a reply.
    fn objection(&self, command: Command, turn: &Turn<'_>) -> Option<Vec<u8>> {
        let bytes = self.queue.incoming();
        if turn.access.is_none() && !self.writes_forbidden {
            // It only reads. A replica refuses a write as well, unless somebody has just made it a master. What a script does only the server
            // knows.
            return turn.commands.is_plain_write(bytes).then(|| READ_ONLY.to_vec());
        }
        let name = frames::name(bytes);
        let Some(name) = name.as_deref().filter(|name| !name.contains(&0)) else {
            // A server finds a command by a hash of all its bytes, but compares only those before a NUL: now and then it takes `GET\0...` for
            // `GET`. Without one, a name that has not come in whole is longer than any.
            return Some(b"-NOPERM mainstay: no command has such a name\r\n".to_vec());
        };
        let denied = turn.access.and_then(|Access { denied, .. }| denied.of(name, bytes));
        if let Some(denied) = denied {
            return Some(format!("-NOPERM mainstay: the command '{denied}' is denied on this listener\r\n").into_bytes());
        }
        let keeps_replies = || arguments(bytes).nth(2).is_some_and(|word| word.eq_ignore_ascii_case(b"on"));
        match command.kind {
            Kind::Opaque => Some(unchecked()),
            Kind::ClientReply if !keeps_replies() => Some(unchecked()),
            _ if self.writes_forbidden && turn.commands.is_write(bytes) => Some(READ_ONLY.to_vec()),
            _ if self.reads && turn.commands.is_plain_write(bytes) => Some(READ_ONLY.to_vec()),
            _ => None,
        }
    }

    /// What has come in is answered with an error. True: it is done with.
    pub(super) fn refuse_one(&mut self, command: Command, reply: Vec<u8>, turn: &mut Turn<'_>) -> bool {
        if self.intake.ghost.is_some() {
            self.intake.ghost = Some(Ghost::Abort);
            if command.kind == Kind::Exec {
                return false;
            }
        } else if self.intake.in_multi {
            let incoming = self.queue.discard_incoming();
            self.queue.push_own(Own::Poison, POISON, turn.now);
            self.queue.append(&incoming);
            if command.kind == Kind::Exec {
                // It ends the transaction all the same: by what was sent before it.
                return false;
            }
        }
        turn.outlet.denied();
        self.settle_new(What::Client(REFUSED), reply, turn);
        true
    }
}

fn unchecked() -> Vec<u8> {
    b"-NOPERM mainstay: what follows this command could not be checked, as everything is on this listener\r\n".to_vec()
}
