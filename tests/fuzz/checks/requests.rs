//! Requests: the scanner against Redis' rules written down a second time, over a whole buffer and without a thought for speed, and
//! against redis-protocol where that reads a request at all.

use mainstay::resp::frames::{LINE_MAX, RequestScanner, arguments};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

use super::ends_however_cut;

/// What Redis makes of the beginning of `bytes`.
enum Seen {
    Incomplete,
    Request { end: usize, arguments: Vec<Vec<u8>> },
    Refused(String),
}

/// Panics where a rule is broken.
pub fn check(bytes: &[u8]) {
    let (ends, error) = ends_however_cut(bytes, || {
        let mut scanner = RequestScanner::default();
        move |bytes: &[u8]| scanner.scan(bytes)
    });

    let mut at = 0;
    let mut seen = ends.into_iter();
    while at < bytes.len() {
        let rest = &bytes[at..];
        let shown = rest.escape_ascii();
        match redis(rest) {
            Seen::Request { end, arguments: expected } => {
                assert_eq!(seen.next(), Some(at + end), "{shown}");
                says(&rest[..end], &expected);
                at += end;
            }
            Seen::Incomplete => {
                assert_eq!((seen.next(), error), (None, None), "{shown}");
                says_no_more_than_it_holds(rest);
                break;
            }
            Seen::Refused(text) => {
                assert_eq!(seen.next(), None, "{shown}");
                assert_eq!(error.map(|error| error.to_string()), Some(format!("Protocol error: {text}")), "{shown}");
                break;
            }
        }
    }
    assert_eq!(seen.next(), None, "{}", bytes.escape_ascii());
}

fn says(request: &[u8], expected: &[Vec<u8>]) {
    let said: Vec<_> = arguments(request).collect();
    assert_eq!(said, expected, "{}", request.escape_ascii());
    let cut = request.len() / 2;
    let said_before: Vec<_> = arguments(&request[..cut]).collect();
    assert!(
        expected.starts_with(&said_before.iter().map(|argument| argument.to_vec()).collect::<Vec<_>>()),
        "{}",
        request.escape_ascii()
    );
    redis_protocol_agrees(request, expected);
}

fn says_no_more_than_it_holds(request: &[u8]) {
    let said: usize = arguments(request).map(|argument| argument.len()).sum();
    assert!(said <= request.len(), "{}", request.escape_ascii());
}

/// It knows arrays of bulk strings only, and wants `\r\n` where Redis looks away.
fn redis_protocol_agrees(request: &[u8], expected: &[Vec<u8>]) {
    if let Ok(Some((RangeFrame::Array(elements), end))) = decode_range(request) {
        assert_eq!(end, request.len(), "{}", request.escape_ascii());
        let read: Vec<&[u8]> = elements
            .iter()
            .map(|element| match element {
                RangeFrame::BulkString((from, to)) => &request[*from..*to],
                other => panic!("{other:?} in {}", request.escape_ascii()),
            })
            .collect();
        assert_eq!(read, expected, "{}", request.escape_ascii());
    }
}

fn redis(bytes: &[u8]) -> Seen {
    if bytes[0] == b'*' { array(bytes) } else { inline(bytes) }
}

/// As C's strchr: a NUL byte ends the search.
fn line_until(bytes: &[u8], end: u8) -> Option<usize> {
    bytes.iter().position(|&byte| byte == end || byte == 0).filter(|&at| bytes[at] == end)
}

/// A line up to its `\r`, when the byte behind that has come too.
fn number_line<'a>(bytes: &'a [u8], too_big: &str) -> Result<&'a [u8], Seen> {
    let max = LINE_MAX as usize;
    match line_until(bytes, b'\r') {
        Some(cr) if cr <= max && cr + 2 <= bytes.len() => Ok(&bytes[..cr]),
        Some(cr) if cr <= max => Err(Seen::Incomplete),
        None if bytes.len() <= max => Err(Seen::Incomplete),
        Some(_) | None => Err(Seen::Refused(too_big.to_owned())),
    }
}

