//! Where one frame ends and the next begins. Resumable: no byte is looked at twice, however it trickles in.
//!
//! The scanners find boundaries and nothing else. They hold no bytes: bodies stream through whoever holds them.

mod arguments;
mod number;
mod reply;
mod request;

use std::fmt;

pub use arguments::{Arguments, arguments, name};
pub use reply::{REPLY_LINE_MAX, ReplyScanner, STREAMS_MAX};
pub use request::{LINE_MAX, RequestScanner};

/// What a peer sent is no RESP. The texts for requests are those of Redis (networking.c), so that a client sees what it knows; what it
/// sent itself is never repeated raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request does not end within [`LINE_MAX`].
    TooBigInline,
    /// An inline request has a quote that does not close, or no blank behind one that does.
    UnbalancedQuotes,
    /// The line of a number of arguments does not end within [`LINE_MAX`].
    TooBigCount,
    /// A number of arguments is no number or above `i32::MAX`.
    InvalidCount,
    /// The line of an argument's length does not end within [`LINE_MAX`].
    TooBigBulkCount,
    /// Something else stands where an argument should begin.
    ExpectedBulk(u8),
    /// An argument's length is no number, or negative.
    InvalidBulkLength,
    /// A reply begins with what is no type, or with one that may not stand there.
    UnexpectedType(u8),
    /// A length in a reply is no number, or negative.
    InvalidReplyLength,
    /// Something else stands where a line or a body of a reply should end with `\r\n`.
    ExpectedLineEnd(u8),
    /// A line of a reply does not end within [`REPLY_LINE_MAX`].
    TooLongReplyLine,
    /// More elements than can be counted.
    TooManyElements,
    /// More than [`STREAMS_MAX`] streamed aggregates in each other.
    TooManyStreams,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::TooBigInline => f.write_str("too big inline request"),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
            Self::TooBigCount => f.write_str("too big mbulk count string"),
            Self::InvalidCount => f.write_str("invalid multibulk length"),
            Self::TooBigBulkCount => f.write_str("too big bulk count string"),
            Self::ExpectedBulk(got) => write!(f, "expected '$', got '{}'", shown(*got)),
            Self::InvalidBulkLength => f.write_str("invalid bulk length"),
            Self::UnexpectedType(got) => write!(f, "unexpected reply type '{}'", shown(*got)),
            Self::InvalidReplyLength => f.write_str("invalid length in a reply"),
            Self::ExpectedLineEnd(got) => write!(f, "expected the end of a line in a reply, got '{}'", shown(*got)),
            Self::TooLongReplyLine => f.write_str("too long line in a reply"),
            Self::TooManyElements => f.write_str("too many elements in a reply"),
            Self::TooManyStreams => f.write_str("too many streamed aggregates in each other"),
        }
    }
}

/// A byte as people can read it, and as no terminal or parser stumbles over it.
fn shown(byte: u8) -> String {
    match byte {
        b' '..=b'~' => char::from(byte).to_string(),
        _ => byte.escape_ascii().to_string(),
    }
}

impl std::error::Error for ProtocolError {}
