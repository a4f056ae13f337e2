//! May the peer be trusted? webpki decides; this adds words for people, and trust in a certificate that stands itself in the CA file.
//!
//! webpki takes no certificate for a server's that may also sign others, and none of version 1. But that is what `openssl req -x509` makes,
//! and who puts the very certificate of a server into `ca_file` has said clearly enough that this is the one. It still must be valid, and
//! for the right name.

use std::cell::Cell;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::certificate::Certificate;
use super::material::Pem;

thread_local! {
    /// Why the certificate that was verified last on this thread was refused. rustls has room for a code only (and should have: it becomes
    /// the alert); who called rustls takes the words from here when that call has failed.
    static REFUSAL: Cell<Option<String>> = const { Cell::new(None) };
}

/// What the verifier had against the certificate, after a call to rustls that failed.
pub(super) fn take_refusal() -> Option<String> {
    REFUSAL.take()
}

/// Whose certificates are trusted.
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    /// Those of the CA file themselves; none of the system's.
    pinned: Vec<CertificateDer<'static>>,
    /// How to call all of them.
    name: String,
}

impl Trust {
    /// These, or without a file those of the system.
    pub(super) fn read(ca: Option<Pem<'_>>) -> Result<Self, super::Error> {
        let mut roots = RootCertStore::empty();
        let Some(pem) = ca else {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
                let file = "the system's certificate store".into();
                return Err(super::Error::Unusable {
                    file,
                    why: format!("holds no CA; set ca_file, or install ca-certificates {why}"),
                });
            }
            return Ok(Self { roots: Arc::new(roots), pinned: Vec::new(), name: "a CA that this system trusts".into() });
        };
        let pinned = pem.certificates()?;
        for certificate in &pinned {
            let Some(read) = Certificate::parse(certificate) else {
                return Err(pem.unusable("holds a certificate that cannot be read"));
            };
            // webpki takes whatever is a root for a CA. One that is none is trusted itself, and not what it has signed.
            if read.may_sign() {
                // One that webpki cannot use can still be pinned.
                let _ = roots.add(certificate.clone());
            }
        }
        Ok(Self { roots: Arc::new(roots), pinned, name: format!("one in {}", pem.path.display()) })
    }

    pub(super) fn of_servers(self, provider: &Arc<CryptoProvider>) -> Result<Arc<ServerVerifier>, super::Error> {
        let webpki = || WebPkiServerVerifier::builder_with_provider(self.roots.clone(), provider.clone()).build();
        let webpki = (!self.roots.is_empty()).then(webpki).transpose();
        let webpki = webpki.map_err(|error| super::Error::Protocol(error.to_string()))?;
        Ok(Arc::new(ServerVerifier { webpki, algorithms: provider.signature_verification_algorithms, trust: self }))
    }

    /// `mandatory`: one without a certificate is turned away.
    pub(super) fn of_clients(self, provider: &Arc<CryptoProvider>, mandatory: bool) -> Result<Arc<ClientVerifier>, super::Error> {
        let webpki = || WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider.clone()).build();
        let webpki = (!self.roots.is_empty()).then(webpki).transpose();
        let webpki = webpki.map_err(|error| super::Error::Protocol(error.to_string()))?;
        let algorithms = provider.signature_verification_algorithms;
        Ok(Arc::new(ClientVerifier { webpki, algorithms, trust: self, mandatory }))
    }

    /// One that stands in the CA file itself is trusted, but not for ever.
    fn is_valid(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let read = Certificate::parse(certificate).ok_or(CertificateError::BadEncoding)?;
        if read.is_valid(now) { Ok(()) } else { Err(CertificateError::Expired.into()) }
    }

    fn pins(&self, certificate: &CertificateDer<'_>) -> bool {
        self.pinned.iter().any(|pinned| pinned.as_ref() == certificate.as_ref())
    }

    /// The error, with words left for who asks.
    fn refuse(&self, error: Error, certificate: &CertificateDer<'_>, name: Option<&ServerName<'_>>) -> Error {
        REFUSAL.set(self.words(&error, certificate, name));
        error
    }

    fn words(&self, error: &Error, der: &CertificateDer<'_>, name: Option<&ServerName<'_>>) -> Option<String> {
        use CertificateError as C;
        let Error::InvalidCertificate(why) = error else { return None };
        let Some(certificate) = Certificate::parse(der) else {
            return Some("shows a certificate that cannot be read".into());
        };
        let subject = match certificate.subject() {
            subject if subject.is_empty() => "a certificate".into(),
            subject => format!("the certificate of {subject}"),
        };
        Some(match why {
            C::Expired | C::ExpiredContext { .. } => {
                format!("shows {subject}, which expired on {}; renew it", certificate.valid_until())
            }
            C::NotValidYet | C::NotValidYetContext { .. } => {
                format!("shows {subject}, which is not valid before {}; is a clock wrong?", certificate.valid_since())
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                let wanted = name.map(|name| name.to_str().into_owned()).unwrap_or_default();
                match certificate.names() {
                    names if names.is_empty() => format!(
                        "shows {subject}, which names no server at all (no subjectAltName); issue one with {wanted} among its names"
                    ),
                    names => format!(
                        "shows {subject} for {names}, and not for {wanted}; set server_name to one of its names, or issue one with {wanted}"
                    ),
                }
            }
            C::UnknownIssuer | C::Other(_) if certificate.is_self_signed() => {
                format!("shows {subject}, which is signed by itself and not {}", self.name)
            }
            C::UnknownIssuer => {
                format!("shows {subject}, signed by {}, and that is not {}", certificate.issuer(), self.name)
            }
            _ if certificate.is_old() => format!(
                "shows {subject} of an old kind (X.509 before version 3); issue one with extensions, as `openssl x509 -req -extfile` does"
            ),
            why => format!("shows {subject}, which cannot be trusted: {why}"),
        })
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Verifies backends and Sentinels.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    /// Absent where none of those that are trusted may sign others.
    webpki: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    trust: Trust,
}

impl ServerVerifier {
    /// One that stands in the CA file itself.
    fn verify_pinned(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
        Trust::is_valid(certificate, now)?;
        rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = match &self.webpki {
            Some(webpki) => webpki.verify_server_cert(certificate, intermediates, name, ocsp_response, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let verified = match verified {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if self.trust.pins(certificate) =>
            {
                Self::verify_pinned(certificate, name, now).map(|()| ServerCertVerified::assertion())
            }
            verified => verified,
        };
        verified.map_err(|error| self.trust.refuse(error, certificate, Some(name)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Verifies the certificates of clients.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    /// As for servers.
    webpki: Option<Arc<dyn ClientCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    trust: Trust,
    mandatory: bool,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.as_ref().map_or(&[], |webpki| webpki.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = match &self.webpki {
            Some(webpki) => webpki.verify_client_cert(certificate, intermediates, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let verified = match verified {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if self.trust.pins(certificate) =>
            {
                Trust::is_valid(certificate, now).map(|()| ClientCertVerified::assertion())
            }
            verified => verified,
        };
        verified.map_err(|error| self.trust.refuse(error, certificate, None))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
