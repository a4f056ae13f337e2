//! Input made to hurt: it must cost no memory, and no more time than its bytes.

use std::time::{Duration, Instant};

use mainstay::resp::frames::{ProtocolError, ReplyScanner, RequestScanner, STREAMS_MAX};

/// Far more than it takes on a busy machine without optimisation, far less than anything quadratic.
const GENEROUS: Duration = Duration::from_secs(60);

const MILLIONS: usize = 10_000_000;

#[test]
fn ten_million_elements_may_trickle_in_byte_by_byte() {
    let began = Instant::now();
    let mut replies = ReplyScanner::default();
    let mut requests = RequestScanner::default();
    let header = format!("*{MILLIONS}\r\n");
    for byte in header.bytes() {
        assert_eq!(replies.scan(&[byte]), Ok(None));
        assert_eq!(requests.scan(&[byte]), Ok(None));
    }
    for element in 1..=MILLIONS {
        for byte in b":1\r" {
            assert_eq!(replies.scan(&[*byte]), Ok(None));
        }
        assert_eq!(replies.scan(b"\n"), Ok((element == MILLIONS).then_some(1)));
        for byte in b"$0\r\n\r" {
            assert_eq!(requests.scan(&[*byte]), Ok(None));
        }
        assert_eq!(requests.scan(b"\n"), Ok((element == MILLIONS).then_some(1)));
    }
    assert!(replies.is_between() && requests.is_between());
    assert!(began.elapsed() < GENEROUS, "{:?}", began.elapsed());
}

#[test]
fn a_long_line_may_trickle_in_byte_by_byte() {
    let began = Instant::now();
    let mut replies = ReplyScanner::default();
    assert_eq!(replies.scan(b"+"), Ok(None));
    for _ in 0..MILLIONS {
        assert_eq!(replies.scan(b"\r"), Ok(None));
    }
    assert_eq!(replies.scan(b"\n"), Ok(Some(1)));
    assert!(began.elapsed() < GENEROUS, "{:?}", began.elapsed());
}

#[test]
fn a_reply_may_nest_as_deep_as_it_likes() {
    let mut scanner = ReplyScanner::default();
    let deep = b"*2\r\n".repeat(1_000_000);
    assert_eq!(scanner.scan(&deep), Ok(None));
    let ends = b":1\r\n".repeat(1_000_001);
    assert_eq!(scanner.scan(&ends), Ok(Some(ends.len())));
}

#[test]
fn streams_nest_up_to_their_bound() {
    let nested = |depth| [b"*?\r\n".repeat(depth), b".\r\n".repeat(depth)].concat();
    let deepest = nested(STREAMS_MAX);
    assert_eq!(ReplyScanner::default().scan(&deepest), Ok(Some(deepest.len())));
    assert_eq!(ReplyScanner::default().scan(&nested(STREAMS_MAX + 1)), Err(ProtocolError::TooManyStreams));
}

#[test]
fn a_bulk_cut_in_the_middle_is_awaited_however_long_it_says_it_is() {
    for begin in ["$9223372036854775807\r\nabc", "$5\r\nabc", "$5\r\nabcde", "$5\r\nabcde\r", "$5\r", "$5", "$"] {
        let mut replies = ReplyScanner::default();
        assert_eq!(replies.scan(begin.as_bytes()), Ok(None), "{begin:?}");
        assert!(!replies.is_between(), "{begin:?}");
        let mut requests = RequestScanner::default();
        assert_eq!(requests.scan(format!("*1\r\n{begin}").as_bytes()), Ok(None), "{begin:?}");
        assert!(!requests.is_between(), "{begin:?}");
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    for length in ["-1", "-9223372036854775808", "9223372036854775808", "18446744073709551616", "1e3", "0x10", "+1", "01", ""] {
        let request = format!("*1\r\n${length}\r\n");
        assert_eq!(RequestScanner::default().scan(request.as_bytes()), Err(ProtocolError::InvalidBulkLength), "{length}");
        let reply = format!("%{length}\r\n");
        assert_eq!(ReplyScanner::default().scan(reply.as_bytes()), Err(ProtocolError::InvalidReplyLength), "{length}");
    }
}

#[test]
fn elements_are_counted_without_overflow() {
    for kind in ['*', '%', '|'] {
        let reply = format!("{kind}9223372036854775807\r\n").repeat(3);
        assert_eq!(ReplyScanner::default().scan(reply.as_bytes()), Err(ProtocolError::TooManyElements), "{kind}");
    }
}
