//! Connecting to a backend.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

use super::policy::Policy;
use super::transport::{Stream, tune};
use crate::route::{Endpoint, Way};

/// Connects within the policy's `connect_timeout`, the handshake of TLS included.
pub async fn connect(way: &Way, policy: &Policy) -> io::Result<Stream> {
    let connecting = async {
        match (&way.endpoint, &way.tls) {
            (Endpoint::Tcp(address), None) => Ok(Stream::Tcp(connect_tcp(*address, policy.keepalive).await?)),
            (Endpoint::Unix(path), None) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
            (Endpoint::Tcp(address), Some(tls)) => {
                let socket = connect_tcp(*address, policy.keepalive).await?;
                Ok(Stream::Tls(Box::new(tls.connect(socket).await?)))
            }
            (Endpoint::Unix(path), Some(tls)) => Ok(Stream::Tls(Box::new(tls.connect(UnixStream::connect(path).await?).await?))),
        }
    };
    timeout(policy.connect_timeout, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn connect_tcp(address: SocketAddr, keepalive: Duration) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    tune(&SockRef::from(&socket), keepalive)?;
    // Keepalive probes do not go out while something is unacknowledged: without this a path that is dead would be noticed after a quarter of
    // an hour.
    SockRef::from(&socket).set_tcp_user_timeout(Some(keepalive * 2))?;
    socket.connect(address).await
}
