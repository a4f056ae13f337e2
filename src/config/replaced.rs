//! Files that are replaced while mainstay runs: certificates, keys, CAs and users. Whoever renews them (certbot, cert-manager,
//! Kubernetes) does not tell; so they are looked at, and read again under the configuration that is in force, not under a file that
//! somebody may be editing.

use std::path::PathBuf;
use std::sync::Arc;

use super::access::users_of;
use super::credentials::read_file;
use super::fault::{Fault, Faults, Wrong};
use super::limits::{PEM_BYTES_MAX, USERS_FILE_BYTES_MAX};
use super::tls::{check_certificates, check_pair};
use super::{ClientTls, Config, Identity, ListenerAuth, Pem, ServerTls};

impl Config {
    /// Every such file, once.
    pub fn replaceable_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.certificates().map(|pem| pem.path.clone()).collect();
        files.extend(self.identities().map(|identity| identity.key.path.clone()));
        files.extend(self.listeners.iter().filter_map(|listener| listener.auth.as_ref()?.users_file.clone()));
        files.sort();
        files.dedup();
        files
    }

    /// What is shown to peers: certificates with their chains.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        let servers = self.servers().map(|tls| &tls.identity);
        servers.chain(self.clients().filter_map(|tls| tls.identity.as_ref()))
    }

    /// Whom peers are trusted by: CA files.
    pub fn authorities(&self) -> impl Iterator<Item = &Pem> {
        let of_clients = self.servers().filter_map(|tls| tls.client_ca.as_ref());
        of_clients.chain(self.clients().filter_map(|tls| tls.ca.as_ref()))
    }

    fn certificates(&self) -> impl Iterator<Item = &Pem> {
        self.identities().map(|identity| &identity.certificate).chain(self.authorities())
    }

    fn servers(&self) -> impl Iterator<Item = &ServerTls> {
        self.admin.tls.iter().chain(self.listeners.iter().filter_map(|listener| listener.tls.as_ref()))
    }

    fn clients(&self) -> impl Iterator<Item = &ClientTls> {
        let sentinels = self.groups.iter().filter_map(|group| group.sentinel.as_ref()?.tls.as_ref());
        self.groups.iter().filter_map(|group| group.tls.as_ref()).chain(sentinels)
    }

    /// The same configuration with what stands in those files now, or everything that is wrong with them.
    pub fn with_files_of_now(&self) -> Result<Self, Faults> {
        let (mut config, mut faults) = (self.clone(), Vec::new());
        let listeners = &mut config.listeners;
        for tls in config.admin.tls.iter_mut().chain(listeners.iter_mut().filter_map(|listener| listener.tls.as_mut())) {
            identity(&mut tls.identity, &mut faults);
            tls.client_ca.iter_mut().for_each(|ca| certificates(ca, &mut faults));
        }
        for group in &mut config.groups {
            let sentinel = group.sentinel.as_mut().and_then(|sentinel| sentinel.tls.as_mut());
            for tls in group.tls.as_mut().into_iter().chain(sentinel) {
                tls.identity.iter_mut().for_each(|pair| identity(pair, &mut faults));
                tls.ca.iter_mut().for_each(|ca| certificates(ca, &mut faults));
            }
        }
        listeners.iter_mut().filter_map(|listener| listener.auth.as_mut()).for_each(|auth| users(auth, &mut faults));
        Faults::of(faults).map_or(Ok(config), Err)
    }
}

fn identity(identity: &mut Identity, faults: &mut Vec<Fault>) {
    let before = faults.len();
    certificates(&mut identity.certificate, faults);
    read(&mut identity.key, faults);
    if faults.len() == before
        && let Err(wrong) = check_pair(identity)
    {
        faults.push(fault(&identity.key.path, None, wrong));
    }
}

fn certificates(pem: &mut Pem, faults: &mut Vec<Fault>) {
    if read(pem, faults)
        && let Err(wrong) = check_certificates(pem)
    {
        faults.push(fault(&pem.path, None, wrong));
    }
}

fn read(pem: &mut Pem, faults: &mut Vec<Fault>) -> bool {
    match read_file(&pem.path, PEM_BYTES_MAX) {
        // The same text stays the same allocation: a listener that did not change is equal to itself at once.
        Ok(text) if *text == *pem.text => true,
        Ok(text) => {
            pem.text = Arc::from(text);
            true
        }
        Err(wrong) => {
            faults.push(fault(&pem.path, None, (wrong, "write it again, or name another and reload")));
            false
        }
    }
}

fn users(auth: &mut ListenerAuth, faults: &mut Vec<Fault>) {
    let Some(path) = &auth.users_file else { return };
    let read = read_file(path, USERS_FILE_BYTES_MAX).map_err(|wrong| (None, (wrong, "write it again")));
    match read.and_then(|text| users_of(&text)) {
        Ok(users) => auth.users = users,
        Err((line, wrong)) => faults.push(fault(path, line, wrong)),
    }
}

fn fault(path: &std::path::Path, line: Option<usize>, (wrong, right): Wrong) -> Fault {
    Fault { file: path.display().to_string().into(), line, key: String::new(), wrong, right: right.into() }
}
