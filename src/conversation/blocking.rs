//! Commands that block, asked again: with the time that remains, and from where a stream stood.

use std::ops::Range;
use std::time::Duration;

use super::remembered::{Bytes, request};
use crate::resp::command::TimeoutAt;

/// Asked for less, a server would take it for "for ever".
const SECONDS_MIN: f64 = 0.001;

/// Asked again when nobody knows what became of it: the client may get another element, and the one that a dying server popped is lost with
/// its reply in any case. Not so where that was written into another list.
pub(super) fn may_be_repeated(at: TimeoutAt) -> bool {
    match at {
        TimeoutAt::Last | TimeoutAt::First | TimeoutAt::Block => true,
        TimeoutAt::LastOfMove => false,
    }
}

/// Does it block at all?
pub(super) fn blocks(at: TimeoutAt, arguments: &[Bytes]) -> bool {
    match at {
        TimeoutAt::Last | TimeoutAt::LastOfMove | TimeoutAt::First => true,
        TimeoutAt::Block => block_place(arguments).is_some(),
    }
}

/// Does the word stand anywhere, be it the name of a stream?
pub(super) fn says_block(arguments: &[Bytes]) -> bool {
    arguments.iter().any(|word| word.eq_ignore_ascii_case(b"BLOCK"))
}

/// The keys of the streams that are read from their end: `XREAD ... STREAMS key... $...`.
pub(super) fn from_the_end(arguments: &[Bytes]) -> Vec<Bytes> {
    let Some((keys, positions)) = streams(arguments) else { return Vec::new() };
    let at_end = keys.iter().zip(positions).filter(|(_, position)| ***position == *b"$");
    at_end.map(|(key, _)| key.clone()).collect()
}

/// The request to ask when `elapsed` has passed since the first time. `ends`: where the streams of [`from_the_end`] stood then.
pub(super) fn reworded(at: TimeoutAt, arguments: &[Bytes], elapsed: Duration, ends: &[Option<Bytes>]) -> Vec<u8> {
    let mut words = arguments.to_vec();
    let place = match at {
        TimeoutAt::Last | TimeoutAt::LastOfMove => arguments.len().checked_sub(1).filter(|place| *place > 0),
        TimeoutAt::First => Some(1).filter(|place| *place < arguments.len()),
        TimeoutAt::Block => block_place(arguments),
    };
    if let Some(place) = place {
        let number = std::str::from_utf8(&words[place]).ok().and_then(|text| text.parse::<f64>().ok());
        // What is no number the server refuses; zero is for ever.
        if let Some(timeout) = number.filter(|timeout| timeout.is_finite() && *timeout > 0.0) {
            let remains = match at {
                TimeoutAt::Last | TimeoutAt::LastOfMove | TimeoutAt::First => {
                    format!("{:.3}", (timeout - elapsed.as_secs_f64()).max(SECONDS_MIN))
                }
                TimeoutAt::Block => format!("{:.0}", (timeout - elapsed.as_secs_f64() * 1000.0).max(1.0)),
            };
            words[place] = remains.into_bytes().into();
        }
    }
    if let (TimeoutAt::Block, Some((keys, positions))) = (at, streams(arguments)) {
        let first = arguments.len() - keys.len();
        let at_end = positions.iter().enumerate().filter(|(_, position)| ***position == *b"$");
        for ((index, _), end) in at_end.zip(ends) {
            if let Some(end) = end {
                words[first + index] = end.clone();
            }
        }
    }
    request(&words)
}

/// The question where a stream ends.
pub(super) fn end_of(stream: &[u8]) -> Vec<u8> {
    request([&b"XREVRANGE"[..], stream, b"+", b"-", b"COUNT", b"1"])
}

/// Where a stream ends, from the beginning of the reply to `XREVRANGE key + - COUNT 1`. None where it was refused; `Err` where more of it
/// is needed.
pub(super) fn stream_end(reply: &[u8]) -> Result<Option<Bytes>, ()> {
    if reply.starts_with(b"*0\r\n") {
        return Ok(Some(Box::from(&b"0-0"[..])));
    }
    if reply.first() != Some(&b'*') {
        return Ok(None);
    }
    // *1 *2 $n id
    let mut lines = reply.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\r\n"));
    match lines.nth(3) {
        Some(id) => Ok(Some(Box::from(&id[..id.len() - 2]))),
        None => Err(()),
    }
}

