//! What comes over a trunk: where a reply ends, and whose it is.
//!
//! Most replies lie whole in what was read. They are cut out there and given to their owner, several in one go. One that is not whole is
//! kept until it is; where it becomes too large to be kept beside those of others it is passed on as it comes, or its owner asks for it
//! again on an upstream of its own and this one is dropped ([`crate::conversation::Conversation::defers_large`]).

use std::rc::Rc;
use std::task::{Context, Poll};

use super::seat::Owner;
use super::{Stage, Trunk, Wire};
use crate::resp::frames::ReplyScanner;
use crate::resp::reply;
use crate::route::{Moment, Noticed};

/// A reply that is larger is not kept.
const KEPT_REPLY_MAX: usize = 256 * 1024;
/// Reads in one turn, so that the sessions have theirs.
const READS_PER_TURN: usize = 4;
/// What the primary had said when its epoch passed is passed on, as far as so many reads take it.
const FAREWELL_READS_MAX: usize = 16;

/// Why a trunk ends.
type Why = &'static str;

/// The reply that is coming in.
#[derive(Default)]
pub(super) struct Reading {
    scanner: ReplyScanner,
    course: Course,
    /// The part of it that has come, where it is kept.
    kept: Vec<u8>,
    /// Bytes of it that were not kept.
    passed: usize,
}

/// What is done with a reply that is not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Course {
    /// None is under way.
    #[default]
    Between,
    /// Kept until it is whole.
    Keep,
    /// Its owner has its beginning.
    Stream,
    /// A push that nobody asked for.
    Push,
}

/// Whole replies of one owner, one after the other, in what was read.
pub struct Frames<'a> {
    /// What was read.
    pub chunk: &'a [u8],
    at: usize,
    scanner: &'a mut ReplyScanner,
    left: usize,
    /// Bytes of the largest of them.
    pub largest: usize,
    /// The last one is not whole; it begins here.
    partial: Option<usize>,
}

impl<'a> Frames<'a> {
    /// From `at` on, `left` at most.
    fn new(chunk: &'a [u8], at: usize, scanner: &'a mut ReplyScanner, left: usize) -> Self {
        Self { chunk, at, scanner, left, largest: 0, partial: None }
    }

    /// The next that is there in whole.
    #[inline]
    pub fn cut(&mut self) -> Result<Option<&'a [u8]>, Why> {
        while self.left > 0 && self.at < self.chunk.len() {
            let rest = &self.chunk[self.at..];
            match self.scanner.scan(rest).map_err(|_| "the primary does not speak RESP")? {
                Some(length) => {
                    self.at += length;
                    // A push is nobody's reply.
                    if rest[0] != b'>' {
                        self.left -= 1;
                        self.largest = self.largest.max(length);
                        return Ok(Some(&rest[..length]));
                    }
                }
                None => {
                    self.partial = Some(self.at);
                    self.at = self.chunk.len();
                }
            }
        }
        Ok(None)
    }
}

