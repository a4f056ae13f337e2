//! mainstay as a TLS client: of backends and Sentinels.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::pki_types::ServerName;

use super::material::{Identity, Pem};
use super::memory::Memory;
use super::session::Session;
use super::verifier::Trust;
use super::{Error, Socket, Stream, VERSIONS, provider};

/// How to speak TLS to one server. Cheap to clone; equal where it is the same one.
#[derive(Clone, Debug)]
pub struct Connector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Arc<ClientConfig>,
    /// As configured, for every server.
    server_name: Option<ServerName<'static>>,
    /// The name that the certificate has to have.
    name: Option<ServerName<'static>>,
}

impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Connector {}

impl Connector {
    /// For all servers of a group. `ca`: whom to trust, or without it those that the system trusts. `identity`: what to show to a server
    /// that asks. `server_name`: what the certificate of each has to be for, if that is not the name by which the server is configured.
    ///
    /// One is made for each server of this by [`Connector::to`].
    pub fn new(ca: Option<Pem<'_>>, identity: Option<Identity<'_>>, server_name: Option<&str>) -> Result<Self, Error> {
        let provider = provider();
        let verifier = Trust::read(ca)?.of_servers(&provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .map_err(|error| Error::Protocol(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (certificates, key) = identity.read()?;
                builder.with_client_auth_cert(certificates, key).map_err(|error| identity.refused(error))?
            }
        };
        let server_name = server_name.map(server_name_of).transpose()?;
        Ok(Self(Arc::new(Inner { config: Arc::new(config), name: server_name.clone(), server_name })))
    }

    /// For the server that is configured by this host name or address. It remembers sessions of this server, to resume them.
    pub fn to(&self, host: &str) -> Result<Self, Error> {
        let name = match &self.0.server_name {
            Some(name) => name.clone(),
            None => server_name_of(host)?,
        };
        let mut config = ClientConfig::clone(&self.0.config);
        config.resumption = Resumption::store(Arc::new(Memory::default()));
        Ok(Self(Arc::new(Inner { config: Arc::new(config), server_name: self.0.server_name.clone(), name: Some(name) })))
    }

    /// Does the handshake on a connected socket. Has no time limit of its own.
    pub async fn connect(&self, socket: impl Into<Socket>) -> Result<Stream, Error> {
        // Not to be reached: who connects has asked for the server's own.
        let name = self.0.name.clone().ok_or_else(|| Error::NoName(String::new()))?;
        let connection = UnbufferedClientConnection::new(self.0.config.clone(), name);
        let connection = connection.map_err(|error| Error::from_rustls(error, None))?;
        Stream::shake_hands(socket.into(), Session::from(connection)).await
    }
}

fn server_name_of(name: &str) -> Result<ServerName<'static>, Error> {
    // An absolute name, with the dot at its end, stands in no certificate.
    let bare = name.strip_suffix('.').unwrap_or(name);
    ServerName::try_from(bare.to_owned()).map_err(|_| Error::NoName(name.to_owned()))
}
