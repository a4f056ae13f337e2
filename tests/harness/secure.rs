//! A TLS client that waits, for tests that read from top to bottom.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::certificates::Pair;

/// A TLS connection.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Does the handshake with `127.0.0.1`; `None` where it fails. `shown`: the client's own certificate.
pub fn connect(mut stream: TcpStream, ca_file: &str, shown: Option<&Pair>) -> Option<Stream> {
    let mut roots = RootCertStore::empty();
    let certificates = |file: &str| CertificateDer::pem_file_iter(file).ok()?.collect::<Result<Vec<_>, _>>().ok();
    roots.add_parsable_certificates(certificates(ca_file)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let config = config.with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_file(&pair.key).ok()?;
            config.with_client_auth_cert(certificates(&pair.certificate)?, key).ok()?
        }
    };
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).ok()?;
    }
    Some(StreamOwned::new(connection, stream))
}

/// The certificate that the server shows, as PEM files have it between their lines.
pub fn certificate(stream: &Stream) -> Option<CertificateDer<'static>> {
    stream.conn.peer_certificates()?.first().map(|certificate| certificate.clone().into_owned())
}
