//! Requests on their way: sent, refused, lost, asked again.

use super::*;

#[test]
fn requests_go_up_and_replies_come_down() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; GET a");
    assert_eq!(talk.sends(), "SET a 1; GET a");
    talk.answers("+OK\r\n$1\r\n1\r\n");
    assert_eq!((talk.hears().as_str(), talk.heard.answered), ("+OK\r\n$1\r\n1\r\n", 2));
    assert!(talk.conversation.caught_up() && talk.conversation.held_bytes() == 0);
}

#[test]
fn what_is_asked_without_an_upstream_waits_for_one() {
    let mut talk = Talk::new();
    assert!(!talk.conversation.wants_upstream());
    talk.say("SET a 1; GET a");
    assert!(talk.conversation.wants_upstream() && talk.conversation.held_bytes() > 0);
    talk.attach();
    assert!(!talk.conversation.caught_up());
    assert_eq!(talk.sends(), "SET a 1; GET a");
    talk.answers("+OK\r\n$1\r\n1\r\n");
    assert!(talk.conversation.caught_up());
}

#[test]
fn reads_are_asked_again_when_the_upstream_is_lost_and_writes_never() {
    let mut talk = Talk::attached();
    talk.say("GET a; MGET a b");
    talk.sends();
    talk.answers("$1\r\n1\r\n");
    talk.lost().expect("a read may be asked again");
    talk.move_on();
    assert_eq!(talk.sends(), "MGET a b");
    talk.say("INCR n");
    talk.sends();
    talk.lost().expect_err("nobody knows whether INCR ran");
}

#[test]
fn what_was_not_handed_over_was_not_executed() {
    let mut talk = Talk::attached();
    talk.say("INCR n");
    let part = talk.conversation.pending().len() - 1;
    talk.conversation.wrote(part);
    talk.lost().expect("the last byte is missing");
    talk.move_on();
    assert_eq!(talk.sends(), "INCR n");
}

