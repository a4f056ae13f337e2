//! From a shared upstream to one of its own and back: what is told there, what a shared one is chosen by, what is lost on the way.

use super::*;

/// The session asks this on an upstream of its own, is answered, and gives it back.
pub(super) fn changes(talk: &mut Talk, command: &str, reply: &str) {
    talk.say(command);
    assert_eq!(talk.conversation.need(), Need::Own, "{command}");
    talk.attach();
    while talk.sends() != command {
        talk.answers("+OK\r\n");
    }
    talk.answers(reply);
    assert!(talk.conversation.may_leave(), "{command}");
    talk.leaves();
    assert_eq!(talk.conversation.need(), Need::Nothing);
}

fn key_after(changed: &[(&str, &str)]) -> ConnectionKey {
    let mut talk = Talk::sharing();
    changed.iter().for_each(|(command, reply)| changes(&mut talk, command, reply));
    talk.conversation.connection_key()
}

fn opening(key: &ConnectionKey) -> String {
    commands_in(&key.opening().concat()).join("; ")
}

const HELLO: &str = "%1\r\n$5\r\nproto\r\n:3\r\n";

#[test]
fn a_shared_upstream_is_chosen_by_who_where_and_how_and_by_nothing_else() {
    let nobody = ConnectionKey::default();
    assert_eq!(opening(&nobody), "");
    for same in [
        &[("SELECT 0", "+OK\r\n")][..],
        &[("SELECT 3", "+OK\r\n"), ("SELECT 0", "+OK\r\n")],
        &[("SELECT 3", "-ERR DB index is out of range\r\n")],
        &[("AUTH me secret", "-WRONGPASS\r\n")],
        &[("HELLO 3", "-NOPROTO\r\n")],
        &[("HELLO 2", "*0\r\n")],
        &[("CLIENT SETNAME me", "+OK\r\n"), ("CLIENT SETINFO LIB-NAME me", "+OK\r\n"), ("CLIENT NO-EVICT OFF", "+OK\r\n")],
        &[("AUTH me secret", "+OK\r\n"), ("HELLO 3", HELLO), ("SELECT 3", "+OK\r\n"), ("RESET", "+RESET\r\n")],
    ] {
        assert_eq!(key_after(same), nobody, "{same:?}");
    }
    let all = key_after(&[("SELECT 3", "+OK\r\n"), ("HELLO 3 AUTH me secret SETNAME x", HELLO)]);
    assert_eq!(opening(&all), "SELECT 3; AUTH me secret; HELLO 3", "the user may not be allowed to select");
    let usual = key_after(&[("AUTH me secret", "+OK\r\n"), ("HELLO 3", HELLO), ("SELECT 3", "+OK\r\n")]);
    assert_eq!((opening(&usual).as_str(), usual == all), ("AUTH me secret; HELLO 3; SELECT 3", false));
    assert_eq!(opening(&key_after(&[("AUTH secret", "+OK\r\n")])), "AUTH secret");
}

#[test]
fn no_two_users_passwords_databases_or_protocols_share() {
    let of = |commands: &[&str]| {
        let changed: Vec<(&str, &str)> =
            commands.iter().map(|one| (*one, if one.starts_with("HELLO") { HELLO } else { "+OK\r\n" })).collect();
        key_after(&changed)
    };
    let keys = [
        of(&[]),
        of(&["AUTH secret"]),
        of(&["AUTH secreT"]),
        of(&["AUTH secret1"]),
        of(&["AUTH me secret"]),
        of(&["AUTH mes ecret"]),
        of(&["AUTH you secret"]),
        of(&["AUTH me secres"]),
        of(&["AUTH default secret"]),
        of(&["SELECT 1"]),
        of(&["SELECT 2"]),
        of(&["HELLO 3"]),
        of(&["HELLO 3", "SELECT 1"]),
        of(&["HELLO 3 AUTH me secret"]),
        of(&["AUTH me secret", "SELECT 1"]),
    ];
    for (mine, one) in keys.iter().enumerate() {
        for (others, other) in keys.iter().enumerate() {
            assert_eq!(one == other, mine == others, "{mine} and {others}");
        }
        let shown = format!("{one:?} {one:#?}");
        assert!(!shown.contains("secre") && !shown.contains("ecret") && !shown.contains("115, 101"), "{shown}");
    }
}

#[test]
fn who_changes_its_connection_shares_again_with_those_that_are_alike() {
    let mut talk = Talk::aboard();
    talk.say("SELECT 3; GET a");
    assert!(talk.conversation.must_leave());
    talk.leaves();
    talk.attach();
    assert_eq!(talk.sends(), "SELECT 3; GET a", "what waits behind it goes with it");
    talk.answers("+OK\r\n");
    assert!(!talk.conversation.may_leave(), "one is in flight");
    talk.answers("$-1\r\n");
    assert!(talk.conversation.may_leave());
    talk.leaves();
    talk.say("GET b");
    assert_eq!((talk.conversation.need(), opening(&talk.conversation.connection_key()).as_str()), (Need::Shared, "SELECT 3"));
    talk.board();
    assert_eq!(talk.hands_over(ALL), "GET b", "whoever opened it has selected");
}

