//! What may travel over an upstream that others use as well, what may not, and how a session goes from one kind to the other.

mod busy;
mod journeys;
mod large;
mod same;
mod unfinished;
mod wait;

use super::*;

/// Room for all that a test asks.
const ALL: usize = 1000;

/// Why the session needs an upstream of its own when its client has said this; None where it needs none.
fn pinned_by(said: &[u8]) -> Option<Pin> {
    let mut talk = Talk::sharing();
    talk.turn(|conversation, turn| conversation.client_said(said, turn)).expect("the session goes on");
    let pin = talk.conversation.pin();
    let need = if pin.is_some() { Need::Own } else { Need::Shared };
    assert_eq!(talk.conversation.need(), need, "{}", said.escape_ascii());
    // What is true of what waits is true of what is about to be sent.
    talk.board();
    assert_eq!(talk.hands_over(ALL).is_empty(), pin.is_some(), "{}", said.escape_ascii());
    assert_eq!(talk.conversation.must_leave(), pin.is_some(), "{}", said.escape_ascii());
    pin
}

fn requests(commands: &str) -> Vec<u8> {
    commands.split("; ").flat_map(|command| remembered::request(command.split(' '))).collect()
}

#[test]
fn what_leaves_nothing_behind_travels_and_all_else_has_its_reason() {
    for (commands, pin) in [
        ("GET a", None),
        ("SET a 1", None),
        ("get a", None),
        ("PUBLISH c 1", None),
        ("INFO", None),
        ("EVAL x 0", None),
        ("EVALSHA ffffffffffffffffffffffffffffffffffffffff 0", None),
        ("FCALL f 0", None),
        ("SCRIPT LOAD x", None),
        ("SCRIPT FLUSH", None),
        ("SCAN 0", None),
        ("UNWATCH", None),
        ("XREAD COUNT 1 STREAMS s 0", None),
        ("CLIENT REPLY ON", None),
        ("MULTI; SET a 1; GET a; EXEC", None),
        ("MULTI; EXEC", None),
        ("MULTI; XREAD COUNT 1 STREAMS s 0; EXEC", None),
        ("MULTI; SET a 1; DISCARD", Some(Pin::Transaction)),
        ("MULTI x; SET a 1; EXEC", Some(Pin::Transaction)),
        ("MULTI; SET a 1; EXEC x", Some(Pin::Transaction)),
        ("MULTI", Some(Pin::Transaction)),
        ("MULTI; SET a 1", Some(Pin::Transaction)),
        ("EXEC", Some(Pin::Transaction)),
        ("DISCARD", Some(Pin::Transaction)),
        ("MULTI; MULTI; EXEC", Some(Pin::Transaction)),
        ("MULTI; SELECT 1; EXEC", Some(Pin::Transaction)),
        ("MULTI; WATCH a; EXEC", Some(Pin::Transaction)),
        ("MULTI; SUBSCRIBE c; EXEC", Some(Pin::Transaction)),
        ("MULTI; FOO.BAR; EXEC", Some(Pin::Transaction)),
        ("MULTI; RESET", Some(Pin::Transaction)),
        ("WATCH a", Some(Pin::Watch)),
        ("BRPOP q 0", Some(Pin::Blocked)),
        ("BLMPOP 0 1 q LEFT", Some(Pin::Blocked)),
        ("XREAD BLOCK 0 STREAMS s 0", Some(Pin::Blocked)),
        ("XREAD BLOCK 0 STREAMS s $", Some(Pin::Blocked)),
        ("SUBSCRIBE c", Some(Pin::Subscription)),
        ("PSUBSCRIBE c*", Some(Pin::Subscription)),
        ("SSUBSCRIBE c", Some(Pin::Subscription)),
        ("UNSUBSCRIBE", Some(Pin::Subscription)),
        ("CLIENT TRACKING ON", Some(Pin::Tracking)),
        ("WAIT 1 0", Some(Pin::Wait)),
        ("WAITAOF 1 0 0", Some(Pin::Wait)),
        ("HELLO 3", Some(Pin::State)),
        ("AUTH secret", Some(Pin::State)),
        ("SELECT 1", Some(Pin::State)),
        ("CLIENT SETNAME me", Some(Pin::State)),
        ("CLIENT SETINFO LIB-NAME me", Some(Pin::State)),
        ("CLIENT NO-EVICT ON", Some(Pin::State)),
        ("CLIENT NO-TOUCH ON", Some(Pin::State)),
        ("RESET", Some(Pin::State)),
        ("CLIENT ID", Some(Pin::Identity)),
        ("CLIENT INFO", Some(Pin::Identity)),
        ("CLIENT GETNAME", Some(Pin::Identity)),
        ("CLIENT LIST", Some(Pin::Identity)),
        ("READONLY", Some(Pin::Identity)),
        ("ASKING", Some(Pin::Identity)),
        ("CLIENT REPLY OFF", Some(Pin::Unknown)),
        ("CLIENT REPLY SKIP", Some(Pin::Unknown)),
        ("CLIENT KILL ID 3", Some(Pin::Unknown)),
        ("DEBUG SLEEP 1", Some(Pin::Unknown)),
        ("SHUTDOWN", Some(Pin::Unknown)),
        ("FOO.BAR a", Some(Pin::Unknown)),
        ("SCRIPT DEBUG YES", Some(Pin::Unknown)),
        ("MONITOR", Some(Pin::Unknown)),
        ("SYNC", Some(Pin::Unknown)),
    ] {
        assert_eq!(pinned_by(&requests(commands)), pin, "{commands}");
    }
}

