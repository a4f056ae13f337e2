//! A TLS connection over a socket.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session::{SCRATCH, Session};
use super::socket::{Detached, Socket};
use super::{Error, sealed};

/// Reads in one call that bring nothing for the reader (tickets, new keys), so that a peer cannot keep a thread busy with them.
const VAIN_READS_MAX: usize = 8;

/// What a client is told that does not speak TLS to a listener that does. Most likely it is Redis' protocol that it speaks.
const PLAIN_WORD: &[u8] = b"-ERR mainstay: this port speaks TLS, and this connection does not\r\n";

/// A TLS connection to a client or to a backend, its handshake done.
pub struct Stream {
    socket: Socket,
    session: Session,
}

/// A stream without a runtime, on its way to another thread's.
pub struct Parts {
    socket: Detached,
    session: Session,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("tls::Stream").field(&self.socket).finish()
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("tls::Parts").field(&self.socket).finish()
    }
}

impl Stream {
    /// Does the handshake. Has no time limit of its own.
    pub(super) async fn shake_hands(socket: Socket, session: Session) -> Result<Self, Error> {
        let mut stream = Self { socket, session };
        stream.session.begin();
        let shaken = std::future::poll_fn(|cx| stream.poll_handshake(cx)).await;
        match shaken {
            Ok(()) => Ok(stream),
            Err(error) => {
                // The alert that says why: once, and as far as it is taken. A client in plain is told so in plain.
                let _ = match &error {
                    Error::PlainClient => stream.socket.send_now(PLAIN_WORD).map_ok(|_| ()),
                    _ => stream.push(|socket, bytes| socket.send_now(bytes)),
                };
                Err(error)
            }
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if let Some(error) = self.session.failure() {
                return Poll::Ready(Err(error.clone()));
            }
            if let Err(error) = ready!(self.push(|socket, bytes| socket.poll_write(cx, bytes))) {
                return Poll::Ready(Err(self.last_word().unwrap_or_else(|| Error::from_io(&error))));
            }
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            let Self { socket, session } = self;
            let read = SCRATCH.with_borrow_mut(|scratch| session.open(scratch, &mut [], |into| socket.poll_read(cx, into)));
            ready!(read).map_err(|error| Error::from_io(&error))?;
        }
    }

    /// The peer takes no more: it may have said why before it closed.
    fn last_word(&mut self) -> Option<Error> {
        let Self { socket, session } = self;
        // What it said before that is kept.
        let _ = SCRATCH.with_borrow_mut(|scratch| session.open(scratch, &mut [], |into| socket.receive_now(into)));
        self.session.failure().cloned()
    }

