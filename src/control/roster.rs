//! Who belongs to a group: the configured addresses, and what is found behind them.

use std::sync::Arc;

use crate::config::BackendAddress;

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name everywhere.
    pub(super) name: Arc<str>,
    /// Where it is.
    pub(super) address: BackendAddress,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: Vec<Member>,
}

impl Roster {
    /// Applies a configuration.
    pub(super) fn configure(&mut self, backends: &[BackendAddress]) {
        let member = |address: &BackendAddress| Member { name: address.to_string().into(), address: address.clone() };
        self.members = backends.iter().map(member).collect();
    }

    /// Each backend once.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// Their names.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.members().map(|member| member.name.clone()).collect()
    }
}
