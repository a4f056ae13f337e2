//! A dialogue on a shared upstream: it has a seat on a trunk. What the trunk does not need the session's task for is done from here.

use std::rc::Rc;
use std::time::Duration;

use super::upstream::Upstream;
use super::{Dialogue, OWED_BYTES_MAX, Present};
use crate::conversation::{Close, Conversation, Fault, Next};
use crate::metrics::CloseReason;
use crate::proxy::lanes::Target;
use crate::proxy::trunk::{Frames, Seat, Trunk};
use crate::route::Moment;

/// A client that is owed more, and takes nothing of it for [`PATIENCE`], is closed. On an upstream of its own the primary would be left waiting
/// instead; here the others are behind it.
const OWED_SHARED_MAX: usize = 32 * 1024 * 1024;
/// See [`OWED_SHARED_MAX`].
const PATIENCE: Duration = Duration::from_secs(1);
/// The same for all sessions of a listener in one worker: beyond it whoever does not take its replies is closed.
const OWED_TOGETHER_MAX: usize = 256 * 1024 * 1024;
/// A session whose replies are larger goes over an upstream of its own for a while: the others wait for each of them.
const LARGE_BYTES: usize = 64 * 1024;

/// A session's place on a trunk, left when this is dropped.
pub(super) struct Boarded {
    pub(super) trunk: Rc<Trunk>,
    pub(super) seat: Rc<Seat>,
    /// Since when the epoch has passed, and replies to what was sent are awaited.
    pub(super) draining: Option<Moment>,
}

impl Drop for Boarded {
    fn drop(&mut self) {
        self.seat.leave();
    }
}

/// Why a trunk must end.
type Why = &'static str;

impl Dialogue {
    /// Takes a seat. False where there is none to be had.
    pub(super) fn board(&mut self, present: &Present<'_>, target: &Target) -> bool {
        let (lanes, session) = (present.lanes, present.session);
        let Some(trunk) = lanes.pool.trunk(lanes, &session.policy, self.conversation.connection_key(), target.place()) else {
            return false;
        };
        let epoch = trunk.epoch;
        self.upstream = Upstream::Shared(Boarded { trunk, seat: Seat::new(session), draining: None });
        self.tell(present, &[], |conversation, turn| conversation.attach_shared(epoch, turn));
        true
    }

    /// Leaves the trunk for an upstream of its own, or for another trunk. Nothing is in flight.
    pub(super) fn get_off(&mut self, present: &Present<'_>) {
        self.tell(present, &[], Conversation::leave);
        self.upstream = Upstream::None;
        self.doubt = None;
    }

    /// Says to the trunk that there is something to say.
    pub(super) fn speak_up(&mut self, present: &Present<'_>) -> bool {
        let Upstream::Shared(boarded) = &self.upstream else { return false };
        if !self.conversation.has_unsent() || boarded.draining.is_some() || !self.owed.is_clear() {
            return false;
        }
        let Boarded { trunk, seat, .. } = boarded;
        let (pool, tick) = (&present.lanes.pool, present.lanes.local.tick.get());
        let goes = || {
            trunk.is_congested()
                || trunk.is_outdated()
                || trunk.is_silent() && (pool.has_livelier(trunk) || pool.tells_busy(trunk, tick))
        };
        if seat.in_flight.get() == 0 && goes() {
            self.get_off(present);
            return true;
        }
        boarded.trunk.speak(&boarded.seat);
        false
    }

    /// Is this the seat that it has?
    fn sits_on(&self, seat: &Rc<Seat>) -> bool {
        matches!(&self.upstream, Upstream::Shared(boarded) if Rc::ptr_eq(&boarded.seat, seat))
    }

    /// The trunk takes what it has to say, so many requests at most; `waited`: it was kept waiting. Returns how many those are, and
    /// whether the session's task has something to do.
    pub fn hand_over(&mut self, present: &Present<'_>, most: usize, waited: bool, out: &mut Vec<u8>) -> (usize, bool) {
        self.has_waited |= waited;
        if self.ending.is_some() || !self.owed.is_clear() || !matches!(self.upstream, Upstream::Shared(_)) {
            return (0, false);
        }
        if (self.has_waited || present.lanes.local.is_wary(present.now())) && self.client.peer_has_closed() {
            // What was held back is executed for nobody.
            self.ending = Some(CloseReason::Client);
            self.upstream = Upstream::None;
            return (0, true);
        }
        let handed = self.conversation.hand_over(most, out);
        if handed > 0 {
            present.moves();
        }
        (handed, handed == 0 && self.conversation.must_leave())
    }

    /// The trunk writes no more, and the last `unsent` bytes of this session did not go out. Returns how many requests that was.
    pub fn take_back(&mut self, seat: &Rc<Seat>, unsent: usize) -> usize {
        if self.sits_on(seat) { self.conversation.take_back(unsent) } else { 0 }
    }

