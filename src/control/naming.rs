//! Names change what a group consists of: the coordinator's part in it. Who belongs to the group is `roster`'s matter.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::connectors::Security;
use super::coordinator::{AbortOnDrop, Coordinator, rules};
use super::probe::{Probe, Whereabouts};
use super::roster::Standing;
use crate::route::{Endpoint, GroupStatus, Moment};

/// A backend that is asked.
pub(super) struct Watched {
    /// A check that began earlier was asked under this name elsewhere.
    pub(super) since: Moment,
    whereabouts: watch::Sender<Whereabouts>,
    _task: AbortOnDrop,
}

impl Watched {
    fn moves_to(&self, whereabouts: &Whereabouts) {
        self.whereabouts.send_if_modified(|present| {
            let moves = present != whereabouts;
            if moves {
                present.clone_from(whereabouts);
            }
            moves
        });
    }
}

impl Coordinator {
    /// A question about a name has ended, the configuration has changed, or somebody told of further backends.
    pub(super) fn settle(&mut self, now: Moment) {
        self.names.update(self.roster.addresses());
        for incident in self.names.incidents() {
            self.journal.name(&incident);
        }
        let standing = self.standing();
        for (old, new) in self.roster.settle(|address| self.names.leads(address), &standing) {
            if let Some(endpoint) = self.rename(&old, &new) {
                // A name that led elsewhere before leads there now.
                self.endpoints.insert(new, endpoint);
            }
        }
        self.group.reconfigure(rules(&self.config), &self.roster.names());
        self.watch_members();
        self.adopt();
        self.group.refresh(now);
        self.publish();
    }

    /// A leaving primary whose process answers under a name that stays is that one.
    pub(super) fn adopt(&mut self) {
        if let Some((old, new)) = self.group.heir_of_leaving_primary() {
            self.rename(&old, &new);
            self.group.reconfigure(rules(&self.config), &self.roster.names());
            self.watch_members();
            self.publish();
        }
    }

    /// One probe for each backend of the group, a leaving one included, and for no other; each knows where its backend is.
    pub(super) fn watch_members(&mut self) {
        let backends: Vec<Arc<str>> = self.group.backends().iter().map(|backend| backend.name.clone()).collect();
        self.roster.keep_former(|name| backends.iter().any(|backend| **backend == *name));
        let gone: Vec<Arc<str>> = self.probes.keys().filter(|name| !backends.contains(name)).cloned().collect();
        for name in gone {
            self.probes.remove(&name);
            self.endpoints.remove(&name);
            self.connectors.forget(&name);
            self.told.forget(&name);
            self.journal.forget(&name);
        }
        for backend in backends {
            // Each stands in the roster, or stood there when it left.
            let Some(member) = self.roster.member(&backend) else { continue };
            match self.probes.get(&backend) {
                Some(watched) => watched.moves_to(&member.endpoints),
                None => {
                    let security = self.connectors.to(&backend, member.server_name());
                    let watched = self.watch_backend(&backend, security, member.endpoints.clone());
                    self.probes.insert(backend, watched);
                }
            }
        }
    }

    fn watch_backend(&self, backend: &Arc<str>, security: Security, whereabouts: Whereabouts) -> Watched {
        let (sender, whereabouts) = watch::channel(whereabouts);
        let since = Moment::now();
        let probe = Probe {
            backend: backend.clone(),
            whereabouts,
            security,
            speaks_tls: None,
            credentials: self.config.credentials.clone(),
            timeout: self.config.check.timeout,
            interval: self.config.check.interval,
            fast_interval: self.config.check.fast_interval,
            pace: self.pace.subscribe(),
            reports: self.report_sender.clone(),
        };
        Watched { since, whereabouts: sender, _task: AbortOnDrop(tokio::spawn(probe.run())) }
    }

    /// Where the members of the group last answered.
    fn standing(&self) -> HashMap<Arc<str>, Standing> {
        let standing = |backend: &crate::topology::Backend| {
            let endpoint = self.endpoints.get(&backend.name)?.clone();
            Some((backend.name.clone(), Standing { endpoint, answers: backend.health.is_living() }))
        };
        self.group.backends().iter().filter_map(standing).collect()
    }

    /// The answer is where it stood under its old name.
    fn rename(&mut self, old: &Arc<str>, new: &Arc<str>) -> Option<Endpoint> {
        if !self.group.rename(old, new) {
            return None;
        }
        // What the bearer of the new name was asked before is answered by another one: both are asked anew.
        self.probes.remove(old);
        self.probes.remove(new);
        self.told.rename(old, new);
        self.connectors.forget(old);
        self.connectors.forget(new);
        self.journal.rename(old, new);
        self.readers.rename(old, new);
        let endpoint = self.endpoints.remove(old)?;
        self.endpoints.entry(new.clone()).or_insert(endpoint.clone());
        Some(endpoint)
    }

    /// A check of a backend ended. Its name is asked again when it failed, and while there is no primary: a name that is to lead to
    /// the primary is pointed elsewhere about now.
    pub(super) fn ask_again(&self, backend: &str, failed: bool) {
        if (failed || self.group.primary().is_none())
            && let Some(member) = self.roster.member(backend)
        {
            self.names.again(&member.names);
        }
    }

    /// What there is to say of backends whose names fail, or lead to them no more.
    pub(super) fn annotate(&self, status: &mut GroupStatus) {
        let failing = self.names.failing();
        for backend in status.backends.iter_mut().filter(|backend| backend.message.is_none()) {
            let names = self.roster.member(&backend.address).map(|member| &member.names);
            let fault = failing.iter().find(|(name, _)| names.is_some_and(|names| names.contains(name)));
            backend.message = if self.roster.has_vanished(&backend.address) {
                Some("its name leads to it no more: it takes no new sessions".into())
            } else {
                fault.map(|(name, why)| format!("{name} cannot be resolved: {why}; its last answer stays in force"))
            };
        }
    }
}
