//! What `proxy/trunk` does: speakers, a flusher, places, and who is owed what comes.

use std::collections::VecDeque;

use super::super::client::NUMBERS;
use super::*;
use crate::conversation::ConnectionKey;
use crate::resp::frames::ReplyScanner;

/// Requests of one session in flight.
const WINDOW: usize = 4;
/// What is gathered before it is written.
const OUT_BYTES_MAX: usize = 300;
/// Trunks with the same key.
const TRUNKS_MAX: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Opening,
    Open,
    Retiring,
    Over,
}

/// See the module.
pub struct Trunk {
    pub number: u64,
    pub key: ConnectionKey,
    pub epoch: u64,
    pub stage: Stage,
    pub link: Link,
    /// By session and seat.
    pub speakers: VecDeque<(usize, u64)>,
    /// Handed over, and not taken by the kernel.
    pub out: Vec<u8>,
    /// How much of what was gathered together with it was taken, and where in that each place begins.
    pub written: usize,
    pub begins: Vec<usize>,
    pub in_flight: VecDeque<Place>,
    pub reading: Reading,
    pub congested: bool,
}

/// Requests that follow one another and have one owner; None: the trunk.
pub struct Place {
    pub owner: Option<(usize, u64)>,
    pub replies: usize,
}

impl Place {
    pub fn is_of(&self, seat: u64) -> bool {
        self.owner.is_some_and(|(_, of)| of == seat)
    }
}

/// The reply that is coming in.
#[derive(Default)]
pub struct Reading {
    pub scanner: ReplyScanner,
    pub course: Course,
    pub kept: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Course {
    #[default]
    Between,
    Keep,
    Stream,
    Push,
}

impl Town {
    fn place_of(&self, number: u64) -> Option<usize> {
        self.trunks.iter().position(|trunk| trunk.as_ref().is_some_and(|trunk| trunk.number == number))
    }

    pub fn stage_of(&self, number: u64) -> Stage {
        self.trunks.iter().flatten().find(|trunk| trunk.number == number).map_or(Stage::Over, |trunk| trunk.stage)
    }

    pub fn trunk_for(&mut self, key: ConnectionKey, server: usize) -> Option<u64> {
        let fits =
            |trunk: &&Trunk| trunk.key == key && trunk.epoch == self.epoch && matches!(trunk.stage, Stage::Opening | Stage::Open);
        let there: Vec<&Trunk> = self.trunks.iter().flatten().filter(fits).collect();
        if let Some(trunk) = there.iter().find(|trunk| !trunk.congested) {
            return Some(trunk.number);
        }
        if there.len() >= TRUNKS_MAX {
            return None;
        }
        let link = self.open(server);
        let steps = key.opening();
        let trunk = Trunk {
            number: link.id,
            key,
            epoch: self.epoch,
            stage: if steps.is_empty() { Stage::Open } else { Stage::Opening },
            link,
            speakers: VecDeque::new(),
            out: steps.concat(),
            written: 0,
            begins: Vec::new(),
            in_flight: steps.iter().map(|_| Place { owner: None, replies: 1 }).collect(),
            reading: Reading::default(),
            congested: false,
        };
        let number = trunk.number;
        self.trunks.push(Some(trunk));
        Some(number)
    }

    pub fn speak(&mut self, trunk: u64, who: usize, seat: u64) {
        let Some(at) = self.place_of(trunk) else { return };
        let Some(trunk) = &mut self.trunks[at] else { return };
        if trunk.congested && !trunk.in_flight.iter().any(|place| place.is_of(seat)) {
            self.turn(who, crate::conversation::Conversation::leave);
            self.parties[who].upstream = Upstream::None;
            self.parties[who].awake = true;
            return self.attend(who);
        }
        if !trunk.speakers.contains(&(who, seat)) {
            trunk.speakers.push_back((who, seat));
        }
    }

