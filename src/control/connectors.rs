//! How to speak TLS to each backend of a group. One connector a backend, for as long as the configuration stays: it remembers sessions, and
//! checks and clients' connections resume each other's.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::ClientTls;
use crate::tls::{Connector, Error};

/// To one backend: plain, by TLS, or why it cannot be spoken to.
pub(super) type Security = Result<Option<Connector>, Error>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Connectors {
    group: Option<Result<Connector, Error>>,
    each: HashMap<Arc<str>, Result<Connector, Error>>,
}

impl Connectors {
    /// Applies a configuration.
    pub(super) fn configure(&mut self, tls: Option<&ClientTls>) {
        self.group = tls.map(Connector::configured);
        self.each.clear();
    }

    /// To this backend, whose certificate has to be for `host`, unless the configuration names another one.
    pub(super) fn to(&mut self, backend: &Arc<str>, host: &str) -> Security {
        let Some(group) = &self.group else { return Ok(None) };
        let made = || group.clone()?.to(host);
        self.each.entry(backend.clone()).or_insert_with(made).clone().map(Some)
    }

    /// To one that was asked for before.
    pub(super) fn known(&self, backend: &str) -> Option<Security> {
        match &self.group {
            None => Some(Ok(None)),
            Some(_) => self.each.get(backend).map(|made| made.clone().map(Some)),
        }
    }

    /// It has left the group.
    pub(super) fn forget(&mut self, backend: &str) {
        self.each.remove(backend);
    }
}
