//! What was withheld or held comes to an end without another primary: it is passed on, or refused.

use super::course::QUEUED;
use super::reconsidered::forgets_watch;
use super::refusal::is_for_a_while;
use super::remembered::{Effect, changes_connection};
use super::replies::Frame;
use super::request::{Own, Request, Stage, What};
use super::transaction::Transaction;
use super::{Close, Conversation, Next, Turn};
use crate::resp::command::{Command, Kind};
use crate::resp::frames::name;
use crate::resp::reply;

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
                (Stage::Refused, what) => self.pass_refusal(index, what),
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

    /// The refusal at `index` is the reply after all.
    fn pass_refusal(&mut self, index: usize, what: What) {
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

    /// The epoch passes. Where a write was executed behind what the same server had refused for a while only, that must not be asked
    /// again at the next primary: it would be done behind it. What was refused before is passed on.
    pub(super) fn pass_overtaken(&mut self) {
        let reply = |at: usize| self.settled.get(self.queue.sequence(at)).unwrap_or_default();
        let was_executed = |request: &Request| request.stage == Stage::Settled && request.started && request.may_write();
        // What was queued was not executed yet; EXEC is what was, unless it answers nil.
        let is_exec = |what| matches!(what, What::Client(Command { kind: Kind::Exec, .. }));
        let did_nothing = |request: &Request, reply: &[u8]| {
            reply.starts_with(b"-") || reply == QUEUED || is_exec(request.what) && matches!(reply, b"*-1\r\n" | b"_\r\n")
        };
        // A message leaves nothing behind, and is taken in all the while.
        let is_message = |bytes: &[u8]| name(bytes).is_some_and(|name| name.to_ascii_lowercase().ends_with(b"publish"));
        let executed =
            self.queue.spans().enumerate().filter(|(at, (request, bytes))| {
                was_executed(request) && !did_nothing(request, reply(*at)) && !is_message(bytes)
            });
        let last = executed.map(|(at, _)| at).last().unwrap_or_default();
        let refused = |at: usize| self.queue.get(at).is_some_and(|request| request.stage == Stage::Refused);
        if !(0..last).any(|at| refused(at) && is_for_a_while(reply(at))) {
            return;
        }
        for index in (0..last).filter(|at| refused(*at)).collect::<Vec<_>>() {
            let Some(what) = self.queue.get(index).map(|request| request.what) else { continue };
            self.pass_refusal(index, what);
            if let What::Client(Command { kind: Kind::Exec, .. }) = what {
                self.believe_queued(index);
                self.watching &= !self.settled.get(self.queue.sequence(index)).is_some_and(|reply| forgets_watch(what, reply));
            }
        }
    }

    /// Answers everything that waits with `-MASTERDOWN mainstay: {why}`.
    pub fn refuse(&mut self, why: &str, turn: &mut Turn<'_>) {
        self.refuse_as(&format!("MASTERDOWN mainstay: {why}"), turn);
    }

    /// Answers everything that waits with this error. What ends a script is asked even of a server that is busy with one.
    pub fn refuse_as(&mut self, error: &str, turn: &mut Turn<'_>) {
        let error: String = error.chars().filter(|character| !character.is_control()).collect();
        let ends_script = error.as_bytes().starts_with(&reply::BUSY[1..]) && !self.listens();
        self.queue.rewind();
        for index in 0..self.queue.len() {
            let Some(request) = self.queue.get(index).copied() else { break };
            let What::Client(command) = request.what else {
                if let (What::Own(Own::Poison), Some(transaction)) = (request.what, &mut self.transaction) {
                    transaction.dirty = true;
                }
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
