//! Users of mainstay's own, denied commands, and writes where there must be none.

mod chances;

use super::*;
use ring::digest::{SHA256, digest};

/// A listener with the users `app` (password `one`) and `default` (`two`), logged in at the server as `mainstay`.
fn gate() -> Arc<Gate> {
    let user = |name: &str, password: &str| {
        let hash = digest(&SHA256, password.as_bytes()).as_ref().try_into().expect("32 bytes");
        User { name: name.into(), hash }
    };
    Arc::new(Gate::new(Users::new(vec![user("app", "one"), user("default", "two")], ["mainstay", "secret"])))
}

fn talk(gate: Option<Arc<Gate>>, denied: &[&str]) -> Talk {
    let access = Access::new(gate, Denied::new(denied.iter().copied())).map(Arc::new);
    Talk { access, ..Talk::new() }
}

fn guarded() -> Talk {
    talk(Some(gate()), &[])
}

fn denying(denied: &[&str]) -> Talk {
    let mut talk = talk(None, denied);
    talk.attach();
    talk
}

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const UNCHECKED: &str = "-NOPERM mainstay: what follows this command could not be checked, as everything is on this listener\r\n";
const NO_AUTH: &str = "-NOAUTH Authentication required.\r\n";

fn hears_after(talk: &mut Talk, commands: &str) -> String {
    talk.say(commands);
    talk.hears()
}

#[test]
fn who_has_not_logged_in_is_told_so_and_no_server_hears_of_it() {
    let mut talk = guarded();
    for command in
        ["GET k", "PING", "MULTI", "CLIENT SETNAME n", "SELECT 1", "FLUSHALL", "nobody-knows", "SUBSCRIBE c", "MONITOR"]
    {
        assert_eq!(hears_after(&mut talk, command), NO_AUTH, "{command}");
    }
    assert!(!talk.conversation.wants_upstream());
    assert_eq!(hears_after(&mut talk, "RESET"), "+RESET\r\n");
    assert_eq!(hears_after(&mut talk, "QUIT"), "+OK\r\n");
    assert!(talk.conversation.is_over());
}

#[test]
fn auth_answers_as_redis_does() {
    let mut talk = guarded();
    for (command, reply) in [
        ("AUTH", "-ERR wrong number of arguments for 'auth' command\r\n"),
        ("AUTH a b c", "-ERR syntax error\r\n"),
        ("AUTH one", WRONG),
        ("AUTH app two", WRONG),
        ("AUTH nobody one", WRONG),
        ("GET k", NO_AUTH),
        ("AUTH two", "+OK\r\n"),
        ("auth app one", "+OK\r\n"),
        // A wrong password leaves it who it was.
        ("AUTH app two", WRONG),
    ] {
        assert_eq!(hears_after(&mut talk, command), reply, "{command}");
    }
    assert!(!talk.conversation.is_outside(talk.access.as_deref()));
}

#[test]
fn the_upstream_is_logged_in_as_mainstay_before_anything_else_is_asked() {
    let mut talk = guarded();
    talk.say("AUTH app one; CLIENT SETNAME n; GET k");
    assert_eq!(talk.hears(), "+OK\r\n");
    talk.attach();
    assert_eq!(talk.sends(), "AUTH mainstay secret");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "CLIENT SETNAME n; GET k");
    talk.answers("+OK\r\n$1\r\nv\r\n");
    assert_eq!(talk.hears(), "+OK\r\n$1\r\nv\r\n");
    // A second login changes nothing at the server, and is answered in its turn.
    talk.say("GET k; AUTH two; GET j");
    assert_eq!((talk.sends(), talk.hears()), ("GET k; GET j".into(), String::new()));
    talk.answers("$1\r\nv\r\n$1\r\nw\r\n");
    assert_eq!(talk.hears(), "$1\r\nv\r\n+OK\r\n$1\r\nw\r\n");
    // The next primary hears of it as well.
    talk.say("GET k");
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "AUTH mainstay secret");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "CLIENT SETNAME n");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "GET k");
}

