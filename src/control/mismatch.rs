//! One side speaks TLS and the other does not. Neither says so: a TLS server ends a connection in plain without a word, and Redis waits
//! for the rest of what it takes for a very long line. So whoever was answered by an end, or by silence, asks once more the other way.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::wire::Fault;
use crate::route::Endpoint;
use crate::topology::Outcome;

/// A question that only TLS answers: a ClientHello (RFC 5246, section 7.4.1.2) without extensions, for which any answer will do.
const CLIENT_HELLO: &[u8] =
    b"\x16\x03\x01\x00\x31\x01\x00\x00\x2d\x03\x03mainstay asks: is this TLS here?\x00\x00\x06\xc0\x2b\xc0\x2f\x00\x2f\x01\x00";

/// The server speaks TLS, and mainstay does not.
pub(super) fn speaks_tls() -> Outcome {
    Outcome::TlsMismatch("speaks TLS, and is spoken to without; add [group.tls], or give a port without TLS".into())
}

/// The server does not speak TLS, and mainstay does. `said`: as far as it is known what it said.
pub(super) fn speaks_plain(said: Option<&str>) -> Outcome {
    let said = said.map_or(String::new(), |said| format!(": to a TLS handshake it said \"{said}\""));
    Outcome::TlsMismatch(format!("does not speak TLS there{said}; give its TLS port, or leave out [group.tls]"))
}

/// Does TLS answer there? Has no time limit of its own.
pub(super) async fn does_tls(endpoint: &Endpoint) -> bool {
    // A handshake, or an alert.
    matches!(first_byte(endpoint, CLIENT_HELLO).await, Some(0x15 | 0x16))
}

/// When a handshake has gone unanswered for so long: is it plain Redis that is waiting there? Otherwise never ends.
pub(super) async fn turns_out_plain(endpoint: &Endpoint, patience: Duration) -> Fault {
    sleep(patience).await;
    if matches!(first_byte(endpoint, b"PING\r\n").await, Some(b'+' | b'-')) {
        return Fault::Backend(speaks_plain(None));
    }
    std::future::pending().await
}

async fn first_byte(endpoint: &Endpoint, question: &[u8]) -> Option<u8> {
    let Endpoint::Tcp(address) = endpoint else { return None };
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(question).await.ok()?;
    stream.read_u8().await.ok()
}
