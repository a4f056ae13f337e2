//! Headers of the PROXY protocol: the same whatever has come of them so far, in bounds, and as a second reader has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mainstay::resp::proxy_header::{BYTES_MAX, Header, read};

/// Panics where a rule is broken.
pub fn check(bytes: &[u8]) {
    let shown = bytes.escape_ascii();
    let whole = read(bytes);
    let mut before = Ok(None);
    for end in 0..=bytes.len() {
        let now = read(&bytes[..end]);
        assert!(before == Ok(None) || before == now, "{before:?} becomes {now:?} with {end} bytes of {shown}");
        before = now;
    }
    match whole {
        Ok(None) => assert!(bytes.len() < BYTES_MAX, "{shown}"),
        Ok(Some(header)) => assert!(header.length <= bytes.len().min(BYTES_MAX), "{header:?} {shown}"),
        Err(_) => {}
    }
    assert_eq!(whole.ok().flatten(), second(bytes), "{shown}");
}

/// A reader that wants all of it at once.
fn second(bytes: &[u8]) -> Option<Header> {
    if let Some(rest) = bytes.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n") {
        let (version, family) = (*rest.first()?, *rest.get(1)?);
        let length = 16 + usize::from(*rest.get(2)?) * 256 + usize::from(*rest.get(3)?);
        let body = bytes.get(16..length)?;
        let (needs, address) = match (version, family) {
            (0x20, _) | (0x21, 0) => (0, None),
            (0x21, 0x11) => (12, body.get(..4).map(|a| IpAddr::V4(Ipv4Addr::new(a[0], a[1], a[2], a[3])))),
            (0x21, 0x21) => (36, body.get(..16).map(|a| IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(a).unwrap())))),
            (0x21, 0x31) => (216, None),
            _ => return None,
        };
        return (length <= BYTES_MAX && body.len() >= needs).then_some(Header { length, source: address });
    }
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = bytes[..end].strip_prefix(b"PROXY ")?;
    if end + 2 > 107 || line.contains(&b'\r') {
        return None;
    }
    let words: Vec<&str> = std::str::from_utf8(line).ok()?.split(' ').collect();
    let port = |word: &str| word.parse::<u16>().is_ok_and(|port| port.to_string() == word);
    let source = match words[..] {
        ["UNKNOWN", ..] => None,
        ["TCP4", from, to, a, b] if to.parse::<Ipv4Addr>().is_ok() && port(a) && port(b) => {
            Some(from.parse::<Ipv4Addr>().ok()?.into())
        }
        ["TCP6", from, to, a, b] if to.parse::<Ipv6Addr>().is_ok() && port(a) && port(b) => {
            Some(from.parse::<Ipv6Addr>().ok()?.into())
        }
        _ => return None,
    };
    Some(Header { length: end + 2, source })
}
