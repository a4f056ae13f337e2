//! Replies that are known and wait for their turn. What they take is counted: a client may have many requests answered by mainstay itself
//! behind one that waits for a server.

use std::collections::BTreeMap;
use std::collections::btree_map::Keys;

/// By the sequence numbers of their requests.
#[derive(Default)]
pub(super) struct Settled {
    replies: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

/// What a reply takes beside its own bytes.
const ENTRY_BYTES: usize = size_of::<(u64, Vec<u8>)>();

impl Settled {
    /// The reply of the request of this number.
    pub(super) fn insert(&mut self, sequence: u64, reply: Vec<u8>) {
        self.bytes += reply.len() + ENTRY_BYTES;
        let before = self.replies.insert(sequence, reply);
        self.bytes -= before.map_or(0, |before| before.len() + ENTRY_BYTES);
    }

    /// The same, to be looked at.
    pub(super) fn get(&self, sequence: u64) -> Option<&[u8]> {
        self.replies.get(&sequence).map(Vec::as_slice)
    }

    /// Takes it.
    pub(super) fn remove(&mut self, sequence: &u64) -> Option<Vec<u8>> {
        let reply = self.replies.remove(sequence)?;
        self.bytes -= reply.len() + ENTRY_BYTES;
        Some(reply)
    }

    /// The numbers of all, in order.
    pub(super) fn keys(&self) -> Keys<'_, u64, Vec<u8>> {
        self.replies.keys()
    }

    /// What all of them take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.replies.len()
    }

    /// The replies.
    #[cfg(test)]
    pub(super) fn values(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.replies.values()
    }
}
