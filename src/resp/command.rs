//! What a command does, as far as its bytes tell.

/// The client says good-bye: what it sent ends with QUIT, inline or as an array. The server closes after it, as it was asked to.
///
/// A stored value may end so as well; then one close is taken for an ordinary one.
#[inline]
pub fn ends_with_quit(bytes: &[u8]) -> bool {
    bytes.last_chunk().is_some_and(|end: &[u8; 6]| end.eq_ignore_ascii_case(b"QUIT\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quit_is_known_in_both_forms_and_only_at_the_end() {
        for quits in [&b"*1\r\n$4\r\nQUIT\r\n"[..], b"*1\r\n$4\r\nquit\r\n", b"GET k\r\nquit\r\n", b"QUIT\r\n"] {
            assert!(ends_with_quit(quits));
        }
        for other in [&b"QUIT\r\nPING\r\n"[..], b"*1\r\n$4\r\nPING\r\n", b"QUIT", b"\r\n", b""] {
            assert!(!ends_with_quit(other));
        }
    }
}
