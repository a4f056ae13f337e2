//! Where each frame of the upstream goes: to the client, to nobody, or into the drawer until it is known whether the primary changed.

use super::refusal::{is_abort, refusal};
use super::replies::{Role, Tone, broken};
use super::request::{Own, Request, Stage, What};
use super::{Close, Conversation, Fault, Id, Link, Next, Scripts, Turn, blocking};
use crate::resp::command::{Command, Fate, Kind};
use crate::resp::reply;

/// What is held of a frame before it passes unseen.
const LOOKED_AT_BYTES_MAX: usize = 64 * 1024;
/// Replies kept back while it is not known whether the primary changed.
const WITHHELD_BYTES_MAX: usize = 1024 * 1024;
/// Cursors that are remembered. Of a client that has more iterations under way the oldest go on unrecognised.
const CURSORS_MAX: usize = 32;
/// No server has longer ones: a number, or in a cluster a number, a slot and a node.
const CURSOR_BYTES_MAX: usize = 64;

/// What is answered to a command inside a transaction.
pub(super) const QUEUED: &[u8] = b"+QUEUED\r\n";

/// Where a frame goes.
pub(super) enum Course {
    More,
    Pass(Role),
    Swallow(Role),
}

/// The upstream or the session ends here.
pub(super) enum Stop {
    Next(Next),
    Close(Close),
    /// The server is busy with a script, in its own words.
    Busy(String),
    /// The server does not let mainstay itself in, in its own words.
    LockedOut(String),
    /// A shared upstream is of no use any more, and what becomes of what is in flight on it nobody can know.
    Astray(&'static str),
}

/// A refusal was withheld.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Bytes of replies kept back.
    pub withheld: usize,
    /// Between a MULTI and its EXEC.
    pub in_multi: bool,
    /// It is known that the primary did not change: over as soon as nothing is awaited.
    pub stays: bool,
    /// Why the first was refused.
    pub why: Option<super::Refusal>,
    /// Another primary was elected and this one may not know: its refusals are the truth, its successes are worth nothing.
    pub only_refusals: bool,
}

impl Conversation {
    /// Where the frame goes that begins with `frame`.
    #[inline]
    pub(super) fn course(&mut self, frame: &[u8], whole: bool, turn: &mut Turn<'_>) -> Result<Course, Stop> {
        let first = frame[0];
        let may_wait = !whole && frame.len() < LOOKED_AT_BYTES_MAX;
        if first == b'>' || first == b'*' && self.hears_messages() {
            match word(frame) {
                None if may_wait => return Ok(Course::More),
                Some(word) if is_confirmation(word) => return Ok(self.confirmation()),
                Some(word) if first == b'>' || is_message(word) => return Ok(Course::Pass(Role::Push)),
                None if first == b'>' => return Ok(Course::Pass(Role::Push)),
                Some(_) | None => {}
            }
        }
        let Some(index) = self.queue.awaited() else {
            return if self.queue.get(0).is_some_and(|request| request.started && request.stage == Stage::Waiting) {
                // Refused in the middle: a length was too much for the server. It closes after it.
                turn.outlet.pass(frame);
                Err(Stop::Close(broken("it answered a request before its end")))
            } else {
                Err(Stop::Next(Next::DropUpstream(Some("a reply that nobody asked for"))))
            };
        };
        let Some(request) = self.queue.get(index).copied() else { return Ok(Course::Pass(Role::Push)) };
        match request.what {
            // Not the first: it is asked again with what was refused before it.
            What::Own(Own::StreamEnd) if self.doubt.is_some() => match blocking::stream_end(frame) {
                Err(()) if may_wait => Ok(Course::More),
                // The server is not believed, but it is the one that a command behind it may have begun to read from.
                Ok(Some(end)) => {
                    self.stream_ends.push(Some(end));
                    Ok(Course::Swallow(Role::Kept(Stage::Settled)))
                }
                Ok(None) | Err(()) => Ok(Course::Swallow(Role::Kept(Stage::Again))),
            },
            What::Own(_) if self.doubt.is_some() => Ok(Course::Swallow(Role::Kept(Stage::Again))),
            What::Own(own) => self.own_course(own, frame, may_wait, turn.scripts),
            What::Client(_) if first == b'-' && may_wait => Ok(Course::More),
            What::Client(command) if first == b'-' => self.error_course(index, request, command, frame),
            What::Client(command) if self.doubt.is_some() => self.doubted_course(index, request, command, frame, may_wait),
            // A script may say so of its own.
            What::Client(Command { kind: Kind::Plain, .. }) if self.shared && self.transaction.is_none() && frame == QUEUED => {
                // Somebody has left a transaction open: whatever is sent now is queued, and never executed.
                Err(Stop::Astray("a connection that sessions share was left in a transaction"))
            }
            What::Client(_) if first == b'+' && self.transaction.is_some() => match frame {
                _ if may_wait => Ok(Course::More),
                QUEUED => Ok(Course::Pass(Role::Reply(Tone::Queued))),
                _ => Ok(Course::Pass(Role::Reply(Tone::Good))),
            },
            What::Client(Command { kind: Kind::Scan(_), .. }) => match word(frame) {
                None if may_wait => Ok(Course::More),
                cursor => {
                    cursor
                        .filter(|cursor| cursor.len() <= CURSOR_BYTES_MAX)
                        .into_iter()
                        .for_each(|cursor| self.note_cursor(cursor));
                    Ok(Course::Pass(Role::Reply(Tone::Good)))
                }
            },
            What::Client(_) if first == b'_' => Ok(Course::Pass(Role::Reply(Tone::Null))),
            What::Client(Command { kind: Kind::Exec, .. }) if may_wait && frame.len() < 4 => Ok(Course::More),
            What::Client(Command { kind: Kind::Exec, .. }) if frame.starts_with(b"*-1") => {
                Ok(Course::Pass(Role::Reply(Tone::Null)))
            }
            What::Client(Command { kind: Kind::Exec, .. })
                if let Some(transaction) = self.transaction.as_mut().filter(|transaction| transaction.may_change_less()) =>
            {
                if !whole && frame.len() < WITHHELD_BYTES_MAX {
                    return Ok(Course::More);
                }
                if !transaction.executed(frame) {
                    return Err(Stop::Close(broken("what a transaction changed of it stands behind too much else")));
                }
                Ok(Course::Pass(Role::Reply(Tone::Good)))
            }
            What::Client(_) => Ok(Course::Pass(Role::Reply(Tone::Good))),
        }
    }

