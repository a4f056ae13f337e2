//! What a command does, as far as a proxy has to know.
//!
//! Asked of the server itself (`COMMAND`) where that is permitted, else taken from a table shipped with mainstay. What no flag tells
//! stands in a short table written by hand, which both are laid over.
//!
//! | file | holds |
//! |---|---|
//! | [`declared`] | what a server says of its commands, as far as mainstay believes it |
//! | [`by_hand`] | what no flag tells, line by line with the reason |
//! | `shipped.txt` | what Redis 7 and Valkey 9 say, for where nobody can be asked |
//! | `table` | the look-up |
//! | `writes` | what a replica refuses |
//!
//! # Renamed commands
//!
//! After `rename-command GET get2` a server still lists `get`, and `get2` nowhere. So a new name is unknown here: such a command works,
//! but is never asked again. That also means that a listed name may run nothing, which does no harm: it is answered with an error.
//! What cannot be seen at all is a command that was renamed to the old name of another one, or a new name for what a conversation has to
//! follow (`MULTI`, `SUBSCRIBE`, `SELECT` and their kin): redis mode does not work there.

pub mod by_hand;
pub mod declared;
mod table;
mod writes;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use redis_protocol::resp2::types::OwnedFrame;

use super::frames;
use by_hand::BY_HAND;
use declared::{Declared, Says};
use table::Table;

/// What may be done when nobody knows whether it ran, and when it was provably refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Changes nothing that outlives its connection: may be asked again whenever its reply did not come.
    Read,
    /// May be asked again only where it was provably refused.
    Write,
    /// Never asked again, not even where it seems to have been refused: nothing is known of it (a module, a newer server), or it is meant
    /// for one server only and would do something else at the next (`SHUTDOWN`, `CLIENT KILL`).
    Unknown,
}

/// What a command means to its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Request, reply, nothing more.
    Plain,
    /// `HELLO [version [AUTH user password] [SETNAME name]]`.
    Hello,
    /// `AUTH [user] password`.
    Auth,
    /// `SELECT db`.
    Select,
    /// `CLIENT SETNAME name`.
    ClientSetName,
    /// `CLIENT SETINFO attribute value`.
    ClientSetInfo,
    /// `CLIENT NO-EVICT on|off`.
    ClientNoEvict,
    /// `CLIENT NO-TOUCH on|off`.
    ClientNoTouch,
    /// `CLIENT TRACKING on|off ...`.
    ClientTracking,
    /// `CLIENT REPLY on|off|skip`.
    ClientReply,
    /// `RESET`.
    Reset,
    /// `QUIT`.
    Quit,
    /// `MULTI`.
    Multi,
    /// `EXEC`.
    Exec,
    /// `DISCARD`.
    Discard,
    /// `WATCH key...`.
    Watch,
    /// `UNWATCH`.
    Unwatch,
    /// `SUBSCRIBE`, `PSUBSCRIBE`, `SSUBSCRIBE`.
    Subscribe(Channels),
    /// Their opposites; without arguments: from all.
    Unsubscribe(Channels),
    /// May block; where its timeout stands.
    Blocking(TimeoutAt),
    /// `EVAL`, `FCALL` and such as take a body or a function name: they may write although not flagged, and make up error texts.
    Script(Script),
    /// `SCRIPT LOAD body`.
    ScriptLoad,
    /// `SCRIPT FLUSH`.
    ScriptFlush,
    /// A cursor that is good on one server only, at this place among the arguments (the name is 0).
    Scan(u8),
    /// Request and reply, and nothing proves that it keeps nobody waiting: one of these inside a transaction, or what the server says may
    /// block, and nothing more is known of.
    Tame,
    /// `WAIT`, `WAITAOF`: about the writes of this very connection.
    Wait,
    /// `MONITOR`, `SYNC`, `PSYNC`: what follows is no conversation.
    Opaque,
    /// About the very connection that it comes over, so that it is asked on no shared one.
    Connection(Bond),
    /// `SCRIPT KILL`, `CLIENT UNPAUSE` and such: about what keeps the server from answering, so that it must not stand behind that.
    Oversight,
}

/// See [`Kind::Connection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bond {
    /// Its reply tells of the connection, or it is about the next command: `CLIENT GETNAME`, `CLIENT CACHING`.
    Once,
    /// From then on the client knows its connection, or has made it another one: `CLIENT ID`, `READONLY`.
    Kept,
}

/// The three kinds of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channels {
    /// By name.
    Plain,
    /// By pattern.
    Pattern,
    /// Sharded.
    Shard,
}

/// Where a blocking command's timeout stands, and in which unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutAt {
    /// The last argument, in seconds, a decimal number: `BLPOP`, `BZPOPMIN`...
    Last,
    /// The same of what is popped and pushed elsewhere: `BLMOVE`, `BRPOPLPUSH`. Asked again it might move another element.
    LastOfMove,
    /// The first argument, in seconds: `BLMPOP`, `BZMPOP`.
    First,
    /// Behind the word `BLOCK`, in milliseconds; without the word it does not block: `XREAD`, `XREADGROUP`.
    Block,
}

