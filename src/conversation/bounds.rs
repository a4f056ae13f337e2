//! How much of a client is taken in, and what that takes. A request of two bytes takes more than two bytes: each is counted with what is
//! kept about it.

use super::request::Request;
use super::{Conversation, Link};
use crate::resp::command::Kind;

/// What waits to be sent, before the client is left waiting.
const UNSENT_BYTES_MAX: usize = 256 * 1024 + 1;
/// The same behind a blocking command: were the rest left in the kernel, the client's end could not be seen, and an element would be popped
/// for nobody.
const BEHIND_BLOCKED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A command that changes the connection is taken whole: it may be this large. So may those together that are not answered yet, before
/// the client is left waiting.
pub(super) const STATE_BYTES_MAX: usize = 1024 * 1024;
/// A login may be sent by anybody, and is kept to be said again. Redis takes as much of who has not logged in.
const LOGIN_BYTES_MAX: usize = 16 * 1024;
/// Requests without a reply, before the client is left waiting: no sensible pipeline has half as many. With those of one more read they
/// take 8 MiB.
const REQUESTS_MAX: usize = 200_000;
/// Replies that wait for their turn, and what is kept about them, before the client is left waiting.
const SETTLED_BYTES_MAX: usize = 1024 * 1024;

/// What a command may have that is taken whole.
pub(super) fn whole_bytes_max(kind: Kind) -> usize {
    if let Kind::Hello | Kind::Auth = kind { LOGIN_BYTES_MAX } else { STATE_BYTES_MAX }
}

impl Conversation {
    /// There is room for more of the client.
    pub fn accepts(&self) -> bool {
        let room = if self.is_blocked() { BEHIND_BLOCKED_BYTES_MAX } else { UNSENT_BYTES_MAX };
        let goes_on = !self.client_ended && self.failure.is_none() && !self.over && !self.is_opaque();
        goes_on
            && self.queue.unsent() < room
            && self.queue.len() < REQUESTS_MAX
            && self.effects.bytes() < STATE_BYTES_MAX
            && self.settled.bytes() < SETTLED_BYTES_MAX
    }

    /// What a client that waits for an upstream has sent, and what it will be answered.
    pub fn held_words(&self) -> usize {
        if self.link == Link::None { self.queue.held() + self.settled.bytes() } else { 0 }
    }

    /// What a client that waits for an upstream takes, all in all.
    pub fn held_bytes(&self) -> usize {
        if self.link == Link::None {
            self.held_words() + self.queue.len() * size_of::<Request>() + self.effects.bytes()
        } else {
            0
        }
    }
}
