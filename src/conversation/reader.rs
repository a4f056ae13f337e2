//! A session that only reads: its upstream is a replica, or the primary while none is in step.

use super::remembered::Bytes;
use super::{Conversation, Link};

impl Conversation {
    /// A client library that reads replicas asks to be let, as a cluster's replica wants it. Here it is let already, and to no more.
    pub(super) fn reader_reply(&self, words: &[Bytes]) -> Option<Vec<u8>> {
        match words {
            _ if !self.reads || self.intake.in_multi => None,
            [name] if name.eq_ignore_ascii_case(b"readonly") => Some(b"+OK\r\n".to_vec()),
            [name] if name.eq_ignore_ascii_case(b"readwrite") => {
                Some(b"-ERR mainstay: this address only reads; write where route is \"primary\"\r\n".to_vec())
            }
            _ => None,
        }
    }

    /// It may go to another server without anybody's noticing: nothing is in flight, and nothing of it stays with its connection, be it a
    /// cursor.
    pub fn may_change_places(&mut self) -> bool {
        self.link == Link::Live
            && !self.over
            && self.queue.is_empty()
            && self.rests()
            && self.queue.prelude() == 0
            && self.cursors.is_empty()
            && !self.knows_connection
            && self.tie().is_none()
    }
}
