//! In a process of its own, because it uses up the descriptors of the process.

#[path = "admin/world.rs"]
#[allow(dead_code)]
mod world;

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{DEADLINE, World};

#[tokio::test]
async fn without_descriptors_the_admin_side_neither_spins_nor_ends() {
    let world = World::new().await;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: limit.maximum }).unwrap();
    let mut client = world.connect().await;
    // A first answer, so that this place is taken before the descriptors are.
    client.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut buffer = [0; 1024];
    assert!(client.read(&mut buffer).await.unwrap() > 0);

    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    // The connection is made with the last descriptor; accepting it needs another one.
    hoard.pop();
    let mut refused = world.connect().await;
    refused.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let (wall, cpu) = (Instant::now(), cpu_time());
    let early = tokio::time::timeout(Duration::from_millis(500), refused.read(&mut buffer)).await;
    assert!(early.is_err(), "answered without a descriptor");
    let spent = cpu_time() - cpu;
    assert!(spent < wall.elapsed() / 5, "{spent:?} of processor time while there was nothing to do");

    // Those who are in go on being served.
    client.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let read = tokio::time::timeout(DEADLINE, client.read(&mut buffer)).await.expect("an answer").unwrap();
    assert!(read > 0);

    hoard.clear();
    let read = tokio::time::timeout(DEADLINE, refused.read(&mut buffer)).await.expect("accepted at last").unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
}

/// Processor time of this process so far.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
