//! What a request says, read from its bytes where somebody has them.

use std::borrow::Cow;

use super::number::Number;
use super::request::{ends_word, is_blank};

/// The arguments of a request, the command's name first, as far as `bytes` hold them whole: `bytes` begin where the request begins.
/// None for what is no request to a server at all (an empty line, an empty array). It ends where it meets what
/// [`RequestScanner`](super::RequestScanner) refuses.
///
/// They are borrowed, except for inline arguments that are written otherwise than they are meant (`"a\r\n"`, `a"b"`).
pub fn arguments(bytes: &[u8]) -> Arguments<'_> {
    if let Some(rest) = bytes.strip_prefix(b"*") {
        return match number_line(rest) {
            Some((Some(count @ 1..), rest)) => Arguments(Form::Array { rest, count }),
            _ => Arguments(Form::Array { rest: &[], count: 0 }),
        };
    }
    Arguments(match bytes.iter().position(|&byte| byte == b'\n') {
        Some(end) => Form::Inline { rest: bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]), whole: true },
        None => Form::Inline { rest: bytes, whole: false },
    })
}

/// The first of the [`arguments`], the command's name.
#[inline]
pub fn name(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    match bytes {
        // The usual case at once.
        [b'*', b'1'..=b'9', b'\r', b'\n', b'$', length @ b'1'..=b'9', b'\r', b'\n', rest @ ..] => {
            rest.get(..usize::from(length - b'0')).map(Cow::Borrowed)
        }
        _ => arguments(bytes).next(),
    }
}

/// See [`arguments`].
#[derive(Clone, Debug)]
pub struct Arguments<'a>(Form<'a>);

#[derive(Clone, Debug)]
enum Form<'a> {
    Array { rest: &'a [u8], count: i64 },
    Inline { rest: &'a [u8], whole: bool },
}

impl<'a> Iterator for Arguments<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Cow<'a, [u8]>> {
        match &mut self.0 {
            Form::Array { rest, count } => {
                *count = count.checked_sub(1).filter(|left| *left >= 0)?;
                let (argument, behind) = bulk(rest).unzip();
                *rest = behind.unwrap_or(&[]);
                argument.map(Cow::Borrowed)
            }
            Form::Inline { rest, whole } => {
                let (argument, behind) = word(rest, *whole).unzip();
                *rest = behind.unwrap_or(&[]);
                argument
            }
        }
    }
}

/// A number up to its `\r` and what stands behind its line. Redis does not look at the byte behind the `\r`.
fn number_line(bytes: &[u8]) -> Option<(Option<i64>, &[u8])> {
    let mut number = Number::default();
    for (at, &byte) in bytes.iter().enumerate() {
        if byte == b'\r' {
            return Some((number.value(), bytes.get(at + 2..)?));
        }
        number.push(byte);
        if number.is_bad() {
            return None;
        }
    }
    None
}

fn bulk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number_line(bytes.strip_prefix(b"$")?)?;
    let (argument, behind) = rest.split_at_checked(usize::try_from(length?).ok()?)?;
    Some((argument, behind.get(2..).unwrap_or(&[])))
}

/// The next inline argument and what stands behind it, by the rules of `sdssplitargs`. `whole`: where `bytes` end, the line ends.
fn word(bytes: &[u8], whole: bool) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let bytes = &bytes[bytes.iter().position(|&byte| !is_blank(byte))?..];
    let plain = bytes.iter().position(|&byte| ends_word(byte) || byte == b'"' || byte == b'\'').unwrap_or(bytes.len());
    match bytes.get(plain) {
        None if !whole => None,
        Some(b'"' | b'\'') => quoted(bytes, plain, whole),
        None | Some(_) => Some((Cow::Borrowed(&bytes[..plain]), &bytes[plain..])),
    }
}

