//! What must never reach a shared upstream: halves, and what leaves it in another state than it was.

use super::*;

#[test]
fn half_a_request_never_goes_over_a_shared_upstream() {
    let mut talk = Talk::aboard();
    talk.say("GET a");
    talk.hands_over(ALL);
    // It is large, begins to come in, and turns out to be none.
    let large = format!("*4\r\n$3\r\nSET\r\n$1\r\na\r\n$70000\r\n{}\r\n", "x".repeat(70_000));
    talk.turn(|conversation, turn| conversation.client_said(large.as_bytes(), turn)).expect("it may go on");
    assert_eq!(talk.hands_over(ALL), "");
    talk.turn(|conversation, turn| conversation.client_said(b":5\r\n", turn)).expect("told in its turn");
    assert_eq!(talk.hands_over(ALL), "");
    talk.replies(&["$1\r\n1\r\n"]);
    assert_eq!(talk.hands_over(ALL), "");
    assert_eq!(talk.hears(), "$1\r\n1\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    assert!(talk.conversation.is_over());
}

#[test]
fn who_has_said_good_bye_hands_nothing_over() {
    let mut talk = Talk::aboard();
    talk.say("GET a; QUIT; SET a 1");
    assert_eq!(talk.hands_over(ALL), "GET a");
    assert_eq!(talk.replies(&["$-1\r\n"]), Next::Continue);
    assert_eq!((talk.hears().as_str(), talk.conversation.is_over()), ("$-1\r\n+OK\r\n", true), "QUIT had its turn");
    assert_eq!(talk.hands_over(ALL), "");

    let mut talk = Talk::aboard();
    talk.say("GET a");
    talk.turn(|conversation, turn| conversation.client_said(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$70000\r\nxx", turn)).expect("fine");
    talk.conversation.client_ended();
    assert!(talk.conversation.is_over());
    assert_eq!(talk.hands_over(ALL), "", "nobody is there to hear the answer");
}

#[test]
fn a_transaction_that_did_not_end_ends_the_upstream() {
    // An old server keeps what it has queued.
    for (unit, error) in [
        ("MULTI; SET a 1; EXEC", "-LOADING Redis is loading the dataset in memory\r\n"),
        ("MULTI; SET a 1; EXEC", "-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
    ] {
        let mut talk = Talk::aboard();
        talk.say(unit);
        talk.hands_over(ALL);
        let next = talk.replies(&["+OK\r\n", "+QUEUED\r\n", error]);
        assert!(matches!(next, Next::DropUpstream(Some(_))), "{unit}: {error}: {next:?}");
        assert_eq!(talk.hears(), "+OK\r\n+QUEUED\r\n");
        // The trunk ends, and with it the session: not every such server says that nothing was executed.
        talk.lost().expect_err("a write was in flight");
    }
}

#[test]
fn a_transaction_that_ended_in_any_words_leaves_the_upstream_as_it_was() {
    for (unit, errors) in [
        (
            "MULTI; SET a; EXEC",
            ["+OK\r\n", "-ERR wrong number\r\n", "-EXECABORT Transaction discarded because of previous errors.\r\n"],
        ),
        ("MULTI; SET a 1; EXEC", ["-NOPERM\r\n", "+OK\r\n", "-ERR EXEC without MULTI\r\n"]),
        ("MULTI; SET a 1; EXEC", ["-NOPERM multi\r\n", "-NOPERM set\r\n", "-NOPERM exec\r\n"]),
    ] {
        let mut talk = Talk::aboard();
        talk.say(unit);
        talk.hands_over(ALL);
        assert_eq!(talk.replies(&errors), Next::Continue, "{unit}");
        assert_eq!((talk.hears(), talk.conversation.pin()), (errors.concat(), None));
        talk.say("GET a");
        assert_eq!(talk.hands_over(ALL), "GET a");
    }
}

#[test]
fn nothing_is_handed_over_in_doubt_or_to_a_primary_that_has_left() {
    let mut talk = Talk::aboard();
    talk.say("SET a 1");
    talk.hands_over(ALL);
    talk.replies(&[READONLY]);
    talk.say("GET b");
    assert!(talk.conversation.doubts());
    assert_eq!((talk.hands_over(ALL).as_str(), talk.conversation.must_leave()), ("", false));
    talk.turn(Conversation::primary_stays).expect("passed on");
    assert_eq!(talk.hears(), READONLY);
    assert_eq!(talk.hands_over(ALL), "GET b");

    talk.say("GET c");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drain));
    assert_eq!((talk.hands_over(ALL).as_str(), talk.conversation.must_leave()), ("", false));
    assert_eq!(talk.replies(&["$1\r\n1\r\n"]), Next::DropUpstream(None));
    assert_eq!((talk.hears().as_str(), talk.hands_over(ALL).as_str()), ("$1\r\n1\r\n", ""));
    assert_eq!(talk.conversation.need(), Need::Shared);
}

#[test]
fn a_reply_that_nobody_asked_for_ends_the_upstream() {
    let mut talk = Talk::aboard();
    assert!(matches!(talk.replies(&["+OK\r\n"]), Next::DropUpstream(Some(_))));
    assert_eq!(talk.hears(), "");
}

#[test]
fn what_a_primary_that_has_left_was_not_sent_is_asked_elsewhere_and_the_rest_is_awaited() {
    let mut talk = Talk::aboard();
    talk.say("SET a 1; SET b 2; SET c 3");
    let whole = talk.hands_over(ALL).len();
    assert!(whole > 0);
    // The second went out in part.
    let unsent = requests("SET b 2").len() + requests("SET c 3").len() - 5;
    assert_eq!(talk.conversation.take_back(unsent), 2);
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drain));
    assert_eq!(talk.replies(&["+OK\r\n"]), Next::DropUpstream(None));
    assert_eq!(talk.hears(), "+OK\r\n");
    talk.epoch += 1;
    talk.board();
    assert_eq!(talk.hands_over(ALL), "SET b 2; SET c 3");
}

#[test]
fn what_did_not_go_out_is_taken_back_also_before_what_was_answered_elsewhere() {
    let mut talk = Talk::aboard();
    talk.say("SET a 1; PUBLISH c 1");
    talk.hands_over(ALL);
    // A demoted server: PUBLISH was executed, and is not asked again.
    talk.replies(&[READONLY, ":1\r\n"]);
    talk.lost().expect("nothing is in flight");
    talk.board();
    let asked = remembered::request(["SET", "a", "1"]).len();
    assert_eq!(talk.hands_over(ALL), "SET a 1");
    assert_eq!(talk.conversation.take_back(asked - 1), 1);
    assert_eq!((talk.hands_over(ALL).as_str(), talk.withdraw(Departure::Demoted)), ("", Ok(Withdrawn::Drop)));
    talk.move_on();
    assert_eq!(talk.sends(), "SET a 1");
    talk.answers("+OK\r\n");
    assert_eq!(talk.hears(), "+OK\r\n:1\r\n");
}
