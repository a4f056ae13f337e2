//! Commands that are denied, by name, or by name and subcommand.

use std::fmt;

use crate::resp::frames::arguments;

/// Some names. Looked through from the beginning: there are few, and what is longer or shorter is passed over without a look.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Denied {
    entries: Vec<Entry>,
    /// Bit n: some name has n bytes. The last stands for all that are longer.
    lengths: u64,
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    name: Box<str>,
    /// Only this subcommand.
    sub: Option<Box<str>>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.sub.iter().try_for_each(|sub| write!(f, "|{sub}"))
    }
}

impl fmt::Debug for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(Entry::to_string)).finish()
    }
}

/// One command by two names.
const SAME: [(&str, &str); 2] = [("replicaof", "slaveof"), ("getrange", "substr")];

/// The names of a server are at most half as long.
const LONG: usize = 63;

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(LONG)
}

impl Denied {
    /// `FLUSHALL` for a command with all its subcommands, `CONFIG|SET` for one of these, in any letter case.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let entry = |name: &str| {
            let name = name.to_ascii_lowercase();
            match name.split_once('|') {
                Some((name, sub)) => Entry { name: name.into(), sub: Some(sub.into()) },
                None => Entry { name: name.into(), sub: None },
            }
        };
        let mut entries: Vec<Entry> = names.into_iter().map(entry).collect();
        let other = |name: &str| {
            let pair = SAME.iter().find(|(one, other)| *one == name || *other == name)?;
            Some(if pair.0 == name { pair.1 } else { pair.0 })
        };
        let others: Vec<Entry> =
            entries.iter().filter_map(|entry| Some(Entry { name: other(&entry.name)?.into(), sub: entry.sub.clone() })).collect();
        entries.extend(others);
        let lengths = entries.iter().fold(0, |all, entry| all | length_bit(entry.name.as_bytes()));
        Self { entries, lengths }
    }

    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The name by which the request is denied that begins with `bytes`, of which the command is called `name`.
    pub(super) fn of(&self, name: &[u8], bytes: &[u8]) -> Option<String> {
        if self.lengths & length_bit(name) == 0 {
            return None;
        }
        let sub = || arguments(bytes).nth(1);
        let is = |entry: &&Entry| {
            let same = |known: &str, asked: &[u8]| known.as_bytes().eq_ignore_ascii_case(asked);
            same(&entry.name, name)
                && entry.sub.as_ref().is_none_or(|known| match sub() {
                    Some(sub) => same(known, up_to_nul(&sub)),
                    // One that has not come in whole by now is longer than any; before a NUL it may begin as this one.
                    None => has_more_than_a_name(bytes),
                })
        };
        self.entries.iter().find(is).map(Entry::to_string)
    }
}

/// An array of more than one argument is announced, whether they have come in or not.
fn has_more_than_a_name(bytes: &[u8]) -> bool {
    let count = bytes.strip_prefix(b"*").and_then(|rest| rest.split(|byte| *byte == b'\r').next());
    count.is_some_and(|count| count != b"1")
}

/// A server finds a subcommand by a hash of all its bytes, but compares only those before a NUL: now and then it takes `SET\0...` for `SET`.
fn up_to_nul(word: &[u8]) -> &[u8] {
    word.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(denied: &Denied, request: &[u8]) -> Option<String> {
        denied.of(&arguments(request).next().unwrap(), request)
    }

    #[test]
    fn names_are_denied_in_any_letter_case_and_form_and_subcommands_by_themselves() {
        let denied = Denied::new(["FlushAll", "config|SET", "DEBUG"]);
        for (request, name) in [
            (&b"*1\r\n$8\r\nFLUSHALL\r\n"[..], Some("flushall")),
            (b"*2\r\n$8\r\nfLuShAlL\r\n$5\r\nASYNC\r\n", Some("flushall")),
            (b"  flushall  async\r\n", Some("flushall")),
            (b"\"flush\\x61ll\"\r\n", Some("flushall")),
            (b"*3\r\n$6\r\nConfig\r\n$3\r\nsEt\r\n$1\r\na\r\n", Some("config|set")),
            (b"*3\r\n$6\r\nConfig\r\n$4\r\nset\0\r\n$1\r\na\r\n", Some("config|set")),
            (b"config set a b\r\n", Some("config|set")),
            (b"config get a\r\n", None),
            (b"config\r\n", None),
            (b"*1\r\n$6\r\nconfig\r\n", None),
            (b"*3\r\n$6\r\nconfig\r\n$70000\r\nset\0aaa", Some("config|set")),
            (b"debug\r\n", Some("debug")),
            (b"debug sleep 0\r\n", Some("debug")),
            (b"flushdb\r\n", None),
            (b"get flushall\r\n", None),
        ] {
            assert_eq!(of(&denied, request).as_deref(), name, "{}", request.escape_ascii());
        }
        assert_eq!(of(&Denied::new(["REPLICAOF"]), b"slaveof no one\r\n").as_deref(), Some("slaveof"), "it is the same");
        assert!(Denied::new([]).is_empty());
    }
}