/// A quote opens at `open`; it ends the argument when it closes.
fn quoted(bytes: &[u8], open: usize, whole: bool) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let quote = bytes[open];
    let inside = &bytes[open + 1..];
    let mut said: Option<Vec<u8>> = (open > 0).then(|| bytes[..open].to_vec());
    let mut at = 0;
    loop {
        let (meant, used) = match (quote, &inside[at..]) {
            (_, [byte, behind @ ..]) if *byte == quote => {
                let closed = behind.first().map_or(whole, |&byte| is_blank(byte));
                return closed.then(|| (said.map_or(Cow::Borrowed(&inside[..at]), Cow::Owned), behind));
            }
            (b'"', [b'\\', b'x', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) * 16 + hex(*low), 4)
            }
            (b'"', [b'\\', escaped, ..]) => (escape(*escaped), 2),
            (b'\'', [b'\\', b'\'', ..]) => (b'\'', 2),
            (_, [byte, ..]) => (*byte, 1),
            (_, []) => return None,
        };
        if used > 1 && said.is_none() {
            said = Some(inside[..at].to_vec());
        }
        if let Some(said) = &mut said {
            said.push(meant);
        }
        at += used;
    }
}

fn escape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_says(bytes: &[u8], expected: &[&str]) {
        let said: Vec<String> = arguments(bytes).map(|argument| argument.escape_ascii().to_string()).collect();
        assert_eq!(name(bytes), arguments(bytes).next(), "{}", bytes.escape_ascii());
        assert_eq!(said, expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn an_array_says_its_bulks_and_nothing_behind_it() {
        assert_says(b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n", &["GET", "\\r\\n"]);
        assert_says(b"*0\r\n$1\r\na\r\n", &[]);
        assert_says(b"*-1\r\n$1\r\na\r\n", &[]);
    }

    #[test]
    fn of_an_unfinished_request_only_whole_arguments_are_said() {
        let bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n";
        for cut in 0..bytes.len() {
            let expected = [(11, "SET"), (18, "k"), (29, "value")];
            let whole: Vec<&str> = expected.into_iter().filter(|(end, _)| *end <= cut).map(|(_, said)| said).collect();
            assert_says(&bytes[..cut], &whole);
        }
        assert_says(b"set a b", &["set", "a"]);
        assert_says(b"set \"a\"", &["set"]);
    }

    #[test]
    fn inline_arguments_are_quoted_as_in_redis() {
        assert_says(b"\r\n", &[]);
        assert_says(b" \x0b\x0c\t\r\n", &[]);
        assert_says(b"SET key\tvalue \r\nGET key\r\n", &["SET", "key", "value"]);
        assert_says(b"a\x0bb\n", &["a\\x0bb"]);
        assert_says(b"set \"\" 'a b' \"a b\"\n", &["set", "", "a b", "a b"]);
        assert_says(br#"x "\x41\n\r\t\b\a\"\\\q\x4" 'a\'b\n'"#, &["x", "A\\n\\r\\t\\x08\\x07\\\"\\\\qx4"]);
        assert_says(b"x 'a\\'b\\n'\n", &["x", "a\\'b\\\\n"]);
        assert_says(b"foo\"bar\" ba'z'\n", &["foobar", "baz"]);
    }

    #[test]
    fn what_is_written_as_it_is_meant_is_borrowed() {
        for bytes in [&b"*1\r\n$4\r\nPING\r\n"[..], b"PING\r\n", b"\"PING\"\r\n", b"'PING'\r\n"] {
            assert!(matches!(arguments(bytes).next(), Some(Cow::Borrowed(b"PING"))), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn broken_requests_say_what_stands_before_the_fault() {
        assert_says(b"get \"a\r\n", &["get"]);
        assert_says(b"get \"a\"b c\r\n", &["get"]);
        assert_says(b"*2\r\n$3\r\nGET\r\n:1\r\n$1\r\na\r\n", &["GET"]);
        assert_says(b"*2\r\n$-1\r\n", &[]);
        assert_says(b"*2\r\n$9223372036854775807\r\nabc", &[]);
    }
}
