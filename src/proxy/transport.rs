//! TCP, unix sockets and TLS over either in one enum.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::tls;

/// How long input is discarded after mainstay has shut down writing. Closing with unread input resets the connection, and what was
/// sent last is lost.
const LINGER_FOR: Duration = Duration::from_secs(1);
/// How much input is discarded.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// An accepted socket on its way to a worker.
#[derive(Debug)]
pub enum Accepted {
    /// Non-blocking.
    Tcp(std::net::TcpStream),
    /// Non-blocking.
    Unix(std::os::unix::net::UnixStream),
    /// The handshake is done.
    Tls(Box<tls::Parts>),
}

/// A connection to a client or to a backend.
#[derive(Debug)]
pub enum Stream {
    /// IPv4 or IPv6.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// TLS over one of them. What was written is with the kernel in whole records (see [`tls`]).
    Tls(Box<tls::Stream>),
}

impl Stream {
    /// Registers an accepted socket with this thread's runtime.
    pub fn from_accepted(accepted: Accepted) -> io::Result<Self> {
        Ok(match accepted {
            Accepted::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream)?),
            Accepted::Unix(stream) => Self::Unix(UnixStream::from_std(stream)?),
            Accepted::Tls(parts) => Self::Tls(Box::new(tls::Stream::from_parts(*parts)?)),
        })
    }

    /// Reads into `buffer`; 0 bytes are the end. `Pending` only where the socket was asked, and all that had come before was handed out.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let result = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Tls(stream) => return stream.poll_read(cx, buffer.initialize_unfilled()),
        };
        result.map_ok(|()| buffer.filled().len())
    }

    /// Writes what the kernel takes. Where that is less than all, or nothing yet, the next call has to begin with what is left.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => stream.poll_write(cx, bytes),
        }
    }

    /// Writes what the kernel takes at once, outside of any task and whatever the runtime believes about readiness: of a socket that
    /// was just registered it believes nothing yet, and its `try_write` would write nothing.
    pub fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Self::Tls(stream) = self {
            return stream.send_now(bytes);
        }
        Ok(rustix::net::send(self.as_fd(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
    }

    /// Asks the kernel for what has arrived, outside of any task and whatever the runtime believes about readiness.
    pub fn receive_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Tls(stream) = self {
            return stream.receive_now(buffer);
        }
        Ok(rustix::net::recv(self.as_fd(), buffer, RecvFlags::DONTWAIT)?.0)
    }

    /// The peer has closed its side, or is gone, although what it sent before may still wait to be read.
    pub fn peer_has_closed(&self) -> bool {
        let said_so = matches!(self, Self::Tls(stream) if stream.has_ended());
        said_so || self.shows(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
    }

    /// The peer is gone altogether: it reset the connection. One that only shut down writing still waits for replies.
    pub fn peer_is_gone(&self) -> bool {
        self.shows(PollFlags::HUP | PollFlags::ERR)
    }

    /// Some of what was written is still in the send queue. What a unix socket took is with its reader already.
    pub fn has_unsent(&self) -> bool {
        let is_tcp = match self {
            Self::Tcp(_) => true,
            Self::Unix(_) => false,
            Self::Tls(stream) => matches!(stream.socket(), tls::Socket::Tcp(_)),
        };
        // With this option a socket is writable only while less than so much is unsent (tcp(7)).
        is_tcp && SockRef::from(self).set_tcp_notsent_lowat(1).is_ok() && !self.shows(PollFlags::OUT)
    }

    fn shows(&self, flags: PollFlags) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.as_fd(), flags)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&at_once)).is_ok_and(|_| fds[0].revents().intersects(flags))
    }

    /// No more will be written; what was written is delivered.
    pub fn shut_down_writing(&mut self) {
        if let Self::Tls(stream) = self {
            return stream.shut_down_writing();
        }
        // The peer may have gone first: then there is nobody to tell.
        let _ = SockRef::from(&*self).shutdown(Shutdown::Write);
    }

    /// Ends the connection so that nothing unsent is delivered: TCP resets. What a unix socket took is with its reader already.
    pub fn abort(self) {
        // Without the option the close below would deliver the send queue; the only error is a socket that is gone already.
        let _ = SockRef::from(&self).set_linger(Some(Duration::ZERO));
    }

    /// Says `word` as far as the client takes it, shuts down writing, discards input for a bounded time, closes.
    pub async fn close_lingering(mut self, word: &[u8]) {
        let _ = self.send_now(word);
        self.shut_down_writing();
        let discard = async {
            let mut discarded = 0;
            let mut buffer = [0; 512];
            while discarded < LINGER_BYTES_MAX {
                match self.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => discarded += read,
                }
            }
        };
        // Out of time: the peer gets what a plain close gives.
        let _ = tokio::time::timeout(LINGER_FOR, discard).await;
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer).await,
            Self::Unix(stream) => stream.read(buffer).await,
            Self::Tls(stream) => std::future::poll_fn(|cx| stream.poll_discard(cx, buffer)).await,
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.as_fd(),
        }
    }
}

/// No delay, and keepalive with real timings instead of the kernel's two hours: quiet for `keepalive`, then three probes within
/// another such time. On a listening socket all that it accepts inherits this (tcp(7) says so of Linux for these options).
pub fn tune(socket: &SockRef<'_>, keepalive: Duration) -> io::Result<()> {
    let between = (keepalive / 3).max(Duration::from_secs(1));
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(keepalive.max(Duration::from_secs(1))).with_interval(between).with_retries(3),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_whose_peer_does_not_read_has_something_unsent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let mut stream = Stream::Tcp(TcpStream::connect(address).await.expect("it listens"));
        let (mut peer, _) = listener.accept().await.expect("it connected");
        stream.send_now(b"PING\r\n").expect("there is room");
        assert!(!stream.has_unsent(), "what the peer's kernel has is sent");
        let mut written = 6;
        while let Ok(bytes) = stream.send_now(&[0; 64 * 1024]) {
            written += bytes;
        }
        assert!(stream.has_unsent());
        let mut read = vec![0; written];
        tokio::io::AsyncReadExt::read_exact(&mut peer, &mut read).await.expect("all of it arrives");
        assert!(!stream.has_unsent());
    }
}
