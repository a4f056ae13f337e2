//! What a server refused, and what it said behind that: withheld, asked again, or passed on.

use super::*;

#[test]
fn a_refused_write_and_the_read_behind_it_are_asked_again_in_order() {
    let mut talk = Talk::attached();
    talk.say("GET z; SET a 1; GET a; PUBLISH c m; SET b 2");
    talk.sends();
    talk.answers("$1\r\nz\r\n");
    assert_eq!(talk.hears(), "$1\r\nz\r\n");
    talk.answers(READONLY);
    assert!(talk.conversation.doubts());
    assert_eq!(talk.conversation.take_hint(), Some("READONLY"));
    talk.answers("$3\r\nold\r\n:3\r\n");
    talk.say("GET b");
    assert_eq!((talk.sends(), talk.hears()), (String::new(), String::new()));
    talk.answers(READONLY);
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "SET a 1; GET a; SET b 2; GET b");
    talk.answers("+OK\r\n$1\r\n1\r\n");
    assert_eq!(talk.hears(), "+OK\r\n$1\r\n1\r\n:3\r\n", "PUBLISH was executed and is not repeated");
    talk.answers("+OK\r\n$1\r\n2\r\n");
    assert_eq!(talk.hears(), "+OK\r\n$1\r\n2\r\n");
    assert_eq!(talk.heard.answered, 6);
}

#[test]
fn a_refusal_is_passed_on_when_the_primary_did_not_change() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; GET a; PUBLISH c m");
    talk.sends();
    talk.answers("-NOREPLICAS Not enough good replicas to write.\r\n$1\r\n0\r\n");
    assert_eq!(talk.turn(Conversation::primary_stays), Ok(Next::Continue));
    assert_eq!(talk.hears(), "", "one is still awaited");
    talk.answers(":0\r\n");
    assert_eq!(talk.hears(), "-NOREPLICAS Not enough good replicas to write.\r\n");
    assert_eq!(talk.sends(), "GET a");
    talk.answers("$1\r\n0\r\n");
    assert_eq!(talk.hears(), "$1\r\n0\r\n:0\r\n");
}

#[test]
fn a_request_of_which_a_part_was_sent_is_not_begun_anew_on_the_same_connection() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; INCR n");
    let part = talk.conversation.pending().len() - 5;
    talk.conversation.wrote(part);
    talk.answers("-NOREPLICAS no\r\n");
    assert_eq!(talk.turn(Conversation::primary_stays), Ok(Next::DropUpstream(None)));
    talk.move_on();
    assert_eq!((talk.hears().as_str(), talk.sends().as_str()), ("-NOREPLICAS no\r\n", "INCR n"));
}

#[test]
fn what_was_queued_in_a_refused_transaction_is_not_asked_behind_it() {
    let mut talk = Talk::attached();
    talk.say("MULTI");
    talk.sends();
    talk.answers("+OK\r\n");
    talk.say("SET a 1; EVAL x 0; EXEC");
    talk.sends();
    talk.answers("-NOREPLICAS no\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
    assert_eq!(talk.turn(Conversation::primary_stays), Ok(Next::Continue));
    assert_eq!(talk.sends(), "");
    assert!(talk.hears().starts_with("+OK\r\n-NOREPLICAS no\r\n+QUEUED\r\n-EXECABORT"));
}

#[test]
fn a_transaction_behind_a_refused_request_is_asked_again_whole() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; MULTI; SET b 1; EXEC; SELECT 2; GET c");
    talk.sends();
    talk.answers("-NOREPLICAS no\r\n+OK\r\n-NOREPLICAS no\r\n");
    talk.answers("-EXECABORT Transaction discarded because of previous errors.\r\n+OK\r\n$1\r\n1\r\n");
    assert_eq!(talk.turn(Conversation::primary_stays), Ok(Next::DropUpstream(None)), "it has selected another database");
    assert_eq!(talk.hears(), "-NOREPLICAS no\r\n");
    talk.move_on();
    assert_eq!(talk.sends(), "MULTI; SET b 1; EXEC; SELECT 2; GET c");
}

