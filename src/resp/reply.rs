//! What an error reply means to mainstay. The code is the first word after the `-`.

/// Errors that a check can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A data set is being loaded.
    Loading,
    /// A script or a module command runs for too long; the server lives.
    Busy,
    /// No, wrong or needless credentials.
    Auth,
    /// The user may not run the command.
    NoPermission,
    /// `maxclients` is reached.
    MaxClients,
    /// Protected mode refuses peers off loopback.
    ProtectedMode,
    /// The replica's link is down and it may not serve stale data.
    MasterDown,
    /// Anything else.
    Other,
}

/// Sorts the text of an error reply, without the leading `-`.
pub fn error_kind(text: &str) -> ErrorKind {
    let code = text.split_ascii_whitespace().next().unwrap_or("");
    match code {
        "LOADING" => ErrorKind::Loading,
        "BUSY" => ErrorKind::Busy,
        "NOAUTH" | "WRONGPASS" => ErrorKind::Auth,
        "NOPERM" => ErrorKind::NoPermission,
        "DENIED" => ErrorKind::ProtectedMode,
        "MASTERDOWN" => ErrorKind::MasterDown,
        // Codeless errors are known by their text alone (networking.c, acl.c; before Redis 6 also "invalid password").
        "ERR" if text.contains("max number of clients") => ErrorKind::MaxClients,
        "ERR" if text.contains("invalid password") || text.contains("AUTH") => ErrorKind::Auth,
        _ => ErrorKind::Other,
    }
}

/// How the error begins of a server that a script keeps busy.
pub const BUSY: &[u8] = b"-BUSY ";
/// How the error begins of a server that has no room for another connection.
pub const MAX_CLIENTS: &[u8] = b"-ERR max number of clients";

/// A replica's answer to a write.
pub const READONLY: &str = "READONLY";
/// A primary's answer to a write, while too few replicas are in step.
pub const NOREPLICAS: &str = "NOREPLICAS";

/// Error codes that say: this server may not be the primary any more.
const HINTS: [&str; 5] = [READONLY, "MASTERDOWN", "LOADING", NOREPLICAS, "UNBLOCKED"];

/// The code of a hint, where `bytes`, the beginning of a read from a backend, begin with one.
///
/// A stored value can look like one when a read happens to begin inside it; a hint only makes control ask, so that is harmless.
#[inline]
pub fn hint(bytes: &[u8]) -> Option<&'static str> {
    let rest = bytes.strip_prefix(b"-")?;
    HINTS.into_iter().find(|code| rest.strip_prefix(code.as_bytes()).is_some_and(|after| after.first() == Some(&b' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_real_servers_are_told_apart() {
        let cases = [
            ("LOADING Redis is loading the dataset in memory", ErrorKind::Loading),
            ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", ErrorKind::Busy),
            ("NOAUTH Authentication required.", ErrorKind::Auth),
            ("WRONGPASS invalid username-password pair or user is disabled.", ErrorKind::Auth),
            ("ERR invalid password", ErrorKind::Auth),
            ("ERR Client sent AUTH, but no password is set", ErrorKind::Auth),
            ("NOPERM this user has no permissions to run the 'info' command", ErrorKind::NoPermission),
            ("ERR max number of clients reached", ErrorKind::MaxClients),
            ("DENIED Redis is running in protected mode because ...", ErrorKind::ProtectedMode),
            ("ERR syntax error", ErrorKind::Other),
        ];
        for (text, kind) in cases {
            assert_eq!(error_kind(text), kind, "{text}");
        }
    }

    #[test]
    fn a_hint_is_a_whole_code_at_the_very_beginning() {
        assert_eq!(hint(b"-READONLY You can't write against a read only replica.\r\n"), Some("READONLY"));
        assert_eq!(hint(b"-UNBLOCKED force unblock from blocking operation"), Some("UNBLOCKED"));
        for other in [&b"+OK\r\n"[..], b"-READONLYX y", b"-ERR READONLY", b"", b"-", b"$9\r\n-READONLY \r\n"] {
            assert_eq!(hint(other), None);
        }
    }
}
