//! Which error replies prove that nothing was executed.

use super::Refusal;
use crate::resp::command::{Command, Fate, Kind};

/// What EXEC answers when it was refused itself (Redis 7, multi.c); what follows is the refusal.
const ABORTED: &[u8] = b"EXECABORT Transaction discarded because of: ";
/// The same where a command was refused while it was being queued.
const ABORTED_BEFORE: &[u8] = b"EXECABORT Transaction discarded because of previous errors.";
/// The server's own words when a script's first write met a replica (script.c). A script may make up a shorter text after it has written.
const SCRIPT_READ_ONLY: &[u8] = b"READONLY You can't write against a read only replica. script: ";
/// The same for one that says of itself that it writes: it was not even begun (script.c).
const SCRIPT_NOT_RUN: &[u8] = b"READONLY Can not run script with write flag on readonly replica.";
/// How a demotion ends a blocked client (replication.c).
const DEMOTED: &[u8] = b"instance state changed";

impl Refusal {
    /// The error code.
    pub fn code(self) -> &'static str {
        match self {
            Self::ReadOnly => "READONLY",
            Self::Loading => "LOADING",
            Self::MasterDown => "MASTERDOWN",
            Self::NoReplicas => "NOREPLICAS",
            Self::Unblocked => "UNBLOCKED",
        }
    }

    /// An ordinary answer of a replica: it is the same at the next.
    pub(super) fn is_of_replicas(self) -> bool {
        matches!(self, Self::ReadOnly | Self::NoReplicas)
    }

    fn of_code(text: &[u8]) -> Option<Self> {
        let code = text.split(|byte| *byte == b' ').next()?;
        [Self::ReadOnly, Self::Loading, Self::MasterDown, Self::NoReplicas, Self::Unblocked]
            .into_iter()
            .find(|refusal| refusal.code().as_bytes() == code)
    }
}

/// Does the error reply `line` (from its `-` on) prove that `command` was not executed? `leaving`: mainstay is having blocked commands
/// ended itself.
pub(super) fn refusal(command: Command, line: &[u8], leaving: bool) -> Option<Refusal> {
    let text = line.strip_prefix(b"-")?;
    match (command.fate, command.kind) {
        // Its errors may be its own.
        (Fate::Unknown, _) | (_, Kind::Wait) => None,
        (_, Kind::Script(_)) => {
            (text.starts_with(SCRIPT_READ_ONLY) || text.trim_ascii_end() == SCRIPT_NOT_RUN).then_some(Refusal::ReadOnly)
        }
        (_, Kind::Exec) => text.strip_prefix(ABORTED).and_then(Refusal::of_code).or_else(|| Refusal::of_code(text)),
        (Fate::Read | Fate::Write, kind) => {
            let refusal = Refusal::of_code(text)?;
            let by_role = leaving || text.windows(DEMOTED.len()).any(|words| words == DEMOTED);
            let blocks = matches!(kind, Kind::Blocking(_));
            (refusal != Refusal::Unblocked || blocks && by_role).then_some(refusal)
        }
    }
}

/// A server says so that may soon execute what follows, without having been anything else meanwhile.
pub(super) fn is_for_a_while(line: &[u8]) -> bool {
    let text = line.strip_prefix(b"-").unwrap_or_default();
    let text = text.strip_prefix(ABORTED).unwrap_or(text);
    matches!(Refusal::of_code(text), Some(Refusal::NoReplicas | Refusal::Loading))
}

/// EXEC was not executed because a command before it was refused.
pub(super) fn is_abort(line: &[u8]) -> bool {
    line.strip_prefix(b"-").is_some_and(|text| text.starts_with(ABORTED_BEFORE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::command::{Script, TimeoutAt};

    fn of(fate: Fate, kind: Kind, line: &str) -> Option<Refusal> {
        refusal(Command { fate, kind }, line.as_bytes(), false)
    }

    #[test]
    fn a_plain_command_is_refused_by_the_code_alone() {
        let set = |line| of(Fate::Write, Kind::Plain, line);
        assert_eq!(set("-READONLY You can't write against a read only replica.\r\n"), Some(Refusal::ReadOnly));
        assert_eq!(set("-LOADING Redis is loading the dataset in memory\r\n"), Some(Refusal::Loading));
        assert_eq!(set("-NOREPLICAS Not enough good replicas to write.\r\n"), Some(Refusal::NoReplicas));
        assert_eq!(set("-READONLYX\r\n"), None);
        assert_eq!(set("-ERR READONLY\r\n"), None);
        assert_eq!(of(Fate::Unknown, Kind::Plain, "-READONLY x\r\n"), None, "a module's error may be its own");
        assert_eq!(of(Fate::Write, Kind::Wait, "-READONLY x\r\n"), None);
    }

    #[test]
    fn a_script_is_refused_only_by_the_servers_own_full_text() {
        let eval = |line| of(Fate::Write, Kind::Script(Script::Body), line);
        assert_eq!(
            eval("-READONLY You can't write against a read only replica. script: ab12, on @user_script:1.\r\n"),
            Some(Refusal::ReadOnly)
        );
        assert_eq!(eval("-READONLY You can't write against a read only replica.\r\n"), None);
        assert_eq!(eval("-READONLY made up after a write\r\n"), None);
        assert_eq!(eval("-READONLY Can not run script with write flag on readonly replica.\r\n"), Some(Refusal::ReadOnly));
    }

    #[test]
    fn exec_is_refused_when_the_abort_says_so() {
        let exec = |line| of(Fate::Write, Kind::Exec, line);
        assert_eq!(
            exec("-EXECABORT Transaction discarded because of: READONLY You can't write ...\r\n"),
            Some(Refusal::ReadOnly)
        );
        assert_eq!(exec("-EXECABORT Transaction discarded because of previous errors.\r\n"), None);
        assert!(is_abort(b"-EXECABORT Transaction discarded because of previous errors.\r\n"));
    }

    #[test]
    fn being_unblocked_refuses_only_what_blocks_and_only_by_a_change_of_role() {
        let blocked = Kind::Blocking(TimeoutAt::Last);
        let by_role = "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n";
        let by_client = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
        assert_eq!(of(Fate::Write, blocked, by_role), Some(Refusal::Unblocked));
        assert_eq!(of(Fate::Write, blocked, by_client), None);
        assert_eq!(of(Fate::Write, Kind::Plain, by_role), None);
        assert!(refusal(Command { fate: Fate::Write, kind: blocked }, by_client.as_bytes(), true).is_some());
    }
}
