//! `cargo run --release --bin addresses -- corpus/addresses` in tests/fuzz.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::addresses::check(bytes));
