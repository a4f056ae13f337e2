//! What no peer of good will sends: it ends that connection, and nothing else.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{pair, sockets};
use crate::tls::{Connector, Error};

/// A TLS record of handshake or alert bytes.
fn record(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a short record").to_be_bytes();
    [&[kind, 3, 1], &length[..], bytes].concat()
}

fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let hello_begins = |length: u8| [1, 0, length, 0];
    let drops: Vec<u8> = (0..20_000).flat_map(|_| record(22, &[0])).collect();
    vec![
        ("a message that claims 16 MB", record(22, &[1, 255, 255, 255])),
        ("an alert between the parts of a message", [record(22, &hello_begins(1)), record(21, &[1, 40])].concat()),
        ("data between the parts of a message", [record(22, &hello_begins(1)), record(23, b"hello")].concat()),
        ("a large message of a byte a record", [record(22, &hello_begins(234)), drops].concat()),
        ("empty records", (0..50_000).flat_map(|_| record(22, &[])).collect()),
        ("a record of no kind", record(99, b"hello")),
        ("a record that is longer than any", [22, 3, 1, 255, 255].into_iter().chain([0; 70_000]).collect()),
        ("a hello of nothing", record(22, &[1, 0, 0, 0])),
        ("the other side's hello", record(22, &[2, 0, 0, 2, 3, 3])),
        ("a farewell", record(21, &[1, 0])),
    ]
}

async fn send(mut to: TcpStream, bytes: Vec<u8>) {
    // It may be closed in the middle.
    let _ = to.write_all(&bytes).await;
    let _ = to.shutdown().await;
}

#[tokio::test]
async fn broken_handshakes_end_in_an_error_on_either_side() {
    let (connector, acceptor) = pair();
    let connect = |connector: Connector, socket| async move { connector.connect(socket).await.map(drop) };
    for (what, bytes) in hostile() {
        for pieces in [bytes.len().max(1), 1400, 7] {
            // Many small pieces of what is large take long, and are the same to rustls.
            if bytes.len() / pieces > 2_000 {
                continue;
            }
            let (peer, socket) = sockets().await;
            let (served, ()) = tokio::join!(acceptor.accept(socket), send_in_pieces(peer, &bytes, pieces));
            assert!(served.map(drop).is_err(), "as a server: {what}");
            let (peer, socket) = sockets().await;
            let (connected, ()): (Result<(), Error>, ()) =
                tokio::join!(connect(connector.clone(), socket), send_in_pieces(peer, &bytes, pieces));
            assert!(connected.is_err(), "as a client: {what}");
        }
    }
}

async fn send_in_pieces(mut to: TcpStream, bytes: &[u8], length: usize) {
    to.set_nodelay(true).expect("a socket");
    for piece in bytes.chunks(length) {
        if to.write_all(piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    send(to, Vec::new()).await;
}

/// What a client says first.
async fn hello() -> Vec<u8> {
    use tokio::io::AsyncReadExt;
    let (connector, _) = pair();
    let (mut peer, socket) = sockets().await;
    let read = async {
        let mut bytes = vec![0; 4096];
        let length = peer.read(&mut bytes).await.expect("a hello");
        drop(peer);
        bytes.truncate(length);
        bytes
    };
    let (_, bytes) = tokio::join!(connector.connect(socket), read);
    bytes
}

/// A hello with some of its bytes changed, records put between and parts left out, in pieces.
fn mutation() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..5_u8, any::<u8>()), 0..12)
}

fn mutated(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    for (place, kind, value) in changes {
        let at = place.index(bytes.len().max(1)).min(bytes.len());
        match kind {
            0 if at < bytes.len() => bytes[at] = *value,
            1 => drop(bytes.splice(at..at, record(20 + value % 5, &[*value; 3]))),
            2 => drop(bytes.splice(at..at, record(22, &[*value, 0, *value, 9]))),
            3 => bytes.truncate(at),
            // The same in two records.
            _ => {
                if let Some(rest) = bytes.get(5..).filter(|rest| rest.len() > 2).map(<[u8]>::to_vec) {
                    let (first, second) = rest.split_at(1 + place.index(rest.len() - 1));
                    bytes = [record(22, first), record(22, second)].concat();
                }
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_hello_whatever_has_become_of_it_ends_more_than_its_connection(changes in mutation(), piece in 1..600_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let bytes = mutated(hello().await, &changes);
            let (_, acceptor) = pair();
            let (peer, socket) = sockets().await;
            let (_, ()) = tokio::join!(acceptor.accept(socket), send_in_pieces(peer, &bytes, piece));
            let (connector, _) = pair();
            let (peer, socket) = sockets().await;
            let (_, ()) = tokio::join!(connector.connect(socket), send_in_pieces(peer, &bytes, piece));
        });
    }
}
