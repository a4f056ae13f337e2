//! PEM texts as they were read, and what is in them.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;
use super::certificate::Certificate;

/// The content of a PEM file.
#[derive(Clone, Copy)]
pub struct Pem<'a> {
    /// Where it was read, for messages.
    pub path: &'a Path,
    /// What stands in it.
    pub bytes: &'a [u8],
}

impl fmt::Debug for Pem<'_> {
    /// It may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// Who mainstay is: its certificate, with those that lead to a trusted one, and the key that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Its own certificate first.
    pub certificates: Pem<'a>,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: Pem<'a>,
}

impl Pem<'_> {
    pub(super) fn unusable(&self, why: impl fmt::Display) -> Error {
        Error::Unusable { file: PathBuf::from(self.path), why: why.to_string() }
    }

    /// All certificates; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(self.bytes).collect();
        let found = found.map_err(|error| self.unusable(format!("is not PEM throughout: {error}")))?;
        if found.is_empty() {
            return Err(
                self.unusable("has no certificate in it; give one in PEM form, beginning with -----BEGIN CERTIFICATE-----")
            );
        }
        Ok(found)
    }

    /// Until when each certificate is valid, in seconds since 1970.
    pub fn valid_until(&self) -> Result<Vec<u64>, Error> {
        Ok(self.certificates()?.iter().filter_map(|der| Certificate::parse(der)).map(|certificate| certificate.end()).collect())
    }

    /// The first private key.
    fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        PrivateKeyDer::from_pem_slice(self.bytes).map_err(|error| match error {
            pem::Error::NoItemsFound if contains(self.bytes, b"ENCRYPTED PRIVATE KEY") => {
                self.unusable("holds an encrypted key, and mainstay has nobody to ask for its password; give it in plain")
            }
            pem::Error::NoItemsFound => self.unusable("has no private key in it; give one in PEM form, without a password"),
            // The error's text names the structure, never its content.
            error => self.unusable(format!("holds no key that can be read: {error}")),
        })
    }
}

impl Identity<'_> {
    /// What rustls wants to have.
    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        Ok((self.certificates.certificates()?, self.key.key()?))
    }

    /// What rustls has against it.
    pub(super) fn refused(&self, error: rustls::Error) -> Error {
        match error {
            rustls::Error::InconsistentKeys(_) => {
                self.key.unusable(format!("is not the key of the certificate in {}", self.certificates.path.display()))
            }
            rustls::Error::InvalidCertificate(why) => self.certificates.unusable(format!("cannot be used: {why}")),
            error => self.key.unusable(format!("cannot be used with {}: {error}", self.certificates.path.display())),
        }
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(bytes, word).is_some()
}