#[test]
fn what_is_typed_by_hand_or_large_travels_alone() {
    assert_eq!(pinned_by(b"GET a\r\n"), Some(Pin::Unknown));
    assert_eq!(pinned_by(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$70000\r\nxxx"), Some(Pin::Large));
    let whole = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$70000\r\n{}", "x".repeat(70_000));
    assert_eq!(pinned_by(whole.as_bytes()), Some(Pin::Large));
}

#[test]
fn what_would_block_if_its_multi_were_refused_travels_in_no_transaction() {
    for blocks in ["BRPOP q 0", "BLMPOP 0 1 q LEFT", "XREAD BLOCK 0 STREAMS s 0", "WAIT 1 0"] {
        assert_eq!(pinned_by(&requests(&format!("MULTI; {blocks}; EXEC"))), Some(Pin::Transaction), "{blocks}");
    }
    // Once the client knows that it is in no transaction, it asks as anybody does.
    let mut talk = Talk::aboard();
    talk.say("MULTI; GET a; EXEC");
    talk.hands_over(ALL);
    talk.replies(&["-NOPERM\r\n"]);
    talk.say("BRPOP q 0");
    talk.replies(&["$-1\r\n", "-ERR EXEC without MULTI\r\n"]);
    assert_eq!(talk.conversation.obstacle(), Some(Pin::Blocked));

    let mut talk = Talk::sharing();
    talk.attach();
    talk.say("MULTI");
    talk.sends();
    talk.answers("-NOPERM\r\n");
    talk.say("BRPOP q 0");
    assert_eq!(talk.sends(), "CLIENT ID; BRPOP q 0", "nobody is in a transaction");
}

#[test]
fn requests_are_handed_over_in_order_and_up_to_what_may_not_travel() {
    let mut talk = Talk::aboard();
    talk.say("GET a; SET b 1; SELECT 1; GET c");
    assert_eq!(talk.hands_over(1), "GET a");
    assert_eq!(talk.hands_over(ALL), "SET b 1");
    assert!(talk.conversation.has_unsent() && !talk.conversation.must_leave(), "two are in flight");
    talk.replies(&["$1\r\n1\r\n"]);
    assert_eq!((talk.hands_over(ALL).as_str(), talk.conversation.must_leave()), ("", false));
    talk.replies(&["+OK\r\n"]);
    assert_eq!((talk.hands_over(ALL).as_str(), talk.conversation.must_leave()), ("", true));
    talk.leaves();
    assert_eq!((talk.conversation.need(), talk.conversation.pin()), (Need::Own, Some(Pin::State)));
    talk.attach();
    assert_eq!(talk.sends(), "SELECT 1; GET c");
    assert_eq!(talk.hears(), "$1\r\n1\r\n+OK\r\n");
    assert!(talk.heard.retried.is_empty());
}

#[test]
fn a_transaction_goes_in_one_piece_or_waits() {
    let unit = "MULTI; SET a 1; GET a; EXEC";
    let mut talk = Talk::aboard();
    talk.say(&format!("GET a; {unit}; GET z"));
    for most in 1..5 {
        let mut talk = Talk::aboard();
        talk.say(&format!("GET a; {unit}; GET z"));
        assert_eq!(talk.hands_over(most), "GET a", "no room for five, and {most} are no transaction");
        talk.replies(&["$-1\r\n"]);
        assert!(!talk.conversation.must_leave());
        // With nothing of its own in flight the others wait for four at most.
        assert_eq!(talk.hands_over(most), unit);
        assert_eq!(talk.hands_over(0), "");
    }
    assert_eq!(talk.hands_over(5), format!("GET a; {unit}"));
    assert_eq!(talk.hands_over(5), "GET z");
    talk.replies(&["$-1\r\n", "+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n"]);
    assert_eq!((talk.conversation.pin(), talk.conversation.must_leave()), (None, false), "its end is on its way");
    talk.replies(&["*2\r\n+OK\r\n$1\r\n1\r\n", "$-1\r\n"]);
    assert_eq!(talk.heard.answered, 6);
    assert_eq!((talk.conversation.pin(), talk.conversation.need()), (None, Need::Nothing));
}

#[test]
fn a_transaction_travels_up_to_what_can_be_asked_again() {
    let set = |value: usize| format!("MULTI; SET a {}; EXEC", "x".repeat(value));
    let around = requests(&set(60_000)).len() - 60_000;
    // What is kept is 64 KiB; that is how long they are together, in the first case to the byte.
    for (value, travels) in [(64 * 1024 - around, true), (64 * 1024 - around + 1, false)] {
        let mut talk = Talk::aboard();
        talk.say(&set(value));
        assert_eq!(talk.conversation.obstacle().is_none(), travels, "{value}");
        let handed = talk.hands_over(ALL);
        assert_eq!(handed.starts_with("MULTI; SET a xxx") && handed.ends_with("x; EXEC"), travels);
        assert_eq!((handed.is_empty(), talk.conversation.must_leave()), (!travels, !travels));
    }
    // Behind others it waits until it fits.
    let mut talk = Talk::aboard();
    talk.say(&format!("GET {}; {}", "a".repeat(30_000), set(40_000)));
    assert!(talk.hands_over(ALL).starts_with("GET aaa"));
    assert_eq!(talk.hands_over(ALL), "");
    talk.replies(&["$-1\r\n"]);
    assert!(talk.hands_over(ALL).starts_with("MULTI; SET a xxx"));
    // Very many commands would keep the others waiting.
    for (gets, travels) in [(500, true), (600, false)] {
        let mut talk = Talk::aboard();
        talk.say(&format!("MULTI; {}EXEC", "GET a; ".repeat(gets)));
        assert_eq!((talk.hands_over(1).is_empty(), talk.conversation.must_leave()), (!travels, !travels), "{gets}");
    }
}

#[test]
fn requests_in_flight_are_no_more_than_can_be_asked_again() {
    let mut talk = Talk::aboard();
    let set = format!("SET a {}", "x".repeat(30_000));
    talk.say(&[&*set; 5].join("; "));
    assert_eq!(talk.hands_over(ALL).matches("SET").count(), 2);
    assert_eq!(talk.hands_over(ALL), "");
    talk.replies(&["+OK\r\n"]);
    assert_eq!(talk.hands_over(ALL).matches("SET").count(), 1);
    talk.replies(&["+OK\r\n", "+OK\r\n"]);
    assert_eq!(talk.hands_over(ALL).matches("SET").count(), 2);
    assert_eq!(talk.withdraw(Departure::Gone).map(|_| ()).map_err(|close| close.fault), Err(Fault::Write));
}
