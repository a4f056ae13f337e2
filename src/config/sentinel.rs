//! `[group.sentinel]`: the Sentinels that watch a group.

use super::credentials::credentials;
use super::file::{Section, quoted};
use super::group::addresses;
use super::validate::{Outside, required};
use super::{BackendAddress, ClientTls, Credentials, tls};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// The name by which the Sentinels know the group.
    pub master_name: String,
    /// At least one, each once. The others are learned from these.
    pub addresses: Vec<BackendAddress>,
    /// Who mainstay is to them.
    pub credentials: Option<Credentials>,
    /// `[group.sentinel.tls]`
    pub tls: Option<ClientTls>,
}

/// A `[group.sentinel]` that is there.
pub(super) fn sentinel(section: &Section<'_>, outside: &Outside<'_>) -> Sentinel {
    let right = "write the name from the Sentinels' own configuration: \"mymaster\"";
    let master_name = required(section, "master_name", right).map_or(String::new(), |name| {
        // What Sentinel itself allows (sentinel.c).
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.value.is_empty() || name.value.len() > 256 || !name.value.chars().all(fine) {
            section.walk.fault(&name.place, format!("{} is no name of a master", quoted(name.value)), right);
        }
        name.value.to_owned()
    });
    let right = "write a list of addresses: [\"sentinel1:26379\", \"sentinel2:26379\"]";
    if !section.has("addresses") {
        section.walk.missing(&section.place_of("addresses"), "it is missing", right);
    }
    let written = section.strings("addresses", right);
    let addresses =
        written.map(|list| addresses(section.walk, &list.place, list.value, "there is no Sentinel to ask")).unwrap_or_default();
    let tls = section.has("tls").then(|| tls::client(&section.table("tls"), outside));
    Sentinel { master_name, addresses, credentials: credentials(section, outside), tls }
}
