//! A server that is busy with a script.

use super::journeys::changes;
use super::*;

const BUSY: &str = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";

/// Has selected a database, and shares.
fn in_database_9() -> Talk {
    let mut talk = Talk::sharing();
    changes(&mut talk, "AUTH me secret", "+OK\r\n");
    changes(&mut talk, "SELECT 9", "+OK\r\n");
    talk.hears();
    talk
}

#[test]
fn what_ends_a_script_goes_over_a_connection_that_is_told_no_more_than_who_asks() {
    let mut talk = in_database_9();
    talk.say("SCRIPT KILL");
    assert_eq!(talk.conversation.need(), Need::Own);
    talk.attach();
    assert_eq!(talk.sends(), "AUTH me secret", "SELECT would be refused");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "SCRIPT KILL");
    talk.say("GET a");
    assert_eq!(talk.sends(), "", "the wrong database is selected there");
    assert_eq!(talk.answers("+OK\r\n"), Next::Discard);
    assert_eq!((talk.hears().as_str(), talk.conversation.need()), ("+OK\r\n", Need::Shared));
}

#[test]
fn what_needs_more_hears_that_the_server_is_busy_and_the_session_goes_on() {
    let mut talk = in_database_9();
    talk.say("WATCH a; GET a");
    talk.attach();
    assert_eq!(talk.sends(), "AUTH me secret");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "SELECT 9");
    assert_eq!(talk.answers(BUSY), Next::Discard);
    assert_eq!(talk.hears(), BUSY.repeat(2));
    assert_eq!(talk.conversation.need(), Need::Nothing);
}

#[test]
fn a_transaction_that_was_begun_meanwhile_is_not_executed() {
    let mut talk = in_database_9();
    talk.say("MULTI");
    talk.attach();
    talk.sends();
    talk.answers("+OK\r\n");
    talk.sends();
    talk.answers(BUSY);
    talk.say("SET a 1; EXEC");
    talk.attach();
    for told in ["AUTH me secret", "SELECT 9", ""] {
        assert_eq!(talk.sends(), told);
        if !told.is_empty() {
            talk.answers("+OK\r\n");
        }
    }
    let heard = talk.hears();
    assert!(
        heard.starts_with("+OK\r\n") && heard.ends_with("-EXECABORT Transaction discarded because of previous errors.\r\n"),
        "{heard}"
    );
}

#[test]
fn what_only_reads_may_step_over_from_a_silent_connection_and_a_write_may_not() {
    for (said, may) in [("GET a; MGET a b", true), ("SET a 1", false), ("GET a; INCR b", false), ("MULTI; GET a; EXEC", false)] {
        let mut talk = Talk::aboard();
        talk.say(said);
        talk.hands_over(ALL);
        assert_eq!(talk.conversation.may_step_over(), may, "{said}");
    }
    let mut talk = Talk::aboard();
    talk.say("GET a; SCRIPT KILL");
    talk.hands_over(ALL);
    talk.leaves();
    let words = BUSY[1..].trim_end();
    talk.turn(|conversation, turn| conversation.refuse_as(words, turn));
    assert_eq!(talk.hears(), BUSY, "SCRIPT KILL is asked all the same");
    assert_eq!(talk.conversation.need(), Need::Own);
}

#[test]
fn who_may_not_select_is_told_to_the_next_connection_behind_the_database() {
    let mut talk = Talk::sharing();
    changes(&mut talk, "AUTH me secret", "+OK\r\n");
    changes(&mut talk, "SELECT 9", "+OK\r\n");
    let mine = talk.conversation.connection_key();
    changes(&mut talk, "AUTH other word", "+OK\r\n");
    let key = talk.conversation.connection_key();
    assert!(key != mine && key == key.clone());
    let said: Vec<String> = key.opening().iter().map(|step| commands_in(step).join("; ")).collect();
    assert_eq!(said, ["AUTH me secret", "SELECT 9", "AUTH other word"]);
    talk.say("WATCH a");
    talk.attach();
    for (told, reply) in [("AUTH me secret", "+OK\r\n"), ("SELECT 9", "+OK\r\n"), ("AUTH other word", "+OK\r\n")] {
        assert_eq!(talk.sends(), told);
        talk.answers(reply);
    }
    assert_eq!(talk.sends(), "WATCH a");
}

#[test]
fn a_name_that_may_not_be_given_any_more_ends_no_session() {
    let mut talk = Talk::sharing();
    changes(&mut talk, "CLIENT SETNAME worker", "+OK\r\n");
    changes(&mut talk, "AUTH other word", "+OK\r\n");
    talk.say("WATCH a");
    talk.attach();
    assert_eq!(talk.sends(), "AUTH other word");
    talk.answers("+OK\r\n");
    assert_eq!(talk.sends(), "CLIENT SETNAME worker");
    talk.answers("-NOPERM this user has no permissions to run the 'client|setname' command\r\n");
    assert_eq!(talk.sends(), "WATCH a");
}
