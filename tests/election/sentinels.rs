//! Rule 3b: the word of the Sentinels beside the facts, on recordings of real failovers.

use mainstay::topology::sentinel::{Named, Place, Word};

use crate::replay::Replay;

fn foreign(config_epoch: u64) -> Word {
    let place = Place { host: "elsewhere".into(), port: 6379 };
    Word::Names(Named { backend: None, place, config_epoch, votes: 2, known: 3 })
}

#[test]
fn a_promoted_replica_is_held_back_until_the_majority_names_it_and_then_served_at_once() {
    let mut play = Replay::of("sentinel_planned");
    play.sentinels_name("a", 0).until("SENTINEL FAILOVER");
    assert_eq!(play.story(), ["0: a elected, only"]);
    play.until_ms(1_600);
    assert_eq!(
        play.story(),
        ["1: a lost, succeeded"],
        "it says role:master and proves it, while the Sentinels still name the old one"
    );
    assert_eq!(play.rule(), "disputed");
    play.sentinels_say(Word::Changing("one is ahead".into())).until_ms(1_650);
    assert_eq!((play.story(), play.rule()), (vec![], "disputed"));
    play.sentinels_name("b", 1);
    assert_eq!(play.story(), ["1: b elected, proof"]);
    play.finish();
    assert!(play.story().is_empty(), "the old one is a writable master until second 11: nobody goes back to it");
    assert_eq!(play.primary(), Some("b"));
}

#[test]
fn after_a_crash_the_one_that_the_sentinels_promoted_is_served_when_they_agree() {
    let mut play = Replay::of("sentinel_crash");
    play.sentinels_name("a", 0).until("a killed");
    play.until_ms(3_500);
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down"]);
    assert_eq!(play.rule(), "disputed", "b proves it, the Sentinels name the dead one");
    play.sentinels_name("b", 1);
    assert_eq!(play.story(), ["1: b elected, proof"]);
    play.finish();
    assert!(play.story().is_empty(), "the old one came back as a master, without data");
}

#[test]
fn between_two_that_say_role_master_the_sentinels_decide_when_the_window_is_over_and_may_think_better_of_it() {
    let mut play = Replay::of("sentinel_crash");
    play.sentinels_name("a", 0).until("a started");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down"]);
    play.until_ms(5_600);
    assert_eq!((play.story(), play.rule()), (vec![], "disputed"), "a is back as a master, b proves that it succeeds it");
    play.until_ms(6_500);
    assert_eq!(play.story(), ["1: a elected, sentinel"]);
    assert_eq!(play.rivals(), ["b"], "outvoted");
    play.until_ms(14_000);
    assert!(play.story().is_empty(), "and that is not asked again");
    play.sentinels_name("b", 1);
    assert_eq!(play.story(), ["2: a lost, sentinel", "2: b elected, sentinel"]);
}

#[test]
fn a_promotion_by_hand_that_is_taken_back_while_it_is_held_has_moved_nobody() {
    let mut play = Replay::of("promoted_beside_living");
    play.sentinels_name("a", 4).until("REPLICAOF NO ONE to b");
    assert_eq!(play.story(), ["0: a elected, only"]);
    play.until("REPLICAOF a to b");
    assert_eq!((play.story(), play.rule()), (vec!["1: a lost, succeeded".into()], "disputed"));
    play.finish();
    assert_eq!(play.story(), ["1: a elected, only"]);
}

#[test]
fn a_sentinel_that_praises_a_replica_changes_nothing() {
    let mut play = Replay::of("sentinel_planned");
    play.until("SENTINEL FAILOVER");
    assert_eq!(play.story(), ["0: a elected, only"]);
    play.sentinels_name("c", 9).until_ms(600);
    assert!(play.story().is_empty());
    assert_eq!(play.primary(), Some("a"));
}

#[test]
fn a_majority_that_names_what_mainstay_cannot_see_takes_the_traffic_from_the_present_primary() {
    let mut play = Replay::of("sentinel_planned");
    play.sentinels_name("a", 0).until("SENTINEL FAILOVER");
    play.story();
    play.sentinels_say(foreign(1));
    assert_eq!(play.story(), ["1: a lost, sentinel"]);
    play.until_ms(650);
    assert_eq!((play.story(), play.rule()), (vec![], "disputed"), "a says role:master, without proof against that");
    play.sentinels_name("a", 2);
    assert_eq!(play.story(), ["1: a elected, only"]);
}

#[test]
fn no_sentinel_at_all_changes_nothing() {
    for word in [Word::None("no Sentinel answers".into()), Word::NotAsked] {
        let mut play = Replay::of("sentinel_planned");
        play.sentinels_say(word).finish();
        assert_eq!(play.story(), ["0: a elected, only", "1: a lost, succeeded", "1: b elected, proof"]);
    }
    let mut play = Replay::of("sentinel_planned");
    play.sentinels_say(Word::Awaited).until("SENTINEL FAILOVER");
    assert_eq!((play.story(), play.rule()), (vec![], "unproved"), "they have not been heard yet");
}

#[test]
fn an_operator_outranks_the_sentinels() {
    let mut play = Replay::of("two_masters_from_the_start");
    play.sentinels_say(foreign(3)).finish();
    assert_eq!((play.story(), play.rule()), (vec![], "disputed"), "one is followed by most, and that is no proof");
    play.group.elect("b", play.moment()).expect("it says role:master");
    play.settle();
    assert_eq!(play.story(), ["0: b elected, operator"]);
    play.sentinels_say(foreign(3));
    assert!(play.story().is_empty(), "the same word as before");
    play.sentinels_say(foreign(4));
    assert!(play.story().is_empty(), "another one, of those who never named the present primary");
    play.sentinels_name("b", 5).sentinels_say(foreign(6));
    assert_eq!(play.story(), ["1: b lost, sentinel"], "they did, and have news");
}

#[test]
fn the_sentinels_settle_a_tie() {
    let mut play = Replay::of("two_masters_from_the_start");
    play.sentinels_name("b", 3).finish();
    assert_eq!(play.story(), ["0: b elected, sentinel"]);
}

#[test]
fn old_news_of_a_dead_one_takes_nothing_from_a_primary_that_lives() {
    let mut play = Replay::of("sentinel_planned");
    play.sentinels_name("a", 5).until("SENTINEL FAILOVER");
    play.story();
    // All of them were set up anew, and name what is gone.
    play.sentinels_say(foreign(0));
    assert!(play.story().is_empty());
    let mut play = Replay::of("sentinel_planned");
    play.until("SENTINEL FAILOVER");
    play.story();
    play.sentinels_say(foreign(3));
    assert!(play.story().is_empty(), "they never named the present one");
}

#[test]
fn where_the_sentinels_are_gone_nobody_stays_outvoted_by_them() {
    let mut play = Replay::of("sentinel_crash");
    play.sentinels_name("a", 0).until_ms(6_500);
    assert_eq!(play.primary(), Some("a"), "the Sentinels decided for it");
    play.sentinels_say(Word::NotAsked);
    assert_eq!(play.primary(), Some("a"));
    play.until_ms(14_000);
    assert_eq!(play.rivals(), ["b"]);
    play.finish();
    assert_eq!(play.primary(), Some("b"), "a follows it now");
}
