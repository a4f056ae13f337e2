//! Where users are mainstay's own: AUTH, HELLO and RESET, and what is taken of a client that has not logged in. The server hears nothing of
//! these users. Every upstream is logged in as mainstay itself, before anything else is asked on it.

use super::{Access, Gate};
use crate::conversation::connection_key::auth;
use crate::conversation::remembered::{Bytes, request};
use crate::conversation::request::{Own, What};
use crate::conversation::{Conversation, Turn};
use crate::resp::command::{Command, Kind};
use crate::resp::frames::{self, arguments};

// Replies of Redis 7 (acl.c, networking.c, server.c).
const OK: &str = "+OK";
const NO_AUTH: &str = "-NOAUTH Authentication required.";
const EXEC_NO_AUTH: &str = "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.";
const WRONG_PASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
const HELLO_NO_AUTH: &str = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> \
     option can be used to authenticate the client and select the RESP protocol version at the same time";
const AUTH_ARITY: &str = "-ERR wrong number of arguments for 'auth' command";
const RESET_ARITY: &str = "-ERR wrong number of arguments for 'reset' command";
const SYNTAX: &str = "-ERR syntax error";
const NOT_A_VERSION: &str = "-ERR Protocol version is not an integer or out of range";
const NO_SUCH_VERSION: &str = "-NOPROTO unsupported protocol version";
const IN_MULTI: &str = "-ERR mainstay: who is who does not change inside a transaction";

/// What Redis takes of who has not logged in (networking.c): so many arguments, of so many bytes each.
const OUTSIDE_ARGUMENTS_MAX: usize = 10;
const OUTSIDE_ARGUMENT_BYTES_MAX: usize = 16 * 1024;
/// All of them together: no login needs more, and there may be many that never log in.
const OUTSIDE_BYTES_MAX: usize = 32 * 1024;

impl Conversation {
    /// Its client has yet to log in.
    pub fn is_outside(&self, access: Option<&Access>) -> bool {
        !self.inside && access.is_some_and(|access| access.gate.is_some())
    }

    /// Where users are mainstay's own. True where the request is answered here.
    pub(super) fn meets_the_door(&mut self, command: Command, turn: &mut Turn<'_>) -> bool {
        let Some(gate) = turn.access.and_then(|access| access.gate.as_deref()) else { return false };
        match command.kind {
            Kind::Auth => self.auth(gate, turn),
            Kind::Hello => self.hello(gate, turn),
            Kind::Reset => self.reset(command, turn),
            Kind::Quit => false,
            _ if self.inside => false,
            _ if is_from_a_browser(self.queue.incoming()) => {
                self.queue.discard_incoming();
                self.over = true;
                true
            }
            Kind::Exec => self.says(EXEC_NO_AUTH, turn),
            _ => self.says(NO_AUTH, turn),
        }
    }

