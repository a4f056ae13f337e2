//! What the benchmarks share: servers to start and end, figures to take from /proc, statistics, tables.

// Each benchmark is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub mod client;
pub mod peers;
pub mod proc;
pub mod report;
pub mod servers;
pub mod stats;
pub mod tls;

/// `cargo bench` passes `--bench`; `cargo test --all-targets` does not, and must not run for minutes.
pub fn was_asked_for() -> bool {
    let asked = std::env::args().any(|argument| argument == "--bench");
    if !asked {
        println!("a benchmark: run it with `make bench` or `cargo bench --bench NAME`");
    }
    asked
}
