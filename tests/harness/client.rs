//! A small and exact RESP2 client. It tells a close from a reset, which `redis-cli` does not.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Status(String),
    /// `-ERR …`, without the dash
    Error(String),
    /// `:1`
    Int(i64),
    /// `$…`; `None` is the null bulk.
    Bulk(Option<Vec<u8>>),
    /// `*…`
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// The text of a status, an error or a bulk; a number as text; else nothing.
    pub fn text(&self) -> String {
        match self {
            Self::Status(text) | Self::Error(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            Self::Bulk(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Bulk(None) | Self::Array(_) => String::new(),
        }
    }

    /// Is it an error?
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    /// The elements of an array; nothing otherwise.
    pub fn items(&self) -> &[Reply] {
        if let Self::Array(Some(items)) = self { items } else { &[] }
    }

    /// `+OK`
    pub fn ok() -> Self {
        Self::Status("OK".into())
    }

    /// A bulk string.
    pub fn bulk(text: &str) -> Self {
        Self::Bulk(Some(text.as_bytes().to_vec()))
    }
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// An ordinary close: FIN.
    Closed,
    /// RST, or a write to a closed connection.
    Reset,
    /// Nothing came within the deadline; the connection still stands.
    Silent,
    /// Nobody listens.
    Refused,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection.
pub struct Client {
    stream: Stream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects to `host:port` or `unix:/path`.
    pub fn try_connect(address: &str) -> Result<Self, Gone> {
        let stream = match address.strip_prefix("unix:") {
            Some(path) => UnixStream::connect(path).map(Stream::Unix),
            None => TcpStream::connect(address).map(|stream| {
                let _ = stream.set_nodelay(true);
                Stream::Tcp(stream)
            }),
        };
        match stream {
            Ok(stream) => Ok(Self { stream, unread: Vec::new() }),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(Gone::Reset),
            Err(_) => Err(Gone::Refused),
        }
    }

    /// The same; fails the test.
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        Self::try_connect(address).unwrap_or_else(|gone| panic!("cannot connect to {address}: {gone:?}"))
    }

    /// Over a connection that somebody else has opened.
    pub fn over(stream: TcpStream) -> Self {
        Self { stream: Stream::Tcp(stream), unread: Vec::new() }
    }

    /// Sends a command and waits for its reply.
    pub fn ask(&mut self, words: &[&str]) -> Result<Reply, Gone> {
        self.ask_within(PATIENCE, words)
    }

    /// The same with a deadline.
    pub fn ask_within(&mut self, deadline: Duration, words: &[&str]) -> Result<Reply, Gone> {
        self.send(&command(words))?;
        self.reply(deadline)
    }

    /// The same; fails the test when there is no reply, or an error.
    #[track_caller]
    pub fn must(&mut self, words: &[&str]) -> Reply {
        match self.ask(words) {
            Ok(reply) if !reply.is_error() => reply,
            other => panic!("{words:?} was answered {other:?}"),
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.send_within(PATIENCE, bytes).map_err(|(gone, _)| gone)
    }

    /// The same with a deadline; the error also says how many bytes the kernel took.
    pub fn send_within(&mut self, deadline: Duration, bytes: &[u8]) -> Result<(), (Gone, usize)> {
        let begun = Instant::now();
        let mut sent = 0;
        while sent < bytes.len() {
            let left = deadline.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
            let written = match &mut self.stream {
                Stream::Tcp(stream) => stream.set_write_timeout(Some(left)).and_then(|()| stream.write(&bytes[sent..])),
                Stream::Unix(stream) => stream.set_write_timeout(Some(left)).and_then(|()| stream.write(&bytes[sent..])),
            };
            match written {
                Ok(length) => sent += length,
                Err(error) if waiting(error.kind()) && begun.elapsed() < deadline => {}
                Err(error) if waiting(error.kind()) => return Err((Gone::Silent, sent)),
                Err(_) => return Err((Gone::Reset, sent)),
            }
        }
        Ok(())
    }

    /// Waits for one reply.
    pub fn reply(&mut self, deadline: Duration) -> Result<Reply, Gone> {
        let until = Instant::now() + deadline;
        loop {
            if let Some((reply, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return Ok(reply);
            }
            self.more(until)?;
        }
    }

    /// Reads until the connection ends: what came, and how it ended ([`Gone::Silent`]: it did not).
    pub fn drain(&mut self, deadline: Duration) -> (Vec<u8>, Gone) {
        let until = Instant::now() + deadline;
        loop {
            if let Err(gone) = self.more(until) {
                return (std::mem::take(&mut self.unread), gone);
            }
        }
    }

    /// Reads `length` bytes and throws them away.
    pub fn skip(&mut self, mut length: usize, deadline: Duration) -> Result<(), Gone> {
        let until = Instant::now() + deadline;
        while length > 0 {
            if self.unread.is_empty() {
                self.more(until)?;
            }
            let take = length.min(self.unread.len());
            self.unread.drain(..take);
            length -= take;
        }
        Ok(())
    }

    /// How the connection ended, within the deadline; replies on the way are thrown away.
    pub fn end(&mut self, deadline: Duration) -> Gone {
        self.drain(deadline).1
    }

    /// Sends FIN and goes on reading.
    pub fn finish_writing(&self) {
        let done = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        done.expect("the connection stands");
    }

    /// Leaves with RST instead of FIN. Only TCP knows the difference.
    pub fn reset(self) {
        if let Stream::Tcp(stream) = &self.stream {
            rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).expect("the socket is open");
        }
    }

    fn more(&mut self, until: Instant) -> Result<(), Gone> {
        let mut chunk = [0; 64 * 1024];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Gone::Silent);
            }
            let left = Some(left.max(Duration::from_millis(1)));
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(&mut chunk)),
                Stream::Unix(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(&mut chunk)),
            };
            match read {
                Ok(0) => return Err(Gone::Closed),
                Ok(length) => {
                    self.unread.extend_from_slice(&chunk[..length]);
                    return Ok(());
                }
                Err(error) if waiting(error.kind()) => {}
                Err(_) => return Err(Gone::Reset),
            }
        }
    }
}

fn waiting(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// A command as RESP.
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// The first reply in `bytes` and its length, once it is complete.
pub(super) fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&bytes[1..end]).into_owned();
    let after = end + 2;
    let number = || line.parse::<i64>().unwrap_or_else(|_| panic!("not RESP: {line:?}"));
    match bytes[0] {
        b'+' => Some((Reply::Status(line), after)),
        b'-' => Some((Reply::Error(line), after)),
        b':' => Some((Reply::Int(number()), after)),
        b'$' => match usize::try_from(number()) {
            Err(_) => Some((Reply::Bulk(None), after)),
            Ok(length) => {
                let body = bytes.get(after..after + length)?;
                (bytes.len() >= after + length + 2).then(|| (Reply::Bulk(Some(body.to_vec())), after + length + 2))
            }
        },
        b'*' => match usize::try_from(number()) {
            Err(_) => Some((Reply::Array(None), after)),
            Ok(count) => {
                let mut at = after;
                let mut items = Vec::new();
                for _ in 0..count {
                    let (item, length) = parse(&bytes[at..])?;
                    items.push(item);
                    at += length;
                }
                Some((Reply::Array(Some(items)), at))
            }
        },
        other => panic!("not RESP: a reply begins with {:?}", other as char),
    }
}
