//! Where a reply or a push ends, in RESP2 and RESP3.
//!
//! Where a frame ends takes no tree: an aggregate of `n` elements only means that `n` more frames must come, wherever they are nested. One
//! count of the frames that are still needed says it all, at any depth, in a few bytes. A script's reply nests as deep as Lua's stack
//! allows (7,995 levels in Redis 7.0), so that a small bound would refuse what the server rightly sends. Only a streamed aggregate, whose length nobody knows before its
//! end, puts the count outside it aside. No server sends such ones today, so that this is the part that allocates, and has a bound.
//!
//! What a line says (a number, a boolean) is not read. What stands where `\r\n` must stand is: it is how a peer that has lost the thread
//! shows.

use memchr::memchr;

use super::ProtocolError;
use super::number::{self, Number};

/// How long a line may be. A script may answer with a status as long as any value, so the bound is that of a value (Redis'
/// `proto-max-bulk-len`).
pub const REPLY_LINE_MAX: u32 = 512 * 1024 * 1024;

/// How deep streamed aggregates may be nested in each other.
pub const STREAMS_MAX: usize = 32;

/// Finds the ends of replies and pushes, RESP2 and RESP3. An attribute belongs to the frame that follows it.
#[derive(Debug, Default)]
pub struct ReplyScanner {
    state: State,
    /// Bytes of the present line, when a line.
    line: u32,
    /// Frames that are needed to complete the reply or, in a streamed aggregate, its present element.
    needed: u64,
    /// The number in the present header.
    number: Number,
    /// Bytes of the present body that are still to come, without its `\r\n`.
    body: u64,
    /// The counts outside the streamed aggregates that are open.
    outside: Option<Box<Outside>>,
}

#[derive(Debug, Default)]
struct Outside {
    needed: [u64; STREAMS_MAX],
    /// So many of them are in use, at least one.
    open: usize,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// The type of a frame.
    #[default]
    Start,
    /// Part of a line; was the byte before it a `\r`?
    Line(bool),
    /// Part of a number.
    Header(Header),
    Body(Body),
    /// A `\r`.
    Cr(Ended),
    /// A `\n`.
    Lf(Ended),
    /// The `;` of the next part of a streamed string.
    Part,
}

/// Frames that begin with a number.
#[derive(Clone, Copy, Debug)]
enum Header {
    /// `$`, and the only string that may be streamed.
    Bulk,
    /// `!` and `=`.
    Blob,
    /// `;`, a part of a streamed string.
    Part,
    /// `*`.
    Array,
    /// `~`.
    Set,
    /// `%`.
    Map,
    /// `>`.
    Push,
    /// `|`.
    Attribute,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Whole,
    /// Of a streamed string.
    Part,
}

/// What has ended, once its `\r\n` has come.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Header(Header),
    Body(Body),
    /// `$?`.
    StringBegins,
    /// `*?` and such.
    StreamBegins,
    /// `.`
    StreamEnds,
}

