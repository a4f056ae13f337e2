//! What a command does, as far as a proxy has to know.
//!
//! Asked of the server itself (`COMMAND`) where that is permitted, else taken from a table shipped with mainstay. What no flag tells
//! stands in a short table written by hand.

use std::sync::{Arc, OnceLock};

/// What may be done when nobody knows whether it ran, and when it was provably refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Changes nothing that outlives its connection: may be asked again whenever its reply did not come.
    Read,
    /// May be asked again only where it was provably refused.
    Write,
    /// Nothing is known of it (a module, a newer server): never asked again, not even where it seems to have been refused.
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
    /// `WAIT`, `WAITAOF`: about the writes of this very connection.
    Wait,
    /// `MONITOR`, `SYNC`, `PSYNC`: what follows is no conversation.
    Opaque,
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
    /// The last argument, in seconds, a decimal number: `BLPOP`, `BLMOVE`, `BZPOPMIN`...
    Last,
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
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Commands {}

impl Commands {
    /// The table shipped with mainstay.
    pub fn shipped() -> Arc<Self> {
        static SHIPPED: OnceLock<Arc<Commands>> = OnceLock::new();
        SHIPPED.get_or_init(Arc::default).clone()
    }

    /// What a request's command does. `name` and `sub` (the second argument, where there is one) as the client wrote them.
    pub fn look_up(&self, name: &[u8], sub: Option<&[u8]>) -> Command {
        let _ = (name, sub);
        todo!()
    }
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
}