#[test]
fn a_transaction_behind_a_refused_request_that_only_reads_is_asked_again_and_one_that_was_executed_is_not() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; MULTI; GET a; EXEC; MULTI; PUBLISH c m; EXEC");
    talk.sends();
    talk.answers(READONLY);
    talk.answers("+OK\r\n+QUEUED\r\n*1\r\n$1\r\n0\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "SET a 1; MULTI; GET a; EXEC");
    talk.answers("+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n");
    assert_eq!(talk.hears(), "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    talk.say("GET a");
    assert_eq!(talk.sends(), "GET a");
}

#[test]
fn a_demoted_server_is_heard_out_and_another_is_not() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; SET b 1");
    talk.sends();
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drain));
    talk.say("SET c 1");
    assert_eq!(talk.answers("+OK\r\n"), Next::Continue);
    assert_eq!(talk.answers(READONLY), Next::DropUpstream(None));
    assert_eq!((talk.hears().as_str(), talk.sends().as_str()), ("+OK\r\n", ""));
    talk.move_on();
    assert_eq!(talk.sends(), "SET b 1; SET c 1");
    let close = talk.withdraw(Departure::Gone).expect_err("a write is in flight");
    assert_eq!(close.fault, Fault::Write);
}

#[test]
fn of_a_server_that_was_replaced_only_refusals_are_believed() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; GET a; SET b 1");
    talk.sends();
    assert_eq!(talk.withdraw(Departure::Replaced), Ok(Withdrawn::Drain));
    talk.answers(READONLY);
    talk.answers("$1\r\n0\r\n");
    assert_eq!((talk.answers(READONLY), talk.hears().as_str()), (Next::DropUpstream(None), ""));
    talk.move_on();
    assert_eq!(talk.sends(), "SET a 1; GET a; SET b 1");
    assert_eq!(talk.withdraw(Departure::Replaced), Ok(Withdrawn::Drain));
    let close = talk.turn(|conversation, turn| conversation.upstream_said(b"+OK\r\n", turn)).expect_err("it may be lost");
    assert!(talk.hears().is_empty() && close.why.contains("may be lost"));
}

#[test]
fn what_mainstay_asks_behind_a_refused_request_is_asked_again_with_it() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; BRPOP q 0");
    assert_eq!(talk.sends(), "SET a 1; CLIENT ID");
    talk.answers(READONLY);
    talk.answers(":77\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "SET a 1; CLIENT ID");
    talk.answers("+OK\r\n:5\r\n");
    assert_eq!((talk.sends().as_str(), talk.hears().as_str()), ("BRPOP q 0", "+OK\r\n"));
    assert_eq!(talk.conversation.blocked_as(), Some(5));
}

#[test]
fn where_a_stream_stands_is_asked_again_where_the_question_was_refused() {
    let mut talk = Talk::attached();
    talk.say("XREAD BLOCK 0 STREAMS s $");
    talk.sends();
    talk.answers(":77\r\n-LOADING x\r\n");
    talk.sends();
    talk.answers("-LOADING x\r\n");
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "CLIENT ID; XREVRANGE s + - COUNT 1");
}

#[test]
fn a_cursor_of_another_server_is_refused() {
    let mut talk = Talk::attached();
    talk.say("SCAN 0");
    talk.sends();
    talk.answers("*2\r\n$2\r\n17\r\n*0\r\n");
    talk.hears();
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("SCAN 17");
    talk.move_on();
    assert!(talk.hears().starts_with("-ERR mainstay: the primary changed and cursors do not move"));
    talk.say("SCAN 0");
    assert_eq!(talk.sends(), "SCAN 0");
    talk.answers("*2\r\n$2\r\n23\r\n*0\r\n");
    talk.say("SCAN 23; SCAN 17");
    assert_eq!(talk.sends(), "SCAN 23");
    let mut talk = Talk::attached();
    talk.say("SCAN 0");
    talk.sends();
    talk.answers("*2\r\n$2\r\n17\r\n*0\r\n");
    for _ in 0..3 {
        talk.say("GET a");
        talk.sends();
        talk.lost().expect("a read");
        talk.move_on();
        talk.sends();
        talk.answers("$1\r\n1\r\n");
    }
    talk.hears();
    talk.say("SCAN 17");
    assert!(talk.hears().starts_with("-ERR mainstay: the primary changed and cursors do not move"), "after several moves");
}

