//! A trunk that says nothing although something is asked. Either the server is slow, and then it is so to everybody; or it answers others
//! meanwhile: a script runs, and they hear `-BUSY`; or CLIENT PAUSE holds a write back, and they may read. Those who wait behind that one
//! request must not be worse off than on connections of their own.
//!
//! So who begins to speak while a trunk is silent goes to another, one more at most. That one asks for a PING. When it was answered and the
//! silent trunk still says nothing, those behind the first in its queue are asked again elsewhere, where all they have asked changes
//! nothing. The first itself never is: it is what keeps the server silent.

use std::cell::Cell;
use std::rc::Rc;

use super::pool::Pool;
use super::seat::{Place, Seat};
use super::{Stage, Trunk, Wire};
use crate::proxy::lanes::Lanes;
use crate::route::Epoch;

/// So many ticks without a word are silence: a tenth of a second at least.
const SILENT_TICKS: u32 = 2;
/// That a script keeps the server busy counts for a second; then it is asked again.
const BUSY_TICKS: u32 = 10;

/// What a trunk knows of its own silence.
#[derive(Default)]
pub(super) struct Silence {
    /// Something was asked and is not answered, and the tick when it was asked or something else was answered.
    awaits: Cell<bool>,
    heard: Cell<u32>,
    /// For too long.
    silent: Cell<bool>,
    /// It is to be shown that the server answers here.
    pub(super) wants_proof: Cell<bool>,
}

impl Trunk {
    /// Something is asked, and since when nothing was heard.
    pub(super) fn asks(&self, something: bool) {
        if self.silence.awaits.replace(something) != something {
            self.silence.heard.set(self.lanes.local.tick.get());
        }
    }

    /// It says nothing although something is asked.
    pub fn is_silent(&self) -> bool {
        self.silence.silent.get()
    }

    /// It has said something.
    pub(super) fn was_heard(&self, awaits: bool) {
        self.silence.heard.set(self.lanes.local.tick.get());
        self.silence.awaits.set(awaits);
        self.silence.silent.set(false);
    }

    fn notice_silence(&self, tick: u32) {
        let silent = self.silence.awaits.get()
            && self.stage.get() == Stage::Open
            && tick.wrapping_sub(self.silence.heard.get()) >= SILENT_TICKS;
        self.silence.silent.set(silent);
    }

    /// Somebody waits behind the first.
    fn keeps_others_waiting(&self) -> bool {
        self.wire.borrow().in_flight.len() > 1 || !self.speakers.borrow().is_empty()
    }

    /// The server has answered `self` since `silent` has been silent.
    fn outlives(&self, silent: &Self) -> bool {
        !self.silence.silent.get()
            && self.silence.heard.get().wrapping_sub(silent.silence.heard.get()).cast_signed() >= SILENT_TICKS.cast_signed()
    }

    /// Those behind the first go elsewhere, as far as they can. With what the server says to everybody, if it does, they are answered.
    fn release(self: &Rc<Self>, busy: Option<&str>) {
        let wire = self.wire.borrow();
        let head = wire.in_flight.front().and_then(Place::seat).cloned();
        let behind =
            wire.in_flight.iter().filter_map(Place::seat).chain(&*self.speakers.borrow()).cloned().collect::<Vec<Rc<Seat>>>();
        drop(wire);
        for seat in behind {
            let is_head = head.as_ref().is_some_and(|head| Rc::ptr_eq(head, &seat));
            if let Some(session) = seat.session().filter(|_| !is_head) {
                session.step_over(&self.lanes, &seat, busy);
            }
        }
    }
}

impl Wire {
    /// Asks for any answer.
    pub(super) fn ask_for_proof(&mut self) {
        self.begins.push(self.out.len());
        self.out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        self.in_flight.push_back(Place::of(Seat::vacant(), 1));
    }
}

impl Pool {
    /// Once a tick: is one silent while the server answers another?
    pub fn watch(&self, lanes: &Rc<Lanes>, tick: u32) {
        let trunks: Vec<Rc<Trunk>> = self.trunks.borrow().clone();
        trunks.iter().for_each(|trunk| trunk.notice_silence(tick));
        let matters =
            |trunk: &&Rc<Trunk>| trunk.is_silent() && (trunk.keeps_others_waiting() || !self.is_busy(trunk.epoch, tick));
        for silent in trunks.iter().filter(matters) {
            let Some(way) = lanes.way_to(silent.epoch) else { continue };
            let Some(other) = self.trunk(lanes, &silent.policy, silent.key.clone(), (silent.epoch, &way)) else {
                continue;
            };
            if other.outlives(silent) {
                silent.release(None);
            } else if other.is_open() && !other.silence.silent.get() && !other.silence.awaits.get() {
                other.silence.wants_proof.set(true);
                other.soil();
            }
        }
    }

    fn is_busy(&self, epoch: Epoch, tick: u32) -> bool {
        self.busy.get().is_some_and(|(of, at)| of == epoch && tick.wrapping_sub(at) <= BUSY_TICKS)
    }

    /// A moment ago the server has said to others that a script keeps it busy, and there is where to hear that: another trunk, or room for
    /// one. Who is about to say something to this one would wait for nothing.
    pub fn tells_busy(&self, instead_of: &Trunk, tick: u32) -> bool {
        let trunks = self.trunks.borrow();
        let is_other = |other: &&Rc<Trunk>| {
            other.serves(&instead_of.policy, &instead_of.key, instead_of.epoch) && !std::ptr::eq(Rc::as_ptr(other), instead_of)
        };
        let mut others = trunks.iter().filter(is_other).peekable();
        self.is_busy(instead_of.epoch, tick) && (others.peek().is_none() || others.any(|other| other.is_lively()))
    }

    /// The server says to others that a script keeps it busy.
    pub(super) fn tell_busy(&self, words: &str, epoch: Epoch, tick: u32) {
        self.busy.set(Some((epoch, tick)));
        let trunks: Vec<Rc<Trunk>> = self.trunks.borrow().clone();
        let silent = |trunk: &&Rc<Trunk>| trunk.silence.silent.get() && trunk.epoch == epoch;
        trunks.iter().filter(silent).for_each(|trunk| trunk.release(Some(words)));
    }
}
