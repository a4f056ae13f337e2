//! What no peer of good will sends: it ends that connection, and nothing else.

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