    /// What the server before gave means nothing to the next one, nor to the one after that.
    pub(super) fn estrange_cursors(&mut self) {
        self.foreign_cursors.append(&mut self.cursors);
        self.foreign_cursors.drain(..self.foreign_cursors.len().saturating_sub(CURSORS_MAX));
    }

    /// The present server gave it.
    fn note_cursor(&mut self, cursor: &[u8]) {
        self.foreign_cursors.retain(|foreign| **foreign != *cursor);
        if *cursor != *b"0" {
            self.cursors.drain(..(self.cursors.len() + 1).saturating_sub(CURSORS_MAX));
            self.cursors.push(cursor.into());
        }
    }

    /// RESP 2: messages and confirmations look like replies.
    fn hears_messages(&self) -> bool {
        if self.speaks_resp3() {
            return false;
        }
        let first = self.queue.get(0).map(|request| request.what);
        self.state.as_ref().is_some_and(|state| state.subscribes())
            || matches!(
                first,
                Some(
                    What::Client(Command { kind: Kind::Subscribe(_) | Kind::Unsubscribe(_), .. })
                        | What::Own(Own::Subscriptions(_))
                )
            )
    }

    fn confirmation(&self) -> Course {
        match self.queue.get(0).map(|request| request.what) {
            Some(What::Own(Own::Subscriptions(_))) => Course::Swallow(Role::Confirmation),
            Some(What::Client(Command { kind: Kind::Subscribe(_) | Kind::Unsubscribe(_), .. })) => {
                if self.confirmed < self.confirmed_before {
                    return Course::Swallow(Role::Confirmation);
                }
                Course::Pass(Role::Confirmation)
            }
            // Of a subscription inside a transaction, behind the first.
            _ => Course::Pass(Role::Push),
        }
    }

