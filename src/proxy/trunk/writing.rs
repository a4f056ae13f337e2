//! What goes out over a trunk: gathered from those who have something to say, and written in one go.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::seat::{Owner, Place};
use super::{Stage, Trunk, Wire};
use crate::route::{Moment, Passage};

/// What is gathered before it is written. What the primary does not take stays with the sessions.
const OUT_BYTES_MAX: usize = 64 * 1024;
/// The nonce of a check of the alignment is a number of so many digits.
const NONCE_DIGITS: usize = 16;

impl Trunk {
    /// What was handed over and not written is older than a moment in which all stood still: its clients may have gone.
    pub(super) fn holds_stale(&self, now: Moment) -> bool {
        let local = &self.lanes.local;
        local.is_wary(now);
        let wire = self.wire.borrow();
        self.stalls.replace(local.stalls()) != local.stalls() && self.is_open() && wire.written < wire.out.len()
    }

    /// Writes what was left over, and asks to be polled when there is room for more.
    pub(super) fn push_on(self: &Rc<Self>, cx: &mut Context<'_>) {
        let wire = &mut *self.wire.borrow_mut();
        let Some(stream) = &mut wire.stream else { return };
        while wire.written < wire.out.len() && !wire.is_deaf && self.may_write(Moment::now()) {
            match stream.poll_write(cx, &wire.out[wire.written..]) {
                Poll::Ready(Ok(bytes)) => wire.written += bytes,
                Poll::Ready(Err(_)) => wire.is_deaf = true,
                Poll::Pending => return,
            }
        }
        if wire.written == wire.out.len() && self.is_open() && !self.speakers.borrow().is_empty() {
            self.soil();
        }
    }

    /// Asked before every write. Where the fence has lapsed the lanes say when to go on.
    fn may_write(&self, now: Moment) -> bool {
        let live = matches!(self.stage.get(), Stage::Opening | Stage::Open);
        let passage = self.lanes.passage(self.epoch, now);
        if passage == Passage::Lapsed {
            // What waits meanwhile is handed over only for clients that are still there when it is renewed.
            self.speakers.borrow().iter().rev().take_while(|seat| !seat.waited.replace(true)).for_each(drop);
        }
        live && passage == Passage::Open
    }

    /// Gathers what sessions have to say and writes it.
    pub(super) fn flush(self: &Rc<Self>) {
        self.dirty.set(false);
        let now = Moment::now();
        if self.holds_stale(now) {
            return self.cut();
        }
        let wire = &mut *self.wire.borrow_mut();
        if wire.stream.is_none() || wire.is_deaf || !self.may_write(now) {
            return;
        }
        if wire.written == wire.out.len() && self.stage.get() == Stage::Open {
            self.gather(wire, now);
        }
        let Some(stream) = &mut wire.stream else { return };
        if wire.written < wire.out.len() {
            if !wire.has_written {
                wire.has_written = true;
                self.lanes.wrote_first(self.epoch, now);
            }
            self.active.set(self.lanes.local.tick.get());
            match stream.send_now(&wire.out[wire.written..]) {
                Ok(bytes) => wire.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // What it said before it closed is still to come.
                Err(_) => wire.is_deaf = true,
            }
        }
        if wire.written < wire.out.len() {
            self.wake();
        } else if self.is_open() && !self.speakers.borrow().is_empty() {
            self.soil();
        }
    }

    /// Each speaker in turn hands over a bounded share of what it has ready.
    fn gather(self: &Rc<Self>, wire: &mut Wire, now: Moment) {
        wire.out.clear();
        wire.begins.clear();
        wire.written = 0;
        let turns = self.speakers.borrow().len();
        for _ in 0..turns {
            if wire.out.len() >= OUT_BYTES_MAX {
                break;
            }
            let Some(seat) = self.speakers.borrow_mut().pop_front() else { break };
            seat.speaks.set(false);
            let Some(session) = seat.session() else { continue };
            let room = seat.room();
            let begin = wire.out.len();
            let handed = session.hand_over(&self.lanes, room, seat.waited.take(), now, &mut wire.out);
            if handed > 0 {
                seat.in_flight.set(seat.in_flight.get() + handed);
                wire.begins.push(begin);
                wire.in_flight.push_back(Place::of(seat, handed));
            }
        }
        if self.policy.verify_alignment && !self.is_uncheckable.get() && !wire.out.is_empty() {
            wire.check_alignment();
        }
        if self.silence.wants_proof.take() {
            wire.ask_for_proof();
        }
        self.asks(!wire.in_flight.is_empty());
    }

    /// Nothing more is written: what was handed over and did not go out, whole or in part, is not executed. Its sessions ask it elsewhere.
    pub(super) fn take_back(&self) {
        let wire = &mut *self.wire.borrow_mut();
        while let Some(begin) = wire.begins.pop().filter(|_| wire.written < wire.out.len()) {
            let Some(mut place) = wire.in_flight.pop_back() else { break };
            let unsent = wire.out.len() - begin.max(wire.written);
            wire.out.truncate(begin.max(wire.written));
            let back = match &place.owner {
                Owner::Seat(seat) => {
                    let back = seat.session().map_or(place.replies, |session| session.take_back(&self.lanes, seat, unsent));
                    seat.in_flight.set(seat.in_flight.get().saturating_sub(back));
                    back
                }
                Owner::Opening | Owner::Check(_) => place.replies,
            };
            let went = place.replies.saturating_sub(back);
            if went > 0 {
                place.replies = went;
                wire.in_flight.push_back(place);
            }
        }
    }
}

impl Wire {
    /// Asks for a word that nobody else asks for.
    fn check_alignment(&mut self) {
        self.nonce = self.nonce.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let nonce = self.nonce;
        self.begins.push(self.out.len());
        self.out.extend_from_slice(format!("*2\r\n$4\r\nECHO\r\n${NONCE_DIGITS}\r\n{nonce:016x}\r\n").as_bytes());
        self.in_flight.push_back(Place::check(nonce));
    }
}