#[test]
fn after_the_window_requests_are_refused_and_the_connection_lives() {
    let mut talk = Talk::new();
    talk.say("SET a 1; MULTI; SET b 1; EXEC");
    talk.turn(|conversation, turn| conversation.refuse("no primary", turn));
    let refusal = "-MASTERDOWN mainstay: no primary\r\n";
    let abort = "-EXECABORT Transaction discarded because of: MASTERDOWN mainstay: no primary\r\n";
    assert_eq!(talk.hears(), format!("{refusal}+OK\r\n{refusal}{abort}"));
    assert!(!talk.conversation.wants_upstream() && !talk.conversation.is_over());
    talk.say("SET a 1");
    talk.attach();
    assert_eq!(talk.sends(), "SET a 1");
}

#[test]
fn a_length_that_the_server_does_not_take_is_refused_by_the_server() {
    let mut talk = Talk::attached();
    let announced = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2000000000\r\n";
    talk.turn(|conversation, turn| conversation.client_said(announced, turn)).expect("only the server knows its limit");
    assert_eq!(talk.conversation.pending(), announced);
    talk.conversation.wrote(announced.len());
    let refusal = b"-ERR Protocol error: invalid bulk length\r\n";
    let close = talk.turn(|conversation, turn| conversation.upstream_said(refusal, turn)).expect_err("the server closes");
    assert_eq!((talk.hears().as_bytes(), close.fault), (&refusal[..], Fault::Upstream));
}

#[test]
fn a_question_of_mainstays_own_behind_a_refused_request_is_not_taken_for_its_answer() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; BRPOP q 10");
    assert_eq!(talk.sends(), "SET a 1; CLIENT ID");
    talk.answers(READONLY);
    talk.answers(":77\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "SET a 1; CLIENT ID");
    talk.answers("+OK\r\n:78\r\n");
    assert_eq!((talk.hears().as_str(), talk.sends().as_str()), ("+OK\r\n", "BRPOP q 10"));
}

#[test]
fn a_write_in_flight_behind_a_refused_exec_is_never_asked_again() {
    let mut talk = Talk::attached();
    talk.say("MULTI; SET a 1");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n");
    talk.say("EXEC; PUBLISH c m");
    talk.sends();
    talk.answers("-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n");
    talk.lost().expect_err("nobody knows whether PUBLISH ran");
}

#[test]
fn a_transaction_that_begins_behind_a_refused_request_is_known_to_be_one() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; MULTI; SET b 1");
    talk.sends();
    talk.answers(READONLY);
    talk.answers("+OK\r\n");
    talk.lost().expect("SET was queued at most");
    talk.move_on();
    assert_eq!(talk.sends(), "SET a 1; MULTI; SET b 1");
}

#[test]
fn exec_without_multi_does_not_forget_what_is_watched() {
    let mut talk = Talk::attached();
    talk.say("WATCH a");
    talk.sends();
    talk.answers("+OK\r\n");
    talk.say("EXEC");
    talk.sends();
    assert_eq!(talk.withdraw(Departure::Replaced), Ok(Withdrawn::Drain));
    talk.answers("-ERR EXEC without MULTI\r\n");
    talk.hears();
    talk.say("MULTI; SET a 1; EXEC");
    assert_eq!(talk.hears(), "+OK\r\n+QUEUED\r\n*-1\r\n");
}

