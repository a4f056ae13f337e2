//! Names to what they do, for one look-up a request: no allocation, either case, and no hash that has to withstand an attacker, since
//! nobody but the server puts names in.

use std::borrow::Cow;

use super::{Command, Fate, Kind};

/// A name longer than this is not kept, and so unknown. The longest that Redis and Valkey have is `georadiusbymember_ro`.
pub(super) const NAME_BYTES_MAX: usize = 31;

/// What is said of a name that nobody knows.
const UNKNOWN: Command = Command { fate: Fate::Unknown, kind: Kind::Plain };
/// A server finds a name by a hash of all its bytes, but compares only those before a NUL: now and then it takes `DEBUG\0...` for `DEBUG`. So
/// such a name may be that of anything, and what follows cannot be followed.
const HIDDEN: Command = Command { fate: Fate::Unknown, kind: Kind::Opaque };

fn nobody_knows(name: &[u8]) -> Command {
    if name.contains(&0) { HIDDEN } else { UNKNOWN }
}

/// A name in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    ends: Ends,
    bytes: [u8; NAME_BYTES_MAX],
}

impl Name {
    fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name.to_ascii_lowercase().as_bytes());
        Some(Self { ends: Ends::of(name.as_bytes()), bytes })
    }

    /// `ends` are those of `asked`.
    #[inline]
    fn is(&self, asked: &[u8], ends: Ends) -> bool {
        // Their ends are all of the shorter ones.
        self.ends == ends && (asked.len() <= 16 || self.bytes[..asked.len()].eq_ignore_ascii_case(asked))
    }
}

/// The first and the last eight bytes of a name, in lower case, and its length. Together all that two names of up to 16 bytes can differ
/// in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
    length: usize,
}

impl Ends {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let wide = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        let (first, last) = match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => (wide(first), wide(last)),
            _ => match (name, name.first_chunk(), name.last_chunk()) {
                (_, Some(first), Some(last)) => (half(first) | half(last) << 32, 0),
                // Up to three bytes; of a shorter name some are there twice.
                ([first, .., last], ..) => (u64::from_le_bytes([*first, name[name.len() / 2], *last, 0, 0, 0, 0, 0]), 0),
                ([only], ..) => (u64::from(*only), 0),
                ([], ..) => (0, 0),
            },
        };
        Self { first: lower(first), last: lower(last), length: name.len() }
    }

    /// Spreads the names that servers have; a stranger's name costs at most a walk to the next empty slot.
    #[inline]
    fn hash(self) -> usize {
        let mixed = self.first ^ self.last.rotate_left(29) ^ (self.length as u64).rotate_left(56);
        // Fibonacci hashing: the upper bits of a product by 2^64 divided by the golden ratio are well spread.
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
    }
}

/// Eight bytes with ASCII's capital letters made small, as [`u8::to_ascii_lowercase`] does with one.
#[inline]
fn lower(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // The top bit of each byte tells; without it no byte carries into the next.
    let seven = bytes & (EACH * 0x7f);
    let from_a = seven + EACH * (0x80 - b'A' as u64);
    let behind_z = seven + EACH * (0x7f - b'Z' as u64);
    let capital = from_a & !behind_z & !bytes & (EACH * 0x80);
    bytes | capital >> 2
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: Name,
    command: Command,
    /// Its subcommands, as a range in [`Table::subcommands`].
    first: u16,
    end: u16,
}

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Places in `entries`, plus one; 0 is empty. Open addressing, at most a quarter full; its length is a power of two.
    slots: Box<[u16]>,
    entries: Box<[Entry]>,
    subcommands: Box<[(Name, Command)]>,
}

impl Table {
    /// Of sorted, unique pairs of a name and a subcommand (empty: the command by itself). Names that are too long are left out.
    pub(super) fn new<'a>(commands: impl Iterator<Item = (&'a str, &'a str, Command)>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut subcommands: Vec<(Name, Command)> = Vec::new();
        for (name, sub, command) in commands {
            let (Some(name), Some(sub)) = (Name::new(name), Name::new(sub)) else { continue };
            if entries.last().is_none_or(|last| last.name != name) {
                let end = places(subcommands.len());
                let command = if sub.ends.length == 0 { command } else { UNKNOWN };
                entries.push(Entry { name, command, first: end, end });
            }
            if let Some(container) = entries.last_mut().filter(|_| sub.ends.length > 0) {
                subcommands.push((sub, command));
                container.end = places(subcommands.len());
            }
        }
        let mut slots = vec![0; (entries.len() * 4).next_power_of_two()];
        for (place, entry) in entries.iter().enumerate() {
            let mut slot = entry.name.ends.hash();
            while slots[slot & (slots.len() - 1)] != 0 {
                slot = slot.wrapping_add(1);
            }
            let last = slots.len() - 1;
            slots[slot & last] = places(place + 1);
        }
        Self { slots: slots.into(), entries: entries.into(), subcommands: subcommands.into() }
    }

    #[inline]
    pub(super) fn look_up<'a>(&self, name: &[u8], sub: impl FnOnce() -> Option<Cow<'a, [u8]>>) -> Command {
        let ends = Ends::of(name);
        let mut slot = ends.hash();
        loop {
            let place = usize::from(self.slots[slot & (self.slots.len() - 1)]);
            if place == 0 {
                return nobody_knows(name);
            }
            let entry = &self.entries[place - 1];
            if entry.name.is(name, ends) {
                if entry.first == entry.end {
                    return entry.command;
                }
                return sub().map_or(entry.command, |sub| self.look_up_sub(entry, &sub));
            }
            slot = slot.wrapping_add(1);
        }
    }

    #[cold]
    fn look_up_sub(&self, container: &Entry, sub: &[u8]) -> Command {
        let subcommands = &self.subcommands[usize::from(container.first)..usize::from(container.end)];
        // A subcommand that nobody knows may do anything, whatever its container does.
        let ends = Ends::of(sub);
        subcommands.iter().find(|(name, _)| name.is(sub, ends)).map_or_else(|| nobody_knows(sub), |(_, command)| *command)
    }
}

/// Whoever builds a table bounds the number of names, far below this.
fn places(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_become_small_letters_as_one_does() {
        for byte in 0..=u8::MAX {
            for neighbour in [0, b'A', b'z', u8::MAX] {
                let bytes = [byte, neighbour, byte, byte, neighbour, neighbour, byte, neighbour];
                assert_eq!(lower(u64::from_le_bytes(bytes)).to_le_bytes(), bytes.map(|byte| byte.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn names_that_differ_in_one_byte_are_two() {
        for length in 1..=NAME_BYTES_MAX {
            let name = "abcdefghijklmnopqrstuvwxyz012345"[..length].to_owned();
            let known = Name::new(&name).unwrap();
            assert!(known.is(name.to_uppercase().as_bytes(), Ends::of(name.to_uppercase().as_bytes())));
            let shorter = &name.as_bytes()[..length - 1];
            assert!(!known.is(shorter, Ends::of(shorter)));
            for place in 0..length {
                let mut other = name.clone().into_bytes();
                other[place] ^= 0x80;
                assert!(!known.is(&other, Ends::of(&other)), "{name} {place}");
            }
        }
    }
}
