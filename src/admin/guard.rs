//! May this request be answered at all?
//!
//! Health, readiness and metrics answer whoever asks: they change nothing, name no secret, and who probes them has no token.
//! Everything else is answered like this:
//!
//! | configured | loopback | elsewhere |
//! |---|---|---|
//! | neither token nor client CA | whoever is on this machine | nobody |
//! | token, or client CA, or both | who shows one of them | who shows one of them |
//!
//! Then there are browsers. A page from anywhere can make the browser of an operator send requests here. What stops it depends on
//! what the request is admitted by:
//!
//! - *The token.* It stands in a header that a browser never adds by itself, and that a foreign page may add only after a preflight
//!   (OPTIONS) was answered with CORS headers, which mainstay never sends. So whoever wrote the token into the request is the one
//!   who was given it, and neither `Origin` nor `Host` has to be looked at. `Host` could not be: off loopback, and behind a reverse
//!   proxy, any name may be right. That is also why the token is never taken from a cookie or from the query, which stands in
//!   histories, in logs and in links.
//! - *A client certificate.* The browser shows it by itself, also where a foreign page is behind the request. A plain cross-site POST
//!   carries its foreign `Origin`, so that has to be this server. `Host` tells nothing more: a name that was pointed here after its
//!   page was loaded (DNS rebinding) is none of our certificate's, and the browser ends the handshake.
//! - *Being on this machine.* The browser is that as well, and over plain HTTP DNS rebinding works: the page's own name comes as
//!   `Host`. So `Host` has to be an address or `localhost`, and `Origin` this server. Command line clients send no `Origin`.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};

use super::access::{Access, Proof};
use super::place::{Place, query};

/// Decides by the address that the admin side is bound to, and by what a request shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    bound: SocketAddr,
}

/// Why a request is not answered.
pub(super) type Refused = (StatusCode, String);

/// What the guard decides by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Absent where the path leads nowhere: not even that is told to everybody.
    pub(super) place: Option<&'a Place>,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    /// The connection was opened with a certificate of the client CA.
    pub(super) certified: bool,
}

/// How a request is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The token is missing: 401.
    NoToken,
    /// The token is wrong: 401, and late.
    WrongToken,
    /// A token in this request would not help.
    Refused(Refused),
}

impl Guard {
    pub(super) fn new(bound: SocketAddr) -> Self {
        Self { bound }
    }

    pub(super) fn admit(&self, access: &Access, asked: Asked<'_>) -> Result<(), Denied> {
        if asked.place.is_some_and(Place::is_open) {
            return Ok(());
        }
        no_token_in_query(asked.uri)?;
        match access.proof(asked.headers, asked.certified) {
            Proof::Token => Ok(()),
            Proof::WrongToken => Err(Denied::WrongToken),
            Proof::Certificate => own_origin(asked),
            Proof::None if access.has_token() => Err(Denied::NoToken),
            Proof::None if access.takes_certificates() => Err(forbidden(
                "this needs a certificate of the [admin.tls] client_ca_file; \
                 give it with --cert-file and --key-file (curl: --cert, --key)",
            )),
            Proof::None if !self.bound.ip().to_canonical().is_loopback() => Err(forbidden(format!(
                "the admin address {} is not a loopback address and no token is configured, so only /healthz, /readyz and /metrics \
                 answer there; set [admin] token_file, or bind to 127.0.0.1 and ask on that machine",
                self.bound
            ))),
            Proof::None => {
                own_host(asked)?;
                own_origin(asked)
            }
        }
    }
}

fn forbidden(why: impl Into<String>) -> Denied {
    Denied::Refused((StatusCode::FORBIDDEN, why.into()))
}

/// Refused even where it is right, so that nobody gets used to it.
fn no_token_in_query(uri: &Uri) -> Result<(), Denied> {
    // One that cannot be read is refused later.
    let parameters = query(uri.query()).unwrap_or_default();
    if parameters.iter().any(|(key, _)| ["token", "access_token"].contains(&key.to_ascii_lowercase().as_str())) {
        let why = "a token does not belong in the address, which is logged and remembered on its way: \
                   send it as Authorization: Bearer TOKEN, and take a new one, for this one may be known now";
        return Err(Denied::Refused((StatusCode::BAD_REQUEST, why.into())));
    }
    Ok(())
}

/// The server's name in the request must be one that nobody else can hand out.
fn own_host(asked: Asked<'_>) -> Result<(), Denied> {
    match host(asked.uri, asked.headers)? {
        Some(host) if !is_this_machine(host.host()) => Err(forbidden(format!(
            "the request names this server {host}, which is neither an IP address nor localhost; \
             it may come from a web page that wants to use your access (DNS rebinding)"
        ))),
        _ => Ok(()),
    }
}

/// If a page is behind the request, it must be one of this server.
fn own_origin(asked: Asked<'_>) -> Result<(), Denied> {
    let host = host(asked.uri, asked.headers)?;
    let Some(origin) = asked.headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("an unreadable origin");
    if host.is_some_and(|host| is_same(origin, &host)) {
        return Ok(());
    }
    Err(forbidden(format!("the request comes from a page of {origin}, which is not this server")))
}

/// The server's name as the request gives it: in the request line or in `Host` (RFC 9112, section 3.2).
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, Denied> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let mut values = headers.get_all(HOST).iter();
    let Some(first) = values.next() else { return Ok(None) };
    match Authority::try_from(first.as_bytes()) {
        Ok(authority) if values.next().is_none() => Ok(Some(authority)),
        _ => {
            let why = "the request has a Host header that cannot be read, or two";
            Err(Denied::Refused((StatusCode::BAD_REQUEST, why.into())))
        }
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
#[path = "guard_tests.rs"]
mod tests;
