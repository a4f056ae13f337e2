//! `cargo run --release --bin proxy_header -- corpus/proxy_header` in tests/fuzz.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::proxy_header::check(bytes));
