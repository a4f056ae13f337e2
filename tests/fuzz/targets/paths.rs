//! `cargo run --release --bin paths -- corpus/paths` in tests/fuzz.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::paths::check(bytes));
