//! Who belongs to a group: the configured addresses, what is found behind their names, and what Sentinels told.
//!
//! A name with one address is one backend, by its configured name, wherever it leads. A name with several is as many backends, each
//! by its own address. What a name or a Sentinel leads to is passed over where a backend stands there already; what was configured
//! never is.
//!
//! **Two families.** An IPv4 and an IPv6 address behind one name are taken for the same server (`localhost`, a host with both): one
//! backend with two endpoints, of which a check tries one after the other, so that one family may be out of reach. Of several servers
//! only one family counts, since each server has one address of each: the one in use as long as it lasts, or else the one with more
//! addresses, or else that of the answer's first, which is the one that this machine reaches best (RFC 6724). Should two backends be
//! one process after all, the election takes them for one candidate (`topology/election.rs`).
//!
//! The order of an answer decides nothing else, so that one in changing order changes nobody.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::resolve::Lead;
use crate::config::BackendAddress;
use crate::config::limits::BACKENDS_MAX;
use crate::route::Endpoint;

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name everywhere.
    pub(super) name: Arc<str>,
    /// The host name that led to it, if one did.
    pub(super) host: Option<Arc<str>>,
    /// The names to ask again when it cannot be reached.
    pub(super) names: Vec<Arc<str>>,
    /// Where it is, or why nobody knows.
    pub(super) endpoints: Result<Vec<Endpoint>, Arc<str>>,
    /// The address that led to it, as configured or as told by a Sentinel.
    origin: BackendAddress,
}

/// What is known of a backend where it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Where it last answered.
    pub(super) endpoint: Endpoint,
    /// It answers its checks.
    pub(super) answers: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Roster {
    configured: Vec<BackendAddress>,
    discovered: Vec<BackendAddress>,
    members: Vec<Member>,
    /// Those that stood in the roster when they left. Kept by whoever still watches one of them.
    former: HashMap<Arc<str>, Member>,
}

impl Roster {
    /// Applies a configuration. [`Roster::settle`] makes it count.
    pub(super) fn configure(&mut self, backends: &[BackendAddress]) {
        self.configured = backends.to_vec();
    }

    /// Takes over whom the Sentinels tell of. [`Roster::settle`] makes it count.
    pub(super) fn discover(&mut self, backends: &[BackendAddress]) {
        self.discovered = backends.to_vec();
    }

    /// The addresses whose names are to be resolved.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &BackendAddress> {
        self.configured.iter().chain(&self.discovered)
    }

    /// Finds out who belongs to the group now. `standing`: what is known of the backends so far, leaving ones included. The answer are
    /// the backends that go by another name from now on, old and new.
    pub(super) fn settle(
        &mut self,
        leads: impl Fn(&BackendAddress) -> Vec<Lead>,
        standing: &HashMap<Arc<str>, Standing>,
    ) -> Vec<(Arc<str>, Arc<str>)> {
        let in_use: HashSet<&Endpoint> = standing.values().filter(|one| one.answers).map(|one| &one.endpoint).collect();
        let (mut members, mut found) = (Vec::new(), Vec::new());
        for (address, configured) in
            self.configured.iter().map(|one| (one, true)).chain(self.discovered.iter().map(|one| (one, false)))
        {
            for lead in leads(address) {
                match apart(&lead, &in_use) {
                    // Named by whoever wrote the configuration: it counts, wherever it leads.
                    None if configured && lead.address == *address => members.push(Member::whole(lead, address)),
                    None => found.push(Member::whole(lead, address)),
                    Some(endpoints) => {
                        found.extend(endpoints.into_iter().map(|endpoint| Member::of_several(&lead, endpoint, address)));
                    }
                }
            }
        }
        for member in found {
            let ends = |member: &Member| member.endpoints.clone().unwrap_or_default();
            let stands = |other: &Member| other.name == member.name || ends(other).iter().any(|end| ends(&member).contains(end));
            if !members.iter().any(stands) {
                members.push(member);
            }
        }
        members.truncate(BACKENDS_MAX);
        self.replace(members, standing)
    }

    fn replace(&mut self, members: Vec<Member>, standing: &HashMap<Arc<str>, Standing>) -> Vec<(Arc<str>, Arc<str>)> {
        let before = std::mem::replace(&mut self.members, members);
        self.former.extend(before.into_iter().map(|member| (member.name.clone(), member)));
        self.former.retain(|name, _| !self.members.iter().any(|member| member.name == *name));
        let renamed = |old: &Member| {
            let stood = match (standing.get(&old.name), &old.endpoints) {
                (Some(standing), _) => vec![standing.endpoint.clone()],
                (None, Ok(endpoints)) => endpoints.clone(),
                (None, Err(_)) => return None,
            };
            let heir = self.members.iter().find(|member| {
                member.endpoints.as_ref().is_ok_and(|endpoints| endpoints.iter().any(|endpoint| stood.contains(endpoint)))
            })?;
            Some((old.name.clone(), heir.name.clone()))
        };
        let mut renamed: Vec<_> = self.former.values().filter_map(renamed).collect();
        renamed.sort();
        renamed
    }

    /// Forgets those that left, all but these.
    pub(super) fn keep_former(&mut self, kept: impl Fn(&str) -> bool) {
        self.former.retain(|name, _| kept(name));
    }

    /// Each backend once.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// A member, or one that left and is still watched.
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| *member.name == *name).or_else(|| self.former.get(name))
    }

    /// It left because its name, which still stands in the configuration, leads to it no more: whoever changed that wants it to have
    /// no new clients.
    pub(super) fn has_vanished(&self, name: &str) -> bool {
        self.former.get(name).is_some_and(|former| !former.names.is_empty() && self.configured.contains(&former.origin))
    }

    /// Their names.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.members().map(|member| member.name.clone()).collect()
    }
}

