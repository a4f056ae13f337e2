//! `cargo run --release --bin configuration -- corpus/configuration` in tests/fuzz.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::configuration::check(bytes));
