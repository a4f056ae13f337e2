//! mainstay as a TLS server: to its clients.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::UnbufferedServerConnection;

use super::material::{Identity, Pem};
use super::session::Session;
use super::verifier::Trust;
use super::{Error, Socket, Stream, VERSIONS, provider};

/// How to speak TLS to clients. Cheap to clone; equal where it is the same one. Another certificate makes another acceptor: connections that
/// stand keep theirs, and none of the old sessions is resumed with the new one.
#[derive(Clone, Debug)]
pub struct Acceptor(Arc<ServerConfig>);

impl PartialEq for Acceptor {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Acceptor {}

impl Acceptor {
    /// `identity`: what to show. `client_ca`: with it every client must show a certificate that is signed by one of these.
    pub fn new(identity: Identity<'_>, client_ca: Option<Pem<'_>>) -> Result<Self, Error> {
        Self::build(identity, client_ca, true)
    }

    /// The same, but a client may go without a certificate; [`Stream::peer_is_certified`] tells. A wrong one ends the handshake.
    pub fn with_optional_certificates(identity: Identity<'_>, client_ca: Option<Pem<'_>>) -> Result<Self, Error> {
        Self::build(identity, client_ca, false)
    }

    fn build(identity: Identity<'_>, client_ca: Option<Pem<'_>>, mandatory: bool) -> Result<Self, Error> {
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(VERSIONS)
            .map_err(|error| Error::Protocol(error.to_string()))?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => builder.with_client_cert_verifier(Trust::read(Some(ca))?.of_clients(&provider, mandatory)?),
        };
        let (certificates, key) = identity.read()?;
        let mut config = builder.with_single_cert(certificates, key).map_err(|error| identity.refused(error))?;
        // What a client needs to resume is with the client, so that mainstay keeps nothing for those that have gone.
        config.ticketer = Ticketer::new().map_err(|error| Error::Protocol(error.to_string()))?;
        Ok(Self(Arc::new(config)))
    }

    /// Does the handshake with a client that has just connected. Has no time limit of its own.
    pub async fn accept(&self, socket: impl Into<Socket>) -> Result<Stream, Error> {
        let connection = UnbufferedServerConnection::new(self.0.clone()).map_err(|error| Error::from_rustls(error, None))?;
        Stream::shake_hands(socket.into(), Session::from(connection)).await
    }
}
