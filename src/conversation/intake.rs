//! What the client says: requests are recognised, remembered, and put into the queue.

use std::fmt;

use super::bounds::whole_bytes_max;
use super::queue::KEPT_BYTES_MAX;
use super::remembered::{Bytes, changes_connection, effect_of, request};
use super::request::{Own, What};
use super::sharing::mark;
use super::transaction::Ghost;
use super::{Close, Conversation, Fault, Link, Turn, blocking};
use crate::resp::command::{Bond, Command, Fate, Kind, Script};
use crate::resp::frames::arguments;

/// The names of a connection's subscriptions together.
const SUBSCRIPTION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Scripts of which a session needs more within transactions fail there after a move, and are sent anew by their clients.
const QUEUED_DIGESTS_MAX: usize = 64;
/// A SHA-1 in hexadecimal digits.
const DIGEST_BYTES: usize = 40;

/// What the requests up to the last one mean for the next, whatever the replies will be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Intake {
    pub in_multi: bool,
    pub ghost: Option<Ghost>,
    /// What was watched was watched on another connection: the next EXEC answers nil.
    pub broken: bool,
}

impl Intake {
    /// A request of this kind follows, and is asked.
    pub(super) fn follow(&mut self, kind: Kind) {
        match kind {
            Kind::Multi => self.in_multi = true,
            // Without MULTI they are refused.
            Kind::Exec | Kind::Discard if !self.in_multi => {}
            Kind::Exec | Kind::Discard | Kind::Reset => (self.in_multi, self.broken) = (false, false),
            Kind::Unwatch if !self.in_multi => self.broken = false,
            _ => {}
        }
    }
}