#[test]
fn hello_logs_in_and_is_sent_on_without_the_login() {
    let mut talk = guarded();
    for (command, reply) in [
        ("HELLO", "-NOAUTH HELLO must be called"),
        ("HELLO 3", "-NOAUTH HELLO must be called"),
        ("HELLO 3 SETNAME n", "-NOAUTH HELLO must be called"),
        ("HELLO 4 AUTH app one", "-NOPROTO unsupported protocol version\r\n"),
        ("HELLO three AUTH app one", "-ERR Protocol version is not an integer or out of range\r\n"),
        ("HELLO 03", "-ERR Protocol version is not an integer or out of range\r\n"),
        ("HELLO 3 AUTH app", "-ERR Syntax error in HELLO option 'AUTH'\r\n"),
        ("HELLO 3 AUTH app two SETNAME n", WRONG),
    ] {
        assert!(hears_after(&mut talk, command).starts_with(reply), "{command}");
    }
    assert!(!talk.conversation.wants_upstream());
    talk.say("HELLO 3 setname n AUTH app one; GET k");
    talk.attach();
    assert_eq!(talk.sends(), "AUTH mainstay secret");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "HELLO 3 setname n");
    talk.answers("%1\r\n+proto\r\n:3\r\n");
    assert_eq!(talk.sends(), "GET k");
    assert_eq!(talk.hears(), "%1\r\n+proto\r\n:3\r\n");
    talk.answers("_\r\n");
    // Nor is what is no login sent on.
    assert_eq!(hears_after(&mut talk, "HELLO 3 AUTH app"), "_\r\n-ERR Syntax error in HELLO option 'AUTH'\r\n");
    assert_eq!(hears_after(&mut talk, "HELLO 2 AUTH app two"), WRONG);
    assert_eq!(talk.sends(), "");
}

#[test]
fn reset_logs_out_and_mainstay_logs_in_again_on_the_upstream() {
    let mut talk = guarded();
    talk.say("AUTH two; SELECT 3");
    talk.attach();
    talk.sends();
    talk.answers("+OK\r\n");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.hears(), "+OK\r\n+OK\r\n");
    talk.say("RESET; GET k; AUTH app one; GET k");
    assert_eq!(talk.sends(), "RESET");
    talk.answers("+RESET\r\n");
    assert_eq!(talk.sends(), "AUTH mainstay secret");
    assert_eq!(talk.hears(), "+RESET\r\n");
    talk.answers("+OK\r\n");
    assert_eq!(talk.hears(), format!("{NO_AUTH}+OK\r\n"));
    assert_eq!(talk.sends(), "GET k");
    // It has forgotten the database, and not who it is.
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "AUTH mainstay secret");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "GET k");
    assert_eq!(hears_after(&mut talk, "RESET now"), "");
}

#[test]
fn where_the_server_does_not_let_mainstay_in_the_client_is_not_told_its_words() {
    let mut talk = guarded();
    talk.say("AUTH two; GET k; MULTI; SET k v; EXEC");
    talk.hears();
    talk.attach();
    talk.sends();
    let next = talk.answers("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    assert!(matches!(next, Next::LockedOut(words) if words.starts_with("WRONGPASS")));
    let refused = "-MASTERDOWN mainstay: the primary does not let it in; its log says why\r\n";
    let heard = talk.hears();
    assert!(heard.starts_with(&format!("{refused}+OK\r\n{refused}-EXECABORT")), "{heard}");
    assert!(!talk.conversation.wants_upstream() && !talk.conversation.is_over());
}

#[test]
fn nobody_logs_in_within_a_transaction() {
    let mut talk = guarded();
    talk.say("AUTH two; PING");
    talk.attach();
    talk.sends();
    talk.answers("+OK\r\n");
    talk.sends();
    talk.answers("+PONG\r\n");
    talk.hears();
    talk.say("MULTI; AUTH app one; HELLO 3 AUTH app one; EXEC");
    assert_eq!(talk.sends(), "MULTI; mainstay:refused; mainstay:refused; EXEC");
    talk.answers("+OK\r\n-ERR unknown\r\n-ERR unknown\r\n-EXECABORT x\r\n");
    let refused = "-ERR mainstay: who is who does not change inside a transaction\r\n";
    assert_eq!(talk.hears(), format!("+OK\r\n{refused}{refused}-EXECABORT x\r\n"));
}

#[test]
fn who_has_not_logged_in_may_send_little() {
    let long = "x".repeat(16 * 1024 + 1);
    for (request, error) in [
        ("*11\r\n".to_owned(), "multibulk length"),
        ("*2147483647\r\n$4\r\n".to_owned(), "multibulk length"),
        ("*2\r\n$4\r\nAUTH\r\n$20000\r\nx".to_owned(), "bulk length"),
        (format!("*2\r\n$4\r\nAUTH\r\n$16385\r\n{long}\r\n"), "bulk length"),
        (format!("AUTH {long}{long}"), "bulk length"),
        (format!("*3\r\n$4\r\nAUTH\r\n$16384\r\n{}\r\n$16384\r\n{}\r\n", &long[1..], &long[1..]), "bulk length"),
    ] {
        for pieces in [1, request.len()] {
            let mut talk = guarded();
            for piece in request.as_bytes().chunks(request.len().div_ceil(pieces)) {
                talk.turn(|conversation, turn| conversation.client_said(piece, turn)).unwrap();
                assert!(talk.conversation.held_bytes() < 40 * 1024);
            }
            assert_eq!(talk.hears(), format!("-ERR Protocol error: unauthenticated {error}\r\n"));
            assert!(talk.conversation.is_over() && talk.conversation.failure().is_some());
        }
    }
    let mut talk = guarded();
    talk.turn(|conversation, turn| conversation.client_said(b"POST / HTTP/1.1\r\nAUTH two\r\n", turn)).unwrap();
    assert_eq!(talk.hears(), "");
    assert!(talk.conversation.is_over());
    // Whoever has logged in may send more.
    let mut talk = guarded();
    let words = ["x"; 11].join(" ");
    talk.say(&format!("AUTH two; MGET {words}; SET k {long}"));
    talk.attach();
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), format!("MGET {words}; SET k {long}"));
}

