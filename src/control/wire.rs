//! One question and one answer at a time, on one connection to a backend. Only what mainstay asks for: texts and one array, bounded.

mod replies;

use std::io;
use std::path::PathBuf;

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::{BytesFrame, OwnedFrame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::extent::Extent;
use super::mismatch;
use crate::resp::reply::{ErrorKind, error_kind};
use crate::route::{Endpoint, Way};
use crate::tls;
use crate::topology::Outcome;

/// A reply larger than this is not an INFO: Redis' whole INFO has some 6 KB, with many replicas and modules some more.
const REPLY_BYTES_MAX: usize = 256 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection to a backend for mainstay's own questions.
pub struct Wire {
    stream: Box<dyn Stream>,
    /// Received, not yet understood.
    buffer: bytes::BytesMut,
    /// Where it leads, and how.
    pub way: Way,
    /// At least one question was answered on it.
    pub proven: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Fault {
    /// It is the backend's, and this is how the check ends.
    Backend(Outcome),
    /// The connection is over. On one that has answered before this says little: ask again on a new one.
    Closed,
    /// It is mainstay's own (no descriptors, no ports): says nothing of the backend.
    Own(io::Error),
}

impl Fault {
    /// Of two addresses of one name: the fault that tells more. "Nobody listens there" outweighs "nothing was heard", and both outweigh
    /// an address that this machine cannot use at all, as `::1` where IPv6 is off: `localhost` often leads there too.
    pub fn or_rather(self, other: Option<Self>) -> Self {
        let weight = |fault: &Self| match fault {
            Self::Own(_) => 0,
            Self::Backend(Outcome::Silent) => 1,
            Self::Backend(_) | Self::Closed => 2,
        };
        match other {
            Some(other) if weight(&other) >= weight(&self) => other,
            _ => self,
        }
    }
}

/// An answer.
pub enum Reply {
    /// `+OK`, or a bulk string.
    Text(String),
    /// `-...`, without the dash.
    Error(String),
}

impl Wire {
    /// Connects, by TLS where the way says so. Has no time limit of its own: a check has one.
    pub async fn connect(way: Way) -> Result<Self, Fault> {
        let socket = match &way.endpoint {
            Endpoint::Tcp(address) => TcpStream::connect(address).await.and_then(|stream| {
                stream.set_nodelay(true)?;
                Ok(tls::Socket::from(stream))
            }),
            Endpoint::Unix(path) => UnixStream::connect(PathBuf::from(&**path)).await.map(tls::Socket::from),
        };
        let stream: Box<dyn Stream> = match (socket.map_err(connect_fault)?, &way.tls) {
            (socket, Some(tls)) => Box::new(tls.connect(socket).await.map_err(tls_fault)?),
            (tls::Socket::Tcp(stream), None) => Box::new(stream),
            (tls::Socket::Unix(stream), None) => Box::new(stream),
        };
        Ok(Self { stream, buffer: bytes::BytesMut::new(), way, proven: false })
    }

    /// Sends a command and reads its reply.
    pub async fn ask(&mut self, command: &[&str]) -> Result<Reply, Fault> {
        self.send(command).await?;
        loop {
            if let Some(reply) = self.parse()? {
                self.proven = true;
                return Ok(reply);
            }
            self.receive(REPLY_BYTES_MAX).await?;
        }
    }

    /// Sends a command that is answered with an array of at most `bytes_max`, and reads that, to be decoded elsewhere: that takes a while.
    pub async fn ask_for_array(&mut self, command: &[&str], bytes_max: usize) -> Result<Result<bytes::Bytes, String>, Fault> {
        self.send(command).await?;
        let mut extent = Extent::default();
        loop {
            match self.buffer.first() {
                Some(b'*') => {
                    if let Some(end) =
                        extent.find(&self.buffer).map_err(|why| not_redis(format!("a reply that is none: {why}")))?
                    {
                        return Ok(Ok(self.buffer.split_to(end).freeze()));
                    }
                }
                Some(_) => match self.parse()? {
                    Some(Reply::Error(text)) => return Ok(Err(text)),
                    Some(Reply::Text(_)) => return Err(not_redis("a reply of the wrong kind".into())),
                    None => {}
                },
                None => {}
            }
            self.receive(bytes_max).await?;
        }
    }

    async fn send(&mut self, command: &[&str]) -> Result<(), Fault> {
        let mut request = bytes::BytesMut::new();
        encode(&mut request, command)?;
        self.send_bytes(&request).await
    }

    async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.stream.write_all(bytes).await.map_err(io_fault)
    }

    async fn receive(&mut self, bytes_max: usize) -> Result<(), Fault> {
        if self.buffer.len() > bytes_max {
            return Err(not_redis(format!("its reply has no end within {bytes_max} bytes")));
        }
        let received = self.stream.read_buf(&mut self.buffer).await.map_err(io_fault)?;
        if received == 0 { Err(Fault::Closed) } else { Ok(()) }
    }

    /// Waits until something happens on an idle connection: it was closed, or says what nobody asked. Either way it is of no more use.
    pub async fn disturbed(&mut self) {
        let _ = self.stream.read_buf(&mut self.buffer).await;
    }

    fn parse(&mut self) -> Result<Option<Reply>, Fault> {
        let Some(first) = self.buffer.first() else { return Ok(None) };
        match first {
            b'$' => self.check_length()?,
            b'+' | b'-' => {}
            // A TLS alert record (RFC 8446, section 5.1) is how a TLS server answers plain text.
            0x15 => return Err(Fault::Backend(mismatch::speaks_tls())),
            _ => return Err(not_redis(self.excerpt())),
        }
        match decode(&self.buffer) {
            Ok(None) => Ok(None),
            Ok(Some((frame, used))) => {
                let _ = self.buffer.split_to(used);
                match frame {
                    OwnedFrame::SimpleString(text) | OwnedFrame::BulkString(text) => {
                        Ok(Some(Reply::Text(String::from_utf8_lossy(&text).into_owned())))
                    }
                    OwnedFrame::Error(text) => Ok(Some(Reply::Error(text))),
                    OwnedFrame::Null | OwnedFrame::Integer(_) | OwnedFrame::Array(_) => {
                        Err(not_redis("a reply of the wrong kind".into()))
                    }
                }
            }
            Err(_) => Err(not_redis(self.excerpt())),
        }
    }

    /// Refuses a bulk string at its announcement, before a byte of it is kept.
    fn check_length(&self) -> Result<(), Fault> {
        let line = self.buffer[1..].split(|byte| *byte == b'\r').next().unwrap_or(&[]);
        let announced = std::str::from_utf8(line).ok().and_then(|digits| digits.parse::<usize>().ok());
        match announced {
            Some(bytes) if bytes > REPLY_BYTES_MAX => Err(not_redis(format!("a reply of {bytes} bytes"))),
            _ => Ok(()),
        }
    }

    fn excerpt(&self) -> String {
        let start = &self.buffer[..self.buffer.len().min(32)];
        format!("it said \"{}\"", start.escape_ascii())
    }
}

fn encode(request: &mut bytes::BytesMut, command: &[&str]) -> Result<(), Fault> {
    let words = command.iter().map(|word| BytesFrame::BulkString(bytes::Bytes::copy_from_slice(word.as_bytes()))).collect();
    // Encoding an array of bulk strings cannot fail; were it to, the backend would not be at fault.
    extend_encode(request, &BytesFrame::Array(words), false).map_err(|error| Fault::Own(io::Error::other(error))).map(|_| ())
}

fn not_redis(why: String) -> Fault {
    Fault::Backend(Outcome::NotRedis(why))
}

fn connect_fault(error: io::Error) -> Fault {
    if is_own(&error) {
        return Fault::Own(error);
    }
    Fault::Backend(match error.kind() {
        // A unix socket that is not there is a port where nobody listens.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Outcome::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Outcome::Closed,
        // Unreachable hosts and networks: nothing was heard of the server itself.
        _ => Outcome::Silent,
    })
}

/// No connection by TLS came about, or a standing one ended in it.
fn tls_fault(error: tls::Error) -> Fault {
    match error {
        tls::Error::Closed => Fault::Closed,
        tls::Error::Broken(kind) => io_fault(kind.into()),
        tls::Error::NotTls(said) => Fault::Backend(mismatch::speaks_plain(Some(&said))),
        error => Fault::Backend(Outcome::TlsMismatch(error.to_string())),
    }
}

fn io_fault(error: io::Error) -> Fault {
    if let Some(error) = tls::Error::of(&error) {
        return tls_fault(error.clone());
    }
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Fault::Backend(Outcome::Silent)
        }
        _ => Fault::Closed,
    }
}