    /// Each speaker hands over a bounded share.
    pub fn flush(&mut self, which: usize) {
        let Some(mut trunk) = self.trunks[which].take() else { return };
        let writes = trunk.epoch == self.epoch && self.route.is_some();
        let mut turns = if writes && trunk.out.is_empty() && trunk.stage == Stage::Open { trunk.speakers.len() } else { 0 };
        if turns > 0 {
            trunk.written = 0;
            trunk.begins.clear();
        }
        while turns > 0 && trunk.out.len() < OUT_BYTES_MAX {
            turns -= 1;
            let Some((who, seat)) = trunk.speakers.pop_front() else { break };
            let party = &mut self.parties[who];
            if !party.is_there() || !party.sits_on(seat) {
                continue;
            }
            let in_flight: usize = trunk.in_flight.iter().filter(|place| place.is_of(seat)).map(|place| place.replies).sum();
            let begin = trunk.out.len();
            let handed = party.conversation.hand_over(WINDOW.saturating_sub(in_flight), &mut trunk.out);
            if handed > 0 {
                self.shared += 1;
                trunk.begins.push(begin);
                trunk.in_flight.push_back(Place { owner: Some((who, seat)), replies: handed });
            } else {
                party.awake |= party.conversation.must_leave();
            }
        }
        self.trunks[which] = Some(trunk);
    }

    pub fn take_of_trunk(&mut self, which: usize, most: usize) {
        let Some(trunk) = &mut self.trunks[which] else { return };
        let live = matches!(trunk.stage, Stage::Opening | Stage::Open);
        if live && trunk.epoch == self.epoch && self.route.is_some() {
            let rest = trunk.out.split_off(most.min(trunk.out.len()));
            let bytes = std::mem::replace(&mut trunk.out, rest);
            trunk.link.receive(&bytes);
            trunk.written += bytes.len();
        }
    }

    /// Nothing more is written: what was handed over and did not go out, whole or in part, is asked elsewhere.
    pub fn take_back(&mut self, which: usize) {
        let Some(trunk) = &mut self.trunks[which] else { return };
        while let Some(begin) = trunk.begins.pop().filter(|_| !trunk.out.is_empty()) {
            let Some(mut place) = trunk.in_flight.pop_back() else { break };
            let from = begin.saturating_sub(trunk.written);
            let unsent = trunk.out.len() - from;
            trunk.out.truncate(from);
            let (who, seat) = place.owner.expect("the opening is not gathered");
            let party = &mut self.parties[who];
            let sits = party.is_there() && party.sits_on(seat);
            let back = if sits { party.conversation.take_back(unsent) } else { place.replies };
            self.taken_back += back;
            place.replies = place.replies.saturating_sub(back);
            if place.replies > 0 {
                trunk.in_flight.push_back(place);
            }
        }
    }

    pub fn serve_trunk(&mut self, which: usize, most: usize) {
        let Some(trunk) = &mut self.trunks[which] else { return };
        for _ in 0..most {
            if !trunk.link.serve(&mut self.servers[trunk.link.server], &mut self.ledger, self.now) {
                break;
            }
        }
        assert!(!trunk.link.is_blocked(), "somebody blocks all that share a connection");
    }

    pub fn run_trunk(&mut self, which: usize) {
        self.flush(which);
        self.take_of_trunk(which, usize::MAX);
        self.serve_trunk(which, usize::MAX);
        self.hear_trunk(which, usize::MAX);
    }

    /// It has ended: whoever waits for something there has lost it.
    pub fn end_trunk(&mut self, which: usize) {
        let Some(trunk) = &mut self.trunks[which] else { return };
        trunk.stage = Stage::Over;
        let mut seats: Vec<(usize, u64)> = trunk.in_flight.iter().filter_map(|place| place.owner).collect();
        seats.extend(&trunk.speakers);
        for (who, seat) in seats {
            if self.parties[who].is_there() && self.parties[who].sits_on(seat) {
                self.lose(who);
            }
        }
        // What the kernel has of it may still be executed.
        self.serve_trunk(which, usize::MAX);
        if let Some(trunk) = self.trunks[which].take() {
            trunk.link.bury(&mut self.ledger);
        }
    }

    /// Something that this client asked, and that changes something, may have been executed without an answer.
    pub fn may_have_executed(&self, who: usize) -> bool {
        let link = match &self.parties[who].upstream {
            Upstream::None => return false,
            Upstream::Own { link, .. } => Some(Link::clone(link)),
            Upstream::Shared { trunk, .. } => self.place_of(*trunk).and_then(|at| self.trunks[at].as_ref()).map(|trunk| {
                let mut link = trunk.link.clone();
                // Handed over, if not taken.
                link.receive(&trunk.out);
                link
            }),
        };
        let mut scratch = Ledger::default();
        scratch.ends.clone_from(&self.ledger.ends);
        scratch.moves.clone_from(&self.ledger.moves);
        link.is_some_and(|link| {
            let burial = link.bury(&mut scratch);
            burial.is_unclear || burial.unknown.iter().any(|number| (number / NUMBERS) as usize == who)
        })
    }
}
