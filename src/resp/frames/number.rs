//! The numbers of counts and lengths, read byte by byte. What is a number is what Redis takes for one (`string2ll`): no leading zero,
//! no plus, no minus zero, within an `i64`.

/// A number of which some bytes have been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Number {
    magnitude: u64,
    digits: bool,
    negative: bool,
    /// Whatever follows, it is no number any more.
    bad: bool,
}

impl Number {
    /// Nothing was seen yet.
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// The next byte.
    pub(super) fn push(&mut self, byte: u8) {
        match byte {
            b'-' if self.is_empty() => self.negative = true,
            b'0'..=b'9' if !self.has_leading_zero() => {
                let digit = u64::from(byte - b'0');
                match self.magnitude.checked_mul(10).and_then(|tens| tens.checked_add(digit)) {
                    Some(magnitude) => self.magnitude = magnitude,
                    None => self.bad = true,
                }
                self.digits = true;
            }
            _ => self.bad = true,
        }
    }

    fn has_leading_zero(self) -> bool {
        self.digits && self.magnitude == 0
    }

    /// It cannot become a number, whatever follows.
    pub(super) fn is_bad(self) -> bool {
        self.bad
    }

    /// The number, when its last byte has been seen.
    pub(super) fn value(self) -> Option<i64> {
        match (self.negative, self.magnitude) {
            _ if self.bad || !self.digits => None,
            (true, 0) => None,
            (true, magnitude) => 0i64.checked_sub_unsigned(magnitude),
            (false, magnitude) => i64::try_from(magnitude).ok(),
        }
    }
}

/// The usual case at once: a number that is not negative, whole, with its `\r\n`. Gives the number and how many bytes it all takes;
/// nothing where the case is not the usual one, which proves no fault.
#[inline(always)]
pub(super) fn plain(bytes: &[u8]) -> Option<(u64, usize)> {
    /// So many digits cannot overflow.
    const DIGITS_MAX: usize = 12;
    let (mut value, mut at) = (0, 0);
    let end = loop {
        let byte = *bytes.get(at)?;
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break byte;
        }
        value = value * 10 + u64::from(digit);
        at += 1;
        if at > DIGITS_MAX {
            return None;
        }
    };
    let is_number = at == 1 || (at > 1 && bytes[0] != b'0');
    (is_number && end == b'\r' && bytes.get(at + 1) == Some(&b'\n')).then_some((value, at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slowly(text: &str) -> Option<i64> {
        let mut number = Number::default();
        text.bytes().for_each(|byte| number.push(byte));
        number.value()
    }

    #[test]
    fn a_number_is_what_redis_takes_for_one() {
        let numbers =
            [("0", 0), ("1", 1), ("-1", -1), ("10", 10), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)];
        for (text, value) in numbers {
            assert_eq!(slowly(text), Some(value), "{text}");
        }
        let others = [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "1a",
            "--1",
            "1-",
            "?",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999999999",
        ];
        for text in others {
            assert_eq!(slowly(text), None, "{text}");
        }
    }

    #[test]
    fn the_usual_case_agrees_with_the_slow_one() {
        for text in ["0", "7", "10", "512", "536870912", "999999999999", "1000000000000", "00", "01", "-1", "", "?", "1x"] {
            let line = format!("{text}\r\nrest");
            match plain(line.as_bytes()) {
                Some((value, used)) => {
                    assert_eq!(slowly(text), Some(value as i64), "{text}");
                    assert_eq!(used, text.len() + 2, "{text}");
                }
                None => assert!(slowly(text).is_none_or(|value| !(0..1_000_000_000_000).contains(&value)), "{text}"),
            }
            for cut in 0..text.len() + 2 {
                assert_eq!(plain(&line.as_bytes()[..cut]), None, "{text} cut at {cut}");
            }
        }
    }
}