/// What a client says and hears is never shown.
impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Conversation {
    /// Takes all of `bytes`.
    pub fn client_said(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<(), Close> {
        let mut rest = bytes;
        while !rest.is_empty() && self.failure.is_none() {
            match self.requests.scan(rest) {
                Ok(Some(end)) => {
                    self.take_last(&rest[..end], turn);
                    rest = &rest[end..];
                }
                Ok(None) => {
                    if !self.swallowing {
                        self.queue.append(rest);
                        self.open_large(turn);
                    }
                    break;
                }
                Err(error) => self.break_off(&format!("ERR {error}"), turn),
            }
        }
        self.emit(turn);
        Ok(())
    }

    /// The client shut down writing. What it asked before is still answered.
    pub fn client_ended(&mut self) {
        self.client_ended = true;
        if self.queue.is_open() || self.swallowing {
            // It will never be complete, and the upstream waits for the rest of it.
            self.over = true;
        }
        self.queue.discard_incoming();
    }

    fn take_last(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        if self.swallowing {
            self.swallowing = false;
            return;
        }
        self.queue.append(bytes);
        if self.queue.is_open() {
            self.queue.close();
        } else if !self.breaks_off_outside(turn) {
            self.receive(turn);
        }
    }

    /// Who has not logged in may send little.
    fn breaks_off_outside(&mut self, turn: &mut Turn<'_>) -> bool {
        let too_large = self.is_outside(turn.access).then(|| self.is_too_large_outside()).flatten();
        too_large.inspect(|error| self.break_off(error, turn)).is_some()
    }

    /// The client broke the protocol or a bound: what it asked before is answered, then it is told, then nothing more is read of it.
    fn break_off(&mut self, error: &str, turn: &mut Turn<'_>) {
        let reply = format!("-{error}\r\n").into_bytes();
        if self.queue.is_open() {
            // The server has a part of it and waits for the rest, which never comes.
            self.settle(self.queue.len() - 1, reply);
        } else {
            self.queue.discard_incoming();
            self.settle_new(What::Client(UNKNOWN), reply, turn);
        }
        self.failure = Some(Box::new(Close { why: format!("the client was told: {error}"), fault: Fault::Client }));
    }

    /// A whole request has come in.
    #[inline]
    fn receive(&mut self, turn: &mut Turn<'_>) {
        let Some(command) = turn.commands.look_up_request(self.queue.incoming()) else {
            // An empty line or array: a server does not answer it either.
            self.queue.discard_incoming();
            return;
        };
        if (turn.access.is_some() || self.reads || self.writes_forbidden) && self.is_refused(command, turn) {
            return;
        }
        if command.kind == Kind::Plain && self.intake.ghost.is_none() {
            self.note_write(command);
            self.queue.push(What::Client(command), false, turn.now);
        } else {
            self.receive_special(command, turn);
        }
    }

    /// WAIT is about the writes of this connection. What is queued is none: its EXEC is.
    #[inline]
    pub(super) fn note_write(&mut self, command: Command) {
        if command.fate != Fate::Read && command.kind != Kind::Wait && !self.intake.in_multi {
            self.wrote = true;
            self.wrote_elsewhere = false;
            self.wrote_before &= self.shared;
        }
    }

    #[cold]
    pub(super) fn receive_special(&mut self, command: Command, turn: &mut Turn<'_>) {
        let words: Vec<Bytes> = arguments(self.queue.incoming()).map(|word| Box::from(&word[..])).collect();
        if let Some(reply) = self.local_reply(command, &words).or_else(|| self.reader_reply(&words)) {
            self.settle_new(What::Client(command), reply, turn);
            return;
        }
        if changes_connection(command.kind) && self.exceeds_a_bound(command, turn) {
            return;
        }
        let in_multi = self.intake.in_multi;
        self.waited |= command.kind == Kind::Wait && !in_multi;
        let mut command = command;
        match command.kind {
            Kind::ClientReply => {
                let on = words.get(2).is_some_and(|word| word.eq_ignore_ascii_case(b"on"));
                command.kind = if on { Kind::Plain } else { Kind::Opaque };
            }
            Kind::Wait if in_multi => command.kind = Kind::Tame,
            Kind::Oversight if in_multi => command.kind = Kind::Plain,
            Kind::Blocking(at) if in_multi || !blocking::blocks(at, &words) => {
                // Should its MULTI have been refused, it blocks after all.
                let may_block = blocking::blocks(at, &words) || blocking::says_block(&words);
                command.kind = if may_block { Kind::Tame } else { Kind::Plain };
            }
            Kind::Blocking(_) => self.ask_before_blocking(&words, turn),
            Kind::Script(Script::Digest) if !in_multi && self.link == Link::Live => {
                if let Some(load) = words.get(1).and_then(|digest| self.load(digest, turn.scripts)) {
                    self.put_before_incoming(&[(Own::Script, load)], turn);
                }
            }
            Kind::Script(Script::Digest) if in_multi => self.remember_digest(words.get(1)),
            Kind::Multi if !in_multi && self.link == Link::Live => {
                self.load_due(turn);
                self.intake.follow(command.kind);
            }
            Kind::Script(Script::Body) => words.get(1).into_iter().for_each(|body| turn.scripts.saw(body)),
            Kind::ScriptLoad => words.get(2).into_iter().for_each(|body| turn.scripts.saw(body)),
            Kind::Multi | Kind::Exec | Kind::Discard | Kind::Reset | Kind::Unwatch => self.intake.follow(command.kind),
            Kind::Plain
            | Kind::Tame
            | Kind::Hello
            | Kind::Auth
            | Kind::Select
            | Kind::ClientSetName
            | Kind::ClientSetInfo
            | Kind::ClientNoEvict
            | Kind::ClientNoTouch
            | Kind::ClientTracking
            | Kind::Quit
            | Kind::Watch
            | Kind::Subscribe(_)
            | Kind::Unsubscribe(_)
            | Kind::Script(Script::Digest | Script::Function)
            | Kind::ScriptFlush
            | Kind::Scan(_)
            | Kind::Oversight
            | Kind::Opaque => {}
            Kind::Wait => {
                // Until it is answered nobody knows whether it was allowed.
                if self.link == Link::Live && !self.shared && self.wrote_before {
                    self.put_before_incoming(&[(Own::Mark, mark())], turn);
                }
            }
            Kind::Connection(bond) => self.knows_connection |= bond == Bond::Kept,
        }
        self.note_write(command);
        if let Some(effect) = effect_of(command.kind, &words) {
            self.effects.push(self.queue.next_sequence(), effect);
        }
        self.queue.push(What::Client(command), goes_alone(command.kind), turn.now);
    }

    /// What mainstay answers itself, where the present primary cannot know the right answer.
    pub(super) fn local_reply(&mut self, command: Command, words: &[Bytes]) -> Option<Vec<u8>> {
        if let Some(ghost) = self.intake.ghost {
            match command.kind {
                Kind::Exec => {
                    (self.intake, self.broken) = (Intake::default(), false);
                    return Some(self.ghost_reply(ghost));
                }
                Kind::Discard => {
                    (self.intake, self.broken) = (Intake::default(), false);
                    return Some(b"+OK\r\n".to_vec());
                }
                Kind::Reset | Kind::Quit => self.intake.ghost = None,
                _ => return Some(b"+QUEUED\r\n".to_vec()),
            }
        }
        match command.kind {
            Kind::Subscribe(_)
                if self.state.as_ref().is_some_and(|state| state.subscription_bytes() > SUBSCRIPTION_BYTES_MAX) =>
            {
                Some(b"-ERR mainstay: this connection has too many subscriptions to be kept through a failover\r\n".to_vec())
            }
            Kind::Multi if self.intake.broken && !self.intake.in_multi => {
                self.intake.ghost = Some(Ghost::Nil);
                Some(b"+OK\r\n".to_vec())
            }
            Kind::Scan(place) if !self.intake.in_multi && self.is_foreign_cursor(words.get(usize::from(place))) => {
                Some(b"-ERR mainstay: the primary changed and cursors do not move; begin again with cursor 0\r\n".to_vec())
            }
            Kind::Wait if !self.intake.in_multi && self.wrote_elsewhere => Some(
                b"-ERR mainstay: the primary changed after your last write; how many replicas have it cannot be told\r\n"
                    .to_vec(),
            ),
            _ => None,
        }
    }

    fn ghost_reply(&self, ghost: Ghost) -> Vec<u8> {
        match ghost {
            Ghost::Nil if self.speaks_resp3() => b"_\r\n".to_vec(),
            Ghost::Nil => b"*-1\r\n".to_vec(),
            Ghost::Abort => b"-EXECABORT Transaction discarded because of previous errors.\r\n".to_vec(),
        }
    }

    /// They are those of one command: the next asks for its own when it is its turn.
    pub(super) fn forget_stream_ends(&mut self, done: Command) {
        if let Kind::Blocking(_) = done.kind {
            self.stream_ends.clear();
        }
    }

    fn remember_digest(&mut self, digest: Option<&Bytes>) {
        let digest = digest.filter(|digest| digest.len() == DIGEST_BYTES && !self.queued_digests.contains(digest));
        if self.queued_digests.len() < QUEUED_DIGESTS_MAX {
            self.queued_digests.extend(digest.cloned());
        }
    }

    /// Scripts that this transaction may name.
    fn load_due(&mut self, turn: &mut Turn<'_>) {
        let due = turn.scripts.due();
        let loads: Vec<(Own, Vec<u8>)> =
            due.iter().filter_map(|digest| Some((Own::Script, self.load(digest, turn.scripts)?))).collect();
        if !loads.is_empty() {
            self.put_before_incoming(&loads, turn);
        }
    }

    fn is_foreign_cursor(&self, cursor: Option<&Bytes>) -> bool {
        cursor.is_some_and(|cursor| self.foreign_cursors.contains(cursor))
    }

    /// By what CLIENT UNBLOCK would end it, and where the streams stand that it reads from their end.
    fn ask_before_blocking(&mut self, words: &[Bytes], turn: &mut Turn<'_>) {
        let mut questions = Vec::new();
        // On a shared upstream it is not asked, and the next one is asked for its own.
        if self.link == Link::Live && !self.shared && !self.asked_id {
            self.asked_id = true;
            questions.push((Own::ClientId, request(["CLIENT", "ID"])));
        }
        questions.extend(blocking::from_the_end(words).iter().map(|key| (Own::StreamEnd, blocking::end_of(key))));
        self.put_before_incoming(&questions, turn);
    }

    /// All at once: what has come in may be large, and so may be their number.
    fn put_before_incoming(&mut self, questions: &[(Own, Vec<u8>)], turn: &Turn<'_>) {
        let incoming = self.queue.discard_incoming();
        for (own, question) in questions {
            self.queue.push_own(*own, question, turn.now);
        }
        self.queue.append(&incoming);
    }

    /// What has come in is no whole request yet. A large one is passed on as it comes.
    fn open_large(&mut self, turn: &mut Turn<'_>) {
        let incoming = self.queue.incoming();
        // What was announced counts: a server that does not take so much says so at once.
        let size = self.requests.announced().saturating_add(incoming.len() as u64);
        if self.breaks_off_outside(turn) || self.queue.is_open() || size <= KEPT_BYTES_MAX as u64 {
            return;
        }
        let command = turn.commands.look_up_request(self.queue.incoming()).unwrap_or(UNKNOWN);
        if (turn.access.is_some() || self.reads || self.writes_forbidden)
            && !is_whole_needed(command.kind)
            && self.is_refused(command, turn)
        {
            self.swallowing = true;
            return;
        }
        if self.intake.ghost.is_some() {
            self.settle_new(What::Client(command), b"+QUEUED\r\n".to_vec(), turn);
            self.swallowing = true;
        } else if !is_whole_needed(command.kind) {
            self.note_write(command);
            self.queue.open(What::Client(command), false, turn.now);
        } else if size > whole_bytes_max(command.kind) as u64 {
            self.settle_new(What::Client(command), too_large(command.kind), turn);
            self.swallowing = true;
        }
    }

    /// What has come in changes the connection, and that is too much to be remembered.
    fn exceeds_a_bound(&mut self, command: Command, turn: &mut Turn<'_>) -> bool {
        let is_too_large = self.queue.incoming().len() > whole_bytes_max(command.kind);
        if is_too_large {
            self.settle_new(What::Client(command), too_large(command.kind), turn);
        } else if self.transaction.as_mut().is_some_and(|transaction| transaction.changes_too_much()) {
            // Were it left out, the rest would be executed without it.
            self.break_off("ERR mainstay: this transaction changes too much of its connection to be kept", turn);
        }
        is_too_large || self.failure.is_some()
    }
}

fn is_whole_needed(kind: Kind) -> bool {
    changes_connection(kind) || goes_alone(kind)
}

fn too_large(kind: Kind) -> Vec<u8> {
    format!("-ERR mainstay: such a command may have at most {} bytes\r\n", whole_bytes_max(kind)).into_bytes()
}

/// Nothing is known of it.
pub(super) const UNKNOWN: Command = Command { fate: Fate::Unknown, kind: Kind::Plain };

/// Sent with nothing unanswered before it, and nothing behind it until it is answered: what follows a login must not run if the login
/// fails; what follows a blocking command can then be asked elsewhere; WAIT is about writes that have not been refused.
fn goes_alone(kind: Kind) -> bool {
    match kind {
        Kind::Hello
        | Kind::Auth
        | Kind::Reset
        | Kind::Quit
        | Kind::Subscribe(_)
        | Kind::Unsubscribe(_)
        | Kind::Blocking(_)
        | Kind::Wait
        | Kind::Oversight
        | Kind::Opaque => true,
        Kind::Plain
        | Kind::Tame
        | Kind::Select
        | Kind::ClientSetName
        | Kind::ClientSetInfo
        | Kind::ClientNoEvict
        | Kind::ClientNoTouch
        | Kind::ClientTracking
        | Kind::ClientReply
        | Kind::Multi
        | Kind::Exec
        | Kind::Discard
        | Kind::Watch
        | Kind::Unwatch
        | Kind::Script(_)
        | Kind::ScriptLoad
        | Kind::ScriptFlush
        | Kind::Scan(_)
        | Kind::Connection(_) => false,
    }
}
