//! Replies: the scanner, which counts, against a reader that descends into the tree, and against redis-protocol.

use mainstay::resp::frames::{ProtocolError, ReplyScanner, STREAMS_MAX};
use redis_protocol::error::RedisProtocolError;
use redis_protocol::{resp2, resp3};
use resp3::types::{DecodedRangeFrame, FrameKind, RangeFrame};

use super::ends_however_cut;

/// Both readers that we compare with descend by recursion.
const DEPTH_MAX: usize = 64;

/// What a reader makes of the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Incomplete,
    Frame { end: usize },
    Refused(String),
}

/// Panics where a rule is broken.
pub fn check(bytes: &[u8]) {
    let (ends, error) = ends_however_cut(bytes, || {
        let mut scanner = ReplyScanner::default();
        move |bytes: &[u8]| scanner.scan(bytes)
    });
    let mut at = 0;
    for end in ends {
        agree(&bytes[at..], &Seen::Frame { end: end - at }, None);
        at = end;
    }
    match error {
        Some(error) => agree(&bytes[at..], &Seen::Refused(String::new()), Some(error)),
        None if at < bytes.len() => agree(&bytes[at..], &Seen::Incomplete, None),
        None => (),
    }
}

fn agree(bytes: &[u8], ours: &Seen, error: Option<ProtocolError>) {
    let own = if let Seen::Frame { end } = ours { &bytes[..*end] } else { bytes };
    if depth(own) > DEPTH_MAX {
        return;
    }
    let shown = bytes.escape_ascii();
    match (frame(bytes, 0, 0), ours) {
        (Ok(end), Seen::Frame { end: ours }) => assert_eq!(end, *ours, "{shown}"),
        (Err(Stop::Incomplete), Seen::Incomplete) | (Err(Stop::Refused), Seen::Refused(_)) => (),
        // More than can be counted is refused before all of it could come.
        (Err(Stop::Incomplete), Seen::Refused(_)) if error == Some(ProtocolError::TooManyElements) => return,
        (theirs, ours) => panic!("reading: {theirs:?}, scanning: {ours:?}, {error:?}: {shown}"),
    }
    let theirs = redis_protocol(bytes);
    match (&theirs, ours) {
        (Seen::Frame { end }, Seen::Frame { end: ours }) => assert_eq!(end, ours, "{shown}"),
        (Seen::Incomplete, Seen::Incomplete) | (Seen::Refused(_), Seen::Refused(_)) => (),
        // It reads numbers as Rust does (`+1`, `007`), does not look at what stands behind a body, lets the end of a stream stand
        // anywhere, takes -1 for `?`, and has a frame `HELLO`.
        (_, Seen::Refused(_)) => {
            use ProtocolError::{ExpectedLineEnd, InvalidReplyLength, TooManyElements, TooManyStreams, UnexpectedType};
            let named = match error {
                Some(InvalidReplyLength | ExpectedLineEnd(_) | TooManyElements | TooManyStreams) => true,
                Some(UnexpectedType(byte)) => b".;H".contains(&byte) || bytes.contains(&b'?') || bytes.contains(&b'='),
                _ => false,
            };
            assert!(named, "redis-protocol: {theirs:?}, scanning: {error:?}: {shown}");
        }
        // It reads what lines say, has no nulls of RESP2 and no streams inside other frames, wants keys that can be hashed, no
        // attributes to attributes and nulls, and refuses early.
        (Seen::Refused(why), _) => assert!(is_about_meaning(why), "redis-protocol: {why}, scanning: {ours:?}: {shown}"),
        // The text of a verbatim string is taken for longer than it says.
        (Seen::Incomplete, Seen::Frame { .. }) | (Seen::Frame { .. }, Seen::Incomplete) => {
            assert!(bytes.contains(&b'='), "redis-protocol: {theirs:?}, scanning: {ours:?}: {shown}");
        }
    }
}

fn is_about_meaning(why: &str) -> bool {
    const MEANING: [&str; 12] = [
        "parse_as:",
        "to_isize:",
        "to_i64:",
        "to_bool:",
        "to_map:",
        "to_set:",
        "to_verbatimstring_format:",
        "parse_verbatimstring:",
        "parse_non_attribute_frame:",
        "attach_attributes:",
        "MapRes",
        "utf-8",
    ];
    MEANING.iter().any(|context| why.contains(context))
}

/// How deep it may be nested at most.
fn depth(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| b"*%~>|".contains(byte)).count()
}

#[derive(Debug)]
enum Stop {
    Incomplete,
    Refused,
}

