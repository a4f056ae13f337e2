//! May this request be answered at all?
//!
//! Without tokens the only protection of the API is that nobody but this machine reaches it. Two ways lead around that. The
//! address is bound where others reach it: then all that could harm is closed. Or a browser on this machine is made to ask by
//! a page from elsewhere: a plain cross-site POST carries a foreign `Origin`, and a page whose name was pointed at 127.0.0.1
//! after it was loaded (DNS rebinding) carries that name as `Host`. Command line clients send no `Origin`, and an address or
//! `localhost` as `Host`.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};

use super::place::Place;

/// Decides by the address that the admin side is bound to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    bound: SocketAddr,
}

/// Why a request is not answered.
pub(super) type Refused = (StatusCode, String);

impl Guard {
    pub(super) fn new(bound: SocketAddr) -> Self {
        Self { bound }
    }

    /// `place` is absent where the path leads nowhere: off loopback not even that is told.
    pub(super) fn admit(&self, place: Option<&Place>, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        if place.is_some_and(Place::is_open) {
            return Ok(());
        }
        if !self.bound.ip().to_canonical().is_loopback() {
            return Err(forbidden(format!(
                "the admin address {} is not a loopback address, so only /healthz, /readyz and /metrics answer there; \
                 bind [admin] to 127.0.0.1 and ask on that machine",
                self.bound
            )));
        }
        let host = host(uri, headers)?;
        if let Some(host) = &host
            && !is_this_machine(host.host())
        {
            return Err(forbidden(format!(
                "the request names this server {host}, which is neither an IP address nor localhost; \
                 it may come from a web page that wants to use your access (DNS rebinding)"
            )));
        }
        match headers.get(ORIGIN) {
            Some(origin) if place.is_some_and(Place::is_action) => {
                let origin = origin.to_str().unwrap_or("an unreadable origin");
                if host.is_some_and(|host| is_same(origin, &host)) {
                    Ok(())
                } else {
                    Err(forbidden(format!("the request comes from a page of {origin}, which is not this server")))
                }
            }
            _ => Ok(()),
        }
    }
}

fn forbidden(why: String) -> Refused {
    (StatusCode::FORBIDDEN, why)
}

/// The server's name as the request gives it: in the request line or in `Host` (RFC 9112, section 3.2).
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, Refused> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let mut values = headers.get_all(HOST).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let malformed = || (StatusCode::BAD_REQUEST, "the request has a Host header that cannot be read, or two".to_owned());
    match Authority::try_from(first.as_bytes()) {
        Ok(authority) if values.next().is_none() => Ok(Some(authority)),
        _ => Err(malformed()),
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

/// An origin is scheme, host and port (RFC 6454); `null` and what cannot be read is nobody's.
fn is_same(origin: &str, host: &Authority) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let default_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let port = |port: Option<u16>| port.unwrap_or(default_port);
    origin.host().is_some_and(|name| name.eq_ignore_ascii_case(host.host())) && port(origin.port_u16()) == port(host.port_u16())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn admit(bound: &str, place: &Place, host: Option<&'static str>, origin: Option<&'static str>) -> Option<StatusCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in [(HOST, host), (ORIGIN, origin)] {
            value.map(|value| headers.insert(name, HeaderValue::from_static(value)));
        }
        let guard = Guard::new(bound.parse().unwrap());
        guard.admit(Some(place), &Uri::from_static("/"), &headers).err().map(|(code, _)| code)
    }

    #[test]
    fn a_page_from_elsewhere_cannot_act() {
        let act = |host, origin| admit("127.0.0.1:9600", &Place::Reload, host, origin);
        assert_eq!(act(Some("127.0.0.1:9600"), None), None);
        assert_eq!(act(None, None), None);
        assert_eq!(act(Some("localhost:9600"), Some("http://localhost:9600")), None);
        assert_eq!(act(Some("LOCALHOST:9600"), Some("http://localhost:9600")), None);
        assert_eq!(act(Some("[::1]:9600"), Some("http://[::1]:9600")), None);
        for origin in ["http://evil.example", "null", "http://localhost:3000", "", "file://", "http://localhost"] {
            assert_eq!(act(Some("localhost:9600"), Some(origin)), Some(StatusCode::FORBIDDEN), "{origin}");
        }
        assert_eq!(act(None, Some("http://localhost:9600")), Some(StatusCode::FORBIDDEN));
    }

    #[test]
    fn a_name_that_was_pointed_at_loopback_neither_acts_nor_reads() {
        for place in [Place::Reload, Place::Status, Place::Index] {
            let code = admit("127.0.0.1:9600", &place, Some("evil.example:9600"), Some("http://evil.example:9600"));
            assert_eq!(code, Some(StatusCode::FORBIDDEN), "{place:?}");
        }
        assert_eq!(admit("127.0.0.1:9600", &Place::Health, Some("evil.example"), None), None);
    }

    #[test]
    fn off_loopback_only_health_readiness_and_metrics_answer() {
        for bound in ["0.0.0.0:9600", "[::]:9600", "10.0.0.1:9600"] {
            for place in [Place::Health, Place::Ready, Place::Metrics] {
                assert_eq!(admit(bound, &place, Some("mainstay.example"), None), None);
            }
            for place in [Place::Index, Place::Status, Place::Events, Place::Reload] {
                assert_eq!(admit(bound, &place, Some("10.0.0.1:9600"), None), Some(StatusCode::FORBIDDEN), "{bound} {place:?}");
            }
        }
        assert_eq!(admit("[::ffff:127.0.0.1]:9600", &Place::Status, None, None), None);
    }
}
