//! TLS as configured: which files, and what is in them. They are read when the configuration is, so that what is wrong with them is
//! found with everything else, and a reload takes new ones.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::credentials::read_file;
use super::fault::Wrong;
use super::file::{Place, Section, Written, quoted};
use super::limits::PEM_BYTES_MAX;
use super::validate::Outside;

/// What was read from a file of certificates, or of a key. Prints as its path.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// Absolute.
    pub path: PathBuf,
    /// PEM text.
    pub text: Arc<str>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

/// A certificate, the chain behind it, and its key. They fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `cert_file`: its own certificate first.
    pub certificate: Pem,
    /// `key_file`
    pub key: Pem,
}

/// `[listener.tls]`, `[admin.tls]`: who mainstay is to those that connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// `cert_file`, `key_file`
    pub identity: Identity,
    /// `client_ca_file`: who connects has to show a certificate of one of these.
    pub client_ca: Option<Pem>,
}

/// `[group.tls]`, `[group.sentinel.tls]`: whom mainstay trusts, and who it is, where it connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// `ca_file`; absent: the roots of the system.
    pub ca: Option<Pem>,
    /// `cert_file`, `key_file`: for servers that ask for a certificate.
    pub identity: Option<Identity>,
    /// The name that the server's certificate has to have; absent: the host that is connected to.
    pub server_name: Option<String>,
}

/// `[listener.tls]` or `[admin.tls]`, where it is there.
pub(super) fn server(section: &Section<'_>, outside: &Outside<'_>) -> Option<ServerTls> {
    for key in ["cert_file", "key_file"].into_iter().filter(|key| !section.has(key)) {
        section.walk.missing(&section.place_of(key), "it is missing", "write the path of a PEM file");
    }
    let identity = identity(section, outside);
    let client_ca = certificates(section, "client_ca_file", outside);
    Some(ServerTls { identity: identity?, client_ca: client_ca.map(|pem| pem.value) })
}

/// `[group.tls]` or `[group.sentinel.tls]`, where it is there.
pub(super) fn client(section: &Section<'_>, outside: &Outside<'_>) -> ClientTls {
    let ca = certificates(section, "ca_file", outside).map(|pem| pem.value);
    for (key, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if section.has(key) && !section.has(other) {
            section.walk.missing(
                &section.place_of(key),
                format!("there is no {other}"),
                "a certificate and its key belong together",
            );
        }
    }
    let right = "write the name that stands in the servers' certificates: \"redis.example.com\"";
    let server_name = section.string("server_name", right).filter(|name| {
        let fine = ServerName::try_from(name.value).is_ok();
        if !fine {
            section.walk.fault(&name.place, format!("{} is neither a host name nor an IP address", quoted(name.value)), right);
        }
        fine
    });
    ClientTls { ca, identity: identity(section, outside), server_name: server_name.map(|name| name.value.to_owned()) }
}

/// A PEM file with at least one certificate.
fn certificates(section: &Section<'_>, key: &str, outside: &Outside<'_>) -> Option<Written<Pem>> {
    let pem = pem(section, key, outside)?;
    let checked = check_certificates(&pem.value);
    noted(section, &pem.place, checked)?;
    Some(pem)
}

fn identity(section: &Section<'_>, outside: &Outside<'_>) -> Option<Identity> {
    let certificate = certificates(section, "cert_file", outside);
    let key = pem(section, "key_file", outside)?;
    noted(section, &key.place, check_key(&key.value))?;
    let identity = Identity { certificate: certificate?.value, key: key.value };
    noted(section, &key.place, check_pair(&identity))?;
    Some(identity)
}

fn noted<T>(section: &Section<'_>, place: &Place, checked: Result<T, Wrong>) -> Option<T> {
    checked.map_err(|(wrong, right)| section.walk.fault(place, wrong, right)).ok()
}

/// Is there a certificate in it?
pub(super) fn check_certificates(pem: &Pem) -> Result<(), Wrong> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text.as_bytes()).collect();
    let wrong = match found {
        Ok(found) if !found.is_empty() => return Ok(()),
        Ok(_) => "there is no certificate in the file named here".to_owned(),
        Err(error) => format!("the file named here is no PEM: {error}"),
    };
    Err((wrong, "it begins with -----BEGIN CERTIFICATE-----"))
}

fn check_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, Wrong> {
    PrivateKeyDer::from_pem_slice(pem.text.as_bytes()).map_err(|_| {
        let right = "it begins with -----BEGIN PRIVATE KEY-----; one with a passphrase is not read";
        ("there is no private key in the file named here".into(), right)
    })
}

/// Do the two fit? What is wrong is wrong with the key.
pub(super) fn check_pair(Identity { certificate, key }: &Identity) -> Result<(), Wrong> {
    let chain = CertificateDer::pem_slice_iter(certificate.text.as_bytes()).filter_map(Result::ok).collect();
    match rustls::sign::CertifiedKey::from_der(chain, check_key(key)?, &rustls::crypto::ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let right = "name the key that the certificate was made for; its own certificate stands first";
            Err(("this key is not the one of the certificate in cert_file".into(), right))
        }
        Err(error) => Err((format!("this pair cannot be used: {error}"), "give an RSA, ECDSA or Ed25519 key")),
    }
}

fn pem(section: &Section<'_>, key: &str, outside: &Outside<'_>) -> Option<Written<Pem>> {
    let right = "write the path of a PEM file";
    let written = section.string(key, right)?;
    let path = outside.folder.join(written.value);
    let read = if written.value.is_empty() { Err("it is empty".into()) } else { read_file(&path, PEM_BYTES_MAX) };
    match read {
        Ok(text) => {
            // It fails for the empty path alone, which was refused above.
            let path = absolute(&path);
            Some(Written { value: Pem { path, text: text.into() }, place: written.place })
        }
        Err(wrong) => {
            // It is no secret, and a relative one starts at the folder of the configuration.
            section.walk.fault(&written.place, format!("{wrong} ({})", path.display()), right);
            None
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