impl Member {
    /// The name that its certificate has to have, where it speaks TLS: the one that led to it, or its address. A unix socket has none.
    pub(super) fn server_name(&self) -> &str {
        match (&self.host, &self.origin) {
            // Written with the dot that keeps the resolver from appending a domain; no certificate has it.
            (Some(host), _) => host.trim_end_matches('.'),
            (None, BackendAddress::Tcp { host, .. }) => host,
            (None, BackendAddress::Service(service)) => service,
            (None, BackendAddress::Unix(_)) => "",
        }
    }

    fn whole(lead: Lead, origin: &BackendAddress) -> Self {
        let Lead { address, host, names, endpoints } = lead;
        Self { name: address.to_string().into(), host, names, endpoints, origin: origin.clone() }
    }

    fn of_several(lead: &Lead, endpoint: Endpoint, origin: &BackendAddress) -> Self {
        Self {
            name: endpoint.to_string().into(),
            host: lead.host.clone(),
            names: lead.names.clone(),
            endpoints: Ok(vec![endpoint]),
            origin: origin.clone(),
        }
    }
}

/// The servers behind a name that stands for several; nothing where it stands for one, or for nobody knows how many.
fn apart(lead: &Lead, in_use: &HashSet<&Endpoint>) -> Option<Vec<Endpoint>> {
    let endpoints = lead.endpoints.as_ref().ok()?;
    let is_v4 = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Tcp(address) if address.is_ipv4());
    let (v4, v6): (Vec<Endpoint>, Vec<Endpoint>) = endpoints.iter().cloned().partition(is_v4);
    if v4.len() <= 1 && v6.len() <= 1 {
        return None;
    }
    let used = |family: &[Endpoint]| family.iter().any(|endpoint| in_use.contains(endpoint));
    // Two answers, one for each family, need not be of the same moment: one that lacks some of the servers is no reason to change.
    let (first, other) = if endpoints.first().is_some_and(is_v4) { (v4, v6) } else { (v6, v4) };
    let stays = |family: &[Endpoint], other: &[Endpoint]| used(family) && !used(other) && family.len() * 2 >= other.len();
    let mut chosen = if stays(&first, &other) {
        first
    } else if stays(&other, &first) || other.len() > first.len() {
        other
    } else {
        first
    };
    chosen.sort_by_key(Endpoint::to_string);
    Some(chosen)
}

#[cfg(test)]
mod tests;
