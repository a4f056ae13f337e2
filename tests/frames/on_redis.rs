//! A real Redis is asked where it sees the ends of requests: it answers each of them once, and says why when it stops.

use mainstay::resp::frames::{ProtocolError, ReplyScanner, RequestScanner, arguments};

use crate::harness::{Client, PATIENCE, Redis};

/// Whole requests, and pieces that mean something to whoever reads requests.
const PIECES: [&[u8]; 44] = [
    b"*1\r\n$4\r\nPING\r\n",
    b"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n*1\r\r\n",
    b"PING\r\n",
    b"ECHO a\n",
    b"ECHO \"\\x41\\\"\"\r\n",
    b"ECHO 'a\\'b'\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"\r\n",
    b"*1\r\n",
    b"*2\r\n",
    b"$4\r\n",
    b"$1\r\n",
    b"$0\r\n",
    b"$-1\r\n",
    b"$01\r\n",
    b"PING",
    b"*",
    b"$",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"\"",
    b"'",
    b"\\",
    b"\\x4",
    b"\0",
    b"0",
    b"1",
    b"-",
    b"+",
    b"a",
    b":",
    b"\xff",
    b"\x85",
    b"2147483647",
    b"2147483648",
    b"9223372036854775807",
    b"99999999999999999999999",
];

/// How many requests are answered, and the last word.
fn foreseen(bytes: &[u8]) -> (usize, Option<ProtocolError>) {
    let mut scanner = RequestScanner::default();
    let (mut at, mut answered) = (0, 0);
    loop {
        match scanner.scan(&bytes[at..]) {
            Ok(Some(used)) => {
                answered += usize::from(arguments(&bytes[at..at + used]).next().is_some());
                at += used;
            }
            Ok(None) => return (answered, None),
            Err(error) => return (answered, Some(error)),
        }
    }
}

/// Redis repeats the byte that it did not expect as it came, unless a line would end there.
fn in_redis_words(error: ProtocolError) -> Vec<u8> {
    match error {
        ProtocolError::ExpectedBulk(got) => {
            let got = if got == b'\r' || got == b'\n' { b' ' } else { got };
            [b"-ERR Protocol error: expected '$', got '", [got].as_slice(), b"'\r\n"].concat()
        }
        error => format!("-ERR {error}\r\n").into_bytes(),
    }
}

fn replies(bytes: &[u8]) -> Vec<&[u8]> {
    let mut scanner = ReplyScanner::default();
    let mut at = 0;
    let mut replies = Vec::new();
    while let Some(used) = scanner.scan(&bytes[at..]).expect("what a Redis says is RESP") {
        replies.push(&bytes[at..at + used]);
        at += used;
    }
    assert_eq!(at, bytes.len(), "a Redis ends with a whole reply");
    replies
}

#[test]
fn a_real_redis_sees_the_same_requests_and_the_same_faults() {
    let redis = Redis::start(&[]);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 32) as usize % below
    };
    for _ in 0..3000 {
        let stream: Vec<u8> = (0..1 + next(8)).flat_map(|_| PIECES[next(PIECES.len())]).copied().collect();
        let shown = stream.escape_ascii();
        let mut client = Client::connect(&redis.address());
        client.send(&stream).expect("so little fits the kernel's buffers");
        client.finish_writing();
        let (said, _) = client.drain(PATIENCE);
        let mut replies = replies(&said);
        let (answered, error) = foreseen(&stream);
        let is_last_word = |reply: &[u8]| reply.starts_with(b"-ERR Protocol error");
        let last_word = replies.pop_if(|reply| is_last_word(reply));
        assert_eq!(replies.len(), answered, "{shown}: {}", said.escape_ascii());
        if last_word == Some(b"-ERR Protocol error: invalid bulk length\r\n") && error.is_none() {
            // Above proto-max-bulk-len, which the server alone knows.
            assert!(stream.windows(10).any(|digits| digits.iter().all(u8::is_ascii_digit)), "{shown}");
            continue;
        }
        assert_eq!(last_word, error.map(in_redis_words).as_deref(), "{shown}: {}", said.escape_ascii());
    }
}
