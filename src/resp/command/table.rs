//! Names to what they do, for one look-up a request: no allocation, either case, and no hash that has to withstand an attacker, since
//! nobody but the server puts names in.

use super::{Command, Fate, Kind};

/// A name longer than this is not kept, and so unknown. The longest that Redis and Valkey have is `georadiusbymember_ro`.
pub(super) const NAME_BYTES_MAX: usize = 31;

/// What is said of a name that nobody knows.
const UNKNOWN: Command = Command { fate: Fate::Unknown, kind: Kind::Plain };

/// A name in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    length: u8,
}

impl Name {
    fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name.to_ascii_lowercase().as_bytes());
        Some(Self { bytes, length: name.len().try_into().ok()? })
    }

    #[inline]
    fn is(&self, asked: &[u8]) -> bool {
        let length = usize::from(self.length);
        length == asked.len() && self.bytes[..length].eq_ignore_ascii_case(asked)
    }
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
                let command = if sub.length == 0 { command } else { UNKNOWN };
                entries.push(Entry { name, command, first: end, end });
            }
            if let Some(container) = entries.last_mut().filter(|_| sub.length > 0) {
                subcommands.push((sub, command));
                container.end = places(subcommands.len());
            }
        }
        let mut slots = vec![0; (entries.len() * 4).next_power_of_two()];
        for (place, entry) in entries.iter().enumerate() {
            let mut slot = hash(&entry.name.bytes[..usize::from(entry.name.length)]);
            while slots[slot & (slots.len() - 1)] != 0 {
                slot = slot.wrapping_add(1);
            }
            let last = slots.len() - 1;
            slots[slot & last] = places(place + 1);
        }
        Self { slots: slots.into(), entries: entries.into(), subcommands: subcommands.into() }
    }

    #[inline]
    pub(super) fn look_up(&self, name: &[u8], sub: Option<&[u8]>) -> Command {
        let mut slot = hash(name);
        loop {
            let place = usize::from(self.slots[slot & (self.slots.len() - 1)]);
            if place == 0 {
                return UNKNOWN;
            }
            let entry = &self.entries[place - 1];
            if entry.name.is(name) {
                return match sub {
                    Some(sub) if entry.first < entry.end => self.look_up_sub(entry, sub),
                    _ => entry.command,
                };
            }
            slot = slot.wrapping_add(1);
        }
    }

    fn look_up_sub(&self, container: &Entry, sub: &[u8]) -> Command {
        let subcommands = &self.subcommands[usize::from(container.first)..usize::from(container.end)];
        // A subcommand that nobody knows may do anything, whatever its container does.
        subcommands.iter().find(|(name, _)| name.is(sub)).map_or(UNKNOWN, |(_, command)| *command)
    }
}

/// Whoever builds a table bounds the number of names, far below this.
fn places(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// The first and the last eight bytes and the length, whatever their case. Spreads the names that servers have; a stranger's name costs
/// at most a walk to the next empty slot.
#[inline]
fn hash(name: &[u8]) -> usize {
    let wide = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    let (first, last) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (wide(first), wide(last)),
        _ => match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => (half(first), half(last)),
            _ => name.iter().fold((0, 0), |(first, _), byte| (first << 8 | u64::from(*byte | 0x20), 0)),
        },
    };
    // In ASCII the case of a letter is the bit 0x20.
    const CASE: u64 = 0x2020_2020_2020_2020;
    let mixed = (first | CASE) ^ (last | CASE).rotate_left(29) ^ (name.len() as u64).rotate_left(56);
    // Fibonacci hashing: the upper bits of a product by 2^64 divided by the golden ratio are well spread.
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}
