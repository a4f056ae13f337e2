//! Counts replies without parsing them: in one round every reply has the same first line and the same length.

use anyhow::{Result, bail};

/// What every reply of a round looks like.
pub struct Expected {
    first_line: Vec<u8>,
    len: usize,
}

impl Expected {
    /// A bulk string of this many bytes.
    pub fn value(len: usize) -> Self {
        let first_line = format!("${len}\r\n").into_bytes();
        let len = first_line.len() + len + 2;
        Self { first_line, len }
    }

    /// `+OK`
    pub fn ok() -> Self {
        Self { first_line: b"+OK\r\n".to_vec(), len: 5 }
    }
}

/// Where a connection stands within a reply.
#[derive(Default)]
pub struct Replies {
    /// Bytes of the present reply that have arrived.
    position: usize,
}

impl Replies {
    /// Returns how many replies `bytes` complete; fails at the first that looks otherwise.
    pub fn count(&mut self, mut bytes: &[u8], expected: &Expected) -> Result<usize> {
        let mut complete = 0;
        while !bytes.is_empty() {
            let take = bytes.len().min(expected.len - self.position);
            let first_line = expected.first_line.get(self.position..).unwrap_or_default();
            let compared = take.min(first_line.len());
            if bytes[..compared] != first_line[..compared] {
                let got = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
                bail!("expected {:?}, got {got:?}", String::from_utf8_lossy(first_line));
            }
            bytes = &bytes[take..];
            self.position += take;
            if self.position == expected.len {
                self.position = 0;
                complete += 1;
            }
        }
        Ok(complete)
    }
}
