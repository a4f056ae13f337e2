use super::*;

/// Where requests end, fed in chunks of `step` bytes, and how it ended.
fn ends(bytes: &[u8], step: usize) -> (Vec<usize>, Option<ProtocolError>) {
    let mut scanner = RequestScanner::default();
    let mut ends = Vec::new();
    let mut at = 0;
    for chunk in bytes.chunks(step) {
        let end = at + chunk.len();
        while at < end {
            match scanner.scan(&bytes[at..end]) {
                Ok(Some(used)) => {
                    at += used;
                    ends.push(at);
                }
                Ok(None) => at = end,
                Err(error) => return (ends, Some(error)),
            }
        }
    }
    (ends, None)
}

#[track_caller]
fn assert_ends(bytes: &[u8], expected: &[usize], error: Option<ProtocolError>) {
    for step in [1, 2, 3, 7, bytes.len().max(1)] {
        assert_eq!(ends(bytes, step), (expected.to_vec(), error), "{} in steps of {step}", bytes.escape_ascii());
    }
}

#[test]
fn requests_of_both_forms_follow_each_other() {
    assert_ends(b"*1\r\n$4\r\nPING\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\nGET a\n", &[14, 20, 39, 45], None);
}

#[test]
fn what_has_no_arguments_is_a_request_all_the_same() {
    assert_ends(b"\r\n\n*0\r\n*-1\r\n*-7\r\n  \r\n", &[2, 3, 7, 12, 17, 21], None);
}

#[test]
fn a_body_may_hold_anything() {
    assert_ends(b"*2\r\n$7\r\n*1\r\n$4\n\r\n$2\r\n\r\n\r\n", &[25], None);
}

#[test]
fn redis_looks_neither_at_the_byte_behind_a_carriage_return_nor_at_those_behind_a_body() {
    assert_ends(b"*1\rx$4\ryPINGzzPING\r\n", &[14, 20], None);
}

#[test]
fn faults_have_the_texts_of_redis() {
    let cases: [(&[u8], &str); 22] = [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*99999999999999999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
        (b"*1\r\n:4\r\n", "expected '$', got ':'"),
        (b"*1\r\nfooz\r\n", "expected '$', got 'f'"),
        (b"*1\r\n\r\n", "expected '$', got '\\r'"),
        (b"*1\r\n\x1b[2J\r\n", "expected '$', got '\\x1b'"),
        (b"*1\r\n\xff\r\n", "expected '$', got '\\xff'"),
        (b"*1\r\n'\r\n", "expected '$', got '''"),
        (b"set \"a\r\n", "unbalanced quotes in request"),
        (b"set 'a\r\n", "unbalanced quotes in request"),
        (b"set \"\"\"test-key\"\"\" test-value\r\n", "unbalanced quotes in request"),
        (b"set 'a'b\n", "unbalanced quotes in request"),
        (b"set \"a\\\"\n", "unbalanced quotes in request"),
        (b"set 'a\\\\'\n", "unbalanced quotes in request"),
    ];
    for (bytes, text) in cases {
        for step in [1, bytes.len()] {
            let (ends, error) = ends(bytes, step);
            assert!(ends.is_empty(), "{}", bytes.escape_ascii());
            assert_eq!(error.map(|error| error.to_string()), Some(format!("Protocol error: {text}")), "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn a_line_may_be_as_long_as_redis_allows_and_no_longer() {
    let max = LINE_MAX as usize;
    let cases: [(&[u8], &[u8], u8, &str); 6] = [
        (b"", b"a", b'a', "too big inline request"),
        (b"", b"\0", b'\n', "too big inline request"),
        (b"", b"*", b'1', "too big mbulk count string"),
        (b"", b"*\0", b'\r', "too big mbulk count string"),
        (b"*1\r\n", b"$", b'1', "too big bulk count string"),
        (b"*1\r\n", b"$\0", b'\r', "too big bulk count string"),
    ];
    for (before, begin, filler, text) in cases {
        let mut bytes = [before, begin].concat();
        bytes.resize(before.len() + max, filler);
        assert_eq!(ends(&bytes, 1000), (vec![], None), "{text}");
        bytes.push(filler);
        let (_, error) = ends(&bytes, 1000);
        assert_eq!(error.map(|error| error.to_string()), Some(format!("Protocol error: {text}")));
    }
    let mut longest = vec![b'a'; max];
    longest.push(b'\n');
    assert_ends(&longest, &[max + 1], None);
}

#[test]
fn huge_numbers_are_counted_and_not_reserved() {
    let mut scanner = RequestScanner::default();
    assert_eq!(scanner.scan(b"*2147483647\r\n$9223372036854775807\r\n"), Ok(None));
    assert_eq!(scanner.scan(&[b'x'; 100_000]), Ok(None));
    assert!(!scanner.is_between());
}

#[test]
fn an_idle_session_pays_little_for_its_scanner() {
    assert!(size_of::<RequestScanner>() <= 48, "{}", size_of::<RequestScanner>());
}