/// See [`Kind::Script`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// `EVAL body ...`, `EVAL_RO`.
    Body,
    /// `EVALSHA digest ...`, `EVALSHA_RO`.
    Digest,
    /// `FCALL name ...`, `FCALL_RO`.
    Function,
}

/// What is known of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// See [`Fate`].
    pub fate: Fate,
    /// See [`Kind`].
    pub kind: Kind,
}

/// What every command of a server does.
#[derive(Debug, PartialEq, Eq)]
pub struct Commands {
    table: Table,
}

impl Commands {
    /// The table shipped with mainstay.
    pub fn shipped() -> Arc<Self> {
        static SHIPPED: OnceLock<Arc<Commands>> = OnceLock::new();
        SHIPPED.get_or_init(|| Arc::new(Self::of(&declared::shipped()))).clone()
    }

    /// What a server answered to `COMMAND` (Redis from 5, Valkey, and what speaks like them). An error says why that is no such answer;
    /// then the shipped table is the better one.
    pub fn from_reply(reply: &OwnedFrame) -> Result<Self, &'static str> {
        Ok(Self::of(&declared::of_reply(reply)?))
    }

    /// What was declared, with what is written by hand laid over it.
    fn of(declared: &[Declared]) -> Self {
        let mut commands = BTreeMap::new();
        for Declared { name, sub, says, may_block } in declared {
            let fate = match says {
                Says::Reads => Fate::Read,
                Says::Writes => Fate::Write,
                Says::Nothing => Fate::Unknown,
            };
            let kind = if *may_block { Kind::Tame } else { Kind::Plain };
            commands.insert((name.as_str(), sub.as_str()), Command { fate, kind });
        }
        for line in BY_HAND {
            for name in line.names.split_ascii_whitespace() {
                let key = name.split_once('|').unwrap_or((name, ""));
                let mut command = Command { fate: line.fate, kind: line.kind };
                // A server that says that it writes knows better than a list of what does no harm.
                if command.fate == Fate::Read && commands.get(&key).is_some_and(|said| said.fate == Fate::Write) {
                    command.fate = Fate::Write;
                }
                commands.insert(key, command);
            }
        }
        Self { table: Table::new(commands.iter().map(|((name, sub), command)| (*name, *sub, *command))) }
    }

    /// What a request's command does. `name` and `sub` (the second argument, where there is one) as the client wrote them.
    #[inline]
    pub fn look_up(&self, name: &[u8], sub: Option<&[u8]>) -> Command {
        self.table.look_up(name, || sub.map(Cow::Borrowed))
    }

    /// What the request does that begins with `bytes`; None where they do not hold its name. The second argument is read only where the
    /// name alone does not tell.
    #[inline]
    pub fn look_up_request(&self, bytes: &[u8]) -> Option<Command> {
        // One that is announced and has not come in whole is longer than any, and its beginning may hide one: see the table.
        let hidden = || has_more_than_a_name(bytes).then_some(Cow::Borrowed(&b"\0"[..]));
        Some(self.table.look_up(&frames::name(bytes)?, || frames::arguments(bytes).nth(1).or_else(hidden)))
    }
}

