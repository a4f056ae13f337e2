//! Random frames, whose ends are known because we wrote them.

use proptest::prelude::*;
use proptest::sample::Index;

use mainstay::resp::frames::{ReplyScanner, RequestScanner};

use crate::checks;

/// Short, and full of what has a meaning elsewhere.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(b"\r\n".to_vec()),
        Just(b"$3\r\nGET\r\n".to_vec()),
        Just(vec![b'x'; 300]),
    ]
}

fn line() -> impl Strategy<Value = String> {
    "[ -~]{0,20}"
}

fn bulk(kind: char, body: &[u8]) -> Vec<u8> {
    [format!("{kind}{}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat()
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let array = proptest::collection::vec(body(), 0..6).prop_map(|arguments| {
        let bulks: Vec<u8> = arguments.iter().flat_map(|argument| bulk('$', argument)).collect();
        [format!("*{}\r\n", arguments.len()).as_bytes(), &bulks].concat()
    });
    let word = prop_oneof![
        "[a-z0-9*$]{1,8}",
        r#""([ -!#-\[\]-~]|\\[nrtba"\\q]|\\x[0-9a-fA-F]{2}){0,8}""#,
        "'([ -&(-\\[\\]-~]|\\\\'){0,8}'"
    ];
    let inline = (proptest::collection::vec(word, 0..5), any::<bool>()).prop_map(|(words, cr)| {
        // What begins with a star is no inline request.
        let line = words.join(" ").trim_start_matches('*').to_owned();
        format!("{line}{}\n", if cr { "\r" } else { "" }).into_bytes()
    });
    prop_oneof![4 => array, 2 => inline, 1 => Just(b"*-1\r\n".to_vec()), 1 => Just(b"\r\n".to_vec())]
}

fn scalar() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        line().prop_map(|text| format!("+{text}\r\n").into_bytes()),
        line().prop_map(|text| format!("-ERR {text}\r\n").into_bytes()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        body().prop_map(|body| bulk('$', &body)),
        body().prop_map(|body| bulk('!', &body)),
        body().prop_map(|body| bulk('=', &[b"txt:", body.as_slice()].concat())),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| format!(",{number}\r\n").into_bytes()),
        prop_oneof![Just("_\r\n"), Just("#t\r\n"), Just("#f\r\n"), Just(",inf\r\n"), Just("$-1\r\n"), Just("*-1\r\n")]
            .prop_map(|frame| frame.as_bytes().to_vec()),
        "-?[1-9][0-9]{0,40}".prop_map(|number| format!("({number}\r\n").into_bytes()),
        proptest::collection::vec(body().prop_filter("an empty part is the end", |body| !body.is_empty()), 0..4).prop_map(
            |parts| {
                let parts: Vec<u8> = parts.iter().flat_map(|part| bulk(';', part)).collect();
                [b"$?\r\n", parts.as_slice(), b";0\r\n"].concat()
            }
        ),
    ]
}

fn reply() -> impl Strategy<Value = Vec<u8>> {
    scalar().prop_recursive(5, 40, 8, |inner| {
        let elements = proptest::collection::vec(inner.clone(), 0..8);
        let pairs = proptest::collection::vec((scalar().boxed(), inner.clone()), 0..4).prop_map(|pairs| {
            (pairs.len(), pairs.into_iter().map(|(key, value)| [key, value].concat()).collect::<Vec<_>>().concat())
        });
        prop_oneof![
            (elements.clone(), prop_oneof![Just('*'), Just('~'), Just('>')]).prop_map(|(elements, kind)| {
                [format!("{kind}{}\r\n", elements.len()).into_bytes(), elements.concat()].concat()
            }),
            pairs.clone().prop_map(|(count, pairs)| [format!("%{count}\r\n").into_bytes(), pairs].concat()),
            (pairs, inner).prop_map(|((count, pairs), inner)| [format!("|{count}\r\n").into_bytes(), pairs, inner].concat()),
            (elements, prop_oneof![Just('*'), Just('~')]).prop_map(|(elements, kind)| [
                format!("{kind}?\r\n").into_bytes(),
                elements.concat(),
                b".\r\n".to_vec()
            ]
            .concat()),
        ]
    })
}

/// The ends of `frames`, one behind the other.
fn known_ends(frames: &[Vec<u8>]) -> Vec<usize> {
    frames
        .iter()
        .scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        })
        .collect()
}

fn scanned_ends(bytes: &[u8], mut scan: impl FnMut(&[u8]) -> Option<usize>) -> Vec<usize> {
    let mut at = 0;
    std::iter::from_fn(|| {
        at += scan(&bytes[at..])?;
        Some(at)
    })
    .collect()
}

/// Damage of the kinds that a parser minds: a byte changed, put in, left out, an end cut off, a piece repeated.
fn damaged(mut bytes: Vec<u8>, damages: Vec<(u8, Index, u8)>) -> Vec<u8> {
    const MINDED: &[u8] = b"\r\n$*%~|>;.?:+-_#,(!=0123456789\0\"'\\x ";
    for (what, place, byte) in damages {
        if bytes.is_empty() {
            break;
        }
        let at = place.index(bytes.len());
        let byte = MINDED.get(usize::from(byte)).copied().unwrap_or(byte);
        match what % 5 {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => _ = bytes.remove(at),
            3 => bytes.truncate(at),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

fn damages() -> impl Strategy<Value = Vec<(u8, Index, u8)>> {
    // Half of the bytes are ones that a parser minds.
    let byte = prop_oneof![0u8..40, any::<u8>()];
    proptest::collection::vec((any::<u8>(), any::<Index>(), byte), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_end_where_they_were_made_to_end(requests in proptest::collection::vec(request(), 1..6)) {
        let bytes = requests.concat();
        let mut scanner = RequestScanner::default();
        prop_assert_eq!(scanned_ends(&bytes, |bytes| scanner.scan(bytes).unwrap()), known_ends(&requests));
        checks::requests::check(&bytes);
    }

    #[test]
    fn replies_end_where_they_were_made_to_end(replies in proptest::collection::vec(reply(), 1..5)) {
        let bytes = replies.concat();
        let mut scanner = ReplyScanner::default();
        prop_assert_eq!(scanned_ends(&bytes, |bytes| scanner.scan(bytes).unwrap()), known_ends(&replies));
        checks::replies::check(&bytes);
    }

    #[test]
    fn damaged_requests_are_read_as_redis_reads_them(
        requests in proptest::collection::vec(request(), 1..4),
        damages in damages(),
    ) {
        checks::requests::check(&damaged(requests.concat(), damages));
    }

    #[test]
    fn damaged_replies_are_refused_or_read_as_others_read_them(
        replies in proptest::collection::vec(reply(), 1..3),
        damages in damages(),
    ) {
        checks::replies::check(&damaged(replies.concat(), damages));
    }
}
