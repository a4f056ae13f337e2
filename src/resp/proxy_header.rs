//! The PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt): what a load balancer says before the first byte of the
//! client for whom it connects. Both ends of a header are found in the bytes so far, however they trickle in; a header is short, so that it
//! is read from its beginning each time.
//!
//! What is trusted is the address alone. Anything else (TLVs, ports, destinations) is passed over.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A header of version 1 with its line end (section 2.1).
const TEXT_BYTES_MAX: usize = 107;
/// A header of version 2 before its addresses.
const BINARY_PREFIX_BYTES: usize = 16;
/// Addresses and TLVs of version 2: what fits with the rest into the smallest segment that every path carries.
const BINARY_BODY_BYTES_MAX: usize = 536;
/// No header is longer.
pub const BYTES_MAX: usize = BINARY_PREFIX_BYTES + BINARY_BODY_BYTES_MAX;

/// How version 2 begins: in no other protocol anything does.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const TEXT: &[u8] = b"PROXY ";

/// A header that is there in whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it takes.
    pub length: usize,
    /// Whom the connection is for. None where the proxy connects for itself (a health check), does not know, or has it by a unix socket: then it
    /// is for the proxy.
    pub source: Option<IpAddr>,
}

/// Why something is no such header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It begins otherwise.
    NoHeader,
    /// Longer than it may be.
    TooLong,
    /// A line of version 1 that is not as it should be.
    BadLine,
    /// Not version 2, though it begins like it.
    BadVersion,
    /// A command, an address family or a transport that there is not.
    BadCommand,
    /// Less follows than the addresses of its family need.
    TooShort,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "it begins with something else",
            Self::TooLong => "its PROXY header is longer than one may be",
            Self::BadLine => "its PROXY header (version 1) is malformed",
            Self::BadVersion => "its PROXY header is of another version than 1 or 2",
            Self::BadCommand => "its PROXY header (version 2) has an unknown command or address family",
            Self::TooShort => "its PROXY header (version 2) is too short for its addresses",
        })
    }
}

impl std::error::Error for Fault {}

/// Reads the header that `bytes` begin with. None: all of them belong to a header that is not complete.
pub fn read(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    if bytes.starts_with(&SIGNATURE) {
        binary(bytes)
    } else if bytes.starts_with(TEXT) {
        text(bytes)
    } else if SIGNATURE.starts_with(bytes) || TEXT.starts_with(bytes) {
        Ok(None)
    } else {
        Err(Fault::NoHeader)
    }
}

/// `PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n`
fn text(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let within = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let Some(end) = within.iter().position(|byte| *byte == b'\r') else {
        return if within.len() < TEXT_BYTES_MAX { Ok(None) } else { Err(Fault::TooLong) };
    };
    match within.get(end + 1) {
        Some(b'\n') => {}
        Some(_) => return Err(Fault::BadLine),
        None if within.len() < TEXT_BYTES_MAX => return Ok(None),
        None => return Err(Fault::TooLong),
    }
    let line = std::str::from_utf8(&within[TEXT.len()..end]).map_err(|_| Fault::BadLine)?;
    let mut words = line.split(' ');
    let source = match words.next() {
        // What follows has to be passed over.
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(addresses::<Ipv4Addr>(&mut words)?.into()),
        Some("TCP6") => Some(addresses::<Ipv6Addr>(&mut words)?.into()),
        _ => return Err(Fault::BadLine),
    };
    Ok(Some(Header { length: end + 2, source }))
}

/// Source, destination and both ports, and nothing behind them.
fn addresses<'a, A: std::str::FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Result<A, Fault> {
    let mut address = || words.next().and_then(|word| word.parse::<A>().ok()).ok_or(Fault::BadLine);
    let (source, _destination) = (address()?, address()?);
    let is_port = |word: &str| {
        let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        plain && word.parse::<u16>().is_ok()
    };
    let ports = words.by_ref().take(2).filter(|word| is_port(word)).count();
    if ports == 2 && words.next().is_none() { Ok(source) } else { Err(Fault::BadLine) }
}

