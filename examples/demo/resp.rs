//! As much of a Redis client as the demo needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub struct Connection(BufReader<TcpStream>);

/// One answer.
#[derive(Debug)]
pub enum Reply {
    /// `:1`
    Integer(i64),
    /// A simple or a bulk string; an absent one is empty.
    Text(String),
    /// `-ERR ...`, without the sign.
    Error(String),
    /// Answers in an answer.
    List(Vec<Reply>),
}

impl Connection {
    /// Connects; an answer may take `patience`.
    pub fn open(port: u16, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(1))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, words: &[&str]) -> io::Result<Reply> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.0.get_mut().write_all(request.as_bytes())?;
        self.read()
    }

    /// The next answer, or the next message of a subscription.
    pub fn read(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
        let (kind, rest) = line.trim_end().split_at_checked(1).ok_or(io::ErrorKind::InvalidData)?;
        match kind {
            "+" => Ok(Reply::Text(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Integer(rest.parse().map_err(invalid)?)),
            "$" if rest == "-1" => Ok(Reply::Text(String::new())),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().map_err(invalid)? + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            "*" => {
                let count = rest.parse::<i64>().map_err(invalid)?.max(0);
                (0..count).map(|_| self.read()).collect::<io::Result<_>>().map(Reply::List)
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Reply {
    /// The texts and numbers of a flat list; of anything else its one text.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Integer(number) => vec![number.to_string()],
            Self::Text(text) | Self::Error(text) => vec![text.clone()],
            Self::List(replies) => replies.iter().flat_map(Self::texts).collect(),
        }
    }
}

/// Connects, asks one thing, leaves.
pub fn ask_once(port: u16, words: &[&str]) -> io::Result<Reply> {
    Connection::open(port, Duration::from_secs(5))?.ask(words)
}