#[test]
fn reset_needs_no_primary_when_the_window_ends() {
    let mut talk = Talk::attached();
    talk.say("SELECT 2; WATCH a");
    talk.sends();
    talk.answers("+OK\r\n+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("MULTI; RESET; GET a");
    talk.hears();
    talk.turn(|conversation, turn| conversation.refuse("none", turn));
    talk.say("GET b");
    talk.move_on();
    assert_eq!((talk.sends().as_str(), talk.hears().as_str()), ("GET b", "+RESET\r\n-MASTERDOWN mainstay: none\r\n"));
}

#[test]
fn what_was_refused_for_a_while_is_not_asked_again_behind_a_later_write_that_was_executed() {
    const NOREPLICAS: &str = "-NOREPLICAS Not enough good replicas to write.\r\n";
    let mut talk = Talk::attached();
    talk.say("GET z; SET a 1; GET a; SELECT 2; SET a 2; GET a; SET b 1; PUBLISH c m");
    talk.sends();
    talk.answers(&format!("$1\r\nz\r\n{NOREPLICAS}$1\r\n0\r\n+OK\r\n+OK\r\n$1\r\n2\r\n{READONLY}:0\r\n"));
    assert_eq!(talk.hears(), "$1\r\nz\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    assert_eq!(talk.hears(), NOREPLICAS, "SET a 1 would come behind SET a 2");
    talk.move_on();
    assert_eq!(talk.sends(), "GET a; SELECT 2; GET a; SET b 1");
    talk.answers("$1\r\n0\r\n+OK\r\n$1\r\n2\r\n+OK\r\n");
    assert_eq!(talk.hears(), "$1\r\n0\r\n+OK\r\n+OK\r\n$1\r\n2\r\n+OK\r\n:0\r\n");
    for (refusal, asked_again) in [(NOREPLICAS, "SET a 1"), (READONLY, "SET a 1"), ("-LOADING x\r\n", "SET a 1")] {
        let mut talk = Talk::attached();
        talk.say("SET a 1; PUBLISH c m");
        talk.sends();
        talk.answers(&format!("{refusal}:0\r\n"));
        assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
        talk.move_on();
        assert_eq!(talk.sends(), asked_again, "a message leaves nothing behind");
    }
}

#[test]
fn a_transaction_that_was_refused_for_a_while_is_not_asked_again_behind_a_later_one_that_was_executed() {
    let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    let mut talk = Talk::attached();
    talk.say("SET z 1; MULTI; GET a; SET a 1; EXEC; MULTI; SET a 2; EXEC");
    talk.sends();
    talk.answers(&format!("-NOREPLICAS no\r\n+OK\r\n+QUEUED\r\n-NOREPLICAS no\r\n{aborted}"));
    talk.answers("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    let first = format!("-NOREPLICAS no\r\n+OK\r\n+QUEUED\r\n-NOREPLICAS no\r\n{aborted}");
    assert_eq!(talk.hears(), format!("{first}+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"));
    let mut talk = Talk::attached();
    talk.say("MULTI; SET a 1");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n");
    talk.hears();
    let refused = "-EXECABORT Transaction discarded because of: NOREPLICAS no\r\n";
    talk.say("EXEC; SET a 2; GET a");
    talk.sends();
    talk.answers(&format!("{refused}+OK\r\n$1\r\n2\r\n"));
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    assert_eq!(talk.hears(), format!("{refused}+OK\r\n"));
    talk.move_on();
    assert_eq!(talk.sends(), "GET a");
}

#[test]
fn a_transaction_that_mainstay_answers_nil_has_overtaken_nothing() {
    let mut talk = Talk::attached();
    talk.say("WATCH a");
    talk.sends();
    talk.answers("+OK\r\n");
    talk.say("INCR n; MULTI; SET a 1; EXEC");
    assert_eq!(talk.sends(), "INCR n; MULTI; SET a 1; EXEC");
    let abort = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    talk.answers(&format!("{READONLY}+OK\r\n{READONLY}{abort}"));
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "INCR n");
    talk.answers("-LOADING Redis is loading the dataset in memory\r\n");
    talk.lost().expect("it was refused");
    talk.move_on();
    assert_eq!(talk.sends(), "INCR n", "nothing was executed behind it");
    talk.answers(":1\r\n");
    assert_eq!(talk.hears(), "+OK\r\n:1\r\n+OK\r\n+QUEUED\r\n*-1\r\n");
}
