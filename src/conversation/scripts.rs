//! The bodies of scripts that clients sent, so that they can be loaded into the next primary: EVALSHA fails there otherwise, and clients
//! that were not told of a change do not expect it.
//!
//! In each epoch a script is loaded on the connection of the first EVALSHA that needs it, and ahead of it, so that nothing is ever asked out
//! of order. What another connection was asked to load counts only when the primary has said that it did.

use std::collections::{HashMap, VecDeque};

use crate::route::Epoch;

/// Scripts remembered, at most.
const SCRIPTS_MAX: usize = 1024;
/// Their bytes together.
const SCRIPT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Scripts that are loaded before a transaction begins, at most.
const DUE_MAX: usize = 64;
/// Their bytes together.
const DUE_BYTES_MAX: usize = 256 * 1024;

/// The digest of a script: SHA-1 as 40 lower-case hexadecimal digits.
type Digest = [u8; 40];

/// Of one group, for one worker.
#[derive(Debug, Default)]
pub struct Scripts {
    epoch: Epoch,
    known: HashMap<Digest, Script>,
    /// The same by body, so that a body that comes again and again is not digested again and again.
    digests: HashMap<Box<[u8]>, Digest>,
    order: VecDeque<Digest>,
    bytes: usize,
    /// Named by their digests, and not loaded in this epoch.
    due: Vec<Digest>,
    /// Sessions read one server or another: what one of them was told to load is not loaded for the next.
    many_servers: bool,
}

#[derive(Debug)]
struct Script {
    body: Box<[u8]>,
    /// The primary of the present epoch has it.
    loaded: bool,
    /// A client goes by its digest.
    named: bool,
}

impl Scripts {
    /// For sessions that read many servers.
    pub fn of_many_servers() -> Self {
        Self { many_servers: true, ..Self::default() }
    }

    /// Whatever was loaded before this epoch was loaded elsewhere.
    pub(super) fn enter(&mut self, epoch: Epoch) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.known.values_mut().for_each(|script| script.loaded = false);
            let due = self.order.iter().rev().filter(|digest| self.known.get(*digest).is_some_and(|script| script.named));
            self.due = due.take(DUE_MAX).copied().collect();
        }
    }

    /// A client sends a body.
    pub(super) fn saw(&mut self, body: &[u8]) {
        if self.digests.contains_key(body) || body.len() > SCRIPT_BYTES_MAX / 8 {
            return;
        }
        while self.order.len() >= SCRIPTS_MAX || self.bytes + body.len() > SCRIPT_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(script) = self.known.remove(&oldest) {
                self.bytes -= script.body.len();
                self.digests.remove(&script.body);
            }
        }
        let Ok(digest) = Digest::try_from(sha1_smol::Sha1::from(body).digest().to_string().as_bytes()) else { return };
        self.bytes += body.len();
        self.order.push_back(digest);
        self.digests.insert(body.into(), digest);
        self.known.insert(digest, Script { body: body.into(), loaded: false, named: false });
    }

    /// The body to load before this digest is used, if it is known and the present primary is not known to have it.
    pub(super) fn missing(&self, digest: &[u8]) -> Option<&[u8]> {
        let script = self.known.get(&Digest::try_from(digest.to_ascii_lowercase()).ok()?)?;
        (!script.loaded).then_some(&script.body)
    }

    /// The primary of this epoch said that it has it.
    pub(super) fn loaded(&mut self, digest: &[u8]) {
        if let Some(script) = Digest::try_from(digest).ok().and_then(|digest| self.known.get_mut(&digest)) {
            (script.loaded, script.named) = (!self.many_servers, true);
            self.due.retain(|due| due != digest);
        }
    }

    /// What to load before a transaction begins: within it nothing can be loaded when it is needed.
    pub(super) fn due(&self) -> Vec<Digest> {
        let mut bytes = 0;
        let fits = |digest: &&Digest| {
            bytes += self.known.get(*digest).map_or(0, |script| script.body.len());
            bytes <= DUE_BYTES_MAX
        };
        self.due.iter().take_while(fits).copied().collect()
    }

    /// A client had all scripts forgotten.
    pub(super) fn flushed(&mut self) {
        *self = Self { epoch: self.epoch, many_servers: self.many_servers, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_missing_in_each_epoch_until_the_primary_says_that_it_has_it() {
        let mut scripts = Scripts::default();
        let digest = b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        scripts.saw(b"return 1");
        assert_eq!(scripts.missing(digest), Some(&b"return 1"[..]), "whether it was executed nobody said");
        scripts.loaded(digest);
        assert_eq!(scripts.missing(digest), None);
        scripts.enter(1);
        assert_eq!(scripts.missing(&digest.to_ascii_uppercase()), Some(&b"return 1"[..]));
        scripts.enter(2);
        scripts.flushed();
        assert_eq!(scripts.missing(digest), None, "the client wanted it forgotten");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut scripts = Scripts::default();
        for number in 0..2 * SCRIPTS_MAX {
            scripts.saw(format!("return {number}").as_bytes());
        }
        assert_eq!((scripts.known.len(), scripts.digests.len(), scripts.order.len()), (SCRIPTS_MAX, SCRIPTS_MAX, SCRIPTS_MAX));
        for number in 0..40 {
            scripts.saw(&vec![b'0' + number; SCRIPT_BYTES_MAX / 9]);
        }
        assert!(scripts.bytes <= SCRIPT_BYTES_MAX && scripts.known.len() < 20);
        scripts.saw(&vec![b'x'; SCRIPT_BYTES_MAX]);
        assert!(scripts.bytes <= SCRIPT_BYTES_MAX);
    }
}
