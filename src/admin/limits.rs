//! Every bound of the admin side, in one place.

use std::time::Duration;

/// What a peer may make the admin side do. The defaults are for everyone; tests make them small.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; the others wait in the kernel's backlog.
    pub connections: usize,
    /// Of those, readers of events, which stay: health and metrics must always find a place.
    pub readers: usize,
    /// Request line and header lines, in bytes.
    pub head_bytes: usize,
    /// A request body is a small JSON object; in bytes.
    pub body_bytes: usize,
    /// Until a connection says something, and then for the TLS handshake.
    pub handshake_timeout: Duration,
    /// Between the beginnings of two TLS handshakes, on an average: each costs the thread of the checks up to some milliseconds.
    pub handshake_pause: Duration,
    /// From the opening of the connection, or from the last answer, to the end of the head.
    pub head_timeout: Duration,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// Who owns the state answers a command within milliseconds. Shorter than what the command line waits, so that it is told why.
    pub answer_timeout: Duration,
    /// An answer to a wrong token comes this late; see `access.rs`.
    pub wrong_token_delay: Duration,
    /// A peer that takes nothing of an answer for this long is given up.
    pub write_timeout: Duration,
    /// A quiet feed says so this often: proxies close what is quiet, and a reader that vanished is noticed.
    pub keep_alive: Duration,
    /// Rest after a failed accept, which mostly means that the process ran out of descriptors.
    pub accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            readers: 32,
            head_bytes: 16 * 1024,
            body_bytes: 64 * 1024,
            handshake_timeout: Duration::from_secs(5),
            handshake_pause: Duration::from_millis(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(4),
            wrong_token_delay: Duration::from_millis(300),
            write_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            accept_pause: Duration::from_millis(100),
        }
    }
}
