//! What a connection is, carried from one upstream to the next.

use super::*;

#[test]
fn the_state_of_a_connection_is_replayed_and_a_login_goes_alone() {
    let mut talk = Talk::attached();
    for (command, reply) in [
        ("AUTH me secret", "+OK\r\n"),
        ("HELLO 3", "%1\r\n$5\r\nproto\r\n:3\r\n"),
        ("SELECT 2", "+OK\r\n"),
        ("SELECT 99", "-ERR DB index is out of range\r\n"),
        ("CLIENT SETNAME worker", "+OK\r\n"),
        ("CLIENT TRACKING ON BCAST", "+OK\r\n"),
        ("SUBSCRIBE x y", ">3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\ny\r\n:2\r\n"),
    ] {
        talk.say(command);
        assert_eq!(talk.sends(), command);
        talk.answers(reply);
        assert_eq!(talk.hears(), reply);
    }
    talk.say("GET a");
    talk.sends();
    talk.lost().expect("a read");
    talk.move_on();
    assert_eq!(talk.sends(), "AUTH me secret");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "HELLO 3");
    talk.answers("%1\r\n$5\r\nproto\r\n:3\r\n");
    assert_eq!(talk.sends(), "CLIENT SETNAME worker; SELECT 2; CLIENT TRACKING ON BCAST; SUBSCRIBE x y");
    talk.answers("+OK\r\n+OK\r\n+OK\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
    talk.answers(">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$2\r\nhi\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\ny\r\n:2\r\n");
    assert_eq!(talk.sends(), "GET a", "not before it is known that all of it was accepted");
    talk.answers("$1\r\n7\r\n");
    let heard = talk.hears();
    assert_eq!(heard, ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$2\r\nhi\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n$1\r\n7\r\n");
}

#[test]
fn a_new_primary_that_does_not_know_the_user_ends_the_session() {
    let mut talk = Talk::attached();
    talk.say("AUTH me secret");
    talk.sends();
    talk.answers("+OK\r\n");
    talk.say("GET a");
    talk.sends();
    talk.lost().expect("a read");
    talk.move_on();
    talk.sends();
    let reply = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    let close = talk.turn(|conversation, turn| conversation.upstream_said(reply, turn)).expect_err("refused");
    assert_eq!(close.fault, Fault::Replay);
    assert!(!close.why.contains("secret"));
}

#[test]
fn a_transaction_is_replayed_and_its_replies_are_heard_once() {
    let mut talk = Talk::attached();
    talk.say("MULTI; SET a 1");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n");
    talk.hears();
    talk.say("INCR n; EXEC");
    talk.sends();
    talk.answers("+QUEUED\r\n");
    assert_eq!(talk.hears(), "+QUEUED\r\n");
    talk.answers("-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "MULTI");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "SET a 1; INCR n");
    talk.answers("+QUEUED\r\n+QUEUED\r\n");
    assert_eq!(talk.sends(), "EXEC");
    talk.answers("*2\r\n+OK\r\n:1\r\n");
    assert_eq!(talk.hears(), "*2\r\n+OK\r\n:1\r\n");
}

#[test]
fn nothing_runs_behind_a_replay_that_is_refused() {
    let mut talk = Talk::attached();
    talk.say("MULTI; SET a 1");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("EXEC; PUBLISH c m");
    talk.move_on();
    assert_eq!(talk.sends(), "MULTI");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "SET a 1", "PUBLISH would run, and then be asked again");
    assert_eq!(talk.answers(READONLY), Next::NotReady("READONLY"));
    talk.move_on();
    assert_eq!(talk.sends(), "MULTI");
}

#[test]
fn a_transaction_that_was_refused_while_it_was_queued_is_asked_again_whole() {
    let mut talk = Talk::attached();
    talk.say("MULTI; SET a 1; EXEC; GET a");
    talk.sends();
    talk.answers("+OK\r\n");
    talk.answers(READONLY);
    talk.answers("-EXECABORT Transaction discarded because of previous errors.\r\n$3\r\nold\r\n");
    assert_eq!(talk.hears(), "+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "MULTI");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "SET a 1; EXEC; GET a");
    talk.answers("+QUEUED\r\n*1\r\n+OK\r\n$1\r\n1\r\n");
    assert_eq!(talk.hears(), "+QUEUED\r\n*1\r\n+OK\r\n$1\r\n1\r\n");
}

#[test]
fn exec_answers_nil_after_a_move_with_watch() {
    let mut talk = Talk::attached();
    talk.say("WATCH a");
    talk.sends();
    talk.answers("+OK\r\n");
    talk.say("GET a");
    talk.sends();
    talk.lost().expect("a read");
    talk.move_on();
    assert_eq!(talk.sends(), "GET a");
    talk.answers("$1\r\n1\r\n");
    talk.hears();
    talk.say("MULTI; SET a 2; EXEC; GET a");
    assert_eq!(talk.hears(), "+OK\r\n+QUEUED\r\n*-1\r\n");
    assert_eq!(talk.sends(), "GET a");
    talk.answers("$1\r\n1\r\n");
    talk.say("MULTI");
    assert_eq!(talk.sends(), "MULTI", "only the next EXEC");
}

#[test]
fn exec_answers_nil_also_where_the_transaction_had_begun() {
    let mut talk = Talk::attached();
    talk.say("WATCH a; MULTI; SET a 2");
    talk.sends();
    talk.answers("+OK\r\n+OK\r\n+QUEUED\r\n");
    talk.hears();
    assert_eq!(talk.withdraw(Departure::Replaced), Ok(Withdrawn::Drop));
    talk.say("SET b 2; EXEC");
    talk.move_on();
    assert_eq!((talk.sends().as_str(), talk.hears().as_str()), ("", "+QUEUED\r\n*-1\r\n"));
}

#[test]
fn a_transaction_that_will_answer_nil_is_not_forgotten_in_the_next_move_or_when_the_window_ends() {
    let mut talk = Talk::attached();
    talk.say("WATCH a");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("GET a; MULTI");
    talk.hears();
    talk.move_on();
    talk.say("SET a 1");
    assert_eq!(talk.sends(), "GET a", "SET is queued, for the client");
    assert_eq!(talk.answers("$1\r\n1\r\n"), Next::Continue);
    assert_eq!(talk.hears(), "$1\r\n1\r\n+OK\r\n+QUEUED\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.turn(|conversation, turn| conversation.refuse("none", turn));
    talk.say("SET b 1; EXEC");
    assert_eq!(talk.hears(), "+QUEUED\r\n*-1\r\n");
}

#[test]
fn a_transaction_of_which_a_large_command_was_lost_is_aborted() {
    let large = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$70000\r\n{}", "x".repeat(69_000));
    for begun in [true, false] {
        let mut talk = Talk::attached();
        talk.say("MULTI; INCR n");
        talk.sends();
        if begun {
            talk.answers("+OK\r\n+QUEUED\r\n");
        }
        talk.turn(|conversation, turn| conversation.client_said(large.as_bytes(), turn)).expect("fine");
        talk.conversation.wrote(talk.conversation.pending().len());
        let goes_on = talk.withdraw(Departure::Gone);
        assert_eq!(goes_on.is_ok(), begun, "without its reply nobody knows whether that was a MULTI");
        if !begun {
            continue;
        }
        let rest = format!("{}\r\n", "x".repeat(1_000));
        talk.turn(|conversation, turn| conversation.client_said(rest.as_bytes(), turn)).expect("swallowed");
        talk.say("EXEC; GET a");
        talk.move_on();
        assert_eq!(talk.sends(), "GET a");
        let heard = talk.hears();
        assert!(
            heard.starts_with("+OK\r\n+QUEUED\r\n-MASTERDOWN mainstay") && heard.ends_with("previous errors.\r\n"),
            "{heard}"
        );
    }
}

#[test]
fn a_large_request_within_a_transaction_that_answers_nil_is_swallowed_to_its_end() {
    let mut talk = Talk::attached();
    talk.say("WATCH a; MULTI");
    talk.sends();
    talk.answers("+OK\r\n+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.hears();
    let large = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$70000\r\n{}", "x".repeat(69_000));
    talk.turn(|conversation, turn| conversation.client_said(large.as_bytes(), turn)).expect("fine");
    talk.move_on();
    let rest = format!("{}\r\n", "x".repeat(1_000));
    talk.turn(|conversation, turn| conversation.client_said(rest.as_bytes(), turn)).expect("swallowed");
    talk.say("EXEC; GET a");
    assert_eq!((talk.sends().as_str(), talk.hears().as_str()), ("GET a", "+QUEUED\r\n*-1\r\n"));
}

#[test]
fn wait_is_asked_of_the_server_that_has_the_writes_before_it() {
    let mut talk = Talk::attached();
    talk.say("SET a 1");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.hears();
    talk.say("WAIT 1 0; SET a 2; WAIT 1 0");
    talk.move_on();
    assert!(talk.hears().starts_with("-ERR mainstay: the primary changed after your last write"));
    assert_eq!(talk.sends(), "SET a 2");
    talk.answers(READONLY);
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "SET a 2");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "WAIT 1 0");
}

#[test]
fn exec_does_not_answer_nil_where_unwatch_stands_before_it() {
    let mut talk = Talk::attached();
    talk.say("WATCH a");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("UNWATCH; MULTI");
    talk.move_on();
    assert_eq!(talk.sends(), "UNWATCH; MULTI");
}

#[test]
fn a_write_in_flight_behind_a_lost_exec_is_never_asked_again() {
    let mut talk = Talk::attached();
    talk.say("MULTI; SET a 2");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n");
    talk.say("EXEC");
    talk.sends();
    talk.lost().expect_err("nobody knows whether it was executed");
}

#[test]
fn a_script_is_loaded_into_the_next_primary_before_its_digest_is_used() {
    let mut talk = Talk::attached();
    talk.say("EVAL return.1 0");
    talk.sends();
    talk.answers(":1\r\n");
    let digest = sha1_smol::Sha1::from("return.1").digest().to_string();
    talk.say("GET a");
    talk.sends();
    talk.lost().expect("a read");
    talk.say(&format!("EVALSHA {digest} 0"));
    talk.move_on();
    assert_eq!(talk.sends(), "SCRIPT LOAD return.1");
    talk.hears();
    talk.answers(&format!("$40\r\n{digest}\r\n"));
    assert_eq!(talk.sends(), format!("GET a; EVALSHA {digest} 0"));
    talk.answers("$1\r\n1\r\n:1\r\n");
    assert_eq!(talk.hears(), "$1\r\n1\r\n:1\r\n");
    talk.say(&format!("EVALSHA {digest} 0"));
    assert_eq!(talk.sends(), format!("EVALSHA {digest} 0"));
}

#[test]
fn a_transaction_under_way_when_the_window_ends_is_aborted() {
    let mut talk = Talk::attached();
    talk.say("MULTI");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Replaced), Ok(Withdrawn::Drop));
    talk.say("SET a 1");
    talk.hears();
    talk.turn(|conversation, turn| conversation.refuse("none", turn));
    assert_eq!(talk.hears(), "-MASTERDOWN mainstay: none\r\n");
    talk.say("EXEC");
    talk.move_on();
    assert!(talk.hears().starts_with("-EXECABORT"));
    assert_eq!(talk.sends(), "");
}

