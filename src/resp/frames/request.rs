//! Where a request ends, as Redis 7 reads requests (networking.c, `processInlineBuffer` and `processMultibulkBuffer`), tolerances
//! included: a boundary that Redis sees elsewhere would give one client's bytes another meaning.
//!
//! So, on purpose: whatever byte follows the `\r` of a count or a length is taken for its `\n`, and whatever two bytes follow a body for
//! its `\r\n`. A fault in a line is reported when the line has ended. Behind a NUL byte Redis looks for no end of the line any more, and
//! refuses it when it has become too long.
//!
//! Two rules of Redis are left to the server, which alone knows: `proto-max-bulk-len`, and the smaller bounds before AUTH.

use super::ProtocolError;
use super::number::{self, Number};

/// How long an inline request, or the line of a count or a length, may be before its end comes (PROTO_INLINE_MAX_SIZE).
pub const LINE_MAX: u32 = 64 * 1024;

/// Finds the ends of requests.
#[derive(Debug, Default)]
pub struct RequestScanner {
    state: State,
    /// Arguments that are not complete yet.
    arguments: u32,
    /// Bytes of the present line.
    line: u32,
    /// The number in the present line.
    number: Number,
    /// Bytes of the present argument and of its `\r\n` that are still to come.
    body: u64,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Between,
    Inline(Inline),
    /// The number of arguments, behind the `*`.
    Count,
    /// The length of an argument; what stood where a `$` is expected, once it has been seen.
    Length(u8),
    /// The byte behind the `\r` of a number.
    LineEnd(Line),
    /// A line that has a NUL byte in it.
    Endless(Line),
    Body,
}

/// A line with a number in it.
#[derive(Clone, Copy, Debug)]
enum Line {
    Count,
    Length(u8),
}

/// Where in an inline request (sds.c, `sdssplitargs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inline {
    Blank,
    Word,
    Double,
    DoubleBackslash,
    Single,
    SingleBackslash,
    /// Behind a closing quote: a blank or the end must follow.
    Closed,
    Unbalanced,
    Endless,
}

