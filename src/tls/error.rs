//! What went wrong, in words for people. Whatever is about a peer goes on from a subject: "redis1:6379 *shows a certificate that ...*".

use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, PeerIncompatible};

/// Why there is no TLS connection, or there can be none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A file of mainstay's own cannot be used.
    Unusable {
        /// Which one.
        file: PathBuf,
        /// Goes on from its name.
        why: String,
    },
    /// The name that the peer's certificate should have is none.
    NoName(String),
    /// The server says this, and not by TLS.
    NotTls(String),
    /// The client says something, and not by TLS. What it says is not repeated: it may be a password.
    PlainClient,
    /// The peer's certificate cannot be trusted, or there is none.
    Certificate(String),
    /// The peer wants another certificate of mainstay, or any.
    Refused(String),
    /// The two have no version or algorithm in common.
    NothingInCommon(String),
    /// The peer ended the connection in the handshake, without a word.
    Closed,
    /// The connection broke.
    Broken(io::ErrorKind),
    /// The peer breaks the protocol, or says that mainstay does.
    Protocol(String),
}

impl Error {
    /// It says something about how the two are configured, and will not pass by itself.
    pub fn is_mismatch(&self) -> bool {
        match self {
            Self::Unusable { .. }
            | Self::NoName(_)
            | Self::NotTls(_)
            | Self::PlainClient
            | Self::Certificate(_)
            | Self::Refused(_)
            | Self::NothingInCommon(_)
            | Self::Protocol(_) => true,
            Self::Closed | Self::Broken(_) => false,
        }
    }

    /// Of an error that a [`super::Stream`] gave, if it is about TLS.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    pub(super) fn not_tls(said: &[u8]) -> Self {
        Self::NotTls(said[..said.len().min(32)].escape_ascii().to_string())
    }

    pub(super) fn from_io(error: &io::Error) -> Self {
        match Self::of(error) {
            Some(error) => error.clone(),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            None => Self::Broken(error.kind()),
        }
    }

    /// `refused`: what the verifier had against the peer's certificate, in better words than the error's.
    pub(super) fn from_rustls(error: rustls::Error, refused: Option<String>) -> Self {
        match error {
            rustls::Error::InvalidCertificate(why) => {
                Self::Certificate(refused.unwrap_or_else(|| format!("shows a certificate that cannot be trusted: {why}")))
            }
            rustls::Error::NoCertificatesPresented => {
                Self::Certificate("shows no certificate, though this listener's client_ca_file asks for one".into())
            }
            rustls::Error::AlertReceived(alert) => Self::alert(alert),
            rustls::Error::PeerIncompatible(why) => Self::NothingInCommon(incompatible(&why)),
            error => Self::Protocol(format!("does not get through a TLS handshake with mainstay: {error}")),
        }
    }

    fn alert(alert: AlertDescription) -> Self {
        use AlertDescription as A;
        let text = |text: &str| text.to_owned();
        match alert {
            A::CertificateRequired | A::NoCertificate => {
                Self::Refused(text("asks for a client certificate; set cert_file and key_file in the tls table that leads to it"))
            }
            A::UnknownCA => Self::Refused(text("does not know the CA of the certificate that it was shown (alert unknown_ca)")),
            A::CertificateExpired => Self::Refused(text("says that the certificate it was shown has expired")),
            A::CertificateRevoked => Self::Refused(text("says that the certificate it was shown is revoked")),
            A::BadCertificate | A::UnsupportedCertificate | A::CertificateUnknown | A::AccessDenied => {
                Self::Refused(format!("refuses the certificate that it was shown, or misses one (alert {})", name(alert)))
            }
            A::ProtocolVersion => Self::NothingInCommon(text("speaks neither TLS 1.2 nor 1.3, which mainstay wants")),
            // What a server says that wants a client certificate, in TLS 1.2 (OpenSSL).
            A::HandshakeFailure => Self::NothingInCommon(text(
                "ends the handshake (alert handshake_failure): it wants a client certificate, or has no cipher in common",
            )),
            A::UnrecognisedName => Self::Certificate(text("knows no such server name; set server_name to one that it has")),
            alert => Self::Protocol(format!("ends the TLS connection (alert {})", name(alert))),
        }
    }
}

fn incompatible(why: &PeerIncompatible) -> String {
    use PeerIncompatible as P;
    match why {
        // Who sends no signature algorithms is of the time before TLS 1.2 (RFC 5246, section 7.4.1.4.1).
        P::SignatureAlgorithmsExtensionRequired
        | P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        | P::Tls13RequiredForQuic => "speaks neither TLS 1.2 nor 1.3, which mainstay wants".into(),
        P::NoCipherSuitesInCommon => "has no cipher in common with mainstay".into(),
        P::NoKxGroupsInCommon | P::NamedGroupsExtensionRequired => "has no key exchange group in common with mainstay".into(),
        P::NoSignatureSchemesInCommon | P::NoCertificateRequestSignatureSchemesInCommon => {
            format!("has no way to sign in common with mainstay: {why:?}")
        }
        why => format!("has nothing in common with mainstay: {why:?}"),
    }
}

/// `certificate_unknown`, as RFC 8446 writes it.
fn name(alert: AlertDescription) -> String {
    let camel = format!("{alert:?}");
    let mut name = String::new();
    for character in camel.chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unusable { file, why } => write!(f, "{} {why}", file.display()),
            Self::NoName(name) => {
                write!(f, "cannot be verified by the name \"{name}\"; set server_name to the name in its certificate")
            }
            Self::NotTls(said) => write!(f, "does not speak TLS there: it said \"{said}\""),
            Self::PlainClient => f.write_str("does not speak TLS, which this listener wants"),
            Self::Certificate(why) | Self::Refused(why) | Self::NothingInCommon(why) | Self::Protocol(why) => f.write_str(why),
            Self::Closed => f.write_str("closed the connection in the TLS handshake"),
            Self::Broken(kind) => write!(f, "cannot be reached by TLS: {kind}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<&Error> for io::Error {
    fn from(error: &Error) -> Self {
        match error {
            Error::Closed => Self::new(io::ErrorKind::UnexpectedEof, error.clone()),
            Error::Broken(kind) => (*kind).into(),
            error => Self::new(io::ErrorKind::InvalidData, error.clone()),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}