#[test]
fn a_denied_command_is_answered_in_its_turn_and_never_sent() {
    let mut talk = denying(&["flushall", "CONFIG|SET", "monitor"]);
    talk.say("GET a; FlushAll; CONFIG SET a b; CONFIG GET a; GET b");
    assert_eq!(talk.sends(), "GET a; CONFIG GET a; GET b");
    assert_eq!(talk.hears(), "");
    talk.answers("$1\r\na\r\n*0\r\n$1\r\nb\r\n");
    let denied = |name| format!("-NOPERM mainstay: the command '{name}' is denied on this listener\r\n");
    assert_eq!(talk.hears(), format!("$1\r\na\r\n{}{}*0\r\n$1\r\nb\r\n", denied("flushall"), denied("config|set")));
    talk.turn(|conversation, turn| conversation.client_said(b"flushall async\r\nmonitor\r\n", turn)).unwrap();
    assert_eq!(talk.hears(), denied("flushall") + &denied("monitor"));
}

#[test]
fn what_could_not_be_checked_afterwards_is_refused_where_anything_is_denied() {
    let mut talk = denying(&["flushall"]);
    for command in ["MONITOR", "PSYNC ? -1", "CLIENT REPLY OFF", "CLIENT REPLY SKIP", "SCRIPT DEBUG YES"] {
        assert!(hears_after(&mut talk, command).starts_with("-NOPERM mainstay: what follows"), "{command}");
    }
    assert!(hears_after(&mut talk, "FLUSHALL\0x").starts_with("-NOPERM mainstay: no command"));
    talk.say("CLIENT REPLY ON");
    assert_eq!(talk.sends(), "CLIENT REPLY ON");
}

#[test]
fn a_transaction_with_a_denied_command_is_aborted_by_the_server_itself() {
    let mut talk = denying(&["flushall", "watch"]);
    talk.say("MULTI; SET a 1; FLUSHALL; SET b 2; EXEC; GET a");
    assert_eq!(talk.sends(), "MULTI; SET a 1; mainstay:refused; SET b 2; EXEC; GET a");
    talk.answers("+OK\r\n+QUEUED\r\n-ERR unknown command\r\n+QUEUED\r\n-EXECABORT discarded\r\n$1\r\n0\r\n");
    assert_eq!(
        talk.hears(),
        "+OK\r\n+QUEUED\r\n-NOPERM mainstay: the command 'flushall' is denied on this listener\r\n+QUEUED\r\n-EXECABORT discarded\r\n$1\r\n0\r\n"
    );
}

#[test]
fn a_transaction_with_a_denied_command_is_aborted_wherever_it_is_ended() {
    // What the server is told, and what is already known of it, when the primary is lost.
    for answered in 1..=4 {
        let mut talk = denying(&["flushall"]);
        talk.say("MULTI; SET a 1; FLUSHALL; SET b 2");
        talk.sends();
        for reply in ["+OK\r\n", "+QUEUED\r\n", "-ERR unknown command\r\n", "+QUEUED\r\n"].iter().take(answered) {
            talk.answers(reply);
        }
        assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
        talk.say("EXEC");
        talk.move_on();
        let mut asked = Vec::new();
        for _ in 0..8 {
            let sends = talk.sends();
            let words: Vec<&str> = sends.split("; ").filter(|words| !words.is_empty()).collect();
            for words in &words {
                asked.push(words.to_string());
                let reply = match *words {
                    "MULTI" => "+OK\r\n",
                    "EXEC" => "-EXECABORT discarded\r\n",
                    "mainstay:refused" => "-ERR unknown command\r\n",
                    _ => "+QUEUED\r\n",
                };
                talk.answers(reply);
            }
        }
        let heard = talk.hears();
        assert!(heard.contains("-NOPERM") && heard.contains("-EXECABORT") && heard.ends_with("\r\n"), "{answered}: {heard}");
        let poisoned = asked.iter().position(|words| words == "mainstay:refused");
        let executed = asked.iter().position(|words| words == "EXEC");
        assert!(executed.is_none() || poisoned.is_some() && poisoned < executed, "{answered}: {asked:?}");
    }
}

