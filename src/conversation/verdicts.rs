//! What was withheld or held comes to an end without another primary: it is passed on, or refused.

use super::busy::BUSY;
use super::remembered::{Effect, changes_connection};
use super::replies::Frame;
use super::request::{Stage, What};
use super::transaction::Transaction;
use super::{Close, Conversation, Next, Turn};
use crate::resp::command::{Command, Kind};

impl Conversation {
    /// The primary did not change: what was withheld is passed on.
    pub fn primary_stays(&mut self, turn: &mut Turn<'_>) -> Result<Next, Close> {
        if let Some(doubt) = &mut self.doubt {
            doubt.stays = true;
            // In the middle of a push nothing may go between, and the connection is still needed for its rest.
            if self.queue.awaited().is_none() && !matches!(self.frame, Frame::Passing(_)) {
                return self.believe(turn);
            }
        }
        Ok(Next::Continue)
    }

    /// Nothing is awaited, and the primary is the same: refusals are the replies, and what was not believed is asked again. On another
    /// connection, where this one has gone ahead: it has selected another database, is in a transaction, or has a part of a request.
    pub(super) fn believe(&mut self, turn: &mut Turn<'_>) -> Result<Next, Close> {
        self.doubt = None;
        let (mut is_ahead, mut in_multi_again) = (self.queue.is_within_request(), false);
        for index in 0..self.queue.len() {
            let Some(request) = self.queue.get(index).copied() else { break };
            match (request.stage, request.what) {
                (Stage::Again, What::Client(Command { kind: Kind::Multi, .. })) => (is_ahead, in_multi_again) = (true, true),
                (Stage::Again, What::Client(command)) => {
                    is_ahead |= changes_connection(command.kind) || matches!(command.kind, Kind::Exec | Kind::Discard);
                    in_multi_again &= !matches!(command.kind, Kind::Exec | Kind::Discard);
                }
                // A transaction is asked again as a whole.
                (Stage::Refused, What::Client(command)) if in_multi_again => in_multi_again = command.kind != Kind::Exec,
                (Stage::Refused, what) => {
                    self.queue.set(index, Stage::Settled);
                    if let (What::Client(command), Some(transaction)) = (what, &mut self.transaction) {
                        transaction.dirty = true;
                        if command.kind == Kind::Exec {
                            (self.transaction, self.watching, self.broken) = (None, false, false);
                            // What was queued before it belongs to nothing any more.
                            self.believe_queued(index);
                        }
                    }
                }
                (Stage::Waiting | Stage::Sent | Stage::Settled | Stage::Again, _) => {}
            }
        }
        if is_ahead {
            return self.detach(turn).map(|()| Next::DropUpstream(None));
        }
        self.queue.rewind();
        self.emit(turn);
        Ok(Next::Continue)
    }

    /// Answers everything that waits with `-MASTERDOWN mainstay: {why}`.
    pub fn refuse(&mut self, why: &str, turn: &mut Turn<'_>) {
        self.refuse_as(&format!("MASTERDOWN mainstay: {why}"), turn);
    }

    /// Answers everything that waits with this error. What ends a script is asked even of a server that is busy with one.
    pub(super) fn refuse_as(&mut self, error: &str, turn: &mut Turn<'_>) {
        let error: String = error.chars().filter(|character| !character.is_control()).collect();
        let ends_script = error.as_bytes().starts_with(&BUSY[1..]) && !self.listens();
        self.queue.rewind();
        for index in 0..self.queue.len() {
            let Some(request) = self.queue.get(index).copied() else { break };
            let What::Client(command) = request.what else {
                self.settle(index, Vec::new());
                continue;
            };
            if request.stage == Stage::Settled {
                continue;
            }
            let reply = match (command.kind, &mut self.transaction) {
                (Kind::Quit, _) => break,
                (Kind::Oversight, None) if ends_script => break,
                (Kind::Reset, transaction) => {
                    (*transaction, self.broken) = (None, false);
                    self.remember(Effect::Reset);
                    b"+RESET\r\n".to_vec()
                }
                (Kind::Discard, transaction @ Some(_)) => {
                    (*transaction, self.broken) = (None, false);
                    b"+OK\r\n".to_vec()
                }
                (Kind::Multi, transaction @ None) => {
                    // No server refuses it. Were it refused, a primary elected meanwhile might execute what follows alone.
                    *transaction = Some(Box::new(Transaction::aborted()));
                    b"+OK\r\n".to_vec()
                }
                (Kind::Exec, transaction @ Some(_)) => {
                    (*transaction, self.broken) = (None, false);
                    format!("-EXECABORT Transaction discarded because of: {error}\r\n").into_bytes()
                }
                (_, Some(transaction)) => {
                    transaction.dirty = true;
                    format!("-{error}\r\n").into_bytes()
                }
                (_, None) => format!("-{error}\r\n").into_bytes(),
            };
            self.settle(index, reply);
        }
        self.swallowing |= self.queue.is_open();
        self.queue.abandon_open();
        self.intake.in_multi = self.transaction.is_some();
        self.emit(turn);
    }
}