#[test]
fn an_upstream_is_given_up_exactly_when_nothing_of_it_is_needed() {
    for (begins, reply, ends, last) in [
        ("MULTI", "+OK\r\n", "DISCARD", "+OK\r\n"),
        ("MULTI", "+OK\r\n", "EXEC", "*0\r\n"),
        ("WATCH a", "+OK\r\n", "UNWATCH", "+OK\r\n"),
        ("WATCH a", "+OK\r\n", "RESET", "+RESET\r\n"),
        (
            "SUBSCRIBE c",
            "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
            "UNSUBSCRIBE",
            "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n",
        ),
        ("CLIENT TRACKING ON", "+OK\r\n", "CLIENT TRACKING OFF", "+OK\r\n"),
        ("CLIENT NO-EVICT ON", "+OK\r\n", "CLIENT NO-EVICT OFF", "+OK\r\n"),
    ] {
        let mut talk = Talk::sharing();
        talk.say(begins);
        talk.attach();
        assert!(!talk.conversation.may_leave());
        assert_eq!(talk.sends(), begins);
        assert!(!talk.conversation.may_leave());
        talk.answers(reply);
        assert!(!talk.conversation.may_leave() && talk.conversation.pin().is_some(), "{begins}");
        talk.say(ends);
        assert!(!talk.conversation.may_leave());
        assert_eq!(talk.sends(), ends);
        let (first, rest) = last.split_at(last.len() - 1);
        talk.answers(first);
        assert!(!talk.conversation.may_leave(), "in the middle of {ends}");
        talk.answers(rest);
        assert!(talk.conversation.may_leave() && talk.conversation.pin().is_none(), "{ends}");
    }
}

#[test]
fn a_blocked_client_shares_again_when_it_has_its_answer() {
    let mut talk = Talk::sharing();
    talk.say("BRPOP q 0; GET a");
    talk.attach();
    assert_eq!(talk.sends(), "CLIENT ID");
    talk.answers(":7\r\n");
    assert_eq!(talk.sends(), "BRPOP q 0");
    assert_eq!((talk.conversation.pin(), talk.conversation.may_leave()), (Some(Pin::Blocked), false));
    talk.answers("*-1\r\n");
    assert!(talk.conversation.may_leave(), "GET may travel");
    talk.leaves();
    assert_eq!(talk.conversation.need(), Need::Shared);
    talk.board();
    assert_eq!((talk.hands_over(ALL).as_str(), talk.conversation.blocked_as()), ("GET a", None));
}

#[test]
fn who_knows_its_connection_keeps_it() {
    for command in ["CLIENT ID", "CLIENT INFO", "READONLY"] {
        let mut talk = Talk::sharing();
        talk.say(command);
        talk.attach();
        talk.sends();
        talk.answers("+OK\r\n");
        talk.say("GET a");
        talk.sends();
        talk.answers("$-1\r\n");
        assert_eq!((talk.conversation.may_leave(), talk.conversation.pin()), (false, Some(Pin::Identity)), "{command}");
    }
    let mut talk = Talk::sharing();
    changes(&mut talk, "CLIENT GETNAME", "$-1\r\n");
}

#[test]
fn the_state_of_before_is_told_first_and_the_clients_words_behind_that() {
    let mut talk = Talk::sharing();
    for (command, reply) in [("AUTH me secret", "+OK\r\n"), ("SELECT 2", "+OK\r\n")] {
        changes(&mut talk, command, reply);
    }
    talk.say("WATCH a");
    talk.attach();
    for (told, reply) in [("AUTH me secret", "+OK\r\n"), ("SELECT 2", "+OK\r\n"), ("WATCH a", "+OK\r\n")] {
        assert_eq!(talk.sends(), told);
        talk.answers(reply);
    }
    assert_eq!(talk.hears().matches("+OK").count(), 3, "to both changes and to WATCH");
}

