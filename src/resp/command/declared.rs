//! What a server says of its own commands in the reply to `COMMAND`, and the same as shipped with mainstay.
//!
//! Of the flags only `readonly` and `write` count. `may_replicate`, which tells that a `readonly` command writes all the same, is hidden
//! from clients by the servers; from Redis 7 on the key specifications give it away (`PFCOUNT` takes its key `RW`).

use std::collections::BTreeSet;

use redis_protocol::resp2::types::OwnedFrame;

/// Names that are believed of one server, subcommands included: Redis and Valkey have some 400, modules bring some hundreds more.
const NAMES_MAX: usize = 4096;
/// Redis 4 had 180 commands. Who lists fewer than this is something in between that does not tell everything.
const NAMES_MIN: usize = 50;

/// What is said of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// In lower case.
    pub name: String,
    /// In lower case; empty for the command itself.
    pub sub: String,
    /// What it does.
    pub says: Says,
    /// It may keep its connection waiting, or nobody knows what it does there: it blocks, or comes with a module.
    pub may_block: bool,
}

/// See [`Declared`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It reads, and nothing speaks against that.
    Reads,
    /// It writes.
    Writes,
    /// Neither, or nothing that could be believed.
    Nothing,
}

impl Says {
    /// The letter for it in `shipped.txt`.
    pub fn letter(self) -> char {
        match self {
            Self::Reads => 'r',
            Self::Writes => 'w',
            Self::Nothing => '-',
        }
    }

    fn of_letter(letter: &str) -> Self {
        match letter {
            "r" => Self::Reads,
            "w" => Self::Writes,
            _ => Self::Nothing,
        }
    }
}

/// What stands in `shipped.txt`, which `tests/commands.rs` writes and compares with real servers.
pub fn shipped() -> Vec<Declared> {
    let lines = include_str!("shipped.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).map(|(name, letter)| declared(name, Says::of_letter(letter))).collect()
}

/// Reads the reply to `COMMAND`.
pub fn of_reply(reply: &OwnedFrame) -> Result<Vec<Declared>, &'static str> {
    let OwnedFrame::Array(entries) = reply else { return Err("it is no array") };
    if entries.len() < NAMES_MIN {
        return Err("it lists fewer commands than any server has");
    }
    let mut all = Vec::new();
    let mut has_subcommands = false;
    for entry in entries {
        let Some(fields) = Fields::of(entry) else { return Err("an entry of it has no name or no flags") };
        let name = fields.name.clone();
        all.push(Declared { may_block: fields.may_block(), ..declared(&name, fields.says()) });
        has_subcommands |= fields.subcommands.is_some();
        for sub in fields.subcommands.unwrap_or_default() {
            let Some(fields) = Fields::of(sub) else { return Err("a subcommand in it has no name or no flags") };
            let full = if fields.name.contains('|') { fields.name.clone() } else { format!("{name}|{}", fields.name) };
            all.push(Declared { may_block: fields.may_block(), ..declared(&full, fields.says()) });
        }
        if all.len() > NAMES_MAX {
            return Err("it lists more commands than any server has");
        }
    }
    if !has_subcommands {
        complete_old(&mut all);
    }
    Ok(all)
}

/// Redis 5 and 6 and their kin tell nothing of subcommands and do not mark what comes from a module. Nothing that they have of their own
/// is missing in the shipped table: so that tells the subcommands, and a reader that it does not know is from a module.
fn complete_old(all: &mut Vec<Declared>) {
    let shipped = shipped();
    let known: BTreeSet<&str> = shipped.iter().map(|one| one.name.as_str()).collect();
    for one in all.iter_mut().filter(|one| one.says == Says::Reads && !known.contains(one.name.as_str())) {
        one.says = Says::Nothing;
    }
    let listed: BTreeSet<String> = all.iter().map(|one| one.name.clone()).collect();
    let subcommands: Vec<Declared> =
        shipped.iter().filter(|one| !one.sub.is_empty() && listed.contains(&one.name)).cloned().collect();
    for container in all.iter_mut().filter(|one| subcommands.iter().any(|sub| sub.name == one.name)) {
        container.says = Says::Nothing;
    }
    all.extend(subcommands);
}

fn declared(name: &str, says: Says) -> Declared {
    let name = name.to_ascii_lowercase();
    let (name, sub) = name.split_once('|').unwrap_or((&name, ""));
    Declared { name: name.to_owned(), sub: sub.to_owned(), says, may_block: false }
}

/// One entry: name, arity, flags, first key, last key, step; from Redis 6 the ACL categories; from Redis 7 tips, key specifications
/// and subcommands, which are such entries themselves.
struct Fields<'a> {
    name: String,
    flags: &'a [OwnedFrame],
    keys: &'a [OwnedFrame],
    subcommands: Option<&'a [OwnedFrame]>,
}

impl<'a> Fields<'a> {
    fn of(entry: &'a OwnedFrame) -> Option<Self> {
        let fields = array(entry)?;
        Some(Self {
            name: text(fields.first()?)?.to_owned(),
            flags: array(fields.get(2)?)?,
            keys: fields.get(8).and_then(array).unwrap_or_default(),
            subcommands: fields.get(9).and_then(array),
        })
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|one| text(one) == Some(flag))
    }

    fn may_block(&self) -> bool {
        self.has("blocking") || self.has("module") || self.has("pubsub")
    }

    fn says(&self) -> Says {
        let is_container = self.subcommands.is_some_and(|subcommands| !subcommands.is_empty());
        if self.has("write") || self.has("may_replicate") {
            Says::Writes
        } else if !self.has("readonly") || is_container || self.has("module") {
            // A module's word for a reader proves nothing: `FT.CURSOR READ` says `readonly` and moves a cursor that outlives the
            // connection.
            Says::Nothing
        } else if self.keys.iter().all(only_reads) {
            Says::Reads
        } else {
            Says::Writes
        }
    }
}

/// A key specification: names and values in turn, among them `flags`.
fn only_reads(key: &OwnedFrame) -> bool {
    let pairs = array(key).unwrap_or_default().chunks_exact(2);
    let flags = pairs.filter(|pair| text(&pair[0]) == Some("flags")).find_map(|pair| array(&pair[1])).unwrap_or_default();
    flags.iter().filter_map(text).any(|flag| flag == "RO" || flag == "not_key")
}

fn array(frame: &OwnedFrame) -> Option<&[OwnedFrame]> {
    if let OwnedFrame::Array(items) = frame { Some(items) } else { None }
}

fn text(frame: &OwnedFrame) -> Option<&str> {
    match frame {
        OwnedFrame::SimpleString(text) | OwnedFrame::BulkString(text) => std::str::from_utf8(text).ok(),
        OwnedFrame::Error(_) | OwnedFrame::Integer(_) | OwnedFrame::Array(_) | OwnedFrame::Null => None,
    }
}
