//! What the upstream says: each frame is given to the request that it answers, or is none's.
//!
//! Almost every frame passes as it is. What has to be looked at is held until enough of it is there: an error line, a word, a number.

use super::course::{Course, QUEUED, Stop};
use super::remembered::Effect;
use super::request::{Own, Request, Stage, What};
use super::{Close, Conversation, Fault, Link, Next, Outlet, Turn};
use crate::resp::command::{Command, Kind};

/// The frame that is coming in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Frame {
    /// Its first byte is still to come.
    #[default]
    Fresh,
    /// More of it is needed to tell.
    Held,
    /// Its beginning is with the client.
    Passing(Role),
    /// The client gets nothing of it.
    Swallowed(Role),
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nobody asked for it.
    Push,
    /// The reply of the first request.
    Reply(Tone),
    /// One of several replies to a (un)subscription.
    Confirmation,
    /// Kept back: what becomes of the request.
    Kept(Stage),
}

/// How a reply sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Null,
    Queued,
    Error,
}

impl Conversation {
    /// Takes all of `bytes`.
    pub fn upstream_said(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<Next, Close> {
        if self.over {
            // The answer to QUIT is the last word.
            return Ok(Next::Continue);
        }
        match self.frames(bytes, turn) {
            Ok(()) => {}
            Err(Stop::Close(close)) => return Err(close),
            Err(Stop::Busy(words)) => {
                self.detach(turn)?;
                self.refuse_as(&words, turn);
                return Ok(Next::Discard);
            }
            Err(Stop::LockedOut(words)) => {
                self.detach(turn)?;
                self.refuse("the primary does not let it in; its log says why", turn);
                return Ok(Next::LockedOut(words));
            }
            // Who shares it with others ends it for all of them, and each is told of that, this one too.
            Err(Stop::Astray(why)) => return Ok(Next::DropUpstream(Some(why))),
            Err(Stop::Next(next)) => {
                self.detach(turn)?;
                return Ok(next);
            }
        }
        self.emit(turn);
        if self.queue.awaited().is_none() && !matches!(self.frame, Frame::Passing(_)) {
            if self.link == Link::Draining {
                self.detach(turn)?;
                return Ok(Next::DropUpstream(None));
            }
            if self.doubt.as_ref().is_some_and(|doubt| doubt.stays) {
                return self.believe(turn);
            }
            if self.bare && self.queue.prelude() == 0 && !self.oversees() {
                self.detach(turn)?;
                return Ok(Next::Discard);
            }
        }
        Ok(Next::Continue)
    }

    /// Takes one whole reply of a shared upstream, where somebody else has found its end.
    #[inline]
    pub fn upstream_replied(&mut self, frame: &[u8], turn: &mut Turn<'_>) -> Result<Next, Close> {
        if !self.is_plain_reply(frame[0]) || frame == QUEUED || self.link != Link::Live || self.over {
            return self.upstream_said(frame, turn);
        }
        let settled_next = self.finish_plain(turn);
        turn.outlet.pass(frame);
        if settled_next || self.queue.get(0).is_some_and(Request::is_never_sent) {
            self.emit(turn);
        }
        Ok(Next::Continue)
    }

    fn frames(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<(), Stop> {
        // What passes is collected into runs: `passing..at` is one.
        let (mut passing, mut at) = (0, 0);
        while at < bytes.len() {
            let Ok(scanned) = self.replies.scan(&bytes[at..]) else {
                pass(turn.outlet, &bytes[passing..at]);
                return Err(Stop::Close(broken("it does not speak RESP")));
            };
            let end = scanned.map_or(bytes.len(), |length| at + length);
            if scanned.is_some() && self.is_plain_reply(bytes[at]) {
                at = end;
                if self.finish_plain(turn) {
                    pass(turn.outlet, &bytes[passing..at]);
                    passing = at;
                    self.emit(turn);
                }
                continue;
            }
            let course = match self.frame {
                Frame::Fresh => {
                    if self.queue.awaited().is_none() {
                        // The frame may be passed on by itself: behind what came before it.
                        pass(turn.outlet, &bytes[passing..at]);
                        passing = at;
                    }
                    self.course(&bytes[at..end], scanned.is_some(), turn)
                }
                Frame::Held => {
                    let mut held = std::mem::take(&mut self.holding);
                    held.extend_from_slice(&bytes[at..end]);
                    let course = self.course(&held, scanned.is_some(), turn);
                    if let Ok(Course::Pass(_)) = course {
                        // No run can be open: the frame began in an earlier chunk.
                        turn.outlet.pass(&held);
                        passing = end;
                    } else if let Ok(Course::More) = course {
                        // Put back; the branch below adds nothing twice.
                        self.holding = held;
                        return Ok(());
                    }
                    course
                }
                Frame::Passing(role) => Ok(Course::Pass(role)),
                Frame::Swallowed(role) => Ok(Course::Swallow(role)),
            };
            let role = match course {
                Ok(Course::Pass(role)) => {
                    self.frame = Frame::Passing(role);
                    role
                }
                Ok(Course::Swallow(role)) => {
                    pass(turn.outlet, &bytes[passing..at]);
                    passing = end;
                    self.frame = Frame::Swallowed(role);
                    role
                }
                Ok(Course::More) => {
                    pass(turn.outlet, &bytes[passing..at]);
                    self.holding.extend_from_slice(&bytes[at..end]);
                    self.frame = Frame::Held;
                    return Ok(());
                }
                Err(stop) => {
                    pass(turn.outlet, &bytes[passing..at]);
                    return Err(stop);
                }
            };
            if scanned.is_some() {
                self.frame = Frame::Fresh;
                if self.completed(role, turn) {
                    pass(turn.outlet, &bytes[passing..end]);
                    passing = end;
                    self.emit(turn);
                }
            }
            at = end;
        }
        pass(turn.outlet, &bytes[passing..]);
        Ok(())
    }

    /// The usual case: a frame that begins with `first` and is there in whole answers the first request, a plain one, and nothing is
    /// going on that makes more of it.
    #[inline]
    fn is_plain_reply(&self, first: u8) -> bool {
        let plain = |what| matches!(what, What::Client(Command { kind: Kind::Plain, .. }));
        matches!(self.frame, Frame::Fresh)
            && !matches!(first, b'-' | b'>')
            // It might be a message.
            && (first != b'*' || self.shared || self.state.is_none())
            && self.doubt.is_none()
            && self.transaction.is_none()
            && self.queue.get(0).is_some_and(|request| request.stage == Stage::Sent && plain(request.what))
    }

    /// The same as [`Self::completed`], there.
    #[inline]
    fn finish_plain(&mut self, turn: &mut Turn<'_>) -> bool {
        self.losses = 0;
        self.let_in |= !self.shared;
        self.heavy -= u16::from(self.heavy > 0 && !self.shared);
        if let Some(request) = self.queue.pop() {
            turn.outlet.answered(request.asked);
        }
        self.queue.advance();
        self.queue.get(0).is_some_and(|request| request.stage == Stage::Settled)
    }

    /// A frame has come to its end. True: what waits behind it can be passed on at once.
    #[inline]
    fn completed(&mut self, role: Role, turn: &mut Turn<'_>) -> bool {
        match role {
            // What had its turn meanwhile goes first: the next reply is the first request's.
            Role::Push => {}
            Role::Reply(tone) => self.finish(tone, turn),
            Role::Confirmation => {
                self.confirmed += 1;
                if self.confirmed < self.confirmations_expected() {
                    return false;
                }
                self.confirmed = 0;
                if self.is_first_the_clients() {
                    self.confirmed_before = 0;
                }
                self.finish(Tone::Good, turn);
            }
            Role::Kept(stage) => {
                if let Some(index) = self.queue.awaited() {
                    self.queue.set(index, stage);
                }
                return false;
            }
        }
        self.queue.get(0).is_some_and(|request| request.stage == Stage::Settled)
    }

    pub(super) fn is_first_the_clients(&self) -> bool {
        self.queue.get(0).is_some_and(|first| matches!(first.what, What::Client(_)))
    }

    /// One for each name; without names one for each subscription, and one where there is none.
    fn confirmations_expected(&self) -> usize {
        let count = |channels| self.state.as_ref().map_or(0, |state| state.count(channels));
        match (self.queue.get(0).map(|request| request.what), self.effects.first()) {
            (Some(What::Own(Own::Subscriptions(channels))), _) => count(channels),
            (_, Some(Effect::Unsubscribe(channels, names))) if names.is_empty() => count(*channels).max(1),
            (_, Some(Effect::Subscribe(_, names) | Effect::Unsubscribe(_, names))) => names.len(),
            _ => 1,
        }
    }

    /// The first request has its reply.
    #[inline]
    fn finish(&mut self, tone: Tone, turn: &mut Turn<'_>) {
        let Some(request) = self.queue.get(0).copied() else { return };
        match request.what {
            What::Client(command) => {
                self.losses = 0;
                // What is answered to everybody takes it back.
                self.let_in |= tone != Tone::Error && !self.shared;
                self.heavy -= u16::from(self.heavy > 0 && !self.shared);
                if command.kind != Kind::Plain || self.transaction.is_some() {
                    self.apply(request, command, tone, turn);
                }
                turn.outlet.answered(request.asked);
                self.queue.pop();
            }
            What::Own(_) => {
                let replays = self.queue.prelude() > 0;
                self.queue.pop();
                if replays && self.queue.prelude() == 0 {
                    self.replayed(turn.outlet);
                }
            }
        }
        self.queue.advance();
    }

    /// The state of before stands on the new connection.
    fn replayed(&mut self, outlet: &mut dyn Outlet) {
        let tracks = self.state.as_ref().is_some_and(|state| state.tracks());
        if tracks && self.speaks_resp3() {
            // What the client has cached may have changed unheard.
            outlet.pass(b">2\r\n$10\r\ninvalidate\r\n_\r\n");
        }
    }
}

/// The upstream broke the protocol.
pub(super) fn broken(why: &str) -> Close {
    Close { why: format!("the primary's connection is of no use any more: {why}"), fault: Fault::Upstream }
}

fn pass(outlet: &mut dyn Outlet, bytes: &[u8]) {
    if !bytes.is_empty() {
        outlet.pass(bytes);
    }
}
