//! Reception: what a connection goes through before it is a session, where its listener asks for a PROXY header or speaks TLS. It has a
//! thread of its own, below the workers in rank, so that a flood of handshakes takes nothing from the sessions that stand; who has neither
//! to show never comes here.
//!
//! ```text
//!              proxy_protocol_from           allow               [listener.tls]
//!   accepted ──────────────────────▶ header ──────▶ its address ────────────────▶ handshake ──▶ a worker
//!                                      │               │                             │
//!                                      └───────────────┴── refused, or 10 s over ────┴──▶ closed
//! ```
//!
//! Everybody here counts as a session of the listener from accept. Bounds: what a header may have ([`proxy_header::BYTES_MAX`]), ten seconds
//! for all of it, and how many may be under way (`crowd.rs`); over a bound the newest is closed,
//! where it is accepted.

mod crowd;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;
use tracing::debug;

use self::crowd::Crowd;
pub use self::crowd::{Full, Source};
use super::place::Place;
use super::refusals::Refusals;
use super::transport::{Accepted, Stream};
use crate::metrics::ArrivalRefusal as Why;
use crate::resp::proxy_header::{self, Fault};
use crate::tls;

/// For the header and the handshake together.
const WITHIN: Duration = Duration::from_secs(10);
/// Refused clients that are being told so; beyond it they are closed without a word.
const REFUSING_MAX: usize = 32;
/// What a client is told whose address is not allowed, where it does not expect TLS.
pub const NOT_ALLOWED: &[u8] = b"-ERR mainstay: clients of this address may not connect here\r\n";
/// How much worse than a worker's its chances for the processor are (nice(2)).
const NICE: i32 = 5;

/// Where the accepting thread hands over those who have something to go through. It counts them itself, so that a flood is turned away
/// before it queues up.
pub struct Desk {
    arrivals: mpsc::UnboundedSender<Arrival>,
    left: mpsc::UnboundedReceiver<Source>,
    crowd: Crowd,
}

/// Somebody who has something to go through.
struct Arrival {
    accepted: Accepted,
    peer: Option<SocketAddr>,
    place: Place,
    source: Source,
}

impl Desk {
    /// Starts the thread. It ends when this is dropped.
    pub fn open() -> io::Result<Self> {
        let (arrivals, inbox) = mpsc::unbounded_channel();
        let (leaving, left) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let body = move || {
            // Where that is not permitted it shares alike.
            let _ = rustix::process::nice(NICE);
            LocalSet::new().block_on(&runtime, serve(inbox, leaving));
        };
        std::thread::Builder::new().name("reception".into()).spawn(body)?;
        Ok(Self { arrivals, left, crowd: Crowd::default() })
    }

    /// Is there room for one more? `peer`: the socket's other end. `header`: a PROXY header comes first.
    pub fn enter(&mut self, peer: Option<SocketAddr>, header: bool) -> Result<Source, Full> {
        while let Ok(source) = self.left.try_recv() {
            self.crowd.leave(source);
        }
        let source = Source::of(peer, header);
        self.crowd.enter(source).map(|()| source)
    }

    /// Goes through what there is to go through, and to a worker.
    pub fn receive(&self, accepted: Accepted, peer: Option<SocketAddr>, source: Source, place: Place) {
        // Its thread ends after this.
        let _ = self.arrivals.send(Arrival { accepted, peer, place, source });
    }
}

#[derive(Default)]
struct Reception {
    refusals: Refusals,
    refusing: std::cell::Cell<usize>,
}

async fn serve(mut inbox: mpsc::UnboundedReceiver<Arrival>, leaving: mpsc::UnboundedSender<Source>) {
    let reception = Rc::new(Reception::default());
    while let Some(arrival) = inbox.recv().await {
        let (reception, leaving, source) = (reception.clone(), leaving.clone(), arrival.source);
        spawn_local(async move {
            reception.receive(arrival).await;
            // Nobody counts any more where mainstay ends.
            let _ = leaving.send(source);
        });
    }
}

/// Why somebody gets no further.
struct Stop {
    why: Why,
    /// Goes on from the peer: "10.0.0.7 *shows no certificate*".
    text: String,
    /// Whom the header named.
    source: Option<IpAddr>,
    /// Where it can be told.
    client: Option<TcpStream>,
}

impl Stop {
    fn new(why: Why, text: impl Into<String>) -> Self {
        Self { why, text: text.into(), source: None, client: None }
    }
}

impl Reception {
    async fn receive(self: &Rc<Self>, arrival: Arrival) {
        let Arrival { accepted, peer, place, source } = arrival;
        let late = || Stop::new(Why::Time, format!("has not come through within {} s", WITHIN.as_secs()));
        match timeout(WITHIN, through(accepted, peer, source.is_proxy(), &place)).await.unwrap_or_else(|_| Err(late())) {
            Ok(accepted) => place.hand_on(accepted),
            Err(Stop { why, text, source, client }) => {
                self.refusals.note(place.policy(), &shown(peer, source), why, || text);
                place.give_up(why.close_reason());
                if let Some(client) = client {
                    self.tell(client);
                }
            }
        }
    }