fn number(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

fn array(bytes: &[u8]) -> Seen {
    read_array(bytes).unwrap_or_else(|seen| seen)
}

fn read_array(bytes: &[u8]) -> Result<Seen, Seen> {
    let refused = |text: &str| Err(Seen::Refused(text.to_owned()));
    let line = number_line(bytes, "too big mbulk count string")?;
    let Some(count) = number(&line[1..]).filter(|count| *count <= i64::from(i32::MAX)) else {
        return refused("invalid multibulk length");
    };
    let mut at = line.len() + 2;
    let mut arguments = Vec::new();
    for _ in 0..count {
        let line = number_line(&bytes[at..], "too big bulk count string")?;
        match line.first().unwrap_or(&b'\r') {
            b'$' => (),
            other @ b' '..=b'~' => return refused(&format!("expected '$', got '{}'", char::from(*other))),
            other => return refused(&format!("expected '$', got '{}'", other.escape_ascii())),
        }
        let Some(length) = number(&line[1..]).and_then(|length| usize::try_from(length).ok()) else {
            return refused("invalid bulk length");
        };
        at += line.len() + 2;
        let body = bytes[at..].get(..length + 2).ok_or(Seen::Incomplete)?;
        arguments.push(body[..length].to_vec());
        at += length + 2;
    }
    Ok(Seen::Request { end: at, arguments })
}

fn inline(bytes: &[u8]) -> Seen {
    let max = LINE_MAX as usize;
    let Some(lf) = line_until(bytes, b'\n').filter(|lf| *lf <= max) else {
        return if bytes.len() > max { Seen::Refused("too big inline request".to_owned()) } else { Seen::Incomplete };
    };
    let line = bytes[..lf].strip_suffix(b"\r").unwrap_or(&bytes[..lf]);
    match split(line) {
        Some(arguments) => Seen::Request { end: lf + 1, arguments },
        None => Seen::Refused("unbalanced quotes in request".to_owned()),
    }
}

/// Inline arguments; none where quotes are not balanced.
fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_space = |byte: u8| byte == b' ' || (9..=13).contains(&byte);
    let at = |index: usize| line.get(index).copied().unwrap_or(0);
    let mut arguments = Vec::new();
    let mut p = 0;
    loop {
        while is_space(at(p)) {
            p += 1;
        }
        if p >= line.len() {
            return Some(arguments);
        }
        let mut argument = Vec::new();
        let mut quote = 0;
        loop {
            let byte = at(p);
            p += 1;
            match (quote, byte) {
                (0, b' ' | b'\n' | b'\r' | b'\t' | 0) => break,
                (0, b'"' | b'\'') => quote = byte,
                (0, _) => argument.push(byte),
                (_, 0) => return None,
                (_, _) if byte == quote => {
                    if p < line.len() && !is_space(at(p)) {
                        return None;
                    }
                    break;
                }
                (b'\'', b'\\') if at(p) == b'\'' => {
                    argument.push(b'\'');
                    p += 1;
                }
                (b'"', b'\\') if at(p) == b'x' && at(p + 1).is_ascii_hexdigit() && at(p + 2).is_ascii_hexdigit() => {
                    let digits = str::from_utf8(&line[p + 1..p + 3]).ok()?;
                    argument.push(u8::from_str_radix(digits, 16).ok()?);
                    p += 3;
                }
                (b'"', b'\\') if p < line.len() => {
                    let meant = [(b'n', b'\n'), (b'r', b'\r'), (b't', b'\t'), (b'b', 8), (b'a', 7)];
                    argument.push(meant.iter().find(|(letter, _)| *letter == at(p)).map_or(at(p), |(_, meant)| *meant));
                    p += 1;
                }
                (_, _) => argument.push(byte),
            }
        }
        arguments.push(argument);
    }
}
