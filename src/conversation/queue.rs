//! The requests of one client, in order, with the bytes that may be needed again.
//!
//! ```text
//!             head            cursor           ready                end
//!   dropped ───┼── handed over ──┼── to be sent ──┼── not yet allowed ──┼── incoming
//!              │ kept, ≤ KEPT_BYTES_MAX           │ behind a barrier    │ no whole request
//! ```
//!
//! One buffer serves sending and asking again: asking again is setting `cursor` back. Positions count from the session's beginning, so
//! that dropping what is answered moves none of them.

mod again;

use std::collections::VecDeque;
use std::fmt;

use super::request::{Own, Request, Stage, What};
use crate::route::Moment;

/// What was sent and not answered is kept up to this; beyond it the oldest cannot be asked again.
pub(super) const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Room for more requests than these is given back as soon as it is not needed: 512 KiB.
const SPARE_REQUESTS_MAX: usize = 16 * 1024;
/// Where sequence numbers start: replayed requests come before what was first asked.
const FIRST_SEQUENCE: u64 = 1 << 32;

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    /// The position of `bytes[0]`.
    base: usize,
    head: usize,
    cursor: usize,
    ready: usize,
    requests: VecDeque<Request>,
    /// The sequence number of the first, counted from [`FIRST_SEQUENCE`].
    first: i64,
    /// Bytes behind the last request that make no whole request yet.
    incoming: usize,
    /// The last request is still coming in, and is passed on meanwhile.
    open: bool,
    /// The first request that is not wholly handed over, and where it begins.
    next: usize,
    next_at: usize,
    /// The first that may not be sent yet.
    ready_next: usize,
    awaited: usize,
    /// Requests at the front that replay the connection's state. Nothing of the client goes out before all of them are answered: were one
    /// refused, it would run in the wrong database or as somebody else.
    prelude: usize,
    /// So many at the front have no bytes any more.
    trimmed: usize,
}