    /// Whole replies. True where the session's task has something to do.
    pub fn hear_trunk(&mut self, present: &Present<'_>, seat: &Rc<Seat>, frames: &mut Frames<'_>) -> Result<bool, Why> {
        if !self.sits_on(seat) {
            return Ok(false);
        }
        let mut broken = None;
        let next = self.tell(present, frames.chunk, |conversation, turn| {
            loop {
                match frames.cut() {
                    Ok(Some(frame)) => match conversation.upstream_replied(frame, turn) {
                        Ok(Next::Continue) => {}
                        other => return other,
                    },
                    Ok(None) => return Ok(Next::Continue),
                    Err(why) => {
                        broken = Some(why);
                        return Ok(Next::Continue);
                    }
                }
            }
        });
        if frames.largest > LARGE_BYTES {
            self.conversation.goes_alone();
        }
        match broken {
            Some(why) => Err(why),
            None => self.consider(present, next),
        }
    }

    /// A part of a reply that is too large to be kept; `begins`: its first.
    pub fn hear_large(&mut self, present: &Present<'_>, seat: &Rc<Seat>, part: &[u8], begins: bool) -> Result<bool, Why> {
        if !self.sits_on(seat) {
            return Ok(false);
        }
        if begins {
            self.conversation.defers_large();
        }
        let next = self.tell(present, part, |conversation, turn| conversation.upstream_said(part, turn));
        self.consider(present, next)
    }

    /// What follows from what came over the trunk. `Err`: the trunk must end.
    fn consider(&mut self, present: &Present<'_>, next: Result<Next, Close>) -> Result<bool, Why> {
        present.moves();
        self.heed_hint(present);
        self.has_caught_up(present);
        if let Ok(Next::DropUpstream(Some(why))) = next {
            return Err(why);
        }
        let goes_on = matches!(next, Ok(Next::Continue));
        self.heed(present, next);
        self.note_owed();
        let together = self.debt.together() > OWED_TOGETHER_MAX && self.owed.len() > OWED_BYTES_MAX;
        if (self.is_stuck(present) || together) && self.ending.is_none() {
            let why = format!("it does not take its replies, and {} bytes of them are kept already", self.owed.len());
            self.close(present, &Close { why, fault: Fault::Client }, CloseReason::Error);
            self.owed.forgive();
        } else if self.owed.len() > OWED_BYTES_MAX {
            self.conversation.goes_alone();
        }
        let doubts = self.doubt.is_some() || self.conversation.doubts();
        if !goes_on || !self.owed.is_clear() || self.owed.is_lost || self.ending.is_some() || doubts {
            return Ok(true);
        }
        if self.conversation.has_unsent() {
            if self.conversation.must_leave() {
                return Ok(true);
            }
            self.speak_up(present);
        }
        Ok(self.is_paused || self.client_ended || self.conversation.is_over())
    }

    /// Much is owed to it, and for a while it has taken nothing of that.
    fn is_stuck(&mut self, present: &Present<'_>) -> bool {
        if self.owed.len() <= OWED_SHARED_MAX {
            return false;
        }
        let now = present.now();
        let (paid, since) = *self.patience.get_or_insert_with(|| Box::new((self.owed.paid(), now))).as_ref();
        if paid != self.owed.paid() {
            self.patience = Some(Box::new((self.owed.paid(), now)));
            return false;
        }
        now >= since + PATIENCE
    }

    /// What is owed to all is known at any time.
    pub(super) fn note_owed(&mut self) {
        self.debt.set(self.owed.len());
    }

    /// What had waited for this upstream has been answered: it waits no longer.
    pub(super) fn has_caught_up(&mut self, present: &Present<'_>) {
        if (self.has_waited || present.session.waiting_since().is_some()) && self.conversation.caught_up() {
            self.has_waited = false;
            present.session.waits_since(None);
        }
    }

    /// The trunk has ended; `busy`: because the server was busy with a script, in these words. True where that was this session's.
    pub fn lost_trunk(&mut self, present: &Present<'_>, seat: &Rc<Seat>, busy: Option<&str>) -> bool {
        let concerned = self.sits_on(seat);
        if concerned && !(busy.is_some() && self.step_over(present, seat, busy)) {
            self.lose_upstream(present);
        }
        concerned
    }

    /// What it has in flight in this seat, if it is its own, can be asked on another trunk.
    pub fn may_step_over(&mut self, seat: &Rc<Seat>) -> bool {
        let draining = matches!(&self.upstream, Upstream::Shared(boarded) if boarded.draining.is_some());
        !self.sits_on(seat) || !draining && self.conversation.may_step_over()
    }

    /// It asks for the large reply that is coming on an upstream of its own.
    pub fn defers(&self) -> bool {
        self.conversation.is_deferring()
    }

    /// The trunk says nothing while the server answers others: what it has asked there is asked elsewhere, or answered with what the
    /// server says to everybody (`busy`). True where that can be done.
    pub fn step_over(&mut self, present: &Present<'_>, seat: &Rc<Seat>, busy: Option<&str>) -> bool {
        if !self.sits_on(seat) || !self.may_step_over(seat) {
            return false;
        }
        self.get_off(present);
        if let Some(words) = busy {
            self.tell(present, &[], |conversation, turn| conversation.refuse_as(words, turn));
        }
        true
    }
}