    /// A request of a client that has not logged in, whole or as far as it has come in: is it too large?
    pub(in crate::conversation) fn is_too_large_outside(&self) -> Option<&'static str> {
        let bytes = self.queue.incoming();
        let count =
            || bytes.split(|byte| *byte == b'\r').next().and_then(|line| std::str::from_utf8(line.get(1..)?).ok()?.parse().ok());
        let is_array = bytes.first() == Some(&b'*');
        if is_array && count().is_some_and(|count: usize| count > OUTSIDE_ARGUMENTS_MAX) {
            return Some("ERR Protocol error: unauthenticated multibulk length");
        }
        let announced = usize::try_from(self.requests.announced()).unwrap_or(usize::MAX);
        let is_large = announced > OUTSIDE_ARGUMENT_BYTES_MAX + 2
            || bytes.len().saturating_add(announced) > OUTSIDE_BYTES_MAX
            || bytes.len() > OUTSIDE_ARGUMENT_BYTES_MAX && arguments(bytes).any(|word| word.len() > OUTSIDE_ARGUMENT_BYTES_MAX);
        is_large.then_some("ERR Protocol error: unauthenticated bulk length")
    }

    fn says(&mut self, reply: &str, turn: &mut Turn<'_>) -> bool {
        self.settle_new(What::Client(crate::conversation::intake::UNKNOWN), format!("{reply}\r\n").into_bytes(), turn);
        true
    }

    fn words(&self) -> Vec<Bytes> {
        arguments(self.queue.incoming()).map(|word| Box::from(&word[..])).collect()
    }

    /// `AUTH [user] password`
    fn auth(&mut self, gate: &Gate, turn: &mut Turn<'_>) -> bool {
        let words = self.words();
        let (user, password) = match &words[..] {
            [] | [_] => return self.says(AUTH_ARITY, turn),
            [_, password] => (&b"default"[..], password),
            [_, user, password] => (&**user, password),
            _ => return self.says(SYNTAX, turn),
        };
        if self.is_in_transaction() {
            let reply = format!("{IN_MULTI}\r\n").into_bytes();
            return self.refuse_one(crate::conversation::intake::UNKNOWN, reply, turn);
        }
        let reply = if self.log_in(gate, user, password, turn) { OK } else { WRONG_PASS };
        self.says(reply, turn)
    }

    /// A wrong password leaves it who it was.
    fn log_in(&mut self, gate: &Gate, user: &[u8], password: &[u8], turn: &mut Turn<'_>) -> bool {
        let users = gate.users();
        let admitted = users.admit(user, password);
        if admitted {
            self.inside = true;
            self.is_known_as(&users);
        } else {
            turn.outlet.wrong_password();
        }
        admitted
    }

    /// Who mainstay is to the server on its behalf.
    fn is_known_as(&mut self, users: &super::Users) {
        let identity = users.identity();
        if identity.is_some() || self.state.is_some() {
            self.state.get_or_insert_default().identity = identity;
        }
    }

    /// A new upstream begins: who mainstay is may have changed since.
    pub(in crate::conversation) fn look_up_identity(&mut self, turn: &Turn<'_>) {
        if let Some(gate) = turn.access.and_then(|access| access.gate.as_deref()) {
            self.is_known_as(&gate.users());
        }
    }

    /// `HELLO [version [AUTH user password] [SETNAME name]]`: sent on without the login.
    fn hello(&mut self, gate: &Gate, turn: &mut Turn<'_>) -> bool {
        let words = self.words();
        if let Some(version) = words.get(1) {
            match number(version) {
                None => return self.says(NOT_A_VERSION, turn),
                Some(2 | 3) => {}
                Some(_) => return self.says(NO_SUCH_VERSION, turn),
            }
        }
        let mut kept: Vec<&[u8]> = words.iter().take(2).map(|word| &**word).collect();
        let mut rest = words.get(2..).unwrap_or_default();
        while let Some(option) = rest.first() {
            if option.eq_ignore_ascii_case(b"AUTH") && rest.len() > 2 {
                if self.is_in_transaction() {
                    let reply = format!("{IN_MULTI}\r\n").into_bytes();
                    return self.refuse_one(crate::conversation::intake::UNKNOWN, reply, turn);
                }
                if !self.log_in(gate, &rest[1], &rest[2], turn) {
                    return self.says(WRONG_PASS, turn);
                }
                rest = &rest[3..];
            } else if option.eq_ignore_ascii_case(b"SETNAME") && rest.len() > 1 {
                kept.extend([&*rest[0], &*rest[1]]);
                rest = &rest[2..];
            } else {
                let option: String = String::from_utf8_lossy(option).chars().filter(|one| !one.is_control()).collect();
                return self.says(&format!("-ERR Syntax error in HELLO option '{option}'"), turn);
            }
        }
        if !self.inside {
            return self.says(HELLO_NO_AUTH, turn);
        }
        self.queue.discard_incoming();
        self.queue.append(&request(kept));
        false
    }

    /// `RESET` logs out. On an upstream mainstay logs in again, as what comes next is not asked before the client has.
    fn reset(&mut self, command: Command, turn: &mut Turn<'_>) -> bool {
        if arguments(self.queue.incoming()).nth(1).is_some() {
            return self.says(RESET_ARITY, turn);
        }
        if !self.inside {
            return self.says("+RESET", turn);
        }
        self.receive_special(command, turn);
        self.inside = false;
        if let Some(identity) = self.state.as_ref().and_then(|state| state.identity.clone()) {
            self.queue.push_own(Own::Identity, &auth(&identity), turn.now);
        }
        true
    }

    fn is_in_transaction(&self) -> bool {
        self.intake.in_multi || self.intake.ghost.is_some()
    }
}

/// As Redis reads numbers (util.c, `string2ll`).
fn number(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let plain = digits.iter().all(u8::is_ascii_digit) && (word == b"0" || digits.first().is_some_and(|first| *first != b'0'));
    std::str::from_utf8(word).ok().filter(|_| plain)?.parse().ok()
}

/// A web page makes a browser say what may look like commands: Redis hangs up on these words (server.c).
fn is_from_a_browser(bytes: &[u8]) -> bool {
    frames::name(bytes).is_some_and(|name| name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:"))
}
