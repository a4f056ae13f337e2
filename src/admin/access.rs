//! Who may do more than look whether mainstay lives: whoever shows the token, or a certificate of the client CA.
//!
//! A shown token is hashed and the hashes are compared in constant time: comparing the texts would tell by its time how long the
//! right one is, and how much of a guess is right. A wrong one is answered late, on a connection that then ends. So all who guess
//! share as many guesses in a second as there are places for connections, divided by that delay: some two hundred, however many
//! they are, against 16 characters at least. The right token is never made to wait: no count of wrong ones shuts out who has it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{AUTHORIZATION, HeaderMap};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::config::{self, Admin, ServerTls};
use crate::tls;

/// Guesses are counted in the log this often.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What the admin side asks for. A reload replaces it.
#[derive(Clone, Debug, Default)]
pub struct Access {
    token: Option<Token>,
    tls: Option<(ServerTls, tls::Acceptor)>,
    client_certificates: bool,
}

impl Access {
    /// As configured. The error names the file that cannot be used.
    pub fn new(admin: &Admin) -> Result<Self, tls::Error> {
        Self::default().renewed(admin)
    }

    /// As configured now. Where `[admin.tls]` stays as it is, its connections are as good as before.
    pub fn renewed(&self, admin: &Admin) -> Result<Self, tls::Error> {
        let tls = match (&admin.tls, &self.tls) {
            (None, _) => None,
            (Some(wanted), Some((present, acceptor))) if wanted == present => Some((wanted.clone(), acceptor.clone())),
            (Some(wanted), _) => Some((wanted.clone(), acceptor(wanted)?)),
        };
        let client_certificates = admin.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        Ok(Self { token: admin.token.as_ref().map(|token| Token::new(token.expose())), tls, client_certificates })
    }

    /// What connections begin with, if not with HTTP.
    pub(super) fn tls(&self) -> Option<&tls::Acceptor> {
        self.tls.as_ref().map(|(_, acceptor)| acceptor)
    }

    /// Without a configuration.
    #[cfg(test)]
    pub(super) fn of(token: Option<&str>, client_certificates: bool) -> Self {
        Self { token: token.map(Token::new), tls: None, client_certificates }
    }

    /// Is there a token that could be shown?
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Is there a client CA whose certificates could be shown?
    pub(super) fn takes_certificates(&self) -> bool {
        self.client_certificates
    }

    /// What the request shows. A verified client certificate counts like the token; `certified`: the connection has one.
    pub(super) fn proof(&self, headers: &HeaderMap, certified: bool) -> Proof {
        match (&self.token, bearer(headers)) {
            (Some(token), Some(shown)) if token.is(shown) => Proof::Token,
            // A wrong token is told even to who has a certificate: something is not as he thinks.
            (Some(_), Some(_)) => Proof::WrongToken,
            (_, _) if certified && self.client_certificates => Proof::Certificate,
            (_, _) => Proof::None,
        }
    }
}

/// Clients without a certificate get in as well: health, readiness and metrics answer them.
fn acceptor(tls: &ServerTls) -> Result<tls::Acceptor, tls::Error> {
    let ServerTls { identity: config::Identity { certificate, key }, client_ca } = tls;
    let identity = tls::Identity { certificates: pem(certificate), key: pem(key) };
    tls::Acceptor::with_optional_certificates(identity, client_ca.as_ref().map(pem))
}

fn pem(read: &config::Pem) -> tls::Pem<'_> {
    tls::Pem { path: &read.path, bytes: read.text.as_bytes() }
}

/// What a request shows of who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The right token stands in the request itself.
    Token,
    /// The connection was opened with a certificate of the client CA.
    Certificate,
    /// There is a token in the request, and it is wrong.
    WrongToken,
    /// Nothing.
    None,
}

/// The hash of a token.
#[derive(Clone)]
struct Token([u8; 32]);

impl Token {
    fn new(token: &str) -> Self {
        Self(hash(token.as_bytes()))
    }

    fn is(&self, shown: &[u8]) -> bool {
        self.0.ct_eq(&hash(shown)).into()
    }
}

/// From the hash the token can be guessed without asking anybody.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    // SHA-256 has exactly these bytes.
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1). Another scheme, or two of these headers, are a token that is
/// none: an empty one, which is never right.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = all.next()?.as_bytes();
    let (scheme, token) = value.split_at(value.iter().position(|byte| *byte == b' ').unwrap_or(value.len()));
    let fine = all.next().is_none() && scheme.eq_ignore_ascii_case(b"bearer");
    Some(if fine { token.trim_ascii() } else { b"" })
}

/// Wrong tokens, counted between two lines of the log.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<(u64, Option<Instant>)>);

impl Guesses {
    /// One more. Returns how many there were since this was last said, where it is time to say it.
    pub(super) fn count(&self, now: Instant) -> Option<u64> {
        // Nothing that holds it can panic.
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (guesses, said) = &mut *counted;
        *guesses += 1;
        let quiet = said.is_some_and(|said| now.saturating_duration_since(said) < SAY_EVERY);
        (!quiet).then(|| {
            *said = Some(now);
            std::mem::take(guesses)
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn proof(headers: &[&str], certified: bool) -> Proof {
        let access = Access::of(Some(TOKEN), true);
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        }
        access.proof(&map, certified)
    }

    #[test]
    fn the_token_is_the_whole_token_and_nothing_else() {
        for right in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", "BEARER   0123456789abcdef "] {
            assert_eq!(proof(&[right], false), Proof::Token, "{right}");
        }
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789ABCDEF",
            "Bearer",
            "Bearer ",
            "",
            "0123456789abcdef",
            "Basic 0123456789abcdef",
            "Bearer 0123456789abcdef, Bearer 0123456789abcdef",
        ] {
            assert_eq!(proof(&[wrong], false), Proof::WrongToken, "{wrong}");
        }
        assert_eq!(proof(&["Bearer 0123456789abcdef"; 2], false), Proof::WrongToken);
        assert_eq!(proof(&[], false), Proof::None);
    }

    #[test]
    fn a_certificate_counts_like_the_token_unless_a_wrong_one_comes_with_it() {
        assert_eq!(proof(&[], true), Proof::Certificate);
        assert_eq!(proof(&["Bearer 0123456789abcdef"], true), Proof::Token);
        assert_eq!(proof(&["Bearer no"], true), Proof::WrongToken);
        let nothing = Access::default();
        assert_eq!(nothing.proof(&HeaderMap::new(), true), Proof::None, "nobody was asked for a certificate");
    }

    #[test]
    fn neither_the_token_nor_its_hash_is_shown() {
        let access = Access::of(Some(TOKEN), false);
        assert_eq!(format!("{access:?}"), "Access { token: Some(***), tls: None, client_certificates: false }");
    }

    #[test]
    fn guesses_are_said_at_most_once_a_minute() {
        let (guesses, begun) = (Guesses::default(), Instant::now());
        assert_eq!(guesses.count(begun), Some(1));
        assert_eq!(guesses.count(begun), None);
        assert_eq!(guesses.count(begun + Duration::from_secs(59)), None);
        assert_eq!(guesses.count(begun + Duration::from_secs(60)), Some(3));
    }
}
