//! Server-sent events.

use std::sync::Arc;
use std::time::Duration;

use mainstay::admin::Limits;
use mainstay::route::Event;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::{DEADLINE, World};

/// A reader of events, and what it has read.
struct Reader {
    stream: TcpStream,
    text: String,
}

impl Reader {
    async fn new(world: &World) -> Self {
        let mut stream = world.connect().await;
        let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, text: String::new() }
    }

    /// Reads on until `needle` has come `times` times.
    async fn until(&mut self, needle: &str, times: usize) -> &str {
        let mut buffer = [0; 4096];
        let reading = async {
            while self.text.matches(needle).count() < times {
                let read = self.stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the feed ended without {needle}: {}", self.text);
                self.text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
        };
        if tokio::time::timeout(DEADLINE, reading).await.is_err() {
            panic!("no {needle} within {DEADLINE:?}: {}", self.text);
        }
        &self.text
    }
}

fn event(message: &str) -> Event {
    let (at, group, kind) = ("2024-02-29T23:59:59.999Z".into(), "jobs".into(), "elected".into());
    Event { at, group, kind, epoch: 3, backend: Some("a:1".into()), message: message.into() }
}

#[tokio::test]
async fn a_reader_is_told_the_present_status_and_then_what_happens() {
    let world = World::new().await;
    let mut reader = Reader::new(&world).await;
    let text = reader.until("event: status\ndata: {\"name\":\"jobs\"", 1).await;
    assert!(text.to_ascii_lowercase().contains("content-type: text/event-stream\r\n"), "{text}");
    world.events.send(event("line one\nline two")).unwrap();
    let text = reader.until("\"message\":\"line one\\nline two\"}\n\n", 1).await;
    assert!(text.contains("data: {\"at\":\"2024-02-29T23:59:59.999Z\",\"group\":\"jobs\",\"kind\":\"elected\""), "{text}");
}

#[tokio::test]
async fn a_reader_is_told_of_groups_that_a_reload_brings() {
    let world = World::new().await;
    let mut reader = Reader::new(&world).await;
    reader.until("event: status", 1).await;
    world.add_unchecked_group();
    reader.until("event: status\ndata: {\"name\":\"cache\"", 1).await;
}

#[tokio::test]
async fn a_reader_that_was_too_slow_is_told_and_goes_on() {
    let world = World::new().await;
    let mut reader = Reader::new(&world).await;
    reader.until("event: status", 1).await;
    // On this one thread the feed cannot run in between, and the channel keeps only four.
    for number in 0..10 {
        world.events.send(event(&format!("number {number}"))).unwrap();
    }
    let text = reader.until("number 9", 1).await;
    assert!(text.contains("event: lagged\ndata: {\"missed\":6}\n\n"), "{text}");
    assert_eq!(text.matches("event: status").count(), 2, "{text}");
    assert!(!text.contains("number 5"), "{text}");
}

#[tokio::test]
async fn a_reader_that_stops_reading_costs_a_bounded_amount_and_delays_nobody() {
    let world = World::new().await;
    let mut sleeper = Reader::new(&world).await;
    sleeper.until("event: status", 1).await;
    let mut awake = Reader::new(&world).await;
    awake.until("event: status", 1).await;
    let long = "x".repeat(64 * 1024);
    for number in 0..400 {
        world.events.send(event(&format!("{long} number {number}."))).unwrap();
        awake.until(&format!(" number {number}."), 1).await;
        awake.text.clear();
    }
    // What the sleeper had not taken in time is gone, and it is told so.
    sleeper.until("event: lagged", 1).await;
}

#[tokio::test]
async fn a_quiet_feed_is_kept_alive() {
    let limits = Limits { keep_alive: Duration::from_millis(20), ..Limits::default() };
    let world = World::with("127.0.0.1:0", limits).await;
    let mut reader = Reader::new(&world).await;
    reader.until(": nothing new\n\n", 2).await;
}

#[tokio::test]
async fn readers_leave_room_for_health() {
    let world = World::new().await;
    let mut readers = Vec::new();
    for _ in 0..32 {
        let mut reader = Reader::new(&world).await;
        reader.until("event: status", 1).await;
        readers.push(reader);
    }
    assert_eq!(world.get("/api/v1/events").await.code, 503);
    assert_eq!(world.get("/healthz").await.code, 200);
    // A reader that leaves makes room.
    readers.pop();
    let freed = async {
        while !matches!(probe(&world).await, 200) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, freed).await.expect("a place becomes free");
}

/// The status code of one more reader, which leaves at once.
async fn probe(world: &World) -> u16 {
    let mut reader = Reader::new(world).await;
    let text = reader.until("\r\n\r\n", 1).await;
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status code")
}

#[tokio::test]
async fn ending_the_server_ends_its_feeds() {
    let world = World::new().await;
    let mut reader = Reader::new(&world).await;
    reader.until("event: status", 1).await;
    world.serving.abort();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, reader.stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection stays open");
    assert_eq!(Arc::strong_count(&world.held), 2, "the world and the directory, nobody else");
}