#[test]
fn a_blocked_client_is_asked_again_with_the_time_that_remains() {
    let mut talk = Talk::attached();
    talk.say("BRPOP q 10; SET a 1");
    assert_eq!(talk.sends(), "CLIENT ID; BRPOP q 10", "in one go: who asks first is served first");
    talk.answers(":77\r\n");
    assert_eq!(talk.conversation.blocked_as(), Some(77));
    talk.now = Moment::from_millis(5000);
    assert_eq!(talk.withdraw(Departure::Replaced), Ok(Withdrawn::Drain));
    assert_eq!(talk.answers("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"), Next::DropUpstream(None));
    talk.move_on();
    assert_eq!(talk.sends(), "CLIENT ID");
    talk.answers(":5\r\n");
    assert_eq!(talk.sends(), "BRPOP q 6.000");
    talk.now = Moment::from_millis(7000);
    talk.lost().expect("blocked");
    talk.move_on();
    talk.sends();
    talk.answers(":6\r\n");
    assert_eq!(talk.sends(), "BRPOP q 4.000", "what had passed before is not counted twice");
    talk.answers("*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    assert_eq!(talk.hears(), "*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    assert_eq!(talk.sends(), "SET a 1");
    assert_eq!(talk.heard.retried, ["blocked", "blocked"]);
}

#[test]
fn a_stream_that_is_read_from_its_end_is_read_on_from_where_it_stood() {
    let mut talk = Talk::attached();
    talk.say("XREAD BLOCK 0 STREAMS s $");
    assert_eq!(talk.sends(), "CLIENT ID; XREVRANGE s + - COUNT 1; XREAD BLOCK 0 STREAMS s $");
    talk.say("XREAD BLOCK 0 STREAMS t $");
    talk.answers(":77\r\n*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    talk.lost().expect("blocked");
    talk.move_on();
    assert_eq!(talk.sends(), "CLIENT ID");
    talk.answers(":78\r\n");
    assert_eq!(talk.sends(), "XREAD BLOCK 0 STREAMS s 5-1");
    assert_eq!(talk.hears(), "");
    talk.answers("*-1\r\n");
    assert_eq!(talk.sends(), "XREVRANGE t + - COUNT 1; XREAD BLOCK 0 STREAMS t $");
    talk.answers("*1\r\n*2\r\n$3\r\n7-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    talk.lost().expect("blocked");
    talk.move_on();
    talk.sends();
    talk.answers(":79\r\n");
    assert_eq!(talk.sends(), "XREAD BLOCK 0 STREAMS t 7-1", "each stands in its own stream");
}

#[test]
fn quit_is_answered_in_its_turn_and_nothing_behind_it_is_sent() {
    let mut talk = Talk::attached();
    talk.say("SET a 1; QUIT; SET b 1");
    assert_eq!(talk.sends(), "SET a 1");
    talk.answers("+OK\r\n");
    assert_eq!(talk.hears(), "+OK\r\n+OK\r\n");
    assert!(talk.conversation.is_over());
    assert_eq!(talk.answers(">2\r\n$1\r\nx\r\n$1\r\ny\r\n"), Next::Continue);
    assert_eq!(talk.hears(), "", "and nothing behind it is heard");
}

#[test]
fn a_protocol_error_is_told_after_what_was_asked_before() {
    let mut talk = Talk::attached();
    talk.say("GET a");
    talk.sends();
    talk.turn(|conversation, turn| conversation.client_said(b"*1\r\n:3\r\n", turn)).expect("told in its turn");
    assert_eq!(talk.hears(), "");
    talk.answers("$1\r\n1\r\n");
    assert_eq!(talk.hears(), "$1\r\n1\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    assert!(talk.conversation.is_over() && talk.conversation.failure().is_some());
}

#[test]
fn a_protocol_error_in_the_middle_of_a_large_request_is_told_too() {
    let mut talk = Talk::attached();
    let large = format!("*4\r\n$3\r\nSET\r\n$1\r\na\r\n$70000\r\n{}\r\n", "x".repeat(70_000));
    talk.turn(|conversation, turn| conversation.client_said(large.as_bytes(), turn)).expect("it streams");
    talk.conversation.wrote(talk.conversation.pending().len());
    talk.turn(|conversation, turn| conversation.client_said(b":5\r\n", turn)).expect("told");
    assert_eq!(talk.hears(), "-ERR Protocol error: expected '$', got ':'\r\n");
    assert!(talk.conversation.is_over() && talk.conversation.failure().is_some());
}

#[test]
fn what_pops_is_asked_again_whatever_became_of_it_and_what_moves_only_where_it_was_ended() {
    let unblocked = "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n";
    for command in ["BLPOP q 0", "BRPOP q 0", "BZPOPMIN q 0", "BLMPOP 0 1 q LEFT", "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"] {
        let mut talk = Talk::attached();
        talk.say(command);
        talk.sends();
        talk.answers(":7\r\n");
        talk.lost().expect("another element does as well");
        talk.move_on();
        assert_eq!(talk.sends(), "CLIENT ID");
        talk.answers(":8\r\n");
        assert_eq!(talk.sends(), command);
    }
    for command in ["BLMOVE a b LEFT RIGHT 0", "BRPOPLPUSH a b 0"] {
        let mut talk = Talk::attached();
        talk.say(command);
        talk.sends();
        talk.answers(":7\r\n");
        assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drain));
        assert_eq!(talk.answers(unblocked), Next::DropUpstream(None));
        talk.move_on();
        talk.sends();
        talk.answers(":8\r\n");
        assert_eq!(talk.sends(), command, "it was ended and moved nothing");
        let close = talk.withdraw(Departure::Gone).expect_err("an element may have been moved already");
        assert!(close.why.contains("nobody can know whether"), "{}", close.why);
    }
    let mut talk = Talk::attached();
    talk.say("BLMOVE a b LEFT RIGHT 0");
    talk.sends();
    talk.answers(":7\r\n");
    assert_eq!(talk.withdraw(Departure::Replaced), Ok(Withdrawn::Drain));
    let moved = talk.turn(|conversation, turn| conversation.upstream_said(b"$1\r\nx\r\n", turn));
    assert!(moved.expect_err("moved where it is lost").why.contains("may be lost"));
}

#[test]
fn what_is_blocked_outlives_any_number_of_primaries() {
    let mut talk = Talk::attached();
    talk.say("BRPOP q 0");
    for _ in 0..10 {
        talk.sends();
        talk.answers(":77\r\n");
        talk.lost().expect("it only waits");
        talk.move_on();
    }
}

#[test]
fn cursors_are_remembered_in_bounds() {
    let mut talk = Talk::attached();
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("PING");
    talk.move_on();
    talk.sends();
    talk.answers("+PONG\r\n");
    for cursor in 1000..2000 {
        talk.say("SCAN 0");
        talk.sends();
        talk.answers(&format!("*2\r\n$4\r\n{cursor}\r\n*0\r\n"));
    }
    assert!(talk.conversation.cursors.len() < 300);
    talk.say("SCAN 1999");
    assert_eq!(talk.sends(), "SCAN 1999");
}

#[test]
fn monitor_ends_the_conversation() {
    let mut talk = Talk::attached();
    talk.say("GET a; MONITOR; GET b");
    assert_eq!(talk.sends(), "GET a");
    assert!(!talk.conversation.is_opaque());
    talk.answers("$1\r\n1\r\n");
    assert!(talk.conversation.is_opaque());
    let rest = String::from_utf8(talk.conversation.into_opaque()).expect("text");
    assert_eq!(rest, "*1\r\n$7\r\nMONITOR\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n");
}

#[test]
fn a_reply_that_nobody_asked_for_ends_the_upstream_and_not_the_session() {
    let mut talk = Talk::attached();
    assert!(matches!(talk.answers("+"), Next::DropUpstream(Some(_))));
    assert_eq!(talk.hears(), "");
}

#[test]
fn a_large_request_streams_and_is_not_asked_again() {
    let mut talk = Talk::attached();
    let half = vec![b'x'; 300_000];
    talk.turn(|conversation, turn| conversation.client_said(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$600000\r\n", turn)).expect("fine");
    assert!(!talk.conversation.pending().is_empty(), "it is announced to be large");
    talk.turn(|conversation, turn| conversation.client_said(&half, turn)).expect("fine");
    assert!(talk.conversation.pending().len() > half.len() && !talk.conversation.accepts());
    talk.conversation.wrote(talk.conversation.pending().len());
    assert!(talk.conversation.accepts() && talk.conversation.held_bytes() == 0);
    talk.lost().expect("it was not executed");
    assert!(talk.hears().starts_with("-MASTERDOWN mainstay: the primary was lost in the middle"));
    talk.turn(|conversation, turn| conversation.client_said(&half, turn)).expect("swallowed");
    talk.turn(|conversation, turn| conversation.client_said(b"\r\n", turn)).expect("swallowed");
    talk.say("GET a");
    talk.move_on();
    assert_eq!(talk.sends(), "GET a");
}

#[test]
fn what_mainstay_answers_while_a_push_passes_comes_before_the_reply_behind_it() {
    let mut talk = Talk::attached();
    talk.say("SCAN 0");
    talk.sends();
    talk.answers("*2\r\n$2\r\n17\r\n*0\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("GET a");
    talk.move_on();
    talk.sends();
    talk.answers("$1\r\n1\r\n");
    talk.hears();
    talk.answers(">2\r\n$10\r\ninvalidate\r\n");
    talk.say("SCAN 17; GET b");
    assert_eq!(talk.sends(), "GET b");
    talk.turn(|conversation, turn| conversation.upstream_said(b"_\r\n$1\r\n2\r\n", turn)).expect("the session goes on");
    let heard = talk.hears();
    assert!(heard.starts_with(">2\r\n$10\r\ninvalidate\r\n_\r\n-ERR mainstay") && heard.ends_with("$1\r\n2\r\n"), "{heard}");
}

#[test]
fn requests_over_which_one_upstream_after_the_other_is_lost_are_given_up_also_where_state_is_replayed() {
    let mut talk = Talk::attached();
    talk.say("SELECT 2");
    talk.sends();
    talk.answers("+OK\r\n");
    talk.say("GET deadly");
    assert_eq!(talk.sends(), "GET deadly");
    for _ in 0..3 {
        talk.lost().expect("a read may be asked again");
        talk.move_on();
        assert_eq!(talk.sends(), "SELECT 2");
        talk.answers("+OK\r\n");
        assert_eq!(talk.sends(), "GET deadly");
    }
    talk.lost().expect_err("it may be what ends the servers");
}

#[test]
fn what_mainstay_answers_itself_does_not_let_pass_what_waits_behind_a_blocked_request() {
    let mut talk = Talk::attached();
    talk.say("WATCH a");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("BRPOP q 0; MULTI; EXEC; SET a 1");
    talk.move_on();
    talk.sends();
    talk.answers(":77\r\n");
    assert_eq!(talk.sends(), "BRPOP q 0", "SET waits for it");
    talk.answers("*-1\r\n");
    assert_eq!(talk.sends(), "SET a 1");
}
