//! What a peer can make the admin side do has an end.

use std::time::Duration;

use mainstay::admin::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{DEADLINE, World};

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let world = World::new().await;
    let filler = format!("X-Filler: {}\r\n", "x".repeat(20 * 1024));
    assert_eq!(world.ask("GET", "/healthz", &filler, "").await.code, 431);
    let many = "X: y\r\n".repeat(200);
    assert_eq!(world.ask("GET", "/healthz", &many, "").await.code, 431);
    let path = format!("/{}", "x".repeat(20 * 1024));
    assert!([414, 431].contains(&world.get(&path).await.code));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let world = World::new().await;
    let body = "x".repeat(64 * 1024 + 1);
    assert_eq!(world.post("/api/v1/groups/jobs/elect", &body).await.said().0, 413);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let chunks = format!("{chunk}{chunk}0\r\n\r\n");
    let head = format!("POST /api/v1/reload HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n", world.address);
    assert_eq!(world.raw(&format!("{head}Connection: close\r\n\r\n{chunks}")).await.said().0, 413);
    // One that is announced larger is refused before it comes.
    let request = format!("POST /api/v1/reload HTTP/1.1\r\nHost: {}\r\nContent-Length: 99999999\r\n\r\n", world.address);
    assert_eq!(world.raw(&request).await.said().0, 413);
}

#[tokio::test]
async fn a_peer_that_does_not_finish_its_request_is_let_go() {
    let short = Duration::from_millis(100);
    let limits = Limits { head_timeout: short, body_timeout: short, ..Limits::default() };
    let world = World::with("127.0.0.1:0", limits).await;
    for half in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = world.connect().await;
        stream.write_all(half.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open after {half:?}");
    }
    let path = "/api/v1/groups/jobs/elect";
    let request = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 20\r\n\r\n{{", world.address);
    assert_eq!(world.raw(&request).await.said().0, 408);
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_nothing_else_happens() {
    let world = World::new().await;
    assert_eq!(world.raw("*1\r\n$4\r\nPING\r\n\r\n").await.code, 400);
    assert_eq!(world.get("/healthz").await.code, 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_ends() {
    let world = World::new().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut stream = world.connect().await;
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        // Answered: so it has a place.
        let mut first = [0];
        stream.read_exact(&mut first).await.unwrap();
        open.push(stream);
    }
    let mut waiting = world.connect().await;
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0];
    let early = tokio::time::timeout(Duration::from_millis(200), waiting.read_exact(&mut first)).await;
    assert!(early.is_err(), "answered although every place is taken");
    open.pop();
    tokio::time::timeout(DEADLINE, waiting.read_exact(&mut first)).await.expect("a place becomes free").unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_take_its_answer_loses_its_place() {
    let limits = Limits { connections: 1, write_timeout: Duration::from_millis(300), ..Limits::default() };
    let world = World::with("127.0.0.1:0", limits).await;
    // More than the kernel keeps for both sides.
    let long = "x".repeat(64 << 20);
    world.status.send_modify(|status| std::sync::Arc::make_mut(status).why = long);
    let mut sleeper = world.connect().await;
    let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
    sleeper.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0];
    sleeper.read_exact(&mut first).await.unwrap();
    // Reads no more. The only place is free again when this one is answered.
    assert_eq!(world.get("/healthz").await.code, 200);
    drop(sleeper);
}
