//! Listening sockets: bound by mainstay, or handed over by systemd (socket activation, sd_listen_fds(3)).

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::transport::tune;
use crate::config::BindAddress;

/// Connections that may wait to be accepted; the kernel cuts it down to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listening socket, non-blocking.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub socket: OwnedFd,
    /// Where it is bound.
    pub address: BindAddress,
    /// A unix socket's file, to be removed when the listener goes.
    file: Option<PathBuf>,
}

impl Bound {
    /// Binds and listens. What it accepts inherits keepalive and no-delay.
    pub fn bind(address: &BindAddress, keepalive: Duration) -> io::Result<Self> {
        match address {
            BindAddress::Tcp(tcp) => Self::tcp(*tcp, keepalive),
            BindAddress::Unix(path) => Self::unix(path),
        }
    }

    fn tcp(address: SocketAddr, keepalive: Duration) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
        socket.set_reuse_address(true)?;
        tune(&SockRef::from(&socket), keepalive)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket: socket.into(), address: BindAddress::Tcp(address), file: None })
    }

    fn unix(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { socket: listener.into(), address: BindAddress::Unix(path.into()), file: Some(path.into()) })
    }

    /// Applies a changed keepalive to what will be accepted.
    pub fn tune(&self, keepalive: Duration) -> io::Result<()> {
        match self.address {
            BindAddress::Tcp(_) => tune(&SockRef::from(&self.socket), keepalive),
            BindAddress::Unix(_) => Ok(()),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(path) = &self.file {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A socket file that nobody listens on any more is removed; anything else at that path is left alone.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && refuses(path)? { std::fs::remove_file(path) } else { Ok(()) }
}

/// Nobody listens. Asked without waiting: a living listener whose backlog is full would keep this thread, and with it every check.
fn refuses(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    Ok(socket.connect(&SockAddr::unix(path)?).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

/// What systemd handed over, by the address that each socket is bound to.
pub fn inherited() -> io::Result<Vec<Bound>> {
    let mut given = ListenFd::from_env();
    let mut bound = Vec::new();
    for index in 0..given.len() {
        if let Ok(Some(listener)) = given.take_tcp_listener(index) {
            let address = BindAddress::Tcp(listener.local_addr()?);
            listener.set_nonblocking(true)?;
            bound.push(Bound { socket: listener.into(), address, file: None });
        } else if let Ok(Some(listener)) = given.take_unix_listener(index) {
            let path = listener.local_addr()?.as_pathname().map(Path::to_path_buf).unwrap_or_default();
            listener.set_nonblocking(true)?;
            // The file belongs to systemd.
            bound.push(Bound { socket: listener.into(), address: BindAddress::Unix(path), file: None });
        }
    }
    Ok(bound)
}
