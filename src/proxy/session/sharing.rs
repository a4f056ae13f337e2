//! A session on a shared upstream: what its trunk does with it, without its task.

use std::rc::Rc;

use super::{Lane, Session};
use crate::proxy::lanes::Lanes;
use crate::proxy::redis_mode::{Dialogue, Present};
use crate::proxy::trunk::{Frames, Seat};
use crate::route::Moment;

impl Session {
    /// Lets the dialogue of a session that shares an upstream do something, outside of its task, which is woken where that finds more to do.
    fn with_dialogue<R>(
        self: &Rc<Self>,
        lanes: &Rc<Lanes>,
        now: Moment,
        act: impl FnOnce(&mut Dialogue, &Present<'_>) -> (R, bool),
    ) -> Option<R> {
        let mut lane = self.lane.borrow_mut();
        let Lane::Dialogue(dialogue) = &mut *lane else { return None };
        let present = Present::at(lanes, self, now);
        let (result, concerned) = act(dialogue, &present);
        if present.has_moved() {
            self.active.set(lanes.local.tick.get());
            self.resting.set(false);
        }
        if concerned {
            self.wake();
        }
        Some(result)
    }

    /// Its trunk takes what it has to say. Returns how many requests that was.
    pub fn hand_over(self: &Rc<Self>, lanes: &Rc<Lanes>, most: usize, waited: bool, now: Moment, out: &mut Vec<u8>) -> usize {
        self.with_dialogue(lanes, now, |dialogue, present| dialogue.hand_over(present, most, waited, out)).unwrap_or_default()
    }

    /// Its trunk writes no more, and the last `unsent` bytes of it did not go out. Returns how many requests that was.
    pub fn take_back(self: &Rc<Self>, lanes: &Rc<Lanes>, seat: &Rc<Seat>, unsent: usize) -> usize {
        self.with_dialogue(lanes, Moment::now(), |dialogue, _| (dialogue.take_back(seat, unsent), false)).unwrap_or(0)
    }

    /// Replies came over its trunk.
    pub fn hear_trunk(
        self: &Rc<Self>,
        lanes: &Rc<Lanes>,
        seat: &Rc<Seat>,
        frames: &mut Frames<'_>,
        now: Moment,
    ) -> Result<(), &'static str> {
        self.with_dialogue(lanes, now, |dialogue, present| heard(dialogue.hear_trunk(present, seat, frames))).unwrap_or(Ok(()))
    }

    /// A part of a reply that is too large to be kept came over its trunk.
    pub fn hear_large(
        self: &Rc<Self>,
        lanes: &Rc<Lanes>,
        seat: &Rc<Seat>,
        part: &[u8],
        begins: bool,
        now: Moment,
    ) -> Result<(), &'static str> {
        self.with_dialogue(lanes, now, |dialogue, present| heard(dialogue.hear_large(present, seat, part, begins)))
            .unwrap_or(Ok(()))
    }

    /// Its trunk has ended; `busy`: because the server was busy with a script, in these words.
    pub fn lost_trunk(self: &Rc<Self>, lanes: &Rc<Lanes>, seat: &Rc<Seat>, busy: Option<&str>) {
        self.with_dialogue(lanes, Moment::now(), |dialogue, present| ((), dialogue.lost_trunk(present, seat, busy)));
    }

    /// Its trunk is silent while the server answers others.
    pub fn step_over(self: &Rc<Self>, lanes: &Rc<Lanes>, seat: &Rc<Seat>, busy: Option<&str>) {
        self.with_dialogue(lanes, Moment::now(), |dialogue, present| ((), dialogue.step_over(present, seat, busy)));
    }

    /// What it has in flight on its trunk can be asked on another.
    pub fn may_step_over(self: &Rc<Self>, lanes: &Rc<Lanes>, seat: &Rc<Seat>) -> bool {
        self.with_dialogue(lanes, Moment::now(), |dialogue, _| (dialogue.may_step_over(seat), false)).unwrap_or(true)
    }

    /// It asks for the large reply that is coming on an upstream of its own.
    pub fn defers(self: &Rc<Self>, lanes: &Rc<Lanes>) -> bool {
        self.with_dialogue(lanes, Moment::now(), |dialogue, _| (dialogue.defers(), false)).unwrap_or(true)
    }
}

/// Why the trunk must end, or whether the session's task has something to do, as [`Session::with_dialogue`] wants it.
fn heard(result: Result<bool, &'static str>) -> (Result<(), &'static str>, bool) {
    let concerned = result.unwrap_or_default();
    (result.map(drop), concerned)
}