#[test]
fn while_nobody_is_primary_a_transaction_with_a_denied_command_is_refused_and_stays_so() {
    let mut talk = denying(&["flushall"]);
    talk.say("MULTI; SET a 1");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n");
    talk.say("FLUSHALL");
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.turn(|conversation, turn| conversation.refuse("nobody", turn));
    talk.say("EXEC");
    talk.move_on();
    assert_eq!(talk.sends(), "");
    assert!(talk.hears().ends_with("-EXECABORT Transaction discarded because of previous errors.\r\n"));
}

#[test]
fn a_large_denied_command_is_swallowed_as_it_comes() {
    let mut talk = denying(&["set"]);
    let value = "x".repeat(200_000);
    let request = remembered::request(["SET", "k", &value]);
    for piece in request.chunks(1000) {
        talk.turn(|conversation, turn| conversation.client_said(piece, turn)).unwrap();
        assert_eq!(talk.sends(), "");
    }
    talk.say("GET k");
    assert_eq!(talk.sends(), "GET k");
    assert!(talk.hears().starts_with("-NOPERM mainstay: the command 'set'"));
}

#[test]
fn on_a_shared_upstream_a_denied_command_is_answered_and_its_transaction_gets_an_upstream_of_its_own() {
    let access = Access::new(None, Denied::new(["flushall"])).map(Arc::new);
    let mut talk = Talk { access, ..Talk::sharing() };
    talk.board();
    talk.say("GET a; FLUSHALL; GET b");
    assert_eq!(talk.hands_over(8), "GET a");
    talk.replies(&["$1\r\na\r\n"]);
    assert_eq!(talk.hands_over(8), "GET b");
    talk.replies(&["$1\r\nb\r\n"]);
    assert!(talk.hears().contains("-NOPERM"));
    talk.say("MULTI; FLUSHALL; EXEC");
    assert_eq!(talk.hands_over(8), "");
    assert!(talk.conversation.must_leave());
    talk.leaves();
    talk.attach();
    assert_eq!(talk.sends(), "MULTI; mainstay:refused; EXEC");
}

#[test]
fn all_users_of_a_listener_share_the_same_upstreams() {
    let mut keys = Vec::new();
    for login in ["AUTH two", "AUTH app one", "HELLO 2 AUTH app one"] {
        let access = Access::new(Some(gate()), Denied::default()).map(Arc::new);
        let mut talk = Talk { access, ..Talk::sharing() };
        talk.say(login);
        assert!(!talk.conversation.is_newcomer());
        keys.push(talk.conversation.connection_key());
    }
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[0] != ConnectionKey::default());
}

#[test]
fn where_writes_are_forbidden_they_are_answered_as_a_replica_does() {
    let mut talk = Talk::attached();
    talk.turn(|conversation, turn| conversation.forbid_writes(true, turn));
    talk.say("GET a; SET a 1; EVAL x 0; EVAL_RO x 0; PUBLISH c m");
    assert_eq!(talk.sends(), "GET a; EVAL_RO x 0; PUBLISH c m");
    talk.answers("$1\r\na\r\n$1\r\nb\r\n:0\r\n");
    assert_eq!(talk.hears(), format!("$1\r\na\r\n{READONLY}{READONLY}$1\r\nb\r\n:0\r\n"));
    talk.say("MULTI; SET a 1; EXEC");
    assert_eq!(talk.sends(), "MULTI; mainstay:refused; EXEC");
    talk.answers("+OK\r\n-ERR unknown\r\n-EXECABORT x\r\n");
    assert_eq!(talk.hears(), format!("+OK\r\n{READONLY}-EXECABORT x\r\n"));
    talk.turn(|conversation, turn| conversation.forbid_writes(false, turn));
    talk.say("SET a 1");
    assert_eq!(talk.sends(), "SET a 1");
}

#[test]
fn what_waits_for_a_replica_does_not_write_on_a_primary_in_its_place() {
    let mut talk = Talk::attached();
    talk.say("MULTI; EVAL x 0");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n");
    talk.say("GET a; EXEC; SET b 1; MULTI; SET c 1; EXEC; GET d; MONITOR");
    talk.hears();
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.turn(|conversation, turn| conversation.forbid_writes(true, turn));
    talk.attach();
    assert_eq!(talk.sends(), "GET d");
    talk.answers("$1\r\nd\r\n");
    let abort = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    assert_eq!(talk.hears(), format!("+QUEUED\r\n{abort}{READONLY}+OK\r\n{READONLY}{abort}$1\r\nd\r\n{UNCHECKED}"));
}