/// Errors of this process or machine: descriptors (EMFILE, ENFILE), memory (ENOBUFS, ENOMEM), local ports (EADDRNOTAVAIL).
fn is_own(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let own = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| own.iter().any(|errno| errno.raw_os_error() == code))
}

/// How a check ends that was answered with an error.
pub fn outcome_of_error(text: &str) -> Outcome {
    match error_kind(text) {
        ErrorKind::Loading => Outcome::Loading,
        ErrorKind::Busy => Outcome::Busy,
        ErrorKind::Auth => Outcome::AuthRefused(excerpt(text)),
        ErrorKind::NoPermission => Outcome::NotPermitted(excerpt(text)),
        ErrorKind::MaxClients => Outcome::MaxClients,
        ErrorKind::ProtectedMode => Outcome::ProtectedMode,
        ErrorKind::MasterDown | ErrorKind::Other => Outcome::NotRedis(format!("to INFO it said \"{}\"", excerpt(text))),
    }
}

/// As much of a text as is worth repeating.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(160).filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_this_machine_cannot_use_hides_no_refusal_at_the_other() {
        let own = || Fault::Own(io::Error::other("no such address here"));
        let refused = || Fault::Backend(Outcome::Refused);
        let silent = || Fault::Backend(Outcome::Silent);
        for (first, second) in [(refused(), own()), (own(), refused()), (refused(), silent()), (silent(), refused())] {
            assert!(matches!(second.or_rather(Some(first)), Fault::Backend(Outcome::Refused)));
        }
        assert!(matches!(own().or_rather(Some(silent())), Fault::Backend(Outcome::Silent)));
        assert!(matches!(own().or_rather(None), Fault::Own(_)));
    }
}
