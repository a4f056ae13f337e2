//! One connection: the TLS handshake, where `[admin.tls]` is configured, and then HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::server::{Server, answer};
use crate::tls::Acceptor;

/// Handshakes that may begin at once before the pace counts: a person with a browser opens six.
const HANDSHAKES_AT_ONCE: u32 = 10;
/// How long one who spoke HTTP where TLS is spoken may take to read so.
const FAREWELL: Duration = Duration::from_secs(1);

const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\
    Content-Length: 82\r\n\r\n{\n  \"error\": \"this admin address speaks TLS; write https:// instead of http://\"\n}\n";

/// What a connection shows of who has opened it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) peer: SocketAddr,
    /// A certificate of the client CA that is in force.
    pub(super) certified: bool,
}

/// Answers the requests of one connection.
pub(super) async fn converse(stream: TcpStream, peer: SocketAddr, server: Arc<Server>) {
    // Without it an answer to a peer that does not read would stay in its place for ever. Where the kernel refuses, it still works.
    let write_timeout_ms = server.limits.write_timeout.as_millis().try_into().unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, write_timeout_ms);
    let _ = stream.set_nodelay(true);
    let acceptor = server.context.access.borrow().tls().cloned();
    let Some(acceptor) = acceptor else {
        return talk(stream, Shown { peer, certified: false }, None, server).await;
    };
    let within = server.limits.handshake_timeout;
    match timeout(within, is_plain_text(&stream)).await {
        Ok(false) => {}
        Ok(true) => return drop(timeout(FAREWELL, refuse_plain_http(stream)).await),
        Err(_) => return,
    }
    server.handshakes.wait().await;
    match timeout(within, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certified = stream.peer_is_certified();
            talk(stream, Shown { peer, certified }, Some(acceptor), server).await;
        }
        Ok(Err(fault)) => tracing::debug!(%peer, "an admin connection got through no TLS handshake: the peer {fault}"),
        Err(_) => tracing::debug!(%peer, "an admin connection did not end its TLS handshake within {within:?}"),
    }
}

/// A record of TLS begins with a number from 20 to 24, and a method of HTTP with a letter.
async fn is_plain_text(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase()
}

async fn refuse_plain_http(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(PLAIN_HTTP).await?;
    stream.shutdown().await?;
    // Closed with something unread, the connection would be reset and the word lost.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// HTTP. `acceptor`: what the connection began with.
async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, shown: Shown, acceptor: Option<Acceptor>, server: Arc<Server>) {
    let limits = server.limits;
    let service = service_fn(|request| {
        let (server, acceptor) = (Arc::clone(&server), acceptor.as_ref());
        async move {
            // A certificate of a CA that is no longer asked for proves nothing.
            let is_current = server.context.access.borrow().tls() == acceptor;
            let shown = Shown { certified: shown.certified && is_current, ..shown };
            let mut answer = answer(&server, shown, request).await;
            if !is_current {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
    http.max_header_size(limits.head_bytes).max_buf_size(2 * limits.head_bytes);
    if let Err(fault) = http.serve_connection(TokioIo::new(stream), service).await {
        // The peer's doing: it left, was too slow or does not speak HTTP.
        tracing::debug!(%fault, "an admin connection ended early");
    }
}

/// Lets so many through in a time; the others wait in turn.
#[derive(Debug)]
pub(super) struct Pace {
    pause: Duration,
    /// When the next one would be due if all had come evenly.
    due: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, due: Mutex::new(Instant::now()) }
    }

    /// Until it is one's turn.
    async fn wait(&self) {
        let turn = self.turn(Instant::now());
        tokio::time::sleep_until(turn.into()).await;
    }

    fn turn(&self, now: Instant) -> Instant {
        // Nothing that holds it can panic.
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = (*due).max(now) + self.pause;
        now.max(due.checked_sub(self.pause * HANDSHAKES_AT_ONCE).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_begin_at_once_and_then_one_in_each_pause() {
        let pace = Pace::new(Duration::from_millis(10));
        let begun = Instant::now() + Duration::from_secs(1);
        let mut turns = (0..30).map(|_| pace.turn(begun) - begun);
        assert!(turns.by_ref().take(10).all(|wait| wait.is_zero()));
        assert_eq!(turns.last(), Some(Duration::from_millis(200)));
        let later = begun + Duration::from_secs(1);
        assert_eq!(pace.turn(later), later, "the waiting was paid for");
    }

    #[test]
    fn the_word_to_plain_http_has_the_length_it_says() {
        let text = std::str::from_utf8(PLAIN_HTTP).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
