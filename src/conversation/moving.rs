//! From one upstream to the next: what is lost, what is asked again, what the new connection is told first.

use std::time::Duration;

use super::course::Doubt;
use super::remembered::{Bytes, Remembered, request};
use super::replies::{Frame, broken};
use super::request::{Own, Stage, What};
use super::transaction::Transaction;
use super::{Close, Conversation, Fault, Id, Link, Retry, Scripts, Turn, Withdrawn, blocking};
use crate::resp::command::{Command, Fate, Kind, Script};
use crate::resp::frames::{ReplyScanner, arguments};
use crate::route::{Departure, Epoch, is_tenure};

/// Upstreams lost one after the other while the same requests were in flight: perhaps it is they that end the server.
const LOSSES_MAX: u8 = 3;
/// A blocking command that waited longer before it was asked for the first time is asked with the time that remains.
const BLOCKED_AFTER: Duration = Duration::from_millis(100);
const TOO_LARGE: &[u8] =
    b"-MASTERDOWN mainstay: the primary was lost in the middle of this request, which is too large to be kept; \
    it was not executed\r\n";

impl Conversation {
    /// A connection to the primary of `epoch` stands; the state of the one before is replayed first.
    pub fn attach(&mut self, epoch: Epoch, turn: &mut Turn<'_>) {
        self.look_up_identity(turn);
        self.begin(epoch, false, turn);
        self.is_marked = self.state.as_ref().is_some_and(|state| state.is_special() || state.tracks());
        self.bare = self.oversees();
        let replay = |state: &Remembered| if self.bare { state.replay_bare() } else { state.replay() };
        let mut prelude = self.state.as_deref().map(replay).unwrap_or_default();
        // RESP 2 takes little else after them.
        let subscriptions = prelude.iter().position(|(own, ..)| matches!(own, Own::Subscriptions(_))).unwrap_or(prelude.len());
        let subscriptions = prelude.split_off(subscriptions);
        self.load_scripts(&mut prelude, turn);
        self.begin_blocking(&mut prelude, turn);
        self.begin_waiting(&mut prelude);
        prelude.extend(subscriptions);
        if let Some(transaction) = &self.transaction {
            prelude.extend(transaction.replay());
        }
        self.backlog = self.queue.next_sequence();
        if !prelude.is_empty() {
            self.queue.put_first(&prelude, turn.now);
        }
        self.emit(turn);
    }

    /// The part that is the same for an upstream of its own and a shared one.
    pub(super) fn begin(&mut self, epoch: Epoch, shared: bool, turn: &mut Turn<'_>) {
        turn.scripts.enter(epoch);
        if self.reads {
            self.forbid_writes(!is_tenure(epoch), turn);
        }
        let before = self.attached.replace(epoch);
        if before.is_some_and(|before| before != epoch) {
            // Older ones than those of the last server will hardly come any more.
            self.estrange_cursors();
            self.wrote_elsewhere |= std::mem::take(&mut self.wrote) | std::mem::take(&mut self.wrote_before);
        }
        self.note_writes_before(before.is_some(), shared);
        (self.link, self.shared, self.replies, self.frame) = (Link::Live, shared, ReplyScanner::default(), Frame::Fresh);
        self.bare = false;
        self.at_replica = is_tenure(epoch);
        self.queue.rewind();
        let same = before == Some(epoch) && self.transaction.is_none() && self.intake.ghost.is_none() && !self.broken;
        if !same || self.writes_forbidden {
            self.reconsider();
        }
        self.emit(turn);
    }

