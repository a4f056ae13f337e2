//! How to speak TLS to each backend of a group. One [`Connector`] a backend, kept: it remembers the sessions that can be resumed, and is
//! equal to itself alone, so that a route does not change because it is published again.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{BackendAddress, ClientTls};
use crate::tls::{Connector, Error, Identity, Pem};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Secure {
    /// For the group; or what is wrong with its files, although they were found good when they were read.
    group: Option<Result<Connector, String>>,
    each: HashMap<Arc<str>, Result<Connector, String>>,
}

impl Secure {
    /// As configured.
    pub(super) fn new(tls: Option<&ClientTls>) -> Self {
        Self { group: tls.map(|tls| connector(tls).map_err(|error| error.to_string())), each: HashMap::new() }
    }

    /// To this backend; `Ok(None)`: in plain.
    pub(super) fn to(&mut self, name: &Arc<str>, address: &BackendAddress) -> Result<Option<Connector>, String> {
        let Some(group) = &self.group else { return Ok(None) };
        let each = self.each.entry(name.clone()).or_insert_with(|| {
            let group = group.clone()?;
            group.to(&host(address)).map_err(|error| error.to_string())
        });
        each.clone().map(Some)
    }

    /// A backend has left.
    pub(super) fn forget(&mut self, name: &str) {
        self.each.remove(name);
    }
}

/// For the servers of a group, or for its Sentinels.
pub(super) fn connector(tls: &ClientTls) -> Result<Connector, Error> {
    let ca = tls.ca.as_ref().map(pem);
    let identity = tls.identity.as_ref().map(|pair| Identity { certificates: pem(&pair.certificate), key: pem(&pair.key) });
    Connector::new(ca, identity, tls.server_name.as_deref())
}

fn pem(pem: &crate::config::Pem) -> Pem<'_> {
    Pem { path: &pem.path, bytes: pem.text.as_bytes() }
}

/// What stands in a server's certificate, as far as its address tells.
fn host(address: &BackendAddress) -> String {
    match address {
        BackendAddress::Tcp { host, .. } => host.clone(),
        BackendAddress::Service(name) => name.clone(),
        // Nobody issues certificates for paths: whoever speaks TLS there has to say the name.
        BackendAddress::Unix(_) => "localhost".into(),
    }
}
