//! What the tests on real servers share: a Redis, a Sentinel, a mainstay, a client, each a process or a socket with a deadline.
//!
//! Plain std on purpose: threads and blocking sockets read from top to bottom, and a test that hangs names the line it hangs in.
//! Whatever a test starts ends with it: dropping kills exactly that process, and each process asks the kernel to be killed
//! when the thread that started it ends (see [`process`]). So start processes from the test itself, not from a helper thread.
#![allow(dead_code, unused_imports)] // each test binary uses its part

pub mod certificates;
pub mod chance;
pub mod client;
pub mod expected;
pub mod http;
pub mod log;
pub mod mainstay;
pub mod ports;
pub mod process;
pub mod recorder;
pub mod redis;
pub mod secure;
pub mod sentinel;
pub mod setup;
pub mod tls;

pub use certificates::{Authority, DAY};
pub use chance::Chance;
pub use client::{Client, Gone, Reply};
pub use http::WayIn;
pub use mainstay::Mainstay;
pub use ports::free_port;
pub use process::Process;
pub use recorder::Recorder;
pub use redis::Redis;
pub use sentinel::{Sentinel, Sentinels};
pub use setup::Setup;
pub use tls::{Certificates, TlsClient, TlsRedis};

use std::time::{Duration, Instant};

/// How long a condition may take on a busy machine. Long, because nobody waits for it when all is well.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, and fails the test with `what` when it does not within `deadline`.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < deadline, "waited {deadline:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fails the test with `what` when `condition` does not hold all the time for `span`.
#[track_caller]
pub fn stays(span: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < span {
        assert!(condition(), "after {:?} it was no longer true that {what}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Raises the soft limit of descriptors to the hard one; fails loudly where that is too low. What is started afterwards inherits it.
#[track_caller]
pub fn need_descriptors(needed: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit anybody may go");
    let allowed = maximum.unwrap_or(u64::MAX);
    assert!(
        allowed >= needed,
        "this test needs {needed} file descriptors and the hard limit is {allowed}: raise it (ulimit -Hn)"
    );
}

/// Milliseconds, short to write.
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