impl ReplyScanner {
    /// As [`RequestScanner::scan`](super::RequestScanner::scan).
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if self.is_between()
            && let Some(length) = usual_line(bytes)
        {
            return Ok(Some(length));
        }
        let mut at = 0;
        while let Some((&byte, behind)) = bytes[at..].split_first() {
            match self.state {
                State::Start => at += self.start(byte, behind)?,
                State::Line(after_cr) => at += self.line(after_cr, &bytes[at..])?,
                State::Header(header) => {
                    self.header_byte(header, byte)?;
                    at += 1;
                }
                State::Body(body) => {
                    let here = self.body.min((bytes.len() - at) as u64);
                    self.body -= here;
                    if self.body == 0 {
                        self.state = State::Cr(Ended::Body(body));
                    }
                    at += here as usize;
                }
                State::Cr(ended) => {
                    expect(b'\r', byte)?;
                    self.state = State::Lf(ended);
                    at += 1;
                }
                State::Lf(ended) => {
                    expect(b'\n', byte)?;
                    self.line_ends(ended)?;
                    at += 1;
                }
                State::Part => {
                    if byte != b';' {
                        return Err(ProtocolError::UnexpectedType(byte));
                    }
                    self.begin_header(Header::Part);
                    at += 1;
                }
            }
            if self.is_between() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Between two frames?
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Start) && self.needed == 0 && self.outside.is_none()
    }

    /// A frame begins with `byte`. Takes as much of `behind` as can be taken at once; says how much it all was.
    #[inline]
    fn start(&mut self, byte: u8, behind: &[u8]) -> Result<usize, ProtocolError> {
        if self.needed == 0 {
            if byte == b'.' && self.outside.is_some() {
                self.state = State::Cr(Ended::StreamEnds);
                return Ok(1);
            }
            self.needed = 1;
        }
        let header = match byte {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {
                self.line = 0;
                return Ok(1 + self.line(false, behind)?);
            }
            b'$' => Header::Bulk,
            b'!' | b'=' => Header::Blob,
            b'*' => Header::Array,
            b'~' => Header::Set,
            b'%' => Header::Map,
            b'>' => Header::Push,
            b'|' => Header::Attribute,
            _ => return Err(ProtocolError::UnexpectedType(byte)),
        };
        let Some((number, used)) = number::plain(behind) else {
            self.begin_header(header);
            return Ok(1);
        };
        let whole = match header {
            Header::Bulk | Header::Blob => whole_body(&behind[used..], number),
            _ => None,
        };
        if let Some(length) = whole {
            self.frame_ends();
            return Ok(1 + used + length);
        }
        self.header_ends(header, Some(number as i64))?;
        Ok(1 + used)
    }

    fn begin_header(&mut self, header: Header) {
        self.state = State::Header(header);
        self.number = Number::default();
    }

    /// A lone `\r` or `\n` does not end a line.
    #[inline]
    fn line(&mut self, mut after_cr: bool, bytes: &[u8]) -> Result<usize, ProtocolError> {
        let mut at = 0;
        while let Some(found) = memchr(b'\n', &bytes[at..]) {
            let lf = at + found;
            let ends = if lf == 0 { after_cr } else { bytes[lf - 1] == b'\r' };
            at = lf + 1;
            if ends {
                self.lengthen(at)?;
                self.frame_ends();
                return Ok(at);
            }
        }
        self.lengthen(bytes.len())?;
        if let Some(&last) = bytes.last() {
            after_cr = last == b'\r';
        }
        self.state = State::Line(after_cr);
        Ok(bytes.len())
    }

    fn lengthen(&mut self, by: usize) -> Result<(), ProtocolError> {
        self.line = self.line.saturating_add(u32::try_from(by).unwrap_or(u32::MAX));
        if self.line > REPLY_LINE_MAX { Err(ProtocolError::TooLongReplyLine) } else { Ok(()) }
    }

    fn header_byte(&mut self, header: Header, byte: u8) -> Result<(), ProtocolError> {
        match byte {
            b'\r' => self.state = State::Lf(Ended::Header(header)),
            b'?' if self.number.is_empty() => {
                self.state = State::Cr(match header {
                    Header::Bulk => Ended::StringBegins,
                    Header::Array | Header::Set | Header::Map => Ended::StreamBegins,
                    Header::Blob | Header::Part | Header::Push | Header::Attribute => {
                        return Err(ProtocolError::InvalidReplyLength);
                    }
                });
            }
            _ => {
                self.number.push(byte);
                if self.number.is_bad() {
                    return Err(ProtocolError::InvalidReplyLength);
                }
            }
        }
        Ok(())
    }

    fn line_ends(&mut self, ended: Ended) -> Result<(), ProtocolError> {
        match ended {
            Ended::Header(header) => return self.header_ends(header, self.number.value()),
            Ended::Body(Body::Whole) => self.frame_ends(),
            Ended::Body(Body::Part) | Ended::StringBegins => self.state = State::Part,
            Ended::StreamBegins => return self.stream_begins(),
            Ended::StreamEnds => self.stream_ends(),
        }
        Ok(())
    }

    fn header_ends(&mut self, header: Header, number: Option<i64>) -> Result<(), ProtocolError> {
        let number = match (header, number) {
            // The nulls of RESP2.
            (Header::Bulk | Header::Array, Some(-1)) => {
                self.frame_ends();
                return Ok(());
            }
            (_, Some(number)) => u64::try_from(number).map_err(|_| ProtocolError::InvalidReplyLength)?,
            (_, None) => return Err(ProtocolError::InvalidReplyLength),
        };
        match header {
            Header::Bulk | Header::Blob => self.begin_body(Body::Whole, number),
            Header::Part if number == 0 => self.frame_ends(),
            Header::Part => self.begin_body(Body::Part, number),
            Header::Array | Header::Set | Header::Push => self.elements_follow(1, number)?,
            Header::Map => self.elements_follow(1, number.saturating_mul(2))?,
            Header::Attribute => self.elements_follow(0, number.saturating_mul(2))?,
        }
        Ok(())
    }

    fn begin_body(&mut self, body: Body, length: u64) {
        self.body = length;
        self.state = if length > 0 { State::Body(body) } else { State::Cr(Ended::Body(body)) };
    }

    /// A frame is complete, unless it was an attribute (`frames` is 0), but so many more belong to it.
    fn elements_follow(&mut self, frames: u64, more: u64) -> Result<(), ProtocolError> {
        self.needed = (self.needed - frames).checked_add(more).ok_or(ProtocolError::TooManyElements)?;
        self.state = State::Start;
        Ok(())
    }

    /// Whoever reads a frame needs it, so that the count is not 0.
    fn frame_ends(&mut self) {
        self.needed -= 1;
        self.state = State::Start;
    }

    fn stream_begins(&mut self) -> Result<(), ProtocolError> {
        let outside = self.outside.get_or_insert_default();
        let place = outside.needed.get_mut(outside.open).ok_or(ProtocolError::TooManyStreams)?;
        *place = self.needed - 1;
        outside.open += 1;
        self.needed = 0;
        self.state = State::Start;
        Ok(())
    }

    fn stream_ends(&mut self) {
        self.state = State::Start;
        if let Some(outside) = &mut self.outside {
            outside.open -= 1;
            self.needed = outside.needed[outside.open];
            if outside.open == 0 {
                self.outside = None;
            }
        }
    }
}

/// Most replies to writes, at once: `OK` or a number, whole in `bytes`. Gives how many bytes it takes; nothing where it is something
/// else.
#[inline]
fn usual_line(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'+', b'O', b'K', b'\r', b'\n', ..] => Some(5),
        [b':', line @ ..] => number::plain(line).map(|(_, used)| 1 + used),
        _ => None,
    }
}

/// How many bytes a body of `length` and its `\r\n` take, if `bytes` hold them whole and as they should be.
#[inline]
fn whole_body(bytes: &[u8], length: u64) -> Option<usize> {
    let length = usize::try_from(length).ok()?;
    let end = bytes.get(length..length.checked_add(2)?)?;
    (end == b"\r\n").then_some(length + 2)
}

fn expect(wanted: u8, byte: u8) -> Result<(), ProtocolError> {
    if byte == wanted { Ok(()) } else { Err(ProtocolError::ExpectedLineEnd(byte)) }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
