//! WAIT is about the writes of one connection, and a lie on any other.

use super::*;

const MARK: &str = "PUBLISH mainstay:wait ";

/// Does `SET`, over whatever it may go.
fn writes(talk: &mut Talk) {
    talk.say("SET a 1");
    match talk.conversation.need() {
        Need::Shared => talk.board(),
        Need::Own => talk.attach(),
        Need::Nothing => {}
    }
    assert_eq!(if talk.conversation.is_shared() { talk.hands_over(ALL) } else { talk.sends() }, "SET a 1");
    talk.replies(&["+OK\r\n"]);
    assert_eq!(talk.hears(), "+OK\r\n");
}

#[test]
fn who_waits_writes_over_a_connection_of_its_own_from_then_on() {
    let mut talk = Talk::aboard();
    writes(&mut talk);
    talk.say("WAIT 1 0");
    assert_eq!((talk.hands_over(ALL).as_str(), talk.conversation.must_leave()), ("", true));
    talk.leaves();
    assert_eq!((talk.conversation.need(), talk.conversation.pin()), (Need::Own, Some(Pin::Wait)));
    talk.attach();
    assert_eq!(talk.sends(), MARK, "what was written over another one is in front of it");
    talk.answers(":0\r\n");
    assert_eq!(talk.sends(), "WAIT 1 0");
    talk.answers(":1\r\n");
    assert_eq!((talk.hears().as_str(), talk.conversation.may_leave()), (":1\r\n", false));
    talk.say("SET b 1; WAIT 1 0");
    assert_eq!(talk.sends(), "SET b 1");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "WAIT 1 0");
}

#[test]
fn a_write_right_before_the_first_wait_goes_where_it_can_be_answered() {
    let mut talk = Talk::aboard();
    talk.say("GET a; SET a 1; WAIT 1 0");
    assert_eq!(talk.hands_over(ALL), "", "what has not gone need not go there");
    assert!(talk.conversation.must_leave());
    talk.leaves();
    talk.attach();
    while talk.sends() != "GET a; SET a 1" {
        talk.answers(":0\r\n");
    }
    talk.answers("$-1\r\n+OK\r\n");
    assert_eq!(talk.sends(), "WAIT 1 0");
}

#[test]
fn wait_counts_what_was_written_over_a_connection_that_was_given_back() {
    // It wrote behind a SELECT, on an upstream of its own, and gave that back.
    let mut talk = Talk::aboard();
    talk.say("SELECT 1; SET a 1");
    talk.leaves();
    talk.attach();
    assert_eq!(talk.sends(), "SELECT 1; SET a 1");
    talk.answers("+OK\r\n+OK\r\n");
    assert!(talk.conversation.may_leave());
    talk.leaves();
    // A write behind WAIT is none before it.
    talk.say("WAIT 1 0; SET b 1");
    talk.attach();
    assert_eq!(talk.sends(), format!("SELECT 1; {MARK}"));
    talk.answers("+OK\r\n:0\r\n");
    assert_eq!(talk.sends(), "WAIT 1 0");
    talk.answers(":1\r\n");
    assert_eq!(talk.sends(), "SET b 1");
}

#[test]
fn the_same_is_true_where_nothing_is_shared_and_the_connection_was_opened_again() {
    for attached in [true, false] {
        let mut talk = Talk::attached();
        talk.say("SET a 1");
        talk.sends();
        talk.answers("+OK\r\n");
        talk.lost().expect("nothing is in flight");
        if attached {
            talk.attach();
            assert_eq!(talk.sends(), "");
        }
        talk.say("WAIT 1 0");
        if !attached {
            talk.attach();
        }
        assert_eq!(talk.sends(), MARK, "this one has written nothing, and would answer at once");
        talk.answers(":0\r\n");
        assert_eq!(talk.sends(), "WAIT 1 0");
    }
}

#[test]
fn who_may_not_leave_a_mark_is_told_so_until_it_writes() {
    let mut talk = Talk::aboard();
    writes(&mut talk);
    talk.say("WAIT 1 0; GET a");
    talk.leaves();
    talk.attach();
    assert_eq!(talk.sends(), MARK);
    talk.answers("-NOPERM this user has no permissions to run the 'publish' command\r\n");
    assert!(talk.hears().starts_with("-ERR mainstay: the primary refused this user PUBLISH to mainstay:wait"));
    assert_eq!(talk.sends(), "GET a");
    talk.answers("$-1\r\n");
    talk.say("WAIT 1 0");
    assert_eq!(talk.sends(), MARK, "it may by now");
    talk.answers("-NOPERM\r\n");
    assert!(talk.hears().contains("-ERR mainstay: the primary refused this user PUBLISH to mainstay:wait"));
    writes(&mut talk);
    talk.say("WAIT 1 0");
    assert_eq!(talk.sends(), "WAIT 1 0");
}

#[test]
fn what_was_written_over_its_own_is_waited_for_there() {
    let mut talk = Talk::aboard();
    writes(&mut talk);
    // Knows its connection: its own for good.
    talk.say("CLIENT ID");
    talk.leaves();
    talk.attach();
    talk.sends();
    talk.answers(":7\r\n");
    talk.hears();
    writes(&mut talk);
    talk.say("WAIT 1 0");
    assert_eq!((talk.hears().as_str(), talk.sends().as_str()), ("", "WAIT 1 0"), "the last write was over this one");
}
