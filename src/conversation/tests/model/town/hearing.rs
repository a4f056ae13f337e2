//! What comes over a trunk: the same steps as in `proxy/trunk/reading.rs`.

use super::trunk::{Course, Trunk};
use super::*;
use crate::conversation::Next;

/// A reply that is larger, and not whole, is not kept.
const KEPT_REPLY_MAX: usize = 8;

impl Town {
    pub fn hear_trunk(&mut self, which: usize, most: usize) {
        let Some(mut trunk) = self.trunks[which].take() else { return };
        let bytes = trunk.link.take(most);
        trunk.link.settle_told(&mut self.ledger);
        let mut at = 0;
        while at < bytes.len() {
            at += self.hear_some(&mut trunk, &bytes[at..]);
        }
        if trunk.in_flight.is_empty() && trunk.stage == Stage::Retiring {
            trunk.stage = Stage::Over;
        }
        let ends = trunk.stage == Stage::Over || trunk.link.closing && !trunk.link.has_output();
        self.trunks[which] = Some(trunk);
        if ends {
            self.end_trunk(which);
        }
    }

    /// Returns how much of it was looked at.
    fn hear_some(&mut self, trunk: &mut Trunk, bytes: &[u8]) -> usize {
        if trunk.reading.course != Course::Between {
            return self.go_on(trunk, bytes);
        }
        let length = trunk.reading.scanner.scan(bytes).expect("the server speaks RESP");
        let Some(length) = length else {
            trunk.reading.course = if bytes[0] == b'>' { Course::Push } else { Course::Keep };
            if bytes[0] != b'>' {
                trunk.reading.kept = bytes.to_vec();
            }
            return bytes.len();
        };
        if bytes[0] != b'>' {
            self.deliver(trunk, &bytes[..length]);
            Self::answered(trunk);
        }
        length
    }

    /// A whole reply.
    fn deliver(&mut self, trunk: &mut Trunk, frame: &[u8]) {
        let place = trunk.in_flight.front().expect("a reply that nobody asked for");
        let Some((who, seat)) = place.owner else {
            return assert_ne!(frame[0], b'-', "the opening was refused: {}", frame.escape_ascii());
        };
        if !self.parties[who].sits_on(seat) || !self.parties[who].is_there() {
            return;
        }
        let next = self.turn(who, |conversation, turn| conversation.upstream_replied(frame, turn));
        self.consider(trunk, who, seat, next);
    }

    fn consider(&mut self, trunk: &mut Trunk, who: usize, seat: u64, next: Result<Next, crate::conversation::Close>) {
        // For `may_have_executed`: what it was owed there is known by now.
        if !self.heed(who, next) {
            return;
        }
        let party = &mut self.parties[who];
        let wakes = party.conversation.doubts() || party.ended || party.conversation.is_over();
        party.awake |= wakes;
        if party.conversation.has_unsent() && !wakes && !party.draining {
            if party.conversation.must_leave() {
                party.awake = true;
            } else if !trunk.speakers.contains(&(who, seat)) {
                trunk.speakers.push_back((who, seat));
            }
        }
    }

    fn answered(trunk: &mut Trunk) {
        let front = trunk.in_flight.front_mut().expect("somebody was answered");
        front.replies -= 1;
        if front.replies == 0 {
            let opens = front.owner.is_none();
            trunk.in_flight.pop_front();
            if opens && trunk.stage == Stage::Opening && trunk.in_flight.is_empty() {
                trunk.stage = Stage::Open;
            }
        }
    }

    /// Of a reply that has begun to come in earlier.
    fn go_on(&mut self, trunk: &mut Trunk, bytes: &[u8]) -> usize {
        let end = trunk.reading.scanner.scan(bytes).expect("the server speaks RESP");
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let mut course = trunk.reading.course;
        match course {
            Course::Between | Course::Push => {}
            Course::Keep => {
                trunk.reading.kept.extend_from_slice(part);
                if end.is_some() {
                    let kept = std::mem::take(&mut trunk.reading.kept);
                    self.deliver(trunk, &kept);
                } else if trunk.reading.kept.len() > KEPT_REPLY_MAX
                    && trunk.stage != Stage::Opening
                    && trunk.reading.kept[0] != b'-'
                {
                    // Errors are never large.
                    course = Course::Stream;
                    trunk.congested = true;
                    let kept = std::mem::take(&mut trunk.reading.kept);
                    self.stream(trunk, &kept, true);
                }
            }
            Course::Stream => self.stream(trunk, part, false),
        }
        trunk.reading.course = course;
        if end.is_some() {
            trunk.reading.course = Course::Between;
            trunk.congested = false;
            if course != Course::Push {
                Self::answered(trunk);
            }
        }
        part.len()
    }

    fn stream(&mut self, trunk: &mut Trunk, part: &[u8], begins: bool) {
        let place = trunk.in_flight.front().expect("a reply that nobody asked for");
        let Some((who, seat)) = place.owner else { return };
        if !self.parties[who].sits_on(seat) || !self.parties[who].is_there() {
            return;
        }
        if begins {
            self.deferred += usize::from(self.parties[who].conversation.defers_large());
        }
        let next = self.turn(who, |conversation, turn| conversation.upstream_said(part, turn));
        self.consider(trunk, who, seat, next);
    }
}