#[test]
fn where_streams_are_read_from_their_end_is_asked_whatever_the_upstream_was() {
    let mut talk = Talk::aboard();
    talk.say("GET a; SELECT 1; XREAD BLOCK 0 STREAMS s $; XREAD BLOCK 0 STREAMS t $");
    assert_eq!(talk.hands_over(ALL), "GET a");
    talk.replies(&["$-1\r\n"]);
    talk.leaves();
    talk.attach();
    assert_eq!(talk.sends(), "CLIENT ID");
    talk.answers(":7\r\n");
    assert_eq!(talk.sends(), "SELECT 1; XREVRANGE s + - COUNT 1");
    talk.answers("+OK\r\n*1\r\n*2\r\n$3\r\n5-1\r\n*0\r\n");
    assert_eq!(talk.sends(), "XREAD BLOCK 0 STREAMS s $");
    talk.lost().expect("blocked");
    talk.move_on();
    assert_eq!(talk.sends(), "SELECT 1; CLIENT ID");
    talk.answers("+OK\r\n:8\r\n");
    assert_eq!(talk.sends(), "XREAD BLOCK 0 STREAMS s 5-1");
    talk.answers("*-1\r\n");
    assert_eq!(talk.sends(), "XREVRANGE t + - COUNT 1; XREAD BLOCK 0 STREAMS t $");
}

#[test]
fn scripts_are_loaded_before_their_digests_are_used_over_a_shared_upstream_too() {
    let mut talk = Talk::aboard();
    let digest = sha1_smol::Sha1::from("x").digest().to_string();
    talk.say(&format!("EVAL x 0; EVALSHA {digest} 0"));
    assert_eq!(talk.hands_over(ALL), format!("EVAL x 0; SCRIPT LOAD x; EVALSHA {digest} 0"));
    talk.replies(&["$-1\r\n", &format!("$40\r\n{digest}\r\n"), "$-1\r\n"]);
    assert_eq!(talk.hears(), "$-1\r\n$-1\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say(&format!("EVALSHA {digest} 0"));
    talk.epoch += 1;
    talk.board();
    assert_eq!(talk.hands_over(ALL), "SCRIPT LOAD x");
    talk.replies(&[&format!("$40\r\n{digest}\r\n")]);
    assert_eq!(talk.hands_over(ALL), format!("EVALSHA {digest} 0"));
}

/// What becomes of what is in flight when the upstream ends in this way.
fn ends(commands: &str, replies: &[&str], shared: bool, left: Option<Departure>) -> (String, String, Vec<&'static str>) {
    let mut talk = if shared { Talk::aboard() } else { Talk::attached() };
    talk.say(commands);
    assert_eq!(if shared { talk.hands_over(ALL) } else { talk.sends() }, commands);
    talk.replies(replies);
    let result = match left {
        None => format!("{:?}", talk.lost()),
        Some(left) => format!("{:?}", talk.withdraw(left)),
    };
    if result.starts_with("Err") {
        return (result, String::new(), talk.heard.retried);
    }
    let mut after = talk.hears();
    if result.contains("Drain") {
        // The end of a transaction is refused in other words.
        let abort = "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n";
        let last = if replies.len() < 2 || !commands.starts_with("MULTI") { READONLY } else { abort };
        let next = talk.turn(|conversation, turn| conversation.upstream_said(last.as_bytes(), turn));
        let again = talk.lost();
        after = format!("{after} {next:?} {again:?} {}", talk.hears());
        if again.is_err() {
            return (result, after, talk.heard.retried);
        }
    }
    // Both kinds go on somewhere of their own.
    if talk.conversation.wants_upstream() {
        talk.move_on();
        after = format!("{after}; then {}", talk.sends());
    }
    (result, after, talk.heard.retried)
}

#[test]
fn a_shared_upstream_that_ends_is_lost_by_the_same_rules_as_one_of_its_own() {
    let asked: [(&str, &[&str]); 10] = [
        ("GET a", &[]),
        ("SET a 1", &[]),
        ("GET a; SET a 1; GET b", &[]),
        ("SET a 1; GET b", &["+OK\r\n"]),
        ("MULTI; SET a 1; EXEC", &[]),
        ("MULTI; SET a 1; EXEC", &["+OK\r\n", "+QUEUED\r\n"]),
        ("MULTI; GET a; EXEC; GET b", &["+OK\r\n"]),
        ("EVAL x 0; GET a", &[]),
        ("SET a 1; GET b; SET c 1", &[READONLY]),
        ("GET b; SCAN 0; PUBLISH c 1", &["$-1\r\n", "*2\r\n$1\r\n0\r\n*0\r\n"]),
    ];
    for (commands, replies) in asked {
        for left in [None, Some(Departure::Demoted), Some(Departure::Replaced), Some(Departure::Gone)] {
            let (own, shared) = (ends(commands, replies, false, left), ends(commands, replies, true, left));
            assert_eq!(own, shared, "{commands} after {replies:?}, {left:?}");
        }
    }
}

#[test]
fn a_connection_on_which_something_was_tracked_is_given_to_nobody_else() {
    let mut talk = Talk::sharing();
    talk.say("CLIENT TRACKING ON");
    talk.attach();
    talk.sends();
    talk.answers("+OK\r\n");
    talk.say("CLIENT TRACKING OFF");
    talk.sends();
    talk.answers("+OK\r\n");
    assert!(talk.conversation.may_leave());
    assert!(!talk.turn(Conversation::leave), "the server goes on knowing what was tracked there");
}
