//! Where one frame ends and the next begins. Resumable: no byte is looked at twice, however it trickles in.
//!
//! The scanners find boundaries and nothing else. They hold no bytes: bodies stream through whoever holds them.

use std::fmt;

/// What a peer sent is no RESP. The texts for requests are those of Redis (networking.c), so that a client sees what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request, or the line of a length, is too long.
    TooBigInline,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: too big inline request")
    }
}

impl std::error::Error for ProtocolError {}

/// Finds the ends of requests.
#[derive(Debug, Default)]
pub struct RequestScanner {}

impl RequestScanner {
    /// Looks at `bytes`, which follow what was looked at before. `Some(n)`: the first `n` of them complete a request, and the next
    /// request begins behind them; call again with the rest. `None`: all of them belong to a request that is not complete.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let _ = bytes;
        todo!()
    }

    /// Between two requests?
    pub fn is_between(&self) -> bool {
        todo!()
    }
}

/// The arguments of a request, the command's name first, as far as `bytes` hold them whole: `bytes` begin where the request begins.
/// None for what is no request to a server at all (an empty line, an empty array).
pub fn arguments(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let _ = bytes;
    std::iter::empty()
}

/// Finds the ends of replies and pushes, RESP2 and RESP3. An attribute belongs to the frame that follows it.
#[derive(Debug, Default)]
pub struct ReplyScanner {}

impl ReplyScanner {
    /// As [`RequestScanner::scan`].
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let _ = bytes;
        todo!()
    }

    /// Between two frames?
    pub fn is_between(&self) -> bool {
        todo!()
    }
}
