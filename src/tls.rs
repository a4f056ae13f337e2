//! TLS 1.2 and 1.3 by rustls, for connections to backends and Sentinels ([`Connector`]) and from clients ([`Acceptor`]).
//!
//! A [`Stream`] is used like the socket that it stands on, with one promise that a proxy with a fence needs and that TLS libraries do not
//! make: bytes count as written when the kernel has taken every record that they are in, and nothing of them leaves the process but in a call
//! that writes. So whoever asks the fence before each write has asked it for every byte that goes out; and what was not taken whole is worth
//! nothing to its receiver, as a part of a record cannot be decrypted.
//!
//! | file | holds |
//! |---|---|
//! | `connector.rs`, `acceptor.rs`, `configured.rs` | what both sides go by: certificates, keys, whom to trust |
//! | `stream.rs` | the socket below, when it is read and written |
//! | `session.rs` | rustls and the bytes that are on their way through it; no socket |
//! | `sealed.rs` | records that the kernel has not taken yet |
//! | `verifier.rs`, `certificate.rs` | may the peer be trusted, and what its certificate says |
//! | `memory.rs` | sessions that can be resumed |
//! | `error.rs` | what went wrong, in words for people |

mod acceptor;
mod certificate;
mod configured;
mod connector;
mod error;
mod material;
mod memory;
mod sealed;
mod session;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod verifier;

pub use acceptor::Acceptor;
pub use connector::Connector;
pub use error::Error;
pub use material::{Identity, Pem};
pub use socket::{Detached, Socket};
pub use stream::{Parts, Stream};

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// Both protocol versions that are still safe.
const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// ring's algorithms, AES-128 before AES-256: it costs a quarter less, and nobody breaks either.
fn provider() -> Arc<CryptoProvider> {
    use rustls::CipherSuite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS13_AES_128_GCM_SHA256,
    };
    let cheap = [TLS13_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    let mut provider = ring::default_provider();
    // TLS 1.3 first, as before; the sort is stable.
    provider.cipher_suites.sort_by_key(|suite| (suite.tls13().is_none(), !cheap.contains(&suite.suite())));
    Arc::new(provider)
}