    /// Scripts that requests in the queue or in the transaction name by digest.
    pub(super) fn load_scripts(&mut self, prelude: &mut Vec<(Own, bool, Vec<u8>)>, turn: &mut Turn<'_>) {
        let by_digest = |command: &Command| matches!(command.kind, Kind::Script(Script::Digest));
        let waiting = self.queue.spans().filter(
            |(request, _)| matches!(&request.what, What::Client(command) if by_digest(command) && request.stage == Stage::Waiting),
        );
        let queued = self.transaction.iter().flat_map(|transaction| transaction.queued()).filter(|bytes| {
            let mut words = arguments(bytes);
            words.next().is_some_and(|name| by_digest(&turn.commands.look_up(&name[..], None)))
        });
        let bytes = waiting.map(|(_, bytes)| bytes).chain(queued);
        let digests = bytes.filter_map(|bytes| Some(Box::from(&arguments(bytes).nth(1)?[..])));
        let digests: Vec<Bytes> = digests.chain(self.queued_digests.iter().cloned()).collect();
        self.loading.clear();
        for digest in digests {
            prelude.extend(self.load(&digest, turn.scripts).map(|load| (Own::Script, false, load)));
        }
    }

    /// The request that loads a script, where that is needed before its digest is used.
    pub(super) fn load(&mut self, digest: &[u8], scripts: &Scripts) -> Option<Vec<u8>> {
        let body = scripts.missing(digest).filter(|_| !self.loading.iter().any(|known| known.eq_ignore_ascii_case(digest)))?;
        self.loading.push(digest.into());
        Some(request([b"SCRIPT", &b"LOAD"[..], body]))
    }

    /// A blocking command at the very front is asked with the time that remains.
    fn begin_blocking(&mut self, prelude: &mut Vec<(Own, bool, Vec<u8>)>, turn: &Turn<'_>) {
        (self.id, self.asked_id) = (Id::Unknown, false);
        let blocking = |what| if let What::Client(Command { kind: Kind::Blocking(at), .. }) = what { Some(at) } else { None };
        // What was asked before one at the front, and not answered, is asked anew.
        let asked = self.queue.iter().take_while(|one| matches!(one.what, What::Own(Own::ClientId | Own::StreamEnd))).count();
        if self.queue.get(asked).is_some_and(|front| front.stage == Stage::Waiting && blocking(front.what).is_some()) {
            self.queue.drop_first(asked);
        }
        let waits = |is: &dyn Fn(What) -> bool| self.queue.iter().any(|one| one.stage == Stage::Waiting && is(one.what));
        self.asked_id = waits(&|what| blocking(what).is_some());
        if self.asked_id && !waits(&|what| what == What::Own(Own::ClientId)) {
            prelude.push((Own::ClientId, false, request(["CLIENT", "ID"])));
        }
        let Some(front) = self.queue.get(0).copied().filter(|front| front.stage == Stage::Waiting) else { return };
        let Some(at) = blocking(front.what) else { return };
        let sequence = self.queue.sequence(0);
        // Its words tell what remained when it was last reworded.
        let worded = self.worded.filter(|(reworded, _)| *reworded == sequence).map_or(front.asked, |(_, when)| when);
        let elapsed = turn.now.since(worded);
        let words: Vec<Bytes> = arguments(self.queue.bytes_of(0)).map(|word| Box::from(&word[..])).collect();
        let keys = blocking::from_the_end(&words);
        if self.stream_ends.len() != keys.len() || self.stream_ends.contains(&None) {
            // It was refused, and so was the question.
            self.stream_ends.clear();
            prelude.extend(keys.iter().map(|key| (Own::StreamEnd, false, blocking::end_of(key))));
        }
        if front.started || elapsed > BLOCKED_AFTER {
            // Where a stream stood counts only for what did start to read.
            let ends = if front.started { &self.stream_ends[..] } else { &[] };
            let reworded = blocking::reworded(at, &words, elapsed, ends);
            self.queue.reword_first(&reworded);
            self.worded = Some((sequence, turn.now));
        }
    }

