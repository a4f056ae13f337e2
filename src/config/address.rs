//! Addresses as written. Errors say what would be right and never repeat what was written: a URL may carry a password.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::limits::UNIX_PATH_BYTES_MAX;
use super::{BackendAddress, BindAddress};

/// What is wrong with an address, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFault {
    /// What is wrong.
    pub wrong: &'static str,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for AddressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.wrong, self.right)
    }
}

fn fault<T>(wrong: &'static str, right: impl Into<String>) -> Result<T, AddressFault> {
    Err(AddressFault { wrong, right: right.into() })
}

impl FromStr for BindAddress {
    type Err = AddressFault;

    fn from_str(text: &str) -> Result<Self, AddressFault> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path).map(Self::Unix);
        }
        no_url(text)?;
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Tcp(address));
        }
        match host_and_port(text)? {
            ("" | "*", port) => fault(
                "it says every address, but not of which family",
                format!("write \"0.0.0.0:{port}\" for IPv4 or \"[::]:{port}\" for both"),
            ),
            (_, port) => {
                fault("a listener needs an IP address, not a name", format!("write \"127.0.0.1:{port}\", \"[::1]:{port}\""))
            }
        }
    }
}

impl FromStr for BackendAddress {
    type Err = AddressFault;

    fn from_str(text: &str) -> Result<Self, AddressFault> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path).map(Self::Unix);
        }
        no_url(text)?;
        if text.starts_with('_') && !text.contains(':') {
            return service(text).map(Self::Service);
        }
        let (host, port) = host_and_port(text)?;
        if port == 0 {
            return fault("port 0 cannot be connected to", "write the server's port: \"redis1:6379\"");
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => name(bare)?,
        };
        Ok(Self::Tcp { host, port })
    }
}

impl BindAddress {
    /// Would the kernel refuse to listen on both?
    pub fn clashes_with(&self, other: &Self) -> bool {
        let (Self::Tcp(a), Self::Tcp(b)) = (self, other) else { return self == other };
        // `[::]` takes IPv4 as well.
        let covers = |a: IpAddr, b: IpAddr| a == b || (a.is_unspecified() && (a.is_ipv6() || b.is_ipv4()));
        // Port 0 is a new port each time.
        a.port() == b.port() && a.port() != 0 && (covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
    }
}

fn no_url(text: &str) -> Result<(), AddressFault> {
    if text.contains("://") || text.contains('@') {
        return fault(
            "it is a URL",
            "write the host and the port alone: \"redis1:6379\"; user and password have keys of their own",
        );
    }
    Ok(())
}

fn host_and_port(text: &str) -> Result<(&str, u16), AddressFault> {
    let missing = "the port is missing";
    if text.is_empty() {
        return fault("it is empty", "write \"redis1:6379\", \"127.0.0.1:6379\", \"[::1]:6379\" or \"unix:/path\"");
    }
    if text.starts_with('/') {
        return fault("it looks like the path of a unix socket", "write \"unix:/path\"");
    }
    if let Some(end) = text.find(']').filter(|_| text.starts_with('[')) {
        let (host, rest) = text.split_at(end + 1);
        if host[1..end].parse::<IpAddr>().is_err() {
            return fault("what stands in the brackets is no IPv6 address", "write \"[::1]:6379\"");
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, port_of(port)?)),
            None => fault(missing, "write it after the brackets: \"[::1]:6379\""),
        };
    }
    match text.rsplit_once(':') {
        None => fault(missing, "write \"host:port\", as in \"redis1:6379\""),
        Some((host, _)) if host.contains(':') => fault("an IPv6 address needs brackets", "write \"[::1]:6379\""),
        Some((host, port)) => Ok((host, port_of(port)?)),
    }
}

fn port_of(text: &str) -> Result<u16, AddressFault> {
    match text.parse() {
        Ok(port) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => fault("the port is no number from 0 to 65535", "write \"host:port\", as in \"redis1:6379\""),
    }
}