fn binary(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    if bytes.get(12).is_some_and(|byte| byte >> 4 != 2) {
        return Err(Fault::BadVersion);
    }
    let Some(&[version, family, high, low]) = bytes.get(12..BINARY_PREFIX_BYTES) else { return Ok(None) };
    let body_bytes = usize::from(u16::from_be_bytes([high, low]));
    if body_bytes > BINARY_BODY_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    let is_local = match version & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(Fault::BadCommand),
    };
    // Bytes of both addresses with what belongs to them.
    let needed = match family {
        _ if is_local => 0,
        // AF_UNSPEC.
        0x00 => 0,
        // IPv4, IPv6 and unix sockets, each over a stream.
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        _ => return Err(Fault::BadCommand),
    };
    if body_bytes < needed {
        return Err(Fault::TooShort);
    }
    let length = BINARY_PREFIX_BYTES + body_bytes;
    let Some(body) = bytes.get(BINARY_PREFIX_BYTES..length) else { return Ok(None) };
    let source = match (needed, body.first_chunk::<4>(), body.first_chunk::<16>()) {
        (12, Some(address), _) => Some(IpAddr::from(*address)),
        (36, _, Some(address)) => Some(IpAddr::from(*address)),
        _ => None,
    };
    Ok(Some(Header { length, source }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(version: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[version, family], &length, body].concat()
    }

    /// Read whole with something behind it, and byte by byte: until the end is there it is not complete.
    #[track_caller]
    fn assert_reads(header: &[u8], source: Option<&str>) {
        let expected = Header { length: header.len(), source: source.map(|source| source.parse().unwrap()) };
        assert_eq!(read(&[header, b"*1\r\n"].concat()), Ok(Some(expected)), "{}", header.escape_ascii());
        for end in 0..header.len() {
            assert_eq!(read(&header[..end]), Ok(None), "{} {end}", header.escape_ascii());
        }
    }

    #[test]
    fn version_1_says_whom_a_connection_is_for() {
        assert_reads(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", Some("192.168.0.1"));
        assert_reads(b"PROXY TCP6 fd00::1 ::1 0 65535\r\n", Some("fd00::1"));
        assert_reads(b"PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n", Some("::ffff:10.0.0.1"));
        assert_reads(b"PROXY UNKNOWN\r\n", None);
        assert_reads(b"PROXY UNKNOWN ffff:f...f:ffff whatever 65535 \r\n", None);
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(TEXT_BYTES_MAX - 16));
        assert_eq!(longest.len(), TEXT_BYTES_MAX);
        assert_reads(longest.as_bytes(), None);
    }

    #[test]
    fn version_2_says_it_too_and_may_say_more() {
        let v4 = [10, 1, 2, 3, 10, 0, 0, 1, 1, 2, 3, 4];
        assert_reads(&v2(0x21, 0x11, &v4), Some("10.1.2.3"));
        assert_reads(&v2(0x21, 0x11, &[&v4[..], &[0x04, 0, 3, 1, 2, 3]].concat()), Some("10.1.2.3"));
        let mut v6 = [0; 36];
        (v6[0], v6[15]) = (0xfd, 7);
        assert_reads(&v2(0x21, 0x21, &v6), Some("fd00::7"));
        assert_reads(&v2(0x21, 0x31, &[b'/'; 216]), None);
        assert_reads(&v2(0x20, 0x00, &[]), None);
        assert_reads(&v2(0x20, 0x11, &v4), None);
        assert_reads(&v2(0x20, 0xff, &[]), None);
        assert_reads(&v2(0x21, 0x00, &[1; BINARY_BODY_BYTES_MAX]), None);
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_that_is_known() {
        let long = format!("PROXY UNKNOWN {}", "f".repeat(TEXT_BYTES_MAX));
        for (bytes, fault) in [
            (&b"*1\r\n$4\r\nPING\r\n"[..], Fault::NoHeader),
            (b"PROXx", Fault::NoHeader),
            (b"\r\n\r\n\r", Fault::NoHeader),
            (b"proxy TCP4", Fault::NoHeader),
            (b"\x16\x03\x01", Fault::NoHeader),
            (long.as_bytes(), Fault::TooLong),
            (b"PROXY \r\n", Fault::BadLine),
            (b"PROXY TCP4\r\n", Fault::BadLine),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", Fault::BadLine),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", Fault::BadLine),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Fault::BadLine),
            (b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", Fault::BadLine),
            (b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", Fault::BadLine),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n", Fault::BadLine),
            (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", Fault::BadLine),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", Fault::BadLine),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Fault::BadLine),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Fault::BadLine),
            (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", Fault::BadLine),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx", Fault::BadLine),
            (b"PROXY TCP4 \xff\xff 1.2.3.4 1 2\r\n", Fault::BadLine),
            (b"\r\n\r\n\0\r\nQUIT\n\x11", Fault::BadVersion),
            (&v2(0x22, 0x11, &[0; 12]), Fault::BadCommand),
            (&v2(0x21, 0x12, &[0; 12]), Fault::BadCommand),
            (&v2(0x21, 0x41, &[0; 12]), Fault::BadCommand),
            (&v2(0x21, 0x11, &[0; 11]), Fault::TooShort),
            (&v2(0x21, 0x21, &[0; 35]), Fault::TooShort),
            (&v2(0x21, 0x31, &[0; 215]), Fault::TooShort),
            (&v2(0x21, 0x11, &[0; BINARY_BODY_BYTES_MAX + 1])[..16], Fault::TooLong),
        ] {
            assert_eq!(read(bytes), Err(fault), "{}", bytes.escape_ascii());
        }
    }
}
