//! What is written on one side is read on the other, in order, whatever the sizes, and with promises kept in between.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{pair, shake};
use crate::tls::Stream;

/// A number for each place, so that a byte that is missing or doubled shows.
fn pattern(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

async fn both() -> (Stream, Stream) {
    let (connector, acceptor) = pair();
    let (client, server) = shake(&connector, &acceptor).await;
    (client.expect("they trust"), server.expect("they trust"))
}

/// With buffers as little as the kernel gives. Unix sockets, as TCP waits for its timers then.
async fn both_squeezed() -> (Stream, Stream) {
    let (connector, acceptor) = pair();
    let (client, server) = tokio::net::UnixStream::pair().expect("sockets");
    for socket in [&client, &server] {
        SockRef::from(socket).set_send_buffer_size(4096).expect("a socket");
        SockRef::from(socket).set_recv_buffer_size(4096).expect("a socket");
    }
    let (client, server) = tokio::join!(connector.connect(client), acceptor.accept(server));
    (client.expect("they trust"), server.expect("they trust"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn send(mut stream: Stream, sizes: Vec<usize>, at_once: bool) -> Stream {
    let mut sent = 0;
    for size in sizes {
        let bytes = pattern(sent, size);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            if at_once && let Ok(taken) = stream.send_now(rest) {
                rest = &rest[taken..];
                continue;
            }
            let taken = poll_fn(|cx| stream.poll_write(cx, rest)).await.expect("the peer reads");
            assert!(taken > 0 && taken <= rest.len());
            rest = &rest[taken..];
        }
        sent += size;
    }
    stream
}

async fn receive(mut stream: Stream, total: usize, sizes: Vec<usize>, at_once: bool) -> Stream {
    let (mut received, mut sizes) = (0, sizes.into_iter().cycle());
    while received < total {
        let mut buffer = vec![0; sizes.next().expect("it goes round")];
        let read = match at_once.then(|| stream.receive_now(&mut buffer)) {
            Some(Ok(read)) => read,
            Some(Err(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await.expect("the peer writes")
            }
            None => poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await.expect("the peer writes"),
        };
        assert!(read > 0, "it has not ended");
        assert_eq!(buffer[..read], pattern(received, read));
        received += read;
        if received.is_multiple_of(7) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(received, total);
    stream
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_sizes_arrive_in_order_both_ways_through_sockets_with_small_buffers(
        up in proptest::collection::vec(1usize..90_000, 1..8),
        down in proptest::collection::vec(1usize..40_000, 1..8),
        reads in proptest::collection::vec(1usize..70_000, 1..6),
        at_once: bool,
    ) {
        runtime().block_on(async move {
            let (client, server) = both_squeezed().await;
            let (up_total, down_total) = (up.iter().sum(), down.iter().sum());
            // One direction after the other on each stream, both streams at the same time.
            let (client, server) =
                tokio::join!(send(client, up, at_once), receive(server, up_total, reads.clone(), at_once));
            tokio::join!(send(server, down, at_once), receive(client, down_total, reads, at_once));
        });
    }
}

#[tokio::test]
async fn bytes_count_as_written_only_when_their_records_are_with_the_kernel() {
    let (mut client, mut server) = both().await;
    let bytes = pattern(0, 20_000_000);
    let mut written = 0;
    let mut waits = Context::from_waker(Waker::noop());
    while let Poll::Ready(taken) = client.poll_write(&mut waits, &bytes[written..]) {
        written += taken.expect("the peer is there");
    }
    // Whatever else is sealed is not sent by reading.
    let mut nothing = [0; 10];
    assert!(client.poll_read(&mut waits, &mut nothing).is_pending());
    crate::tls::tests::abort(client);
    let mut read = 0;
    let mut buffer = vec![0; 70_000];
    let error = loop {
        match poll_fn(|cx| server.poll_read(cx, &mut buffer)).await {
            Ok(0) => panic!("the client has not said that it ends"),
            Ok(length) => {
                assert_eq!(buffer[..length], pattern(read, length));
                read += length;
            }
            Err(error) => break error,
        }
    };
    assert!(read <= written, "{read} bytes arrived, {written} were said to be written: {error}");
}

#[tokio::test]
async fn who_goes_on_with_something_else_than_was_begun_is_told_so() {
    let (mut client, _server) = both_squeezed().await;
    while client.send_now(&pattern(0, 100_000)).is_ok() {}
    let other = client.send_now(b"something else").expect_err("a record of the first is half-way out");
    assert_ne!(other.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn plaintext_that_waits_is_read_before_the_socket_is_asked() {
    let (mut client, mut server) = both().await;
    client.write_all(b"PING\r\nPING\r\n").await.expect("it is read");
    let mut few = [0; 6];
    server.read_exact(&mut few).await.expect("it was written");
    drop(client);
    let mut waits = Context::from_waker(Waker::noop());
    assert!(matches!(server.poll_read(&mut waits, &mut few), Poll::Ready(Ok(6))));
    poll_fn(|cx| server.poll_read(cx, &mut few)).await.expect_err("nobody said that it ends");
}

#[tokio::test]
async fn an_end_that_is_said_leaves_the_other_direction_open() {
    let (mut client, mut server) = both().await;
    client.write_all(b"PING\r\n").await.expect("it is read");
    client.shut_down_writing();
    let mut all = Vec::new();
    server.read_to_end(&mut all).await.expect("the end is said");
    assert_eq!(all, b"PING\r\n");
    assert!(server.has_ended());
    server.write_all(b"+PONG\r\n").await.expect("it is still read");
    server.shut_down_writing();
    all.clear();
    client.read_to_end(&mut all).await.expect("the end is said");
    assert_eq!(all, b"+PONG\r\n");
}

#[test]
fn a_stream_moves_to_the_runtime_of_another_thread_with_all_that_waits_in_it() {
    let (client, parts) = runtime().block_on(async {
        let (mut client, mut server) = both().await;
        client.write_all(b"PING\r\nPING\r\n").await.expect("it is read");
        let mut few = [0; 3];
        server.read_exact(&mut few).await.expect("it was written");
        (client.into_parts().expect("a socket"), server.into_parts().expect("a socket"))
    });
    let moved = std::thread::spawn(move || {
        runtime().block_on(async move {
            let mut server = Stream::from_parts(parts).expect("a socket");
            let mut rest = [0; 9];
            server.read_exact(&mut rest).await.expect("it waits");
            assert_eq!(&rest, b"G\r\nPING\r\n");
            server.write_all(b"+PONG\r\n").await.expect("it is read");
        });
    });
    runtime().block_on(async move {
        let mut client = Stream::from_parts(client).expect("a socket");
        let mut reply = [0; 7];
        client.read_exact(&mut reply).await.expect("it answers");
        assert_eq!(&reply, b"+PONG\r\n");
    });
    moved.join().expect("it did not panic");
}