    /// The upstream closed, broke, or was given up.
    pub fn upstream_lost(&mut self, turn: &mut Turn<'_>) -> Result<(), Close> {
        if self.link == Link::None {
            // It was given up before.
            return Ok(());
        }
        if let Frame::Passing(_) = self.frame {
            return Err(broken("it ended in the middle of a reply"));
        }
        // As the last reply left it, also where that was kept back.
        let mut in_multi = self.doubt.as_ref().map_or(self.transaction.is_some(), |doubt| doubt.in_multi);
        let mut writes = self.transaction.as_ref().is_some_and(|transaction| transaction.writes);
        writes |= self.queue.iter().any(|request| request.stage == Stage::Again && request.may_write());
        let mut any = false;
        for request in self.queue.iter().filter(|request| request.stage == Stage::Sent) {
            let What::Client(command) = request.what else { continue };
            any = true;
            let unknown = match command.kind {
                // Where it only reads, no server lets it write when it is asked again, whatever has become of the one before.
                Kind::Exec if self.reads => {
                    in_multi = false;
                    false
                }
                Kind::Script(_) if self.reads => false,
                Kind::Exec if in_multi => std::mem::replace(&mut in_multi, false) && writes,
                Kind::Discard => {
                    in_multi = false;
                    false
                }
                Kind::Blocking(at) => !blocking::may_be_repeated(at),
                _ if in_multi => {
                    writes |= command.fate != Fate::Read;
                    false
                }
                _ => command.fate != Fate::Read,
            };
            if unknown {
                let close = broken("it was lost before it answered a write, and nobody can know whether that was executed");
                return Err(Close { fault: Fault::Write, ..close });
            }
            if !request.whole {
                return Err(broken("it was lost before it answered a request that is too large to be asked again"));
            }
        }
        if any && self.shared {
            // Perhaps it is one of these that ends the server's connection: what is asked again is asked alone.
            let again = self.queue.iter().filter(|request| request.stage == Stage::Sent).count();
            self.heavy = self.heavy.max(u16::try_from(again).unwrap_or(u16::MAX));
        }
        // What has blocked for days outlives many.
        self.losses += u8::from(any && !self.is_blocked());
        if self.losses > LOSSES_MAX {
            return Err(broken("one after the other was lost over the same requests"));
        }
        self.detach(turn)
    }

    /// The epoch has passed; how its primary left tells what its late replies are worth.
    pub fn withdraw(&mut self, left: Departure, turn: &mut Turn<'_>) -> Result<Withdrawn, Close> {
        let awaited = self.queue.awaited().is_some();
        let passing = matches!(self.frame, Frame::Passing(_));
        match self.link {
            Link::None => Ok(Withdrawn::Drop),
            Link::Live if (awaited || passing) && self.queue.prelude() == 0 && left != Departure::Gone => {
                self.link = Link::Draining;
                if left == Departure::Replaced {
                    let in_multi = self.transaction.is_some();
                    self.doubt.get_or_insert_with(|| Box::new(Doubt { in_multi, ..Doubt::default() })).only_refusals = true;
                }
                Ok(Withdrawn::Drain)
            }
            Link::Live if !awaited && !passing => self.detach(turn).map(|()| Withdrawn::Drop),
            Link::Live | Link::Draining => self.upstream_lost(turn).map(|()| Withdrawn::Drop),
        }
    }

