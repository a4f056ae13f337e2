//! Several questions at once, and replies that nobody asked for: what Sentinels are asked, and what they tell.

use bytes::{Bytes, BytesMut};

use super::super::mismatch;
use super::{Fault, Wire, encode, not_redis};
use crate::control::extent::Extent;

impl Wire {
    /// Sends several commands in one go and reads their replies, each of at most `bytes_max`, to be decoded elsewhere. In one go, because
    /// a server that reads them together answers them together, from one state.
    pub async fn ask_all(&mut self, commands: &[&[&str]], bytes_max: usize) -> Result<Vec<Bytes>, Fault> {
        self.tell(commands).await?;
        let mut replies = Vec::with_capacity(commands.len());
        for _ in commands {
            replies.push(self.next_reply(bytes_max).await?);
        }
        self.proven = true;
        Ok(replies)
    }

    /// Sends commands and leaves their replies to [`Wire::next_reply`].
    pub async fn tell(&mut self, commands: &[&[&str]]) -> Result<(), Fault> {
        let mut requests = BytesMut::new();
        for command in commands {
            encode(&mut requests, command)?;
        }
        self.send_bytes(&requests).await
    }

    /// The next reply, of at most `bytes_max`. May be given up while it waits: what has come is kept.
    pub async fn next_reply(&mut self, bytes_max: usize) -> Result<Bytes, Fault> {
        let mut extent = Extent::default();
        loop {
            // A TLS alert record (RFC 8446, section 5.1) is how a TLS server answers plain text.
            if self.buffer.first() == Some(&0x15) {
                return Err(Fault::Backend(mismatch::speaks_tls()));
            }
            match extent.find(&self.buffer) {
                Ok(Some(end)) if end > bytes_max => return Err(not_redis(format!("a reply of {end} bytes"))),
                Ok(Some(end)) => return Ok(self.buffer.split_to(end).freeze()),
                Ok(None) => self.receive(bytes_max).await?,
                Err(why) => return Err(not_redis(format!("a reply that is none: {why}; {}", self.excerpt()))),
            }
        }
    }
}
