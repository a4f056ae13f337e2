//! A small blocking RESP client: enough to steer servers and to write with.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// A reply, as far as the benchmarks look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK` and its kin, and integers as text.
    Text(String),
    /// `-CODE why`
    Error(String),
    /// A bulk string; `None` for nil.
    Bulk(Option<Vec<u8>>),
    /// An array.
    Array(Vec<Reply>),
}

impl Client {
    /// Connects; `timeout` also bounds every read and write.
    pub fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream: BufReader::with_capacity(512, stream) })
    }

    /// Sends one command and waits for its reply.
    pub fn ask(&mut self, command: &[&str]) -> io::Result<Reply> {
        self.send(command)?;
        self.receive()
    }

    /// Sends one command.
    pub fn send(&mut self, command: &[&str]) -> io::Result<()> {
        self.stream.get_mut().write_all(&encode(command))
    }

    /// Waits for one reply.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| nonsense(line))?;
        let length = || rest.parse::<i64>().map_err(|_| nonsense(line));
        match kind {
            "+" | ":" => Ok(Reply::Text(rest.into())),
            "-" => Ok(Reply::Error(rest.into())),
            "$" => match usize::try_from(length()?) {
                Err(_) => Ok(Reply::Bulk(None)),
                Ok(length) => {
                    let mut data = vec![0; length + 2];
                    self.stream.read_exact(&mut data)?;
                    data.truncate(length);
                    Ok(Reply::Bulk(Some(data)))
                }
            },
            "*" => (0..length()?).map(|_| self.receive()).collect::<io::Result<_>>().map(Reply::Array),
            _ => Err(nonsense(line)),
        }
    }
}

impl Reply {
    /// The text of a simple or bulk string; empty for anything else.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bulk(Some(data)) => String::from_utf8_lossy(data).into_owned(),
            Self::Error(_) | Self::Bulk(None) | Self::Array(_) => String::new(),
        }
    }

    /// The elements of an array; none for anything else.
    pub fn elements(&self) -> &[Reply] {
        match self {
            Self::Array(elements) => elements,
            Self::Text(_) | Self::Error(_) | Self::Bulk(_) => &[],
        }
    }
}

/// A command as RESP writes it.
pub fn encode(command: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for argument in command {
        bytes.extend_from_slice(format!("${}\r\n{argument}\r\n", argument.len()).as_bytes());
    }
    bytes
}

fn nonsense(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a RESP reply: {line:?}"))
}