    /// Without an upstream from here on. What was sent and proved unexecuted, or changes nothing, waits for the next one.
    pub(super) fn detach(&mut self, turn: &mut Turn<'_>) -> Result<(), Close> {
        (self.link, self.shared) = (Link::None, false);
        if self.doubt.is_some() {
            self.pass_overtaken();
        }
        let refused = self.doubt.take().and_then(|doubt| doubt.why);
        let confirmed = std::mem::take(&mut self.confirmed);
        if self.is_first_the_clients() {
            self.confirmed_before = self.confirmed_before.max(confirmed);
        }
        self.frame = Frame::Fresh;
        self.holding = Vec::new();
        self.queue.drop_first(self.queue.prelude());
        if self.transaction.as_ref().is_some_and(|transaction| transaction.lost) {
            return Err(broken(
                "it was lost in the middle of a transaction that is too large to be kept; nothing of it was executed",
            ));
        }
        if std::mem::take(&mut self.watching) {
            self.broken = true;
        }
        self.queue.rewind();
        let mut cut_short = None;
        for (index, request) in self.queue.iter().enumerate() {
            let What::Client(command) = request.what else { continue };
            if request.stage == Stage::Settled || !request.started {
                continue;
            }
            if !request.whole {
                cut_short = Some(index);
            }
            turn.outlet.retried(match (refused, command.kind) {
                (_, Kind::Blocking(_)) => Retry::Blocked,
                (Some(refusal), _) => Retry::Refused(refusal),
                (None, _) => Retry::Lost,
            });
        }
        // Withheld refusals are forgotten: the same requests are asked again.
        let settled = |sequence: &u64| {
            let index = sequence.checked_sub(self.queue.sequence(0)).and_then(|index| usize::try_from(index).ok());
            index.and_then(|index| self.queue.get(index)).is_some_and(|request| request.stage == Stage::Settled)
        };
        let forgotten: Vec<u64> = self.settled.keys().filter(|sequence| !settled(sequence)).copied().collect();
        forgotten.iter().for_each(|sequence| drop(self.settled.remove(sequence)));
        if let Some(index) = cut_short {
            self.settle(index, TOO_LARGE.to_vec());
            // Nothing of it may be executed without this one.
            self.transaction.iter_mut().for_each(|transaction| transaction.dirty = true);
        }
        self.foresee_nil();
        self.emit(turn);
        Ok(())
    }

    /// What is in flight is nothing but a blocking command.
    pub fn is_blocked(&self) -> bool {
        let front = self.queue.get(0);
        front.is_some_and(|front| {
            front.stage == Stage::Sent && matches!(front.what, What::Client(Command { kind: Kind::Blocking(_), .. }))
        })
    }

    /// A request of the client has succeeded or failed: what that means for what follows.
    pub(super) fn apply(
        &mut self,
        request: super::request::Request,
        command: Command,
        tone: super::replies::Tone,
        turn: &mut Turn<'_>,
    ) {
        use super::replies::Tone;
        let effect = self.take_effect();
        self.forget_stream_ends(command);
        let in_transaction = self.transaction.is_some();
        if let (Some(transaction), false) = (&mut self.transaction, matches!(command.kind, Kind::Exec | Kind::Discard)) {
            match tone {
                Tone::Queued => {
                    transaction.queue(request.whole.then(|| self.queue.bytes_of(0)));
                    transaction.writes |= command.fate != Fate::Read;
                    effect.into_iter().for_each(|effect| transaction.change(effect));
                    return;
                }
                Tone::Error => {
                    transaction.dirty = true;
                    return;
                }
                // RESET, and what is executed at once even so.
                Tone::Good | Tone::Null => {}
            }
        }
        if tone == Tone::Error && !(command.kind == Kind::Exec && in_transaction) {
            if command.kind == Kind::Multi && !in_transaction {
                self.intake.in_multi = self.is_multi_behind();
            }
            // A DISCARD that was refused.
            self.transaction.iter_mut().for_each(|transaction| transaction.dirty = true);
            return;
        }
        match command.kind {
            Kind::Multi => self.transaction = Some(Box::default()),
            Kind::Exec => {
                let ended: Option<Box<Transaction>> = self.transaction.take();
                (self.watching, self.broken) = (false, false);
                if let Some(ended) = ended.filter(|_| tone == Tone::Good) {
                    ended.into_effects().for_each(|effect| self.remember(effect));
                }
            }
            Kind::Discard => {
                (self.transaction, self.watching, self.broken) = (None, false, false);
            }
            Kind::Watch => self.watching = true,
            Kind::Unwatch => (self.watching, self.broken) = (false, false),
            Kind::Reset => (self.transaction, self.watching, self.broken) = (None, false, false),
            Kind::ScriptFlush => turn.scripts.flushed(),
            _ => {}
        }
        effect.into_iter().for_each(|effect| self.remember(effect));
    }
}