fn text_line(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Stop> {
    let rest = &bytes[at..];
    let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or(Stop::Incomplete)?;
    Ok((&rest[..end], at + end + 2))
}

/// What stands in a header, strictly; a fault shows at its first byte.
fn header(bytes: &[u8], at: usize, may_stream: bool) -> Result<(Option<i64>, usize), Stop> {
    let rest = &bytes[at..];
    let length = rest.iter().position(|&byte| byte == b'\r').unwrap_or(rest.len());
    let text = &rest[..length];
    if text == b"?" && may_stream {
        return crlf(bytes, at + 1).map(|end| (None, end));
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = digits.iter().all(u8::is_ascii_digit) && (digits.len() < 2 || digits[0] != b'0');
    let unsigned: Option<u64> = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    if !canonical || (unsigned.is_none() && !digits.is_empty()) {
        return Err(Stop::Refused);
    }
    let end = crlf(bytes, at + length)?;
    let number = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.filter(|_| text != b"-0").map(|number| (Some(number), end)).ok_or(Stop::Refused)
}

fn crlf(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    match bytes[at..] {
        [b'\r', b'\n', ..] => Ok(at + 2),
        [b'\r'] | [] => Err(Stop::Incomplete),
        _ => Err(Stop::Refused),
    }
}

fn body(bytes: &[u8], at: usize, length: i64) -> Result<usize, Stop> {
    let length = usize::try_from(length).map_err(|_| Stop::Refused)?;
    if bytes.len() - at < length {
        return Err(Stop::Incomplete);
    }
    crlf(bytes, at + length)
}

fn elements(bytes: &[u8], mut at: usize, count: i64, each: u64, streams: usize) -> Result<usize, Stop> {
    let count = u64::try_from(count).map_err(|_| Stop::Refused)?;
    for _ in 0..count.saturating_mul(each) {
        at = frame(bytes, at, streams)?;
    }
    Ok(at)
}

/// Where the frame ends that begins at `at`.
fn frame(bytes: &[u8], at: usize, streams: usize) -> Result<usize, Stop> {
    let kind = *bytes.get(at).ok_or(Stop::Incomplete)?;
    if b"+-:_#,(".contains(&kind) {
        return text_line(bytes, at + 1).map(|(_, end)| end);
    }
    if !b"$!=*~%>|".contains(&kind) {
        return Err(Stop::Refused);
    }
    let each = if kind == b'%' || kind == b'|' { 2 } else { 1 };
    match (kind, header(bytes, at + 1, b"$*~%".contains(&kind))?) {
        (b'$' | b'*', (Some(-1), end)) => Ok(end),
        (b'$' | b'!' | b'=', (Some(length), end)) => body(bytes, end, length),
        (b'$', (None, end)) => parts(bytes, end),
        (_, (None, _)) if streams == STREAMS_MAX => Err(Stop::Refused),
        (_, (None, end)) => streamed(bytes, end, streams + 1),
        (b'|', (Some(count), end)) => elements(bytes, end, count, each, streams).and_then(|end| frame(bytes, end, streams)),
        (_, (Some(count), end)) => elements(bytes, end, count, each, streams),
    }
}

fn parts(bytes: &[u8], mut at: usize) -> Result<usize, Stop> {
    loop {
        match bytes.get(at) {
            Some(b';') => (),
            Some(_) => return Err(Stop::Refused),
            None => return Err(Stop::Incomplete),
        }
        let (length, end) = header(bytes, at + 1, false)?;
        at = match length {
            Some(0) => return Ok(end),
            length => body(bytes, end, length.unwrap_or(-1))?,
        };
    }
}

fn streamed(bytes: &[u8], mut at: usize, streams: usize) -> Result<usize, Stop> {
    while bytes.get(at) != Some(&b'.') {
        at = frame(bytes, at, streams)?;
    }
    crlf(bytes, at + 1)
}

/// What redis-protocol makes of it: as RESP2 if it can, else as RESP3.
pub fn redis_protocol(bytes: &[u8]) -> Seen {
    match resp2::decode::decode_range(bytes) {
        Ok(Some((_, end))) => Seen::Frame { end },
        Ok(None) => Seen::Incomplete,
        Err(_) => resp3_frame(bytes).unwrap_or_else(|error| Seen::Refused(error.to_string())),
    }
}

/// It leaves the loop over a stream to its callers.
fn resp3_frame(bytes: &[u8]) -> Result<Seen, RedisProtocolError> {
    match resp3::decode::streaming::decode_range(bytes)? {
        None => Ok(Seen::Incomplete),
        Some((DecodedRangeFrame::Complete(RangeFrame::ChunkedString(_)), _)) => {
            Ok(Seen::Refused("parse_as: stray part".to_owned()))
        }
        Some((DecodedRangeFrame::Complete(_), end)) => Ok(Seen::Frame { end }),
        // It takes the nulls of RESP2 for the beginning of a stream.
        Some((DecodedRangeFrame::Streaming(_), end)) if !bytes[..end].ends_with(b"?\r\n") => {
            let is_null = bytes[..end].ends_with(b"$-1\r\n") || bytes[..end].ends_with(b"*-1\r\n");
            Ok(if is_null { Seen::Frame { end } } else { Seen::Refused("parse_as: -1".to_owned()) })
        }
        Some((DecodedRangeFrame::Streaming(stream), mut at)) => loop {
            let next = resp3::decode::streaming::decode_range(&bytes[at..])?;
            let of_string = stream.kind == FrameKind::BlobString;
            match next {
                None => return Ok(Seen::Incomplete),
                Some((DecodedRangeFrame::Complete(frame), used)) => {
                    at += used;
                    match frame {
                        RangeFrame::ChunkedString((0, 0)) => return Ok(Seen::Frame { end: at }),
                        RangeFrame::ChunkedString(_) if of_string => (),
                        _ if of_string => return Ok(Seen::Refused("no part of a string".to_owned())),
                        _ => (),
                    }
                }
                Some((DecodedRangeFrame::Streaming(_), _)) => match resp3_frame(&bytes[at..])? {
                    Seen::Frame { end } => at += end,
                    other => return Ok(other),
                },
            }
        },
    }
}
