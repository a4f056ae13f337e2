use super::*;

/// Where frames end, fed in chunks of `step` bytes, and how it ended.
fn ends(bytes: &[u8], step: usize) -> (Vec<usize>, Option<ProtocolError>) {
    let mut scanner = ReplyScanner::default();
    let mut ends = Vec::new();
    let mut at = 0;
    for chunk in bytes.chunks(step) {
        let end = at + chunk.len();
        while at < end {
            match scanner.scan(&bytes[at..end]) {
                Ok(Some(used)) => {
                    at += used;
                    ends.push(at);
                    assert!(scanner.is_between());
                }
                Ok(None) => {
                    at = end;
                    assert!(!scanner.is_between());
                }
                Err(error) => return (ends, Some(error)),
            }
        }
    }
    (ends, None)
}

#[track_caller]
fn assert_frames(frames: &[&[u8]]) {
    let bytes = frames.concat();
    let mut expected = Vec::new();
    for frame in frames {
        expected.push(expected.last().unwrap_or(&0) + frame.len());
    }
    for step in [1, 2, 3, 5, bytes.len()] {
        assert_eq!(ends(&bytes, step), (expected.clone(), None), "{} in steps of {step}", bytes.escape_ascii());
    }
}

#[track_caller]
fn assert_refused(bytes: &[u8], error: ProtocolError) {
    for step in [1, 2, bytes.len()] {
        assert_eq!(ends(bytes, step), (vec![], Some(error)), "{} in steps of {step}", bytes.escape_ascii());
    }
}

#[test]
fn every_type_ends_where_it_ends() {
    assert_frames(&[
        b"+OK\r\n",
        b"+\r\n",
        b"-READONLY You can't write\r\n",
        b":-12\r\n",
        b"$5\r\nhello\r\n",
        b"$0\r\n\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n$1\r\na\r\n:1\r\n",
        b"_\r\n",
        b",-1.5e-9\r\n",
        b",inf\r\n",
        b"#t\r\n",
        b"(3492890328409238509324850943850943825024385\r\n",
        b"!21\r\nSYNTAX invalid syntax\r\n",
        b"=15\r\ntxt:Some string\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#f\r\n",
        b"%0\r\n",
        b"~2\r\n+a\r\n+b\r\n",
        b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
    ]);
}

#[test]
fn aggregates_nest() {
    assert_frames(&[
        b"*3\r\n*2\r\n:1\r\n*0\r\n%1\r\n*1\r\n:1\r\n~1\r\n$2\r\n\r\n\r\n$-1\r\n",
        b"*1\r\n*1\r\n*1\r\n*-1\r\n",
        b"+OK\r\n",
    ]);
}

#[test]
fn an_attribute_belongs_to_the_frame_that_follows_it() {
    assert_frames(&[b"|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n", b"|0\r\n+OK\r\n", b"*2\r\n|1\r\n+a\r\n*1\r\n+b\r\n:1\r\n:2\r\n"]);
}

#[test]
fn streamed_strings_and_aggregates_end_with_their_end() {
    assert_frames(&[
        b"$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;0\r\n",
        b"$?\r\n;0\r\n",
        b"*?\r\n:1\r\n*1\r\n:2\r\n.\r\n",
        b"*?\r\n.\r\n",
        b"*3\r\n~?\r\n+a\r\n.\r\n%?\r\n+a\r\n*?\r\n.\r\n.\r\n$?\r\n;1\r\n;\r\n;0\r\n",
        b"+OK\r\n",
    ]);
}

#[test]
fn a_lone_carriage_return_or_line_feed_ends_no_line() {
    assert_frames(&[b"+a\rb\nc\r\r\n", b"-\n\r\n", b"+OK\r\n"]);
}

#[test]
fn what_is_no_reply_is_refused() {
    assert_refused(b"HTTP/1.1 200\r\n", ProtocolError::UnexpectedType(b'H'));
    assert_refused(b"\r\n", ProtocolError::UnexpectedType(b'\r'));
    assert_refused(b".\r\n", ProtocolError::UnexpectedType(b'.'));
    assert_refused(b";1\r\na\r\n", ProtocolError::UnexpectedType(b';'));
    assert_refused(b"*1\r\n.\r\n", ProtocolError::UnexpectedType(b'.'));
    assert_refused(b"*?\r\n*1\r\n.\r\n", ProtocolError::UnexpectedType(b'.'));
    assert_refused(b"*?\r\n|1\r\n+a\r\n+b\r\n.\r\n", ProtocolError::UnexpectedType(b'.'));
    assert_refused(b"$?\r\n+a\r\n", ProtocolError::UnexpectedType(b'+'));
    for length in ["$-2", "*-2", "%-1", "~-1", ">-1", "|-1", "!-1", "=-1", "$", "$01", "$+1", "*1x", "$?\r\n;-1", "$?\r\n;"] {
        assert_refused(format!("{length}\r\n").as_bytes(), ProtocolError::InvalidReplyLength);
    }
    for length in [">?", "|?", "!?", "=?", "$1?", "$9223372036854775808", "*99999999999999999999"] {
        assert_refused(format!("{length}\r\n").as_bytes(), ProtocolError::InvalidReplyLength);
    }
    assert_refused(b"$1\r\nabc", ProtocolError::ExpectedLineEnd(b'b'));
    assert_refused(b"$1\r\na\rc", ProtocolError::ExpectedLineEnd(b'c'));
    assert_refused(b"$1\rx", ProtocolError::ExpectedLineEnd(b'x'));
    assert_refused(b"*?x", ProtocolError::ExpectedLineEnd(b'x'));
    assert_refused(b"*2\r\n*9223372036854775807\r\n*9223372036854775807\r\n*9\r\n", ProtocolError::TooManyElements);
    assert_refused(b"%9223372036854775807\r\n*9\r\n%2\r\n", ProtocolError::TooManyElements);
}

#[test]
fn a_line_has_a_bound() {
    let mut scanner = ReplyScanner::default();
    assert_eq!(scanner.scan(b"+a"), Ok(None));
    // As if so much had come already.
    scanner.line = REPLY_LINE_MAX - 1;
    assert_eq!(scanner.scan(b"b"), Ok(None));
    assert_eq!(scanner.scan(b"c"), Err(ProtocolError::TooLongReplyLine));
}

#[test]
fn an_idle_session_pays_little_for_its_scanner() {
    assert!(size_of::<ReplyScanner>() <= 56, "{}", size_of::<ReplyScanner>());
}
