//! Where a long RESP2 reply ends, found while it trickles in. The decoder begins anew with every call and goes as deep as the reply
//! does, so it is called once, for a whole reply that is not deep.

/// `COMMAND` nests 8 deep: a command, its subcommand, a key specification and what that is made of.
const DEPTH_MAX: usize = 16;
/// A line holds a length or a word.
const LINE_BYTES_MAX: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Extent {
    /// Where the next element begins.
    at: usize,
    /// How many elements each open array still lacks.
    open: Vec<u64>,
}

impl Extent {
    /// The length of the reply that `bytes` begin with, as soon as they hold it whole. `bytes` only grow from call to call.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, &'static str> {
        loop {
            let rest = &bytes[self.at.min(bytes.len())..];
            let Some(length) = rest.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
                return if rest.len() < LINE_BYTES_MAX { Ok(None) } else { Err("a line of it has no end") };
            };
            let (line, mut used) = (&rest[..length], length + 1);
            // The decoder takes a lone one of the two for the end of a line, or for a part of it: then the two would not agree.
            if line.iter().position(|byte| *byte == b'\r') != length.checked_sub(1) {
                return Err("a line of it does not end as lines do");
            }
            let number = || {
                let digits = std::str::from_utf8(&line[1..]).ok()?;
                digits.strip_suffix('\r')?.parse::<i64>().ok()
            };
            let mut elements = 0;
            match line.first() {
                Some(b'+' | b'-' | b':') => {}
                Some(b'*') => elements = u64::try_from(number().ok_or("a length in it is no number")?).unwrap_or(0),
                Some(b'$') => {
                    // Negative: null, which has no body.
                    if let Ok(body) = usize::try_from(number().ok_or("a length in it is no number")?) {
                        used = used.saturating_add(body).saturating_add(2);
                    }
                    if used > rest.len() {
                        return Ok(None);
                    }
                }
                _ => return Err("it is no RESP2"),
            }
            self.at += used;
            if elements > 0 {
                self.open.push(elements);
                if self.open.len() > DEPTH_MAX {
                    return Err("it is nested too deep");
                }
                continue;
            }
            loop {
                let Some(lacks) = self.open.last_mut() else { return Ok(Some(self.at)) };
                *lacks -= 1;
                if *lacks > 0 {
                    break;
                }
                self.open.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_the_reply_is_cut() {
        let reply = b"*3\r\n*3\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n*0\r\n$-1\r\n".as_slice();
        let mut with_more = reply.to_vec();
        with_more.extend_from_slice(b"+OK\r\n");
        let mut extent = Extent::default();
        for length in 0..reply.len() {
            assert_eq!(extent.find(&reply[..length]), Ok(None), "{length}");
        }
        assert_eq!(extent.find(&with_more), Ok(Some(reply.len())));
        assert_eq!(Extent::default().find(&with_more), Ok(Some(reply.len())));
    }

    #[test]
    fn what_the_decoder_could_not_bear_is_refused() {
        let refused = |bytes: &[u8]| Extent::default().find(bytes).is_err();
        assert!(refused(&b"*1\r\n".repeat(100_000)));
        assert!(refused(b"*x\r\n") && refused(b"$9999999999999999999999\r\n") && refused(b"%1\r\n") && refused(b"\r\n"));
        assert!(refused(&[b'+'; 2000]));
        assert_eq!(Extent::default().find(b"$9223372036854775807\r\nx"), Ok(None));
        assert_eq!(Extent::default().find(b"*9223372036854775807\r\n"), Ok(None));
    }
}