    fn own_course(&mut self, own: Own, frame: &[u8], may_wait: bool, scripts: &mut Scripts) -> Result<Course, Stop> {
        let done = Ok(Course::Swallow(Role::Reply(Tone::Good)));
        if frame[0] == b'-' && may_wait {
            return Ok(Course::More);
        }
        let code = reply::hint(frame);
        match own {
            Own::State | Own::Identity | Own::Subscriptions(_) | Own::Queued if code.is_some() => {
                self.hint = code.or(self.hint);
                Err(Stop::Next(Next::NotReady(code.unwrap_or_default())))
            }
            Own::State | Own::Identity | Own::Subscriptions(_) if frame.starts_with(reply::BUSY) => Err(self.busy(frame)),
            // There is room again in a moment.
            Own::State | Own::Identity | Own::Subscriptions(_) if frame.starts_with(reply::MAX_CLIENTS) => {
                Err(Stop::Next(Next::NotReady("max number of clients")))
            }
            Own::State | Own::Subscriptions(_) if frame[0] == b'-' => {
                let why = format!("the primary does not accept what one accepted before: {}", without_arguments(frame));
                Err(Stop::Close(Close { why, fault: Fault::Replay }))
            }
            Own::Identity if frame[0] == b'-' => Err(Stop::LockedOut(without_arguments(frame))),
            Own::Poison => {
                self.transaction.iter_mut().for_each(|transaction| transaction.dirty = true);
                done
            }
            // Another user gave the name, and this one may not.
            Own::State | Own::Identity | Own::Name | Own::Subscriptions(_) | Own::Queued => done,
            Own::Mark => {
                match frame[0] {
                    b'-' => self.waits_in_vain(),
                    // It is a write itself: of this connection, if that is lost before WAIT is asked.
                    _ => (self.wrote_before, self.wrote) = (false, true),
                }
                done
            }
            Own::Script | Own::ClientId if may_wait => Ok(Course::More),
            Own::Script => {
                // What was refused EVALSHA will find missing.
                if let Some(digest) = frame.strip_prefix(b"$40\r\n").and_then(|rest| rest.strip_suffix(b"\r\n")) {
                    scripts.loaded(digest);
                }
                done
            }
            Own::ClientId => {
                let number = frame.strip_prefix(b":").and_then(|rest| std::str::from_utf8(rest).ok()?.trim_end().parse().ok());
                self.id = number.map_or(Id::Unknown, Id::Known);
                done
            }
            Own::StreamEnd => match blocking::stream_end(frame) {
                Err(()) if may_wait => Ok(Course::More),
                end => {
                    self.stream_ends.push(end.unwrap_or_default());
                    done
                }
            },
        }
    }

    fn error_course(&mut self, index: usize, request: Request, command: Command, line: &[u8]) -> Result<Course, Stop> {
        if self.shared && self.leaves_open(command, line) {
            // What the others ask would be queued in it.
            return Err(Stop::Astray("the end of a transaction was refused on an upstream that is shared"));
        }
        self.hint = reply::hint(line).or(self.hint);
        let aborted = command.kind == Kind::Exec && is_abort(line) && self.doubt.as_ref().is_some_and(|doubt| doubt.in_multi);
        let refused = match &self.doubt {
            Some(doubt) if aborted => doubt.why,
            _ => refusal(command, line, self.link == Link::Draining).filter(|why| !self.at_replica || !why.is_of_replicas()),
        };
        let can_be_asked_again = request.whole && !self.transaction.as_ref().is_some_and(|transaction| transaction.lost);
        if let Some(why) = refused.filter(|_| can_be_asked_again) {
            let in_multi = self.transaction.is_some();
            let doubt = self.doubt.get_or_insert_with(|| Box::new(Doubt { in_multi, ..Doubt::default() }));
            // Where only a large reply was put off, nobody has looked yet.
            doubt.stays &= doubt.why.is_some();
            doubt.why = doubt.why.or(Some(why));
            doubt.in_multi &= command.kind != Kind::Exec;
            return self.withhold(index, line, Stage::Refused);
        }
        let Some(doubt) = &mut self.doubt else { return Ok(Course::Pass(Role::Reply(Tone::Error))) };
        let in_multi = doubt.in_multi;
        // However it failed, the transaction is over.
        doubt.in_multi &= command.kind != Kind::Exec;
        match in_multi || command.fate == Fate::Read {
            true if request.whole => Ok(Course::Swallow(Role::Kept(Stage::Again))),
            true | false => self.withhold(index, line, Stage::Settled),
        }
    }

    /// The connection is still in a transaction after this error: a server before Redis 6 refuses EXEC and keeps what it has queued.
    fn leaves_open(&self, command: Command, line: &[u8]) -> bool {
        let is_open = self.transaction.is_some() || self.doubt.as_ref().is_some_and(|doubt| doubt.in_multi);
        let ended = line.starts_with(b"-EXECABORT") || line.starts_with(b"-ERR EXEC without");
        is_open && command.kind == Kind::Exec && !ended
    }

