//! Records that the kernel has not taken yet. They must go out whole and in this order: each one is numbered by the keys.

use std::collections::VecDeque;

/// How much of the plaintext's beginning is remembered, to notice a caller that goes on with something else.
const HEAD: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    bytes: Vec<u8>,
    /// How much of `bytes` was taken.
    taken: usize,
    records: VecDeque<Record>,
    /// How the plaintext that is not accounted for begins.
    head: Vec<u8>,
}

/// One record, or several of TLS' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Where it ends in the bytes.
    pub(super) end: usize,
    /// The application's bytes in it; 0 where TLS itself speaks.
    pub(super) plain: usize,
}

impl Sealed {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Something of the application is in it.
    pub(super) fn has_plain(&self) -> bool {
        self.records.iter().any(|record| record.plain > 0)
    }

    /// The application's bytes in it.
    pub(super) fn plain(&self) -> usize {
        self.records.iter().map(|record| record.plain).sum()
    }

    /// What has to go out next.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Adds what TLS itself says.
    pub(super) fn add_own(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.records.push_back(Record { end: self.bytes.len(), plain: 0 });
    }

    /// Adds the records of `plain` that are in `bytes`, of which so many were taken.
    pub(super) fn add(&mut self, bytes: &[u8], records: impl Iterator<Item = Record>, taken: usize, plain: &[u8]) {
        let base = self.bytes.len();
        self.taken += taken;
        self.bytes.extend_from_slice(bytes);
        self.records.extend(records.map(|record| Record { end: base + record.end, ..record }));
        self.remember(plain);
    }

    /// So many more bytes were taken. Returns how many of the application's bytes went out whole with them.
    pub(super) fn took(&mut self, bytes: usize) -> usize {
        self.taken += bytes;
        let mut plain = 0;
        while let Some(record) = self.records.front().filter(|record| record.end <= self.taken) {
            plain += record.plain;
            self.records.pop_front();
        }
        if self.records.is_empty() {
            // Given back: an idle session holds no buffer.
            *self = Self::default();
        }
        plain
    }

    /// The application goes on with this, once so much was accounted for.
    pub(super) fn remember(&mut self, plain: &[u8]) {
        self.head.clear();
        self.head.extend_from_slice(&plain[..plain.len().min(HEAD)]);
    }

    /// Does the application say what it has said before?
    pub(super) fn is_continued_by(&self, plain: &[u8]) -> bool {
        plain.len() >= self.plain() && plain.starts_with(&self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_when_their_record_is_out_whole() {
        let mut sealed = Sealed::default();
        sealed.add_own(b"ticket");
        let records = [Record { end: 10, plain: 4 }, Record { end: 25, plain: 7 }];
        sealed.add(&[0; 25], records.into_iter(), 0, b"hello world");
        assert_eq!((sealed.plain(), sealed.pending().len()), (11, 31));
        assert_eq!([sealed.took(15), sealed.took(1), sealed.took(14)], [0, 4, 0]);
        assert!(!sealed.is_empty());
        assert_eq!(sealed.took(1), 7);
        assert!(sealed.is_empty() && sealed.pending().is_empty());
    }

    #[test]
    fn what_follows_must_begin_with_what_was_said_before() {
        let mut sealed = Sealed::default();
        sealed.add(&[0; 20], [Record { end: 20, plain: 11 }].into_iter(), 3, b"hello world");
        assert_eq!(sealed.pending().len(), 17);
        assert!(sealed.is_continued_by(b"hello world") && sealed.is_continued_by(b"hello world and more"));
        assert!(!sealed.is_continued_by(b"hello") && !sealed.is_continued_by(b"goodbye world"));
    }
}