impl RequestScanner {
    /// Looks at `bytes`, which follow what was looked at before. `Some(n)`: the first `n` of them complete a request, and the next
    /// request begins behind them; call again with the rest. `None`: all of them belong to a request that is not complete.
    ///
    /// A request may have no arguments: an empty line, `*0`, `*-1`. Redis answers nothing to it.
    ///
    /// After an error there is nothing more to find: Redis answers with it and closes.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let mut at = 0;
        while let Some((&byte, behind)) = bytes[at..].split_first() {
            match self.state {
                State::Between if byte == b'*' => match number::plain(behind) {
                    Some((count @ 1.., used)) if count <= i32::MAX as u64 => {
                        self.arguments = count as u32;
                        at += 1 + used;
                        at += self.whole_arguments(&bytes[at..]);
                        if self.arguments == 0 {
                            return Ok(Some(at));
                        }
                        self.expect_length();
                    }
                    _ => {
                        self.begin_line(State::Count);
                        self.line = 1;
                        at += 1;
                    }
                },
                State::Between => self.begin_line(State::Inline(Inline::Blank)),
                State::Inline(inline) => {
                    at += 1;
                    if self.inline_byte(inline, byte)? {
                        return Ok(Some(at));
                    }
                }
                State::Length(_)
                    if self.line == 0
                        && byte == b'$'
                        && let Some((length, used)) = number::plain(behind) =>
                {
                    self.expect_body(length);
                    at += 1 + used;
                }
                State::Count => {
                    at += 1;
                    self.number_byte(Line::Count, byte)?;
                }
                State::Length(first) => {
                    at += 1;
                    self.number_byte(Line::Length(first), byte)?;
                }
                State::Endless(line) => {
                    at += 1;
                    self.lengthen(line)?;
                }
                State::LineEnd(line) => {
                    at += 1;
                    if self.line_ends(line)? {
                        return Ok(Some(at));
                    }
                }
                State::Body => {
                    let here = bytes.len() - at;
                    if (here as u64) < self.body {
                        self.body -= here as u64;
                        return Ok(None);
                    }
                    // Cannot be cut short: it is not more than `here`.
                    at += self.body as usize;
                    self.arguments -= 1;
                    if self.arguments == 0 {
                        self.state = State::Between;
                        return Ok(Some(at));
                    }
                    self.expect_length();
                }
            }
        }
        Ok(None)
    }

    /// Between two requests?
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Between)
    }

    /// Bytes of the present argument that were announced and are still to come.
    pub fn announced(&self) -> u64 {
        if let State::Body = self.state { self.body } else { 0 }
    }

    /// Behind the number of arguments: as many of them as `bytes` hold whole and written in the usual way, at once. How many bytes they
    /// take.
    #[inline]
    fn whole_arguments(&mut self, bytes: &[u8]) -> usize {
        let (mut rest, mut left) = (bytes, self.arguments);
        while left > 0
            && let [b'$', line @ ..] = rest
            && let Some((length, used)) = number::plain(line)
            && let Some(end) = usize::try_from(length).ok().and_then(|length| length.checked_add(used + 2))
            && let Some(behind) = line.get(end..)
        {
            (rest, left) = (behind, left - 1);
        }
        self.arguments = left;
        bytes.len() - rest.len()
    }

    fn begin_line(&mut self, state: State) {
        self.state = state;
        self.line = 0;
        self.number = Number::default();
    }

    fn expect_length(&mut self) {
        self.begin_line(State::Length(0));
    }

    fn expect_body(&mut self, length: u64) {
        self.state = State::Body;
        self.body = length + 2;
    }

    /// One more byte of a line that is not its end.
    fn lengthen(&mut self, line: Line) -> Result<(), ProtocolError> {
        self.line += 1;
        match line {
            _ if self.line <= LINE_MAX => Ok(()),
            Line::Count => Err(ProtocolError::TooBigCount),
            Line::Length(_) => Err(ProtocolError::TooBigBulkCount),
        }
    }

    fn number_byte(&mut self, line: Line, byte: u8) -> Result<(), ProtocolError> {
        match byte {
            // Even where a `$` should stand: Redis looks for the end first.
            b'\r' if self.line == 0 => self.state = State::LineEnd(Line::Length(byte)),
            b'\r' => self.state = State::LineEnd(line),
            b'\0' => {
                self.state = State::Endless(line);
                self.lengthen(line)?;
            }
            _ => {
                match self.line {
                    0 => self.state = State::Length(byte),
                    _ => self.number.push(byte),
                }
                self.lengthen(line)?;
            }
        }
        Ok(())
    }

    /// True when the request is complete.
    fn line_ends(&mut self, line: Line) -> Result<bool, ProtocolError> {
        let number = self.number.value();
        match line {
            Line::Count => match number {
                Some(..=0) => {
                    self.state = State::Between;
                    return Ok(true);
                }
                Some(count) if count <= i64::from(i32::MAX) => {
                    self.arguments = count as u32;
                    self.expect_length();
                }
                Some(_) | None => return Err(ProtocolError::InvalidCount),
            },
            Line::Length(b'$') => match number.map(u64::try_from) {
                Some(Ok(length)) => self.expect_body(length),
                Some(Err(_)) | None => return Err(ProtocolError::InvalidBulkLength),
            },
            Line::Length(other) => return Err(ProtocolError::ExpectedBulk(other)),
        }
        Ok(false)
    }

    /// True when the request is complete.
    fn inline_byte(&mut self, inline: Inline, byte: u8) -> Result<bool, ProtocolError> {
        if byte == b'\n' && inline != Inline::Endless {
            self.state = State::Between;
            return match inline {
                Inline::Blank | Inline::Word | Inline::Closed => Ok(true),
                _ => Err(ProtocolError::UnbalancedQuotes),
            };
        }
        self.line += 1;
        if self.line > LINE_MAX {
            return Err(ProtocolError::TooBigInline);
        }
        self.state = State::Inline(inline.after(byte));
        Ok(false)
    }
}

impl Inline {
    /// `\x41` needs no state of its own: what stands behind the `x` is no quote.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (_, b'\0') | (Self::Endless, _) => Self::Endless,
            (Self::Unbalanced, _) => Self::Unbalanced,
            (Self::Blank | Self::Closed, _) if is_blank(byte) => Self::Blank,
            (Self::Closed, _) => Self::Unbalanced,
            (Self::Word, _) if ends_word(byte) => Self::Blank,
            (Self::Blank | Self::Word, b'"') => Self::Double,
            (Self::Blank | Self::Word, b'\'') => Self::Single,
            (Self::Blank | Self::Word, _) => Self::Word,
            (Self::Double, b'"') => Self::Closed,
            (Self::Double, b'\\') => Self::DoubleBackslash,
            (Self::Double | Self::DoubleBackslash, _) => Self::Double,
            (Self::Single, b'\'') => Self::Closed,
            (Self::Single | Self::SingleBackslash, b'\\') => Self::SingleBackslash,
            (Self::Single | Self::SingleBackslash, _) => Self::Single,
        }
    }
}

/// What may stand between two inline arguments (`isspace`).
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | 0x09..=0x0d)
}

/// What ends an inline argument that is not quoted: not all that is blank.
pub(super) fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