impl Trunk {
    /// Reads what has come. Ready when it is over, with what control should know.
    pub(super) fn read(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Option<Noticed>> {
        let scratch = &mut **self.lanes.local.scratch.borrow_mut();
        let mut has_more = true;
        for _ in 0..READS_PER_TURN {
            let wire = &mut *self.wire.borrow_mut();
            let Some(stream) = &mut wire.stream else { return Poll::Ready(None) };
            let read = match stream.poll_read(cx, scratch) {
                Poll::Pending => {
                    has_more = false;
                    break;
                }
                Poll::Ready(Ok(read)) => read,
                Poll::Ready(Err(_)) => 0,
            };
            if read == 0 {
                return Poll::Ready((self.stage.get() != Stage::Retiring).then_some(Noticed::Closed));
            }
            self.active.set(self.lanes.local.tick.get());
            self.has_heard.set(true);
            if let Err(why) = self.hear(wire, &scratch[..read]) {
                if self.busy.borrow().is_some() {
                    return Poll::Ready(None);
                }
                let (group, listener) = (&self.lanes.link, &self.policy.listener);
                self.lanes.remarks.dropped(group, listener, why, Moment::now());
                return Poll::Ready(None);
            }
        }
        if self.is_useless() {
            return Poll::Ready(None);
        }
        if has_more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Passes on what has arrived, outside of its task.
    pub(super) fn hear_out(self: &Rc<Self>) {
        let scratch = &mut **self.lanes.local.scratch.borrow_mut();
        for _ in 0..FAREWELL_READS_MAX {
            let mut wire = self.wire.borrow_mut();
            let Some(read) = wire.stream.as_mut().and_then(|stream| stream.receive_now(scratch).ok()) else { return };
            if read == 0 || self.hear(&mut wire, &scratch[..read]).is_err() {
                drop(wire);
                return self.cut();
            }
        }
    }

    /// Gives each reply to its owner.
    fn hear(self: &Rc<Self>, wire: &mut Wire, chunk: &[u8]) -> Result<(), Why> {
        let now = Moment::now();
        let mut at = 0;
        while at < chunk.len() {
            if wire.reading.course != Course::Between {
                at += self.go_on(wire, &chunk[at..], now)?;
                continue;
            }
            let Some(place) = wire.in_flight.front_mut() else {
                if chunk[at] != b'>' {
                    return Err("a reply that nobody asked for");
                }
                wire.reading.course = Course::Push;
                continue;
            };
            let left = place.replies;
            let mut frames = Frames::new(chunk, at, &mut wire.reading.scanner, left);
            self.give(&place.owner, &mut frames, now)?;
            let (begin, end) = (at, frames.partial.unwrap_or(frames.at));
            at = frames.at;
            let (left, partial) = (frames.left, frames.partial);
            self.answered(wire, left, end - begin);
            if let Some(from) = partial {
                wire.reading.begin(&chunk[from..]);
            }
        }
        self.was_heard(!wire.in_flight.is_empty());
        if wire.in_flight.is_empty() && self.stage.get() == Stage::Retiring {
            self.stage.set(Stage::Over);
            self.wake();
        }
        Ok(())
    }

    /// So many replies are left to come for the first place; those that came had so many bytes.
    fn answered(self: &Rc<Self>, wire: &mut Wire, left: usize, bytes: usize) {
        let Some(place) = wire.in_flight.front_mut() else { return };
        if let Owner::Seat(seat) = &place.owner {
            seat.was_given(place.replies - left, bytes);
        }
        let is_opening = matches!(place.owner, Owner::Opening);
        place.replies = left;
        if left == 0 {
            wire.in_flight.pop_front();
            if is_opening && self.stage.get() == Stage::Opening && wire.in_flight.is_empty() {
                self.stage.set(Stage::Open);
                self.soil();
            }
        }
    }

    /// Whole replies to their owner.
    fn give(&self, owner: &Owner, frames: &mut Frames<'_>, now: Moment) -> Result<(), Why> {
        if let Owner::Seat(seat) = owner
            && let Some(session) = seat.session()
        {
            session.hear_trunk(&self.lanes, seat, frames, now)?;
        }
        while let Some(frame) = frames.cut()? {
            match owner {
                // Nobody wants it any more.
                Owner::Seat(_) => {}
                Owner::Opening => self.opened(frame)?,
                Owner::Check(nonce) => self.check(*nonce, frame)?,
            }
        }
        Ok(())
    }

    /// One step of the opening was answered.
    fn opened(&self, frame: &[u8]) -> Result<(), Why> {
        if frame[0] != b'-' {
            return Ok(());
        }
        if frame.starts_with(reply::BUSY) {
            *self.busy.borrow_mut() = Some(String::from_utf8_lossy(&frame[1..]).into_owned());
        } else if reply::hint(frame).is_some() || frame.starts_with(reply::MAX_CLIENTS) {
            self.lanes.could_not_connect(self.epoch);
        } else {
            self.lanes.pool.refuse(&self.key);
        }
        Err("the primary refused what sessions that share a connection have told it before")
    }

    /// Is this the answer to the check with this nonce?
    fn check(&self, nonce: u64, frame: &[u8]) -> Result<(), Why> {
        let wanted = format!("$16\r\n{nonce:016x}\r\n");
        if frame[0] == b'-' {
            // Its user may not ECHO: that proves nothing, and is not asked again here.
            self.is_uncheckable.set(true);
        } else if frame != wanted.as_bytes() {
            return Err("a check of the alignment was answered with something else");
        }
        Ok(())
    }

    /// Of a reply that has begun to come in earlier. Returns how much of `bytes` belongs to it.
    fn go_on(self: &Rc<Self>, wire: &mut Wire, bytes: &[u8], now: Moment) -> Result<usize, Why> {
        let Wire { reading, in_flight, .. } = wire;
        let end = reading.scanner.scan(bytes).map_err(|_| "the primary does not speak RESP")?;
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let is_whole = end.is_some();
        let bytes = reading.kept.len() + part.len();
        let left = match in_flight.front() {
            _ if reading.course == Course::Push => None,
            None => return Err("a reply that nobody asked for"),
            Some(place) => {
                self.tell_part(&place.owner, reading, part, is_whole, now)?;
                Some(place.replies - 1)
            }
        };
        if is_whole {
            (reading.course, reading.passed) = (Course::Between, 0);
            if let Some(left) = left {
                self.congested.set(false);
                self.answered(wire, left, bytes);
            }
        }
        Ok(part.len())
    }

    /// A part of a reply, the last one where that `is_whole` now.
    fn tell_part(&self, owner: &Owner, reading: &mut Reading, part: &[u8], is_whole: bool, now: Moment) -> Result<(), Why> {
        let large = |part: &[u8], begins| match owner {
            Owner::Seat(seat) => {
                seat.session().map_or(Ok(()), |session| session.hear_large(&self.lanes, seat, part, begins, now))
            }
            Owner::Opening | Owner::Check(_) => Ok(()),
        };
        if reading.course == Course::Stream {
            reading.passed += part.len();
            return large(part, false);
        }
        reading.kept.extend_from_slice(part);
        if is_whole {
            let kept = std::mem::take(&mut reading.kept);
            self.give(owner, &mut Frames::new(&kept, 0, &mut ReplyScanner::default(), 1), now)
        } else if reading.kept.len() > KEPT_REPLY_MAX {
            reading.course = Course::Stream;
            self.congested.set(true);
            large(&std::mem::take(&mut reading.kept), true)
        } else {
            Ok(())
        }
    }
}

impl Reading {
    /// Bytes of the present reply that were passed on, or dropped.
    pub(super) fn passed(&self) -> usize {
        self.passed
    }

    /// A reply that is not whole; the scanner has seen this much of it.
    fn begin(&mut self, part: &[u8]) {
        if part[0] == b'>' {
            self.course = Course::Push;
        } else {
            self.course = Course::Keep;
            self.kept.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole replies in each of these chunks, with a bar between them, for a place that has so many replies to come; then what is left, and where a part begins.
    fn given(left: usize, chunk: &str) -> (String, usize, Option<usize>, usize) {
        let mut scanner = ReplyScanner::default();
        let mut frames = Frames::new(chunk.as_bytes(), 0, &mut scanner, left);
        let mut whole = Vec::new();
        while let Some(frame) = frames.cut().expect("replies") {
            whole.push(std::str::from_utf8(frame).expect("text").to_owned());
        }
        (whole.join("|"), frames.left, frames.partial, frames.at)
    }

    #[test]
    fn each_place_is_given_its_own_replies_and_no_more() {
        assert_eq!(given(2, "+a\r\n:1\r\n+c\r\n"), ("+a\r\n|:1\r\n".into(), 0, None, 8));
        assert_eq!(given(3, "+a\r\n*2\r\n:1\r\n$-1\r\n"), ("+a\r\n|*2\r\n:1\r\n$-1\r\n".into(), 1, None, 17));
        assert_eq!(given(0, "+a\r\n"), ("".into(), 0, None, 0));
    }

    #[test]
    fn a_push_takes_nobodys_turn() {
        assert_eq!(given(2, ">1\r\n+x\r\n+a\r\n>1\r\n+y\r\n+b\r\n"), ("+a\r\n|+b\r\n".into(), 0, None, 24));
        let (whole, left, partial, _) = given(1, ">2\r\n+x\r\n");
        assert_eq!((whole.as_str(), left, partial), ("", 1, Some(0)), "not even one that is not whole");
    }

    #[test]
    fn what_is_not_whole_is_told_by_where_it_begins() {
        assert_eq!(given(2, "+a\r\n$5\r\nhel"), ("+a\r\n".into(), 1, Some(4), 11));
        let mut scanner = ReplyScanner::default();
        let mut frames = Frames { chunk: b"what?\r\n", at: 0, scanner: &mut scanner, left: 1, largest: 0, partial: None };
        assert!(frames.cut().is_err());
    }

    #[test]
    fn a_part_of_a_push_is_not_kept_and_a_part_of_a_reply_is() {
        let mut reading = Reading::default();
        reading.begin(b">2\r\n+x\r\n");
        assert!(reading.course == Course::Push && reading.kept.is_empty());
        let mut reading = Reading::default();
        reading.begin(b"$5\r\nhel");
        assert!(reading.course == Course::Keep && reading.kept == b"$5\r\nhel");
    }
}
