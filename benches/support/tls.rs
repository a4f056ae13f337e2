//! Certificates for the benchmarks, and the lines that make each program use them: TLS 1.3, AES-128-GCM, P-256, the same for all.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::servers::{Server, Workshop, free_address};

/// Which side of a proxy speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// None.
    #[default]
    None,
    /// The clients; what stands behind the proxy is spoken to in plain.
    Clients,
    /// The backends; the clients speak in plain.
    Backends,
}

/// The only suite that HAProxy is let choose; mainstay and the load generator take it by themselves.
const SUITE: &str = "ciphersuites TLS_AES_128_GCM_SHA256";

impl Workshop {
    /// Makes them.
    pub fn certificates(&self) -> Result<()> {
        let (ca_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
        let mut params = CertificateParams::default();
        // Unlike the other's, or OpenSSL takes that for self-signed.
        params.distinguished_name.push(DnType::CommonName, "benchmark CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(params, ca_key);
        let own = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()])?.signed_by(&key, &issuer)?.pem();
        fs::write(self.tls_file("ca.crt"), ca)?;
        fs::write(self.tls_file("server.key"), key.serialize_pem())?;
        fs::write(self.tls_file("server.pem"), own.clone() + &key.serialize_pem())?;
        Ok(fs::write(self.tls_file("server.crt"), own)?)
    }

    pub(super) fn tls_file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// A Redis that speaks TLS at the second address.
    pub fn tls_redis(&self, arguments: &[&str]) -> Result<Server> {
        let address = free_address()?;
        let [ca, certificate, key] = ["ca.crt", "server.crt", "server.key"].map(|name| self.tls_file(name).display().to_string());
        let port = address.port().to_string();
        let tls = ["--tls-port", &port, "--tls-ca-cert-file", &ca, "--tls-cert-file", &certificate, "--tls-key-file", &key];
        let mut redis = self.redis(None, &[&tls[..], &["--tls-auth-clients", "no"], arguments].concat())?;
        redis.tls = Some(address);
        Ok(redis)
    }

    /// HAProxy: what follows an address that it listens on.
    pub(super) fn haproxy_bind(&self) -> String {
        format!("ssl crt {} ssl-min-ver TLSv1.3 {SUITE}", self.tls_file("server.pem").display())
    }

    /// HAProxy: what follows the address of a server.
    pub(super) fn haproxy_server(&self) -> String {
        format!(
            "ssl verify required ca-file {} verifyhost localhost ssl-min-ver TLSv1.3 {SUITE}",
            self.tls_file("ca.crt").display()
        )
    }

    /// mainstay: the table of a listener, or of a group.
    pub(super) fn mainstay_table(&self, side: Tls) -> String {
        match side {
            Tls::None => String::new(),
            Tls::Clients => format!(
                "[listener.tls]\ncert_file = {:?}\nkey_file = {:?}\n",
                self.tls_file("server.crt"),
                self.tls_file("server.key")
            ),
            Tls::Backends => format!("[group.tls]\nca_file = {:?}\n", self.tls_file("ca.crt")),
        }
    }

    /// What a client goes by.
    pub fn tls_client(&self) -> Result<Arc<rustls::ClientConfig>> {
        client_config(&self.tls_file("ca.crt"))
    }
}

fn client_config(ca: &Path) -> Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).context("the CA was made")?)?;
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
