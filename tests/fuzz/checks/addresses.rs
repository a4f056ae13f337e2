//! Addresses, networks, durations and sizes: what is read is printed so that it reads back, and a fault says what would be right.

use std::fmt::Display;
use std::str::FromStr;

use mainstay::config::units::{parse_duration, parse_size, print_duration, print_size};
use mainstay::config::{BackendAddress, BindAddress, Network};

/// Panics where a rule is broken.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    reads_back::<BackendAddress>(&text);
    reads_back::<BindAddress>(&text);
    if let Some(network) = reads_back::<Network>(&text) {
        let first = network.to_string();
        let first = first.split('/').next().and_then(|first| first.parse().ok()).expect("an address");
        assert!(network.contains(first), "{text}");
    }
    if let Ok(duration) = parse_duration(&text) {
        assert_eq!(parse_duration(&print_duration(duration)), Ok(duration), "{text}");
    }
    if let Ok(size) = parse_size(&text) {
        assert_eq!(parse_size(&print_size(size)), Ok(size), "{text}");
    }
}

fn reads_back<T: FromStr<Err: Display> + Display + PartialEq + std::fmt::Debug>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            assert_eq!(printed.parse::<T>().ok().as_ref(), Some(&value), "{text:?} is printed as {printed:?}");
            Some(value)
        }
        Err(fault) => {
            assert!(!fault.to_string().is_empty(), "{text:?}");
            None
        }
    }
}
