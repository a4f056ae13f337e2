//! From the beginning again, on another upstream: everything that has no reply is to be sent, perhaps in other words, and behind what the
//! upstream has to be told first.

use super::Queue;
use crate::conversation::request::{Own, Request, Stage, What};
use crate::route::Moment;

impl Queue {
    /// Stops passing the open request on; the rest of it must not be appended.
    pub(in crate::conversation) fn abandon_open(&mut self) {
        self.open = false;
    }

    /// Everything that is not settled is to be sent, from the beginning. What is not `whole` must be settled before.
    pub(in crate::conversation) fn rewind(&mut self) {
        for request in &mut self.requests {
            if request.stage != Stage::Settled {
                request.stage = Stage::Waiting;
            }
        }
        (self.cursor, self.ready, self.next_at) = (self.head, self.head, self.head);
        (self.next, self.ready_next, self.awaited, self.trimmed) = (0, 0, 0, 0);
    }

    /// Forgets the first `count` requests, which nobody waits for.
    pub(in crate::conversation) fn drop_first(&mut self, count: usize) {
        for _ in 0..count {
            self.pop();
        }
    }

    /// Puts requests before all others. Everything has to be rewound. What is behind the last one that replays something waits until that
    /// has succeeded: it must not run in another database, or out of its transaction.
    pub(in crate::conversation) fn put_first(&mut self, own: &[(Own, bool, Vec<u8>)], asked: Moment) {
        let mut bytes: Vec<u8> = own.iter().flat_map(|(_, _, bytes)| bytes).copied().collect();
        bytes.extend_from_slice(&self.bytes[self.head - self.base..]);
        self.bytes = bytes;
        (self.base, self.head) = (0, 0);
        for (own, barrier, bytes) in own.iter().rev() {
            let what = What::Own(*own);
            let stage = Stage::Waiting;
            let request = Request { asked, len: bytes.len(), what, stage, barrier: *barrier, started: false, whole: true };
            self.requests.push_front(request);
            self.first -= 1;
        }
        self.prelude = own.len();
        self.rewind();
    }

    /// Asks the first request in other words. Everything has to be rewound.
    pub(in crate::conversation) fn reword_first(&mut self, words: &[u8]) {
        let Some(first) = self.requests.front_mut() else { return };
        let rest = self.head - self.base + first.len;
        first.len = words.len();
        let mut bytes = words.to_vec();
        bytes.extend_from_slice(&self.bytes[rest..]);
        self.bytes = bytes;
        (self.base, self.head) = (0, 0);
        self.rewind();
    }

    /// The last `unsent` bytes that were handed over did not go out, and never will: the requests that they belong to, whole or in part, are
    /// to be sent again. Returns how many those are.
    pub(in crate::conversation) fn take_back(&mut self, unsent: usize) -> usize {
        let (mut bytes, mut requests) = (0, 0);
        while bytes < unsent && self.next > 0 {
            let request = &mut self.requests[self.next - 1];
            match request.stage {
                Stage::Sent => {
                    request.stage = Stage::Waiting;
                    (bytes, requests) = (bytes + request.len, requests + 1);
                }
                // Answered before, perhaps by another upstream: it was passed over.
                Stage::Settled => {}
                Stage::Waiting | Stage::Refused | Stage::Again => break,
            }
            (self.next, self.next_at) = (self.next - 1, self.next_at - request.len);
        }
        (self.cursor, self.ready, self.ready_next) = (self.next_at, self.next_at, self.next);
        requests
    }
}
