//! What a session asks, and the one reply that may come to it.

use std::sync::Arc;

use super::wire::{Value, encode};

/// Longer words are not repeated in full to people.
const SHOWN: usize = 160;

/// The reply that a request must be given.
#[derive(Clone, Debug)]
pub enum Check {
    /// Exactly this.
    Is(Value),
    /// A bulk string with this text, of which there are many copies.
    Text(Arc<str>),
    /// An error with this in it.
    Error(String),
    /// A value of the key that everybody writes: it begins with this, and ends with the mark that each writer sets.
    Shared(String),
    /// A bulk string that begins so.
    Starts(String),
    /// These fields and values, in any order: a map in RESP3, an array before.
    Pairs(Vec<(String, String)>),
    /// An array, element by element.
    All(Vec<Check>),
    /// One of these.
    Either(Vec<Check>),
    /// A number in these bounds.
    Between(i64, i64),
    /// What HELLO tells: this version of the protocol.
    Hello(i64),
    /// SUBSCRIBE or UNSUBSCRIBE of this channel is confirmed.
    Confirmed(&'static str, String),
}

/// How the value of a shared key ends.
pub const WHOLE: &str = ":whole";

impl Check {
    /// `+OK`
    pub fn ok() -> Self {
        Self::Is(Value::Status("OK".into()))
    }

    /// A bulk string.
    pub fn bulk(text: impl Into<String>) -> Self {
        Self::Is(Value::Bulk(text.into()))
    }

    /// Nothing, as this version of the protocol says it; `kind` is what RESP2 says it with.
    pub fn nil(resp3: bool, kind: u8) -> Self {
        Self::Is(Value::Nil(if resp3 { b'_' } else { kind }))
    }

    /// A number.
    pub fn int(number: i64) -> Self {
        Self::Is(Value::Int(number))
    }

    /// May the reply be this?
    pub fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Is(wanted), _) => wanted == value,
            (Self::Text(wanted), Value::Bulk(text)) => **wanted == **text,
            (Self::Error(part), Value::Error(text)) => text.contains(part.as_str()),
            (Self::Shared(_), Value::Nil(_)) => true,
            (Self::Shared(start), Value::Bulk(text)) => text.starts_with(start.as_str()) && text.ends_with(WHOLE),
            (Self::Starts(start), Value::Bulk(text)) => text.starts_with(start.as_str()),
            (Self::Pairs(wanted), Value::Map(items) | Value::Array(items)) => {
                let text = |value: &Value| if let Value::Bulk(text) = value { text.clone() } else { format!("{value:?}") };
                let mut got: Vec<_> =
                    items.chunks(2).map(|pair| (text(&pair[0]), pair.get(1).map(text).unwrap_or_default())).collect();
                got.sort();
                got == *wanted
            }
            (Self::All(checks), Value::Array(items)) => {
                checks.len() == items.len() && checks.iter().zip(items).all(|(check, item)| check.fits(item))
            }
            (Self::Either(some), _) => some.iter().any(|one| one.fits(value)),
            (Self::Between(low, high), Value::Int(number)) => (low..=high).contains(&number),
            (Self::Hello(version), Value::Map(items) | Value::Array(items)) => {
                items.chunks(2).any(|pair| pair == [Value::Bulk("proto".into()), Value::Int(*version)])
            }
            (Self::Confirmed(kind, channel), Value::Array(items) | Value::Push(items)) => {
                items.len() == 3 && items[0] == Value::Bulk((*kind).into()) && items[1] == Value::Bulk(channel.clone())
            }
            _ => false,
        }
    }
}

/// What a key holds after a write: the text of it, or nothing.
#[derive(Clone, Debug)]
pub struct Write {
    /// The database.
    pub db: usize,
    /// The key, which one session only writes.
    pub key: String,
    /// As `GET` would tell it.
    pub after: Option<Arc<str>>,
}

/// A request on its way, and what must come back.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The reply.
    pub check: Check,
    /// What it changes of what only this session writes.
    pub writes: Vec<Write>,
    /// Nobody may ask it again: its connection may be closed when its fate is unknown.
    pub writing: bool,
    /// The request, for people.
    pub what: String,
}

/// A request that is not sent yet.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What must come back.
    pub expect: Expect,
}

impl Ask {
    /// A request that changes nothing that outlives its connection.
    pub fn read(words: &[&str], check: Check) -> Self {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let what = shown(&words.join(" "));
        Self { bytes: encode(&words), expect: Expect { check, writes: Vec::new(), writing: false, what } }
    }

    /// A request that may change something.
    pub fn write(words: &[&str], check: Check) -> Self {
        let mut ask = Self::read(words, check);
        ask.expect.writing = true;
        ask
    }

    /// It leaves this behind.
    pub fn leaving(mut self, db: usize, key: &str, after: Option<Arc<str>>) -> Self {
        self.expect.writes.push(Write { db, key: key.to_owned(), after });
        self
    }

    /// The same as an inline request.
    pub fn inline(line: &str, check: Check) -> Self {
        let mut ask = Self::read(&[line], check);
        ask.bytes = format!("{line}\r\n").into_bytes();
        ask
    }
}

/// Requests that are sent in one piece.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// In order.
    pub asks: Vec<Ask>,
    /// First all replies to what was sent before are awaited, and then this long, in milliseconds.
    pub pause_ms: u64,
}

impl Step {
    /// Sent as soon as everything before is answered.
    pub fn of(asks: Vec<Ask>) -> Self {
        Self { asks, pause_ms: 0 }
    }
}

/// A text as people can bear it.
pub fn shown(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!("{head}... ({} bytes)", text.len())
}
