//! Both ends are mainstay's own here; other programs' are tried in `tests/tls`.

mod bytes;
mod hostile;
mod trust;

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};

use super::{Acceptor, Connector, Error, Identity, Pem, Stream};

/// A CA of the tests.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
struct Shown {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn pem(&self) -> Pem<'_> {
        Pem { path: Path::new("ca.pem"), bytes: self.pem.as_bytes() }
    }

    fn issues(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, "redis1");
        change(&mut params);
        Shown { certificate: params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key: key.serialize_pem() }
    }
}

impl Shown {
    fn identity(&self) -> Identity<'_> {
        Identity {
            certificates: Pem { path: Path::new("server.crt"), bytes: self.certificate.as_bytes() },
            key: Pem { path: Path::new("server.key"), bytes: self.key.as_bytes() },
        }
    }
}

/// Two ends of a connection.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let connecting = TcpStream::connect(listener.local_addr().expect("a bound socket"));
    let (client, accepted) = tokio::join!(connecting, listener.accept());
    (client.expect("it listens"), accepted.expect("it connected").0)
}

/// Shakes hands; both ends or both errors.
async fn shake(connector: &Connector, acceptor: &Acceptor) -> (Result<Stream, Error>, Result<Stream, Error>) {
    let (client, server) = sockets().await;
    tokio::join!(connector.connect(client), acceptor.accept(server))
}

/// A pair that trusts each other.
fn pair() -> (Connector, Acceptor) {
    let authority = Authority::new("Test CA");
    let shown = authority.issues(&["localhost"], |_| {});
    let acceptor = Acceptor::new(shown.identity(), None).expect("it can be used");
    let connector = Connector::new(Some(authority.pem()), None, None).expect("it can be used");
    (connector.to("localhost").expect("a name"), acceptor)
}

/// Closes it so that nothing unsent is delivered.
fn abort(stream: Stream) {
    socket2::SockRef::from(stream.socket()).set_linger(Some(std::time::Duration::ZERO)).expect("a socket");
}
