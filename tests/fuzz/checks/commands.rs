//! The reply to COMMAND: its end is found while it trickles in where a decoder finds it, and what is made of it answers any question.

use mainstay::control::extent::Extent;
use mainstay::resp::command::Commands;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

/// Panics where a rule is broken.
pub fn check(bytes: &[u8]) {
    let mut extent = Extent::default();
    let mut found = Ok(None);
    for end in 1..=bytes.len() {
        found = extent.find(&bytes[..end]);
        if found != Ok(None) {
            if let Ok(Some(length)) = found {
                assert_eq!(length, end, "found late: {}", bytes.escape_ascii());
            }
            break;
        }
    }
    assert_eq!(Extent::default().find(bytes), found, "at once: {}", bytes.escape_ascii());
    let Ok(Some(length)) = found else { return };
    // The decoder refuses what the extent does not look at (text that is no UTF-8, a body without its line end).
    let Ok(Some((frame, used))) = decode(&bytes[..length]) else { return };
    assert_eq!(used, length, "{}", bytes.escape_ascii());
    if let OwnedFrame::Array(entries) = &frame {
        // So many as a server has at least, or nothing is read of them.
        let many = OwnedFrame::Array(entries.iter().cycle().take(if entries.is_empty() { 0 } else { 60 }).cloned().collect());
        for reply in [&frame, &many] {
            if let Ok(commands) = Commands::from_reply(reply) {
                for name in [&b"get"[..], b"config", b"", bytes] {
                    let _ = (commands.look_up(name, None), commands.look_up(name, Some(b"set")));
                }
            }
        }
    }
    let _ = Commands::from_reply(&frame);
}
