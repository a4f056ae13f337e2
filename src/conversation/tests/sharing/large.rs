//! Large replies and clients that do not read.

use super::*;

/// A reply that comes in parts: its beginning is told to be too large.
fn large(talk: &mut Talk) -> bool {
    let defers = talk.conversation.defers_large();
    for part in ["$8\r\n12", "34567", "8\r\n"] {
        let next = talk.turn(|conversation, turn| conversation.upstream_said(part.as_bytes(), turn)).expect("it goes on");
        assert_eq!(next, Next::Continue);
    }
    defers
}

#[test]
fn a_large_reply_to_a_read_is_asked_for_again_on_an_upstream_of_its_own_in_order() {
    let mut talk = Talk::aboard();
    talk.say("GET a; GET big; GET c; SET d 1");
    assert_eq!(talk.hands_over(3), "GET a; GET big; GET c");
    talk.replies(&["$1\r\n1\r\n"]);
    assert_eq!(talk.hands_over(0), "");
    assert!(large(&mut talk), "only reads are in flight");
    assert!(!talk.conversation.doubts(), "nobody has to look");
    assert_eq!((talk.hears().as_str(), talk.hands_over(ALL).as_str()), ("$1\r\n1\r\n", ""), "nothing overtakes it");
    assert!(!talk.conversation.must_leave(), "one is in flight");
    assert_eq!(talk.replies(&["$1\r\n3\r\n"]), Next::Continue);
    assert!(talk.conversation.must_leave());
    talk.leaves();
    assert_eq!((talk.conversation.need(), talk.conversation.pin()), (Need::Own, Some(Pin::Large)));
    talk.attach();
    assert_eq!(talk.sends(), "GET big; GET c; SET d 1");
    talk.answers("$8\r\n12345678\r\n$1\r\n3\r\n+OK\r\n");
    assert_eq!(talk.hears(), "$8\r\n12345678\r\n$1\r\n3\r\n+OK\r\n");
}

#[test]
fn where_anything_in_flight_may_change_something_a_large_reply_passes() {
    for (commands, behind) in [
        ("GET big; SET a 1", "+OK\r\n"),
        ("GET big; SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ("SORT big; GET a", "$-1\r\n"),
        ("EVAL x 0; GET a", "$-1\r\n"),
    ] {
        let mut talk = Talk::aboard();
        talk.say(commands);
        assert_eq!(talk.hands_over(ALL), commands);
        assert!(!large(&mut talk), "{commands}");
        talk.replies(&[behind]);
        assert_eq!(talk.hears(), format!("$8\r\n12345678\r\n{behind}"), "{commands}");
        assert_eq!(talk.conversation.tie(), Some(Pin::Large), "its next requests go alone");
    }
    let mut talk = Talk::aboard();
    talk.say("MULTI; GET big; EXEC");
    talk.hands_over(ALL);
    talk.replies(&["+OK\r\n", "+QUEUED\r\n"]);
    assert!(!talk.conversation.defers_large());
}

#[test]
fn what_is_refused_behind_a_deferred_reply_is_told_in_its_turn() {
    let mut talk = Talk::aboard();
    talk.say("GET big; GET a; LRANGE s 0 1");
    talk.hands_over(ALL);
    assert!(large(&mut talk));
    talk.replies(&["-LOADING Redis is loading the dataset in memory\r\n", "-WRONGTYPE\r\n"]);
    assert!(talk.conversation.doubts(), "control has to look at that");
    assert_eq!((talk.hears().as_str(), talk.conversation.must_leave()), ("", false));
    talk.turn(Conversation::primary_stays).expect("it goes on");
    assert!(talk.conversation.must_leave());
    talk.leaves();
    talk.attach();
    assert_eq!(talk.sends(), "GET big; LRANGE s 0 1");
    talk.answers("$-1\r\n-WRONGTYPE\r\n");
    assert_eq!(talk.hears(), "$-1\r\n-LOADING Redis is loading the dataset in memory\r\n-WRONGTYPE\r\n");
}

#[test]
fn a_deferred_reply_outlives_its_upstream_and_its_epoch() {
    for departure in [None, Some(Departure::Demoted), Some(Departure::Replaced), Some(Departure::Gone)] {
        let mut talk = Talk::aboard();
        talk.say("GET big; GET a");
        talk.hands_over(ALL);
        assert!(large(&mut talk));
        match departure {
            None => talk.lost().expect("both are reads"),
            Some(left) => match talk.withdraw(left).expect("both are reads") {
                Withdrawn::Drain => assert_eq!(talk.replies(&["$1\r\n1\r\n"]), Next::DropUpstream(None)),
                Withdrawn::Drop => {}
            },
        }
        assert_eq!((talk.hears().as_str(), talk.conversation.need()), ("", Need::Own), "{departure:?}");
        talk.move_on();
        assert_eq!(talk.sends(), "GET big; GET a", "{departure:?}");
    }
}

#[test]
fn who_goes_alone_for_large_replies_shares_again_after_a_while() {
    let mut talk = Talk::aboard();
    talk.conversation.goes_alone();
    talk.say("GET a");
    assert_eq!((talk.hands_over(ALL).as_str(), talk.conversation.must_leave()), ("", true));
    talk.leaves();
    talk.attach();
    for answered in 0..64 {
        assert!(!talk.conversation.may_leave(), "after {answered}");
        if answered > 0 {
            talk.say("GET a");
        }
        assert_eq!(talk.sends(), "GET a");
        talk.answers("$-1\r\n");
    }
    assert!(talk.conversation.may_leave());
    talk.leaves();
    talk.say("GET a");
    assert_eq!(talk.conversation.need(), Need::Shared);
}

#[test]
fn a_reply_in_parts_that_is_lost_in_the_middle_ends_the_session() {
    let mut talk = Talk::aboard();
    talk.say("GET big; SET a 1");
    talk.hands_over(ALL);
    assert!(!talk.conversation.defers_large());
    talk.turn(|conversation, turn| conversation.upstream_said(b"$8\r\n12", turn)).expect("it passes");
    assert_eq!(talk.hears(), "$8\r\n12");
    talk.lost().expect_err("the client has the beginning");
}
