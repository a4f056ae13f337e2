//! Certificates of the tests' own: an authority, and what it issues, as PEM files in a folder that ends with it.

use std::fs;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// One day.
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// Issues certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// Paths of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
}

impl Pair {
    /// Two lines of configuration.
    pub fn toml(&self) -> String {
        format!("cert_file = \"{}\"\nkey_file = \"{}\"\n", self.certificate, self.key)
    }
}

impl Authority {
    /// A new one, with this common name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("the folder can be written");
        Self { issuer, dir }
    }

    /// The path of its own certificate.
    pub fn file(&self) -> String {
        self.dir.path().join("ca.pem").display().to_string()
    }

    /// A certificate for these names, valid for a year: `NAME.pem` and `NAME.key`, written over those of before.
    pub fn issue(&self, file: &str, names: &[&str]) -> Pair {
        self.issue_until(file, names, SystemTime::now() + 365 * DAY)
    }

    /// The same, valid until then; since a year before.
    pub fn issue_until(&self, file: &str, names: &[&str], until: SystemTime) -> Pair {
        let (certificate, key) = self.made(file, names, until);
        let path = |end: &str| self.dir.path().join(format!("{file}.{end}"));
        let pair = Pair { certificate: path("pem").display().to_string(), key: path("key").display().to_string() };
        fs::write(&pair.certificate, certificate).expect("the folder can be written");
        fs::write(&pair.key, key).expect("the folder can be written");
        pair
    }

    /// The two texts, in no file.
    pub fn made(&self, common_name: &str, names: &[&str], until: SystemTime) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of hosts");
        params.distinguished_name.push(DnType::CommonName, common_name);
        (params.not_before, params.not_after) = ((until - 366 * DAY).into(), until.into());
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}
