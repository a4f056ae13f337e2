//! A connection that speaks RESP2 and RESP3, and keeps apart what only the wire shows: which nil it was, a map or a flat array,
//! a push that nobody asked for.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `+OK`
    Status(String),
    /// `-ERR …`, without the dash
    Error(String),
    /// `:1`
    Int(i64),
    /// `$…`
    Bulk(String),
    /// `$-1`, `*-1` or `_`: which one, by its first byte.
    Nil(u8),
    /// `*…`
    Array(Vec<Value>),
    /// `%…`, keys and values taking turns
    Map(Vec<Value>),
    /// `>…`
    Push(Vec<Value>),
    /// Whatever else RESP3 knows; no command of these tests is answered so.
    Other(String),
}

/// Why no reply came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The connection ended.
    Closed,
    /// It stands, and nothing comes.
    Silent,
    /// What came is no RESP.
    Garbage(String),
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects; nothing is sent yet.
    pub fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.stream.write_all(bytes).map_err(|_| Lost::Closed)
    }

    /// Waits for the next reply.
    pub fn reply(&mut self, patience: Duration) -> Result<Value, Lost> {
        let until = Instant::now() + patience;
        loop {
            if let Some((value, length)) = parse(&self.unread).map_err(Lost::Garbage)? {
                self.unread.drain(..length);
                return Ok(value);
            }
            self.more(until)?;
        }
    }

    /// Sends one command and waits for its reply. For whoever looks on; the clients under test send batches.
    pub fn ask(&mut self, words: &[&str]) -> Result<Value, Lost> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.send(&encode(&words))?;
        self.reply(Duration::from_secs(10))
    }

    /// What came although nothing was asked, or that it was closed; `None` when all is quiet.
    pub fn unasked(&mut self) -> Option<Unasked> {
        if !self.unread.is_empty() {
            return Some(Unasked::Bytes(String::from_utf8_lossy(&self.unread).into_owned()));
        }
        let _ = self.stream.set_nonblocking(true);
        let mut chunk = [0; 512];
        let seen = self.stream.peek(&mut chunk);
        let _ = self.stream.set_nonblocking(false);
        match seen {
            Ok(0) => Some(Unasked::Close),
            Ok(length) => Some(Unasked::Bytes(String::from_utf8_lossy(&chunk[..length]).into_owned())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(Unasked::Close),
        }
    }

    fn more(&mut self, until: Instant) -> Result<(), Lost> {
        let mut chunk = [0; 16 * 1024];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Lost::Silent);
            }
            let _ = self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))));
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Lost::Closed),
                Ok(length) => {
                    self.unread.extend_from_slice(&chunk[..length]);
                    return Ok(());
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                Err(_) => return Err(Lost::Closed),
            }
        }
    }
}

/// What a connection shows between two batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// It was closed.
    Close,
    /// Something came.
    Bytes(String),
}

/// A command as RESP.
pub fn encode(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// The first value in `bytes` and its length, once it is complete. Looks at an incomplete one again from its start: they are short.
pub fn parse(bytes: &[u8]) -> Result<Option<(Value, usize)>, String> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let line = String::from_utf8_lossy(&bytes[1..end]).into_owned();
    let after = end + 2;
    let garbage = || format!("{:?}", String::from_utf8_lossy(&bytes[..end]));
    let number = || line.parse::<i64>().map_err(|_| garbage());
    let value = match bytes[0] {
        b'+' => Value::Status(line),
        b'-' => Value::Error(line),
        b':' => Value::Int(number()?),
        b'_' => Value::Nil(b'_'),
        b'#' | b',' | b'(' => Value::Other(line),
        b'$' if number()? == -1 => Value::Nil(b'$'),
        b'*' if number()? == -1 => Value::Nil(b'*'),
        b'$' => {
            let length = usize::try_from(number()?).map_err(|_| garbage())?;
            if bytes.len() < after + length + 2 {
                return Ok(None);
            }
            if &bytes[after + length..after + length + 2] != b"\r\n" {
                return Err(format!("a bulk of {length} bytes does not end where it should"));
            }
            let text = String::from_utf8_lossy(&bytes[after..after + length]).into_owned();
            return Ok(Some((Value::Bulk(text), after + length + 2)));
        }
        kind @ (b'*' | b'%' | b'>' | b'~') => {
            let count = usize::try_from(number()?).map_err(|_| garbage())? * if kind == b'%' { 2 } else { 1 };
            let (mut at, mut items) = (after, Vec::new());
            for _ in 0..count {
                let Some((item, length)) = parse(&bytes[at..])? else { return Ok(None) };
                items.push(item);
                at += length;
            }
            let whole = match kind {
                b'*' => Value::Array(items),
                b'%' => Value::Map(items),
                b'>' => Value::Push(items),
                _ => Value::Other(format!("{items:?}")),
            };
            return Ok(Some((whole, at)));
        }
        _ => return Err(garbage()),
    };
    Ok(Some((value, after)))
}