    /// Reads into `buffer`; 0 bytes are the end, said by the peer. An end that it did not say is an error.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        for _ in 0..VAIN_READS_MAX {
            let read = self.receive(buffer, |socket, into| socket.poll_read(cx, into));
            // What TLS has to answer; never what the application wrote, as the fence was not asked.
            if !self.session.sealed.is_empty() && !self.session.sealed.has_plain() {
                let _ = self.push(|socket, bytes| socket.poll_write(cx, bytes));
            }
            if let Some(read) = ready!(read)? {
                return Poll::Ready(Ok(read));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// What has arrived, outside of any task and whatever the runtime believes about readiness.
    pub fn receive_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..VAIN_READS_MAX {
            match self.receive(buffer, Socket::receive_now) {
                Poll::Ready(Ok(Some(read))) => return Ok(read),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// `None`: something came, but nothing for the reader.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        read: impl FnOnce(&mut Socket, &mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<Option<usize>>> {
        let Self { socket, session } = self;
        let kept = session.read_plain(buffer);
        if kept > 0 || buffer.is_empty() || session.has_ended() {
            return Poll::Ready(Ok(Some(kept)));
        }
        if let Some(error) = session.failure() {
            return Poll::Ready(Err(error.into()));
        }
        let opened = SCRATCH.with_borrow_mut(|scratch| session.open(scratch, buffer, |into| read(socket, into)));
        let given = ready!(opened)?;
        Poll::Ready(Ok((given > 0 || session.has_ended()).then_some(given)))
    }

    /// Writes a beginning of `bytes`. `Ready(n)`: every record with something of these n bytes has been taken by the kernel, whole. Where
    /// it is `Pending`, or less than all, the next call has to begin with what is left.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.write(bytes, |socket, bytes| socket.poll_write(cx, bytes));
        written.map_err(|error| self.last_word().map_or(error, io::Error::from))
    }

    /// The same at once, outside of any task; `WouldBlock` where the kernel did not take a whole record.
    pub fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.write(bytes, Socket::send_now) {
            Poll::Ready(result) => result.map_err(|error| self.last_word().map_or(error, io::Error::from)),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(
        &mut self,
        bytes: &[u8],
        mut write: impl FnMut(&mut Socket, &[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.session.sealed.has_plain() {
            if !self.session.sealed.is_continued_by(bytes) {
                // Not to be reached. What was said before cannot be taken back.
                return Poll::Ready(Err(io::Error::other("what follows is not what was begun to be sent")));
            }
            return self.push_plain(bytes, write);
        }
        // What TLS has to say goes first.
        ready!(self.push(&mut write))?;
        let Self { socket, session } = self;
        let sent_whole = SCRATCH.with_borrow_mut(|scratch| {
            let (plain, sealed, records) = session.seal(scratch, bytes)?;
            if session.sealed.is_empty() {
                let taken = match write(socket, sealed) {
                    Poll::Ready(Ok(taken)) if taken == sealed.len() => return Ok(Some(plain)),
                    Poll::Ready(taken) => taken?,
                    Poll::Pending => 0,
                };
                session.sealed.add(sealed, records.iter().copied(), taken, bytes);
            } else {
                session.sealed.add(sealed, records.iter().copied(), 0, bytes);
            }
            Ok::<_, io::Error>(None)
        })?;
        match sent_whole {
            Some(plain) => Poll::Ready(Ok(plain)),
            None => self.push_plain(bytes, write),
        }
    }

    /// Hands over what is sealed; so much of `bytes` is with the kernel then.
    fn push_plain(
        &mut self,
        bytes: &[u8],
        mut write: impl FnMut(&mut Socket, &[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let sealed = &mut self.session.sealed;
        let mut plain = sealed.took(0);
        let stopped = loop {
            if sealed.is_empty() {
                return Poll::Ready(Ok(plain));
            }
            match write(&mut self.socket, sealed.pending()) {
                Poll::Ready(Ok(taken)) => plain += sealed.took(taken),
                other => break other,
            }
        };
        sealed.remember(&bytes[plain.min(bytes.len())..]);
        match stopped {
            _ if plain > 0 => Poll::Ready(Ok(plain)),
            stopped => stopped,
        }
    }

    /// Hands over what is sealed and is nobody's but TLS'.
    fn push(&mut self, mut write: impl FnMut(&mut Socket, &[u8]) -> Poll<io::Result<usize>>) -> Poll<io::Result<()>> {
        let sealed: &mut sealed::Sealed = &mut self.session.sealed;
        while !sealed.is_empty() {
            let taken = ready!(write(&mut self.socket, sealed.pending()))?;
            sealed.took(taken);
        }
        Poll::Ready(Ok(()))
    }

    /// The peer has shown a certificate, and it was verified.
    pub fn peer_is_certified(&self) -> bool {
        self.session.peer_is_certified()
    }

    /// The peer has said that it says no more.
    pub fn has_ended(&self) -> bool {
        self.session.has_ended()
    }

    /// The handshake was a short one: the two had spoken before.
    pub fn is_resumed(&self) -> bool {
        self.session.is_resumed()
    }

    /// No more will be written. The peer is told so, unless a record is on its way that was not taken whole: it must not take that for all.
    pub fn shut_down_writing(&mut self) {
        if !self.session.sealed.has_plain() {
            self.session.say_end();
            // Where there is no room for it the socket's end has to do.
            let _ = self.push(Socket::send_now);
        }
        // The peer may have gone first: then there is nobody to tell.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Write);
    }

    /// Takes in what comes and forgets it, whatever it is: of a connection that is being let go. Returns how much; 0 is the end.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_read(cx, buffer)
    }

    /// Leaves its runtime.
    pub fn into_parts(self) -> io::Result<Parts> {
        Ok(Parts { socket: self.socket.detach()?, session: self.session })
    }

    /// Joins the runtime of this thread.
    pub fn from_parts(parts: Parts) -> io::Result<Self> {
        Ok(Self { socket: Socket::attach(parts.socket)?, session: parts.session })
    }

    /// What it stands on.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Stream::poll_read(self.get_mut(), cx, buffer.initialize_unfilled()))?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Stream::poll_write(self.get_mut(), cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was accepted is with the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().shut_down_writing();
        Poll::Ready(Ok(()))
    }
}