/// Requests may hold secrets: their bytes are never shown.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("requests", &self.requests.len()).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Queue {
    /// No request, and no part of one.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.incoming == 0
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Request> {
        self.requests.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    /// The sequence number of the request at `index`.
    pub(super) fn sequence(&self, index: usize) -> u64 {
        FIRST_SEQUENCE.wrapping_add_signed(self.first) + index as u64
    }

    /// The sequence number that the next request will have.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence(self.requests.len())
    }

    /// All bytes in the buffer.
    pub(super) fn held(&self) -> usize {
        self.end() - self.head
    }

    /// Bytes of whole requests, or of a streamed one, that are not handed over.
    pub(super) fn unsent(&self) -> usize {
        self.end() - self.incoming - self.cursor
    }

    fn end(&self) -> usize {
        self.base + self.bytes.len()
    }

    /// More of what the client says.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if let (true, Some(last)) = (self.open, self.requests.back_mut()) {
            last.len += bytes.len();
            if self.ready_next == self.requests.len() {
                self.ready += bytes.len();
            }
        } else {
            self.incoming += bytes.len();
        }
    }

    /// What has come in of the next request.
    pub(super) fn incoming(&self) -> &[u8] {
        &self.bytes[self.bytes.len() - self.incoming..]
    }

    /// Forgets what has come in of the next request.
    pub(super) fn discard_incoming(&mut self) -> Vec<u8> {
        let at = self.bytes.len() - self.incoming;
        self.incoming = 0;
        self.bytes.split_off(at)
    }

    /// What has come in is a request.
    #[inline]
    pub(super) fn push(&mut self, what: What, barrier: bool, asked: Moment) {
        let len = std::mem::take(&mut self.incoming);
        self.requests.push_back(Request { asked, len, what, stage: Stage::Waiting, barrier, started: false, whole: true });
    }

    /// A request that is settled already; what has come in of it is forgotten.
    pub(super) fn push_settled(&mut self, what: What, asked: Moment) {
        self.bytes.truncate(self.bytes.len() - std::mem::take(&mut self.incoming));
        let settled = Request { asked, len: 0, what, stage: Stage::Settled, barrier: false, started: false, whole: false };
        self.requests.push_back(settled);
    }

    /// A request of mainstay's own, with nothing incoming.
    pub(super) fn push_own(&mut self, own: Own, bytes: &[u8], asked: Moment) {
        debug_assert!(!self.open && self.incoming == 0, "own requests stand between the client's");
        self.append(bytes);
        // A WAIT behind it must not be asked before it is known that it was allowed; nothing may before mainstay has logged in.
        self.push(What::Own(own), matches!(own, Own::Mark | Own::Identity), asked);
    }

    /// What has come in is the beginning of a request that is passed on while it comes.
    pub(super) fn open(&mut self, what: What, barrier: bool, asked: Moment) {
        self.push(what, barrier, asked);
        self.open = true;
    }

    /// A request is being passed on while it comes in.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The open request is complete. It counts as handed over if its last byte was.
    pub(super) fn close(&mut self) {
        self.open = false;
        self.mark_sent();
    }

    /// Finds out how far may be sent.
    #[inline]
    pub(super) fn advance(&mut self) {
        while let Some(request) = self.requests.get(self.ready_next) {
            // Whatever its stage: what is settled would hide the barrier from what waits behind it.
            if self.ready_next > 0 && self.requests[self.ready_next - 1].barrier {
                return;
            }
            if request.stage == Stage::Waiting {
                let behind_prelude = self.prelude > 0 && self.ready_next >= self.prelude;
                if behind_prelude || request.barrier && !self.may_go_alone(request) {
                    return;
                }
                self.ready += request.len;
                self.ready_next += 1;
            } else {
                // What comes before it has to be handed over first: `pending` is one piece.
                if self.cursor != self.ready {
                    return;
                }
                self.ready += request.len;
                self.ready_next += 1;
                (self.cursor, self.next, self.next_at) = (self.ready, self.ready_next, self.ready);
            }
        }
    }

    /// Only what mainstay asks itself on its behalf may be in flight before it.
    fn may_go_alone(&self, request: &Request) -> bool {
        let own = |request: &Request| matches!(request.what, What::Own(_)) && !request.barrier;
        !request.is_never_sent() && self.requests.iter().take(self.ready_next).all(own)
    }

    /// The first request that is not wholly handed over.
    #[inline]
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// The position where it begins.
    pub(super) fn next_at(&self) -> usize {
        self.next_at
    }

    /// The first request that may not be sent yet.
    pub(super) fn ready_next(&self) -> usize {
        self.ready_next
    }

    /// Some request is not handed over.
    #[inline]
    pub(super) fn has_unsent(&self) -> bool {
        self.next < self.requests.len()
    }

    /// The position where the first request begins.
    pub(super) fn head(&self) -> usize {
        self.head
    }

    /// Bytes that were handed over and are kept.
    pub(super) fn kept(&self) -> usize {
        self.cursor - self.head
    }

    /// Do these bytes stand at a position?
    pub(super) fn begins_with(&self, position: usize, bytes: &[u8]) -> bool {
        position.checked_sub(self.base).and_then(|at| self.bytes.get(at..)).is_some_and(|rest| rest.starts_with(bytes))
    }

    /// How many requests at the front replay the connection's state.
    pub(super) fn prelude(&self) -> usize {
        self.prelude
    }

    /// What may be sent now.
    #[inline]
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.cursor - self.base..self.ready - self.base]
    }

    /// So much of it was handed over.
    #[inline]
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.cursor += bytes;
        self.mark_sent();
        self.trim();
        self.advance();
    }

    fn mark_sent(&mut self) {
        while self.next < self.ready_next {
            let last = self.next + 1 == self.requests.len();
            let request = &mut self.requests[self.next];
            request.started |= self.cursor > self.next_at;
            if self.cursor < self.next_at + request.len || self.open && last {
                return;
            }
            if request.stage == Stage::Waiting {
                request.stage = Stage::Sent;
                request.started = true;
            }
            self.next_at += request.len;
            self.next += 1;
        }
    }

    /// Of the next request a part was handed over, and no more.
    pub(super) fn is_within_request(&self) -> bool {
        let next = self.requests.get(self.next).filter(|next| next.stage == Stage::Waiting);
        next.is_some_and(|next| self.cursor > self.next_at || next.started && !next.whole)
    }

    /// Forgets the oldest bytes that were handed over, beyond what is kept.
    fn trim(&mut self) {
        while self.cursor - self.head > KEPT_BYTES_MAX {
            // The open one goes on growing.
            let grows = self.open && self.trimmed + 1 == self.requests.len();
            let Some(request) = self.requests.get_mut(self.trimmed) else { return };
            // Of the one in the middle of being handed over, what was.
            let forgotten = request.len.min(self.cursor - self.head);
            if forgotten > 0 {
                request.len -= forgotten;
                request.whole = false;
                self.head += forgotten;
                self.next_at = self.next_at.max(self.head);
            }
            self.trimmed += usize::from(request.len == 0 && !grows);
        }
        self.compact();
    }

    fn compact(&mut self) {
        let gone = self.head - self.base;
        if gone == self.bytes.len() {
            self.bytes.clear();
            self.base = self.head;
            if self.requests.capacity() > 2 * SPARE_REQUESTS_MAX {
                self.requests.shrink_to(SPARE_REQUESTS_MAX);
            }
        } else if gone > KEPT_BYTES_MAX && gone > self.bytes.len() / 2 {
            self.bytes.drain(..gone);
            self.base = self.head;
        }
    }

    /// The request whose reply comes next.
    #[inline]
    pub(super) fn awaited(&mut self) -> Option<usize> {
        while self.awaited < self.next && self.requests[self.awaited].stage != Stage::Sent {
            self.awaited += 1;
        }
        (self.awaited < self.next).then_some(self.awaited)
    }

    /// Every request with its bytes, as far as they are kept.
    pub(super) fn spans(&self) -> impl Iterator<Item = (&Request, &[u8])> {
        let mut at = self.head - self.base;
        self.requests.iter().map(move |request| {
            let from = at;
            at += request.len;
            (request, &self.bytes[from..at])
        })
    }

    /// The bytes of a request, as far as they are kept.
    pub(super) fn bytes_of(&self, index: usize) -> &[u8] {
        let at: usize = self.head - self.base + self.requests.iter().take(index).map(|request| request.len).sum::<usize>();
        &self.bytes[at..at + self.requests[index].len]
    }

    /// The first request is done with.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Request> {
        let request = self.requests.pop_front()?;
        self.head += request.len;
        self.first += 1;
        if self.next == 0 {
            self.cursor = self.head;
            self.next_at = self.head;
        }
        if self.ready_next == 0 {
            self.ready = self.head;
        }
        self.next = self.next.saturating_sub(1);
        self.ready_next = self.ready_next.saturating_sub(1);
        self.awaited = self.awaited.saturating_sub(1);
        self.prelude = self.prelude.saturating_sub(1);
        self.trimmed = self.trimmed.saturating_sub(1);
        self.compact();
        Some(request)
    }

    /// Changes how far a request is.
    pub(super) fn set(&mut self, index: usize, stage: Stage) {
        self.requests[index].stage = stage;
    }

    /// Everything that is not handed over, whole or not.
    pub(super) fn into_unsent(mut self) -> Vec<u8> {
        self.bytes.split_off(self.cursor - self.base)
    }

    /// Gives spare memory back.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() {
            (self.bytes, self.requests) = (Vec::new(), VecDeque::new());
            self.base = self.head;
        }
    }
}