#[test]
fn resp2_messages_are_told_from_replies() {
    let mut talk = Talk::attached();
    talk.say("SUBSCRIBE a b");
    talk.sends();
    let confirmations = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n";
    talk.answers(confirmations);
    assert_eq!(talk.hears(), confirmations);
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n";
    talk.answers(message);
    talk.say("PING");
    assert_eq!(talk.sends(), "PING");
    talk.answers(message);
    talk.answers("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_eq!(talk.hears(), format!("{message}{message}*2\r\n$4\r\npong\r\n$0\r\n\r\n"));
    assert_eq!(talk.heard.answered, 2);
    assert_eq!(talk.withdraw(Departure::Replaced), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "SUBSCRIBE a b");
    talk.answers(confirmations);
    talk.say("UNSUBSCRIBE");
    talk.sends();
    let goodbyes = "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n";
    talk.answers(goodbyes);
    assert_eq!(talk.hears(), goodbyes);
    talk.say("LRANGE l 0 -1");
    talk.sends();
    talk.answers("*2\r\n$7\r\nmessage\r\n$1\r\na\r\n");
    assert_eq!(talk.heard.answered, 4, "an ordinary reply now");
    assert_eq!(talk.conversation.pin(), None);
}

#[test]
fn a_transaction_that_mainstay_answers_itself_goes_on_over_a_move_and_over_a_refusal() {
    let mut talk = Talk::attached();
    talk.say("WATCH a");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.say("GET x; MULTI; SET a 1");
    talk.move_on();
    talk.say("SET b 2; EXEC; MULTI");
    assert_eq!(talk.sends(), "GET x; MULTI");
    talk.hears();
    talk.answers("$1\r\n1\r\n+OK\r\n");
    assert_eq!(talk.hears(), "$1\r\n1\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n+OK\r\n");

    let mut talk = Talk::attached();
    talk.say("WATCH a");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.say("GET x; MULTI; SET a 1");
    talk.hears();
    talk.turn(|conversation, turn| conversation.refuse("none", turn));
    assert_eq!(talk.hears(), "-MASTERDOWN mainstay: none\r\n+OK\r\n+QUEUED\r\n");
    talk.say("SET b 2; EXEC");
    assert_eq!(talk.hears(), "+QUEUED\r\n*-1\r\n");
}

#[test]
fn nothing_runs_behind_a_replay_that_is_not_accepted() {
    let mut talk = Talk::attached();
    talk.say("SELECT 2");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.say("INCR n");
    talk.move_on();
    assert_eq!(talk.sends(), "SELECT 2", "INCR would run in another database");
    let refused = b"-ERR DB index is out of range\r\n";
    talk.turn(|conversation, turn| conversation.upstream_said(refused, turn)).expect_err("refused");

    let mut talk = Talk::attached();
    talk.say("MULTI; SET a 1");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n");
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.say("EXEC; PUBLISH c m");
    talk.move_on();
    assert_eq!(talk.sends(), "MULTI");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "SET a 1", "PUBLISH would be executed and then asked again");
    assert_eq!(talk.answers("-NOREPLICAS Not enough good replicas to write.\r\n"), Next::NotReady("NOREPLICAS"));
    talk.move_on();
    assert_eq!(talk.sends(), "MULTI");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "SET a 1");
    talk.answers("+QUEUED\r\n");
    assert_eq!(talk.sends(), "EXEC; PUBLISH c m");
}
