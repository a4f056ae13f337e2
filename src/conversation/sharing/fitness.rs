//! How requests go together with those of others: by themselves, as one piece from MULTI to EXEC, or not at all.

use crate::conversation::queue::KEPT_BYTES_MAX;
use crate::conversation::request::{Own, Stage, What};
use crate::conversation::{Conversation, Pin};
use crate::resp::command::{Fate, Kind};

/// A transaction of more requests goes over an upstream of its own: what comes behind it on a shared one would wait for all of it.
const UNIT_REQUESTS_MAX: usize = 512;
/// So many requests that wait are looked at before a session gives up its own upstream.
const LOOKS_AHEAD: usize = 64;

/// How a request goes together with those of others.
enum Fit {
    /// By itself.
    Alone,
    /// With all that follows up to its end.
    Begins,
    /// It ends what another one began.
    Ends,
    Not(Pin),
}

/// What may be handed over together.
pub(super) struct Fitting {
    pub requests: usize,
    pub bytes: usize,
}

impl Conversation {
    /// Something of what waits must not be shared. Looks ahead, so that a session does not go to and fro within one pipeline.
    pub(super) fn will_need_its_own(&self) -> bool {
        let mut at = self.queue.next_at();
        let mut index = self.queue.next();
        let end = self.queue.len().min(index + LOOKS_AHEAD);
        while index < end {
            let (requests, bytes) = match self.fit(index, at) {
                Fit::Alone => (1, self.queue.get(index).map_or(0, |request| request.len)),
                Fit::Begins => match self.unit(index, at, self.queue.len()) {
                    Some(unit) => unit,
                    None => return true,
                },
                Fit::Ends => return true,
                Fit::Not(_) => return self.queue.get(index).is_some_and(|request| request.stage == Stage::Waiting),
            };
            (index, at) = (index + requests, at + bytes);
        }
        false
    }

    /// Why the first request that waits, if there is one, may not go over a shared upstream.
    pub(in crate::conversation) fn obstacle(&self) -> Option<Pin> {
        let mut at = self.queue.next_at();
        for index in self.queue.next()..self.queue.len() {
            let request = self.queue.get(index)?;
            if request.stage == Stage::Waiting {
                return self.piece(index, at, self.queue.len()).err();
            }
            at += request.len;
        }
        // What has begun to come in and is known to be large is a request already.
        None
    }

    /// Why the first request of all may not go over a shared upstream.
    pub(in crate::conversation) fn first_unfit(&self) -> Option<Pin> {
        self.queue.get(0)?;
        self.piece(0, self.queue.head(), self.queue.len()).err()
    }

    /// The next requests that may be handed over: `most` at most, and no more than can be kept for asking again.
    pub(super) fn fitting(&self, most: usize) -> Fitting {
        let (first, end, begin) = (self.queue.next(), self.queue.ready_next(), self.queue.next_at());
        let mut fitting = Fitting { requests: 0, bytes: 0 };
        let in_flight = self.queue.kept();
        let mut index = first;
        while index < end {
            let at = begin + fitting.bytes;
            if self.queue.get(index).is_none_or(|request| request.stage != Stage::Waiting) {
                // Answered here in the middle of coming in: half a request must not go.
                break;
            }
            let Ok((requests, bytes)) = self.piece(index, at, end) else { break };
            // Alone on the way, even a large one goes.
            let first = fitting.requests == 0 && in_flight == 0;
            if !first && (fitting.requests + requests > most || in_flight + fitting.bytes + bytes > KEPT_BYTES_MAX) {
                break;
            }
            fitting.requests += requests;
            fitting.bytes += bytes;
            index += requests;
        }
        fitting
    }

    /// Requests and bytes of what goes in one piece from `index` on: a request, or a transaction that ends before `end`.
    fn piece(&self, index: usize, at: usize, end: usize) -> Result<(usize, usize), Pin> {
        match self.fit(index, at) {
            Fit::Alone => Ok((1, self.queue.get(index).map_or(0, |request| request.len))),
            Fit::Begins => self.unit(index, at, end).ok_or(Pin::Transaction),
            Fit::Ends => Err(Pin::Transaction),
            Fit::Not(pin) => Err(pin),
        }
    }

    /// Requests and bytes of the transaction that begins at `index`, if its end comes before `end` and all of it may be shared.
    fn unit(&self, index: usize, at: usize, end: usize) -> Option<(usize, usize)> {
        let mut bytes = self.queue.get(index)?.len;
        for next in index + 1..end.min(index + UNIT_REQUESTS_MAX) {
            let fit = self.fit(next, at + bytes);
            bytes += self.queue.get(next)?.len;
            match fit {
                Fit::Alone => {}
                Fit::Ends => return (bytes <= KEPT_BYTES_MAX).then_some((next + 1 - index, bytes)),
                Fit::Begins | Fit::Not(_) => return None,
            }
        }
        None
    }

    /// How the request at `index` goes together with others, whose bytes begin at the position `at`.
    fn fit(&self, index: usize, at: usize) -> Fit {
        let Some(request) = self.queue.get(index) else { return Fit::Not(Pin::Unknown) };
        if !request.whole || self.queue.is_open() && index + 1 == self.queue.len() {
            return Fit::Not(Pin::Large);
        }
        if !self.queue.begins_with(at, b"*") {
            // Typed by hand: there is more than one way to read a line.
            return Fit::Not(Pin::Unknown);
        }
        let command = match request.what {
            What::Own(Own::Script) => return Fit::Alone,
            What::Own(Own::ClientId | Own::StreamEnd) => return Fit::Not(Pin::Blocked),
            What::Own(_) => return Fit::Not(Pin::State),
            What::Client(command) => command,
        };
        match command.kind {
            _ if command.fate == Fate::Unknown => Fit::Not(Pin::Unknown),
            // On a shared connection nothing is ever watched.
            Kind::Plain | Kind::Script(_) | Kind::ScriptLoad | Kind::ScriptFlush | Kind::Scan(_) | Kind::Unwatch => Fit::Alone,
            // With one word too many they are refused, and what comes between them would be executed, or what comes behind them queued. A
            // user may also be allowed to do one and not the other: EXEC ends a transaction even then, DISCARD does not.
            Kind::Multi if self.queue.begins_with(at, b"*1\r\n") => Fit::Begins,
            Kind::Exec if self.queue.begins_with(at, b"*1\r\n") => Fit::Ends,
            Kind::Multi | Kind::Exec | Kind::Discard => Fit::Not(Pin::Transaction),
            Kind::Tame => Fit::Not(Pin::Blocked),
            Kind::Watch => Fit::Not(Pin::Watch),
            Kind::Blocking(_) => Fit::Not(Pin::Blocked),
            Kind::Wait => Fit::Not(Pin::Wait),
            Kind::Subscribe(_) | Kind::Unsubscribe(_) => Fit::Not(Pin::Subscription),
            Kind::ClientTracking => Fit::Not(Pin::Tracking),
            Kind::Connection(_) => Fit::Not(Pin::Identity),
            Kind::Hello
            | Kind::Auth
            | Kind::Select
            | Kind::ClientSetName
            | Kind::ClientSetInfo
            | Kind::ClientNoEvict
            | Kind::ClientNoTouch
            | Kind::Reset
            | Kind::Quit => Fit::Not(Pin::State),
            // It must not stand behind what it is about.
            Kind::ClientReply | Kind::Opaque | Kind::Oversight => Fit::Not(Pin::Unknown),
        }
    }
}