    /// After a refusal the demoted server is not believed: what changes nothing is asked again, in order. What was executed nevertheless
    /// (PUBLISH) is not repeated.
    fn doubted_course(
        &mut self,
        index: usize,
        request: Request,
        command: Command,
        frame: &[u8],
        may_wait: bool,
    ) -> Result<Course, Stop> {
        let in_multi = self.doubt.as_ref().is_some_and(|doubt| doubt.in_multi);
        let again = Ok(Course::Swallow(Role::Kept(Stage::Again)));
        let mut now_in_multi = in_multi;
        let course = match (command.kind, in_multi) {
            (Kind::Multi, false) if request.whole => {
                now_in_multi = true;
                again
            }
            (Kind::Exec, true) if request.whole && self.reads_before(index).all(|reads| reads) => {
                now_in_multi = false;
                again
            }
            (Kind::Discard, true) if request.whole => {
                now_in_multi = false;
                again
            }
            (kind, true) if request.whole && kind != Kind::Exec => again,
            (_, false) if request.whole && command.fate == Fate::Read => again,
            (kind, _)
                if self.doubt.as_ref().is_some_and(|doubt| doubt.only_refusals)
                    && !matches!(kind, Kind::Blocking(at) if blocking::may_be_repeated(at)) =>
            {
                Err(Stop::Close(broken("another primary was elected before it executed a write, which may be lost")))
            }
            _ if may_wait => Ok(Course::More),
            (Kind::Exec, true) if self.reads_before(index).any(|reads| reads) => {
                // What it read is older than what the refused command before it will have written.
                Err(Stop::Close(broken("a transaction behind a refused command was executed by a demoted server")))
            }
            (Kind::Exec, true) => {
                now_in_multi = false;
                self.believe_queued(index);
                self.withhold(index, frame, Stage::Settled)
            }
            _ => self.withhold(index, frame, Stage::Settled),
        };
        self.doubt.iter_mut().for_each(|doubt| doubt.in_multi = now_in_multi);
        course
    }

    /// The requests of the transaction that the EXEC at `index` ends: does each only read?
    fn reads_before(&self, index: usize) -> impl Iterator<Item = bool> {
        let begin = (0..index).rev().find(|at| self.is_multi(*at));
        // Begun before what waits.
        let earlier = self.transaction.as_ref().filter(|_| begin.is_none()).map(|transaction| !transaction.writes);
        let reads = |what| matches!(what, What::Own(_) | What::Client(Command { fate: Fate::Read, .. }));
        let queued = begin.map_or(0, |begin| begin + 1)..index;
        earlier.into_iter().chain(queued.filter_map(move |at| self.queue.get(at).map(|request| reads(request.what))))
    }

    /// The EXEC at `index` is answered: so are its MULTI and what was queued behind it, in the words that all servers give.
    pub(super) fn believe_queued(&mut self, index: usize) {
        let begin = (0..index).rev().find(|at| self.is_multi(*at)).unwrap_or(0);
        for at in begin..index {
            if self.queue.get(at).is_some_and(|request| request.stage == Stage::Again) {
                let reply: &[u8] = match self.queue.get(at).map(|request| request.what) {
                    Some(What::Client(_)) if self.is_multi(at) => b"+OK\r\n",
                    Some(What::Client(_)) => QUEUED,
                    Some(What::Own(_)) | None => b"",
                };
                self.settled.insert(self.queue.sequence(at), reply.to_vec());
                self.queue.set(at, Stage::Settled);
            }
        }
    }

    pub(super) fn is_multi(&self, index: usize) -> bool {
        self.queue.get(index).is_some_and(|request| matches!(request.what, What::Client(Command { kind: Kind::Multi, .. })))
    }

    fn withhold(&mut self, index: usize, reply: &[u8], stage: Stage) -> Result<Course, Stop> {
        let doubt = self.doubt.get_or_insert_default();
        doubt.withheld += reply.len();
        // A reply of which not all is there is larger than what is looked at.
        if doubt.withheld > WITHHELD_BYTES_MAX || reply.len() >= LOOKED_AT_BYTES_MAX {
            return Err(Stop::Close(broken("too much had to be kept back behind a refused command")));
        }
        self.settled.insert(self.queue.sequence(index), reply.to_vec());
        Ok(Course::Swallow(Role::Kept(stage)))
    }
}

/// What an error reply says. A server that does not know a command repeats its arguments, a password among them: that part is left out.
fn without_arguments(frame: &[u8]) -> String {
    let text = String::from_utf8_lossy(&frame[1..frame.len().min(200)]);
    text.split(", with args").next().unwrap_or_default().trim().to_owned()
}

/// The first element of an array or a push, where it is a string that has come in whole.
fn word(frame: &[u8]) -> Option<&[u8]> {
    let mut lines = frame.split_inclusive(|byte| *byte == b'\n');
    let (_, length, word) = (lines.next()?, lines.next()?, lines.next()?);
    if matches!(length.first(), Some(b'$')) { word.strip_suffix(b"\r\n") } else { length.strip_suffix(b"\r\n")?.get(1..) }
}

fn is_message(word: &[u8]) -> bool {
    matches!(word, b"message" | b"pmessage" | b"smessage")
}

fn is_confirmation(word: &[u8]) -> bool {
    matches!(word, b"subscribe" | b"unsubscribe" | b"psubscribe" | b"punsubscribe" | b"ssubscribe" | b"sunsubscribe")
}
