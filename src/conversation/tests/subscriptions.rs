//! Subscriptions, carried from one upstream to the next.

use super::*;

#[test]
fn what_was_confirmed_before_the_upstream_was_lost_is_not_confirmed_again() {
    let mut talk = Talk::attached();
    talk.say("SUBSCRIBE z");
    talk.sends();
    talk.answers("*3\r\n$9\r\nsubscribe\r\n$1\r\nz\r\n:1\r\n");
    talk.hears();
    talk.say("SUBSCRIBE a b");
    talk.sends();
    let first = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n";
    let second = "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:3\r\n";
    talk.answers(first);
    assert_eq!(talk.hears(), first);
    talk.lost().expect("a subscription");
    talk.move_on();
    assert_eq!(talk.sends(), "SUBSCRIBE z");
    talk.answers("*3\r\n$9\r\nsubscribe\r\n$1\r\nz\r\n:1\r\n");
    assert_eq!(talk.sends(), "SUBSCRIBE a b");
    talk.answers(first);
    talk.answers(second);
    assert_eq!(talk.hears(), second);
    talk.say("SUBSCRIBE c");
    talk.sends();
    let third = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:4\r\n";
    talk.answers(third);
    assert_eq!(talk.hears(), third);
}

#[test]
fn scripts_are_loaded_before_subscriptions_which_allow_little_else() {
    let mut talk = Talk::attached();
    talk.say("EVAL x 0");
    talk.sends();
    talk.answers(":1\r\n");
    talk.say("SUBSCRIBE z");
    talk.sends();
    talk.answers("*3\r\n$9\r\nsubscribe\r\n$1\r\nz\r\n:1\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say(&format!("RESET; EVALSHA {} 0", sha1_smol::Sha1::from("x").digest()));
    talk.move_on();
    assert_eq!(talk.sends(), "SCRIPT LOAD x; SUBSCRIBE z");
}