/// A host name, in lower case: names differ in nothing else, and a backend's address is its name everywhere.
fn name(text: &str) -> Result<String, AddressFault> {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.len() <= 63 && label.chars().all(inner)
    };
    let absolute = text.strip_suffix('.').unwrap_or(text);
    if absolute.len() > 253 || !absolute.split('.').all(label) {
        return fault(
            "it is neither a host name nor an IP address",
            "write \"redis1:6379\", \"127.0.0.1:6379\" or \"[::1]:6379\"",
        );
    }
    // Printed in lower case it would read back as the path of a socket.
    if text.eq_ignore_ascii_case("unix") {
        return fault("a host of this name cannot be told from a unix socket", "write \"unix:/path\", or the host's full name");
    }
    // A resolver would read 10.1 or 10.0.0.256 in ways nobody meant.
    let numeric = absolute.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if numeric {
        return fault("it is not a valid IPv4 address", "write four numbers from 0 to 255: \"10.0.0.1:6379\"");
    }
    Ok(text.to_ascii_lowercase())
}

/// The name of SRV records: service and protocol, each with its underscore, then the domain (RFC 2782).
fn service(text: &str) -> Result<String, AddressFault> {
    let right = "write \"_redis._tcp.redis.example.com\", or \"host:port\"";
    let mut labels = text.splitn(3, '.');
    let (service, protocol) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    if service.len() < 2 || protocol.len() < 2 || !protocol.starts_with('_') || labels.next().is_none() {
        return fault("it begins as the name of a service, and is none", right);
    }
    name(text)
}

fn unix(path: &str) -> Result<PathBuf, AddressFault> {
    if !path.starts_with('/') {
        return fault("the path of a unix socket must be absolute", "write \"unix:/run/mainstay/jobs.sock\"");
    }
    if path.len() > UNIX_PATH_BYTES_MAX || path.contains('\0') {
        return fault("the kernel takes no such path of a unix socket", format!("it has at most {UNIX_PATH_BYTES_MAX} bytes"));
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_backend_is_a_host_and_a_port_or_a_unix_socket() {
        for (text, printed) in [
            ("redis1:6379", "redis1:6379"),
            ("Redis-1.Example.com:1", "redis-1.example.com:1"),
            ("10.0.0.1:6379", "10.0.0.1:6379"),
            ("[0:0::1]:6379", "[::1]:6379"),
            ("unix:/run/redis.sock", "unix:/run/redis.sock"),
            ("_redis._TCP.redis.example.com", "_redis._tcp.redis.example.com"),
        ] {
            assert_eq!(text.parse::<BackendAddress>().map(|address| address.to_string()), Ok(printed.to_owned()), "{text}");
        }
        for text in [
            "",
            "redis1",
            "redis1:",
            "redis1:0",
            "redis1:65536",
            "redis1:+1",
            ":6379",
            "::1:6379",
            "[::1]",
            "[redis1]:1",
            "[::1]6379",
            "10.0.0.256:1",
            "a b:1",
            "a..b:1",
            "redis://:secret@redis1:6379",
            "/run/redis.sock",
            "unix:run/redis.sock",
            "unix:",
            "_redis",
            "_redis._tcp",
            "_redis.example.com",
            "_.._tcp.x",
        ] {
            assert!(text.parse::<BackendAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_needs_an_ip_address() {
        for text in ["127.0.0.1:6400", "[::]:6400", "0.0.0.0:0", "unix:/run/mainstay/jobs.sock"] {
            assert_eq!(text.parse::<BindAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
        for text in ["localhost:6400", "*:6400", ":6400", "6400", "127.0.0.1", "::1:6400"] {
            assert!(text.parse::<BindAddress>().is_err(), "{text}");
        }
        let every = "*:6400".parse::<BindAddress>().map_err(|fault| fault.right);
        assert_eq!(every, Err("write \"0.0.0.0:6400\" for IPv4 or \"[::]:6400\" for both".into()));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_to_the_same(text in "[a-z_\\[\\]:./0-9]{0,20}") {
            if let Ok(address) = text.parse::<BackendAddress>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
            if let Ok(address) = text.parse::<BindAddress>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (text.parse::<BackendAddress>(), text.parse::<BindAddress>());
        }
    }
}