/// The keys and the positions behind `STREAMS`.
fn streams(arguments: &[Bytes]) -> Option<(&[Bytes], &[Bytes])> {
    let rest = &arguments[options(arguments)?.end + 1..];
    rest.len().is_multiple_of(2).then(|| rest.split_at(rest.len() / 2))
}

/// The options of `XREAD` and `XREADGROUP`: what stands before the word `STREAMS`, without the names of a group and a consumer behind `GROUP`.
fn options(arguments: &[Bytes]) -> Option<Range<usize>> {
    let named = arguments.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"GROUP"));
    let first = if named { 4 } else { 1 };
    let end = arguments.iter().skip(first).position(|word| word.eq_ignore_ascii_case(b"STREAMS"))?;
    Some(first..first + end)
}

fn block_place(arguments: &[Bytes]) -> Option<usize> {
    let options = options(arguments)?;
    let at = options.start + arguments[options.clone()].iter().position(|word| word.eq_ignore_ascii_case(b"BLOCK"))?;
    Some(at + 1).filter(|place| *place < options.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Bytes> {
        text.split(' ').map(|word| word.as_bytes().into()).collect()
    }

    fn asked_again(at: TimeoutAt, text: &str, millis: u64, ends: &[Option<Bytes>]) -> String {
        let request = reworded(at, &words(text), Duration::from_millis(millis), ends);
        let parts = String::from_utf8(request).expect("text");
        parts.split("\r\n").skip(2).step_by(2).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_blocking_command_is_asked_again_with_the_time_that_remains() {
        assert_eq!(asked_again(TimeoutAt::Last, "BRPOP a b 5", 1500, &[]), "BRPOP a b 3.500");
        assert_eq!(asked_again(TimeoutAt::Last, "BRPOP a 0", 1500, &[]), "BRPOP a 0");
        assert_eq!(asked_again(TimeoutAt::Last, "BRPOP a 1", 1500, &[]), "BRPOP a 0.001");
        assert_eq!(asked_again(TimeoutAt::LastOfMove, "BLMOVE a b LEFT RIGHT 5", 1500, &[]), "BLMOVE a b LEFT RIGHT 3.500");
        assert_eq!(asked_again(TimeoutAt::First, "BLMPOP 2.5 1 a LEFT", 500, &[]), "BLMPOP 2.000 1 a LEFT");
        assert_eq!(asked_again(TimeoutAt::Block, "XREAD BLOCK 100 STREAMS s 5-1", 40, &[]), "XREAD BLOCK 60 STREAMS s 5-1");
        assert_eq!(asked_again(TimeoutAt::Last, "BRPOP a never", 40, &[]), "BRPOP a never");
    }

    #[test]
    fn a_stream_is_read_on_from_where_it_stood() {
        let text = "XREAD BLOCK 0 STREAMS a b c $ 7-1 $";
        assert_eq!(from_the_end(&words(text)), words("a c"));
        let ends = [Some(Box::from(&b"3-0"[..])), None];
        assert_eq!(asked_again(TimeoutAt::Block, text, 40, &ends), "XREAD BLOCK 0 STREAMS a b c 3-0 7-1 $");
        assert_eq!(stream_end(b"*1\r\n*2\r\n$3\r\n3-0\r\n*2\r\n"), Ok(Some(Box::from(&b"3-0"[..]))));
        assert_eq!(stream_end(b"*1\r\n*2\r\n$3\r\n3-"), Err(()));
        assert_eq!(stream_end(b"*0\r\n"), Ok(Some(Box::from(&b"0-0"[..]))));
        assert_eq!(stream_end(b"-NOPERM\r\n"), Ok(None));
    }

    #[test]
    fn xread_blocks_only_with_the_word() {
        assert!(blocks(TimeoutAt::Block, &words("XREAD COUNT 1 BLOCK 5 STREAMS s 0")));
        assert!(!blocks(TimeoutAt::Block, &words("XREAD COUNT 1 STREAMS BLOCK 0")));
        assert!(!blocks(TimeoutAt::Block, &words("XREADGROUP GROUP block 5 COUNT 1 STREAMS s >")));
        assert!(blocks(TimeoutAt::Block, &words("XREADGROUP GROUP block 5 BLOCK 1 STREAMS s >")));
        assert!(blocks(TimeoutAt::Block, &words("XREADGROUP GROUP streams c BLOCK 0 STREAMS s >")));
    }
}