/// An array of more than one argument is announced, whether they have come in or not.
pub fn has_more_than_a_name(bytes: &[u8]) -> bool {
    let count = bytes.strip_prefix(b"*").and_then(|rest| rest.split(|byte| *byte == b'\r').next());
    count.is_some_and(|count| count != b"1")
}

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

    #[test]
    fn a_name_with_a_nul_may_be_that_of_anything() {
        let kind = |request: &[u8]| Commands::shipped().look_up_request(request).expect("it has a name").kind;
        for request in [
            &b"*2\r\n$7\r\nDEBUG\0x\r\n$1\r\n0\r\n"[..],
            b"*3\r\n$6\r\nSCRIPT\r\n$7\r\ndebug\0x\r\n$3\r\nyes\r\n",
            b"*3\r\n$6\r\nSCRIPT\r\n$90000\r\ndebug\0xxx",
        ] {
            assert_eq!(kind(request), Kind::Opaque, "{}", request.escape_ascii());
        }
        assert_eq!(kind(b"*1\r\n$4\r\nNOPE\r\n"), Kind::Plain);
        assert_eq!(kind(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$90000\r\nv\0"), Kind::Plain);
    }

    fn shipped(name: &str, sub: Option<&str>) -> Command {
        Commands::shipped().look_up(name.as_bytes(), sub.map(str::as_bytes))
    }

    #[test]
    fn what_a_reviewer_would_worry_about_is_as_it_should_be() {
        use {Fate::*, Kind::*};
        let cases = [
            // Flagged readonly, and writes.
            ("pfcount", None, Write, Plain),
            // Readers that bring a cache up to date.
            ("GET", None, Read, Plain),
            ("touch", None, Read, Plain),
            ("Object", Some("Encoding"), Read, Plain),
            // Names that sound like reading.
            ("getdel", None, Write, Plain),
            ("getex", None, Write, Plain),
            ("getset", None, Write, Plain),
            ("sort", None, Write, Plain),
            ("sort_ro", None, Read, Plain),
            ("georadius", None, Write, Plain),
            ("georadius_ro", None, Read, Plain),
            ("bitfield", None, Write, Plain),
            ("bitfield_ro", None, Read, Plain),
            ("spop", None, Write, Plain),
            ("srandmember", None, Read, Plain),
            ("xautoclaim", None, Write, Plain),
            ("xread", None, Read, Blocking(TimeoutAt::Block)),
            ("xreadgroup", None, Write, Blocking(TimeoutAt::Block)),
            ("xinfo", Some("STREAM"), Read, Plain),
            ("xgroup", Some("CREATE"), Write, Plain),
            ("xgroup", Some("help"), Read, Plain),
            ("migrate", None, Write, Plain),
            // Not flagged as writing.
            ("publish", None, Write, Plain),
            ("spublish", None, Write, Plain),
            ("eval", None, Write, Script(super::Script::Body)),
            ("evalsha", None, Write, Script(super::Script::Digest)),
            ("fcall", None, Write, Script(super::Script::Function)),
            ("evalsha_ro", None, Read, Script(super::Script::Digest)),
            ("script", Some("load"), Read, Kind::ScriptLoad),
            ("script", Some("FLUSH"), Write, Kind::ScriptFlush),
            ("script", Some("kill"), Unknown, Oversight),
            ("function", Some("load"), Write, Plain),
            ("function", Some("LIST"), Read, Plain),
            ("config", Some("get"), Read, Plain),
            ("config", Some("set"), Write, Plain),
            ("acl", Some("log"), Write, Plain),
            ("acl", Some("whoami"), Read, Plain),
            ("latency", Some("latest"), Read, Plain),
            ("latency", Some("reset"), Write, Plain),
            ("flushall", None, Write, Plain),
            ("swapdb", None, Write, Plain),
            ("exec", None, Write, Exec),
            ("wait", None, Write, Wait),
            ("WAITAOF", None, Write, Wait),
            ("blpop", None, Write, Blocking(TimeoutAt::Last)),
            ("bzmpop", None, Write, Blocking(TimeoutAt::First)),
            ("blmove", None, Write, Blocking(TimeoutAt::LastOfMove)),
            ("brpoplpush", None, Write, Blocking(TimeoutAt::LastOfMove)),
            // Meant for one server.
            ("shutdown", None, Unknown, Oversight),
            ("replicaof", None, Unknown, Plain),
            ("debug", Some("sleep"), Unknown, Plain),
            ("client", Some("unblock"), Unknown, Plain),
            ("client", Some("kill"), Unknown, Plain),
            ("cluster", Some("reset"), Unknown, Plain),
            ("cluster", Some("slots"), Read, Plain),
            // Its connection only.
            ("client", Some("SETINFO"), Read, ClientSetInfo),
            ("select", Some("3"), Read, Select),
            ("hello", Some("3"), Read, Hello),
            ("ssubscribe", None, Read, Subscribe(Channels::Shard)),
            ("sscan", None, Read, Scan(2)),
            ("ScAn", Some("0"), Read, Scan(1)),
            ("psync", None, Unknown, Opaque),
            // What nobody knows.
            ("json.get", None, Unknown, Plain),
            ("get2", None, Unknown, Plain),
            ("ge", None, Unknown, Plain),
            ("", None, Unknown, Plain),
            ("client", None, Unknown, Plain),
            ("client", Some("newthing"), Unknown, Plain),
            ("client", Some(""), Unknown, Plain),
            ("command", None, Read, Plain),
            ("command", Some("count"), Read, Plain),
            ("command", Some("newthing"), Unknown, Plain),
            // A second argument that looks like a subcommand.
            ("get", Some("flush"), Read, Plain),
        ];
        for (name, sub, fate, kind) in cases {
            assert_eq!(shipped(name, sub), Command { fate, kind }, "{name} {sub:?}");
        }
    }

    #[test]
    fn every_shipped_command_is_found_in_either_case_and_no_other_name_is() {
        for Declared { name, sub, says, .. } in declared::shipped() {
            let sub = Some(sub).filter(|sub| !sub.is_empty());
            let found = shipped(&name, sub.as_deref());
            assert_eq!(found, shipped(&name.to_uppercase(), sub.as_deref().map(str::to_uppercase).as_deref()), "{name} {sub:?}");
            assert!(says != Says::Writes || found.fate == Fate::Write, "{name} {sub:?} writes and is {found:?}");
            for other in [format!("{name}x"), format!("x{name}"), name[1..].to_owned(), name.replace('e', "\u{5}")] {
                let known = declared::shipped().iter().any(|one| one.name == other);
                assert!(known || shipped(&other, None).fate == Fate::Unknown, "{other}");
            }
        }
        let long = "x".repeat(300);
        assert_eq!(shipped(&long, None).fate, Fate::Unknown);
    }
}
