//! What a replica refuses: commands that write data, by the flags that it goes by, and scripts that may.

use super::{Commands, Fate, Kind};
use crate::resp::frames;

/// Not known to change nothing, and yet no write of data: a replica takes them.
const NO_DATA: &str =
    "pfcount publish spublish save bgsave bgrewriteaof pfselftest config acl client slowlog commandlog latency memory script";

impl Commands {
    /// Is it a command that writes data, and no script that may?
    pub fn is_plain_write(&self, bytes: &[u8]) -> bool {
        let writes = |command: super::Command| command.fate == Fate::Write && command.kind == Kind::Plain;
        self.look_up_request(bytes).is_some_and(writes) && self.is_write(bytes)
    }

    /// Does the request that begins with `bytes` write, as a replica sees it? What nothing is known of may.
    pub fn is_write(&self, bytes: &[u8]) -> bool {
        let Some(command) = self.look_up_request(bytes) else { return false };
        match (command.fate, command.kind) {
            (Fate::Read, _) => false,
            // What EXEC runs was looked at when it was queued. The others are about the connection, or about the server itself.
            (_, Kind::Exec | Kind::Wait | Kind::ScriptFlush | Kind::Oversight | Kind::Opaque) => false,
            (Fate::Unknown, _) => true,
            (Fate::Write, _) => {
                let is_data = |name: &[u8]| !NO_DATA.split(' ').any(|known| known.as_bytes().eq_ignore_ascii_case(name));
                frames::name(bytes).is_some_and(|name| is_data(&name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_may_write_is_no_plain_write() {
        let is = |request: &str| Commands::shipped().is_plain_write(format!("{request}\r\n").as_bytes());
        assert!(is("set k v") && is("flushall") && is("lpush k v"));
        assert!(!is("eval x 0") && !is("get k") && !is("fcall f 0") && !is("publish c m") && !is("nobody-knows k"));
    }

    #[test]
    fn a_write_is_what_a_replica_refuses_and_a_script_that_may() {
        let commands = Commands::shipped();
        let is_write = |request: &str| commands.is_write(format!("{request}\r\n").as_bytes());
        for write in [
            "set k v",
            "GETEX k",
            "sort k",
            "xreadgroup group g c streams s >",
            "blpop k 0",
            "flushall",
            "function flush",
            "eval x 0",
            "EVALSHA x 0",
            "fcall f 0",
            "nobody-knows k",
            "xgroup create s g $",
            "migrate",
            "replicaof no one",
        ] {
            assert!(is_write(write), "{write}");
        }
        for other in [
            "get k",
            "ping",
            "multi",
            "exec",
            "eval_ro x 0",
            "evalsha_ro x 0",
            "fcall_ro f 0",
            "pfcount k",
            "publish c m",
            "wait 1 0",
            "script flush",
            "script load x",
            "config set a b",
            "subscribe c",
            "xread block 0 streams s $",
            "sort_ro k",
            "",
        ] {
            assert!(!is_write(other), "{other}");
        }
    }
}