    fn tell(self: &Rc<Self>, client: TcpStream) {
        if self.refusing.get() >= REFUSING_MAX {
            return;
        }
        self.refusing.set(self.refusing.get() + 1);
        let reception = self.clone();
        spawn_local(async move {
            Stream::Tcp(client).close_lingering(NOT_ALLOWED).await;
            reception.refusing.set(reception.refusing.get() - 1);
        });
    }
}

/// Who it is, for people. `source`: whom a header names.
pub fn shown(peer: Option<SocketAddr>, source: Option<IpAddr>) -> String {
    match (peer, source) {
        (Some(peer), Some(source)) => format!("{source} (through {})", peer.ip().to_canonical()),
        (Some(peer), None) => peer.ip().to_canonical().to_string(),
        (None, _) => "a client of the unix socket".into(),
    }
}

/// All that there is to go through, in order.
async fn through(accepted: Accepted, peer: Option<SocketAddr>, header: bool, place: &Place) -> Result<Accepted, Stop> {
    let broken = |error: io::Error| Stop::new(Why::Left, format!("has left before it came through: {error}"));
    let Some(entrance) = &place.policy().entrance else { return Ok(accepted) };
    let mut socket = match accepted {
        Accepted::Tcp(stream) => tls::Socket::Tcp(TcpStream::from_std(stream).map_err(broken)?),
        Accepted::Unix(stream) => tls::Socket::Unix(UnixStream::from_std(stream).map_err(broken)?),
        Accepted::Tls(_) => return Ok(accepted),
    };
    if let (tls::Socket::Tcp(stream), true) = (&mut socket, header) {
        let source = read_header(stream).await?;
        let address = source.or_else(|| peer.map(|peer| peer.ip()));
        debug!(listener = %place.policy().listener.name, "a PROXY header: {}", shown(peer, source));
        if !entrance.allows(address) {
            let stop = Stop { source, ..Stop::new(Why::Network, NOT_IN_ALLOW) };
            return match socket {
                tls::Socket::Tcp(stream) if entrance.tls.is_none() => Err(Stop { client: Some(stream), ..stop }),
                tls::Socket::Tcp(_) | tls::Socket::Unix(_) => Err(stop),
            };
        }
    }
    match &entrance.tls {
        Some(acceptor) => {
            let stream = acceptor.accept(socket).await.map_err(|error| match error {
                tls::Error::Closed | tls::Error::Broken(_) => Stop::new(Why::Left, "has left in the TLS handshake"),
                error => Stop::new(Why::Handshake, error.to_string()),
            })?;
            Ok(Accepted::Tls(Box::new(stream.into_parts().map_err(broken)?)))
        }
        None => Ok(match socket.detach().map_err(broken)? {
            tls::Detached::Tcp(stream) => Accepted::Tcp(stream),
            tls::Detached::Unix(stream) => Accepted::Unix(stream),
        }),
    }
}

/// Why somebody is refused by address.
pub const NOT_IN_ALLOW: &str = "is in none of the networks in allow";

/// Takes the header, and not a byte behind it. Whom the connection is for, where it says so.
async fn read_header(stream: &mut TcpStream) -> Result<Option<IpAddr>, Stop> {
    let gone = |_| Stop::new(Why::Left, "has left before its PROXY header");
    let mut bytes = [0; proxy_header::BYTES_MAX];
    let mut taken = 0;
    loop {
        // Looked at before it is taken: what follows the header is the client's.
        let seen = stream.peek(&mut bytes[taken..]).await.map_err(gone)?;
        if seen == 0 {
            return Err(Stop::new(Why::Left, "has left before its PROXY header"));
        }
        let end = match proxy_header::read(&bytes[..taken + seen]) {
            Ok(None) => taken + seen,
            Ok(Some(header)) => {
                stream.read_exact(&mut bytes[taken..header.length]).await.map_err(gone)?;
                return Ok(header.source);
            }
            Err(fault) => return Err(Stop::new(Why::Header, unproxied(fault))),
        };
        stream.read_exact(&mut bytes[taken..end]).await.map_err(gone)?;
        taken = end;
    }
}

fn unproxied(fault: Fault) -> String {
    let hint = match fault {
        Fault::NoHeader => "; let it send one (send-proxy), or take it out of proxy_protocol_from",
        Fault::TooLong | Fault::BadLine | Fault::BadVersion | Fault::BadCommand | Fault::TooShort => "",
    };
    format!("is in proxy_protocol_from and has to begin with a PROXY header, but {fault}{hint}")
}
