//! From the configuration's words to what speaks TLS. The files were read with the configuration.

use super::{Acceptor, Connector, Error, Identity, Pem};
use crate::config::{self, ClientTls, ServerTls};

impl Connector {
    /// Of `[group.tls]` or `[group.sentinel.tls]`, for all servers that it is about; see [`Connector::to`].
    pub fn configured(tls: &ClientTls) -> Result<Self, Error> {
        Self::new(tls.ca.as_ref().map(pem), tls.identity.as_ref().map(identity), tls.server_name.as_deref())
    }
}

impl Acceptor {
    /// Of `[listener.tls]` or `[admin.tls]`.
    pub fn configured(tls: &ServerTls) -> Result<Self, Error> {
        Self::new(identity(&tls.identity), tls.client_ca.as_ref().map(pem))
    }
}

fn identity(identity: &config::Identity) -> Identity<'_> {
    Identity { certificates: pem(&identity.certificate), key: pem(&identity.key) }
}

fn pem(pem: &config::Pem) -> Pem<'_> {
    Pem { path: &pem.path, bytes: pem.text.as_bytes() }
}
