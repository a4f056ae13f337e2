//! Durations and sizes as people write them: one whole number and one unit. One parser and one printer each.
//!
//! A bare number is no duration: nobody remembers whether it meant seconds or milliseconds. A bare number *is* a size in bytes,
//! since a size has no other smallest unit, but only as a TOML integer (`max_bytes = 65536`).

use std::time::Duration;

/// From the longest to the shortest, in milliseconds.
const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// From the largest to the smallest, in bytes.
const SIZE_UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `250ms`, `5s`, `1m`, `24h`. The error says what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let factor = DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let Some(factor) = factor else {
        return Err(match (number, unit) {
            ("", _) => "write a whole number and a unit: \"250ms\", \"5s\", \"1m\", \"24h\"".into(),
            (number, "") => format!("it needs a unit: \"{number}ms\", \"{number}s\", \"{number}m\" or \"{number}h\""),
            (number, "d") => format!("days are written in hours: \"{}h\"", times(number, 24)),
            _ => "the units are ms, s, m and h, one whole number and one unit: \"250ms\", \"5s\", \"1m\", \"24h\"".into(),
        });
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    millis.map(Duration::from_millis).ok_or_else(|| "write a whole number and a unit: \"250ms\", \"5s\", \"1m\", \"24h\"".into())
}

/// Reads `512B`, `64KiB`, `64MiB`, `1GiB`, `1TiB`. The error says what would be right.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let Some(factor) = factor else {
        let meant = SIZE_UNITS.iter().find(|(name, _)| name[..1].eq_ignore_ascii_case(unit.get(..1).unwrap_or("?")));
        return Err(match (number, unit, meant) {
            ("", ..) => "write a whole number and a unit: \"64MiB\", \"512KiB\", \"1GiB\"".into(),
            (number, "", _) => format!("it needs a unit: \"{number}KiB\", \"{number}MiB\", or {number} without quotes for bytes"),
            (number, _, Some((name, _))) => format!("sizes are powers of two and say so: \"{number}{name}\""),
            _ => "the units are B, KiB, MiB, GiB and TiB: \"64MiB\", \"512KiB\", \"1GiB\"".into(),
        });
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.ok_or_else(|| "write a whole number and a unit: \"64MiB\", \"512KiB\", \"1GiB\"".into())
}

/// The shortest text that [`parse_duration`] reads back to the same value. What is finer than a millisecond is dropped: no
/// configuration can say it.
pub fn print_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 { "0s".into() } else { print(millis, &DURATION_UNITS) }
}

/// The shortest text that [`parse_size`] reads back to the same value.
pub fn print_size(bytes: u64) -> String {
    if bytes == 0 { "0B".into() } else { print(bytes, &SIZE_UNITS) }
}

fn print(value: u64, units: &[(&str, u64)]) -> String {
    // Every list ends with the factor 1, which divides everything.
    let exact = units.iter().find(|(_, factor)| value.is_multiple_of(*factor));
    exact.map_or_else(|| value.to_string(), |(name, factor)| format!("{}{name}", value / factor))
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn times(number: &str, factor: u64) -> String {
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).map_or("24".into(), |hours| hours.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_one_number_and_one_unit() {
        for (text, millis) in [("250ms", 250), ("5s", 5000), ("1m", 60_000), ("24h", 86_400_000), ("0s", 0), ("007s", 7000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "5", "s", "5 s", "1m30s", "-5s", "1.5s", "5S", "1d", "99999999999999999999s", "18446744073709551615h", "５s"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(parse_duration("2d"), Err("days are written in hours: \"48h\"".into()));
        assert_eq!(parse_duration("5"), Err("it needs a unit: \"5ms\", \"5s\", \"5m\" or \"5h\"".into()));
    }

    #[test]
    fn sizes_are_powers_of_two_and_say_so() {
        for (text, bytes) in [("1B", 1), ("512KiB", 512 << 10), ("64MiB", 64 << 20), ("1GiB", 1 << 30), ("2TiB", 2 << 40)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_size("64MB"), Err("sizes are powers of two and say so: \"64MiB\"".into()));
        assert_eq!(parse_size("64k"), Err("sizes are powers of two and say so: \"64KiB\"".into()));
        for text in ["", "64", "MiB", "64 MiB", "-1B", "1.5GiB", "99999999TiB", "1é"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_to_the_same(value in any::<u32>(), factor in 0usize..4) {
            let duration = Duration::from_millis(u64::from(value) * DURATION_UNITS[factor].1);
            prop_assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
            let size = u64::from(value) * SIZE_UNITS[factor + 1].1;
            prop_assert_eq!(parse_size(&print_size(size)), Ok(size));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
