//! Promotions beside a living primary, after a crash, and of servers that should not have been promoted.

use mainstay::topology::Rules;

use crate::replay::{RULES, Replay};

#[test]
fn a_replica_promoted_beside_a_living_primary_takes_the_traffic_at_its_first_word() {
    let mut play = Replay::of("promoted_beside_living");
    play.until("REPLICAOF NO ONE to b");
    assert_eq!(play.story(), ["0: a elected, only"]);
    play.until("REPLICAOF b to c");
    assert_eq!(play.story(), ["1: a lost, succeeded", "1: b elected, proof"]);
    assert_eq!(play.rivals(), ["a"]);
    let failover = play.failover();
    assert_eq!(failover.first_seen, failover.elected, "once is enough with proof");
    play.until("REPLICAOF a to b");
    assert!(play.story().is_empty());
}

/// Rule 2: an ancestor is eligible again once the last primary is seen as its replica.
#[test]
fn an_old_primary_takes_over_again_when_its_successor_was_made_its_replica() {
    let mut play = Replay::of("promoted_beside_living");
    play.until("REPLICAOF a to b");
    play.story();
    play.finish();
    assert_eq!(play.story().first().map(String::as_str), Some("2: b lost, demoted"));
    assert_eq!((play.primary(), play.epoch()), (Some("a"), 2), "{}", play.group.standing().2);
}

#[test]
fn of_two_promoted_at_once_the_first_heard_is_followed_and_the_other_never() {
    let mut play = Replay::of("two_promoted_beside_living");
    play.until("a killed");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, succeeded", "1: b elected, proof"]);
    assert_eq!(play.rivals(), ["a", "c"]);
    play.finish();
    assert!(play.story().is_empty());
    assert_eq!(play.rivals(), ["c"]);
}

#[test]
fn a_second_promotion_from_the_same_history_is_a_sibling_and_moves_nothing() {
    let mut play = Replay::of("promoted_one_after_the_other");
    play.until("REPLICAOF NO ONE to c");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, succeeded", "1: b elected, proof"]);
    play.finish();
    assert!(play.story().is_empty());
    assert_eq!((play.primary(), play.rivals()), (Some("b"), vec!["a", "c"]));
}

#[test]
fn a_backup_replica_promoted_far_behind_is_followed_within_the_configured_gap_and_the_loss_is_told() {
    let mut play = Replay::of("promoted_far_behind");
    play.until("a killed");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, succeeded", "1: b elected, proof"]);
    let lost = play.lost_bytes().expect("both offsets are known");
    assert!((3_000_000..3_100_000).contains(&lost), "{lost}");
}

#[test]
fn a_backup_replica_promoted_farther_behind_than_allowed_is_a_rival_even_after_the_primary_died() {
    let mut play = Replay::with("promoted_far_behind", Rules { max_succession_gap: 1 << 20, ..RULES });
    play.until("a killed");
    assert_eq!(play.story(), ["0: a elected, only"]);
    assert_eq!((play.rule(), play.rivals()), ("only", vec!["b"]));
    play.finish();
    assert_eq!(play.story(), ["1: a lost, down"]);
    assert_eq!((play.primary(), play.rule()), (None, "nobody"));
    let now = play.moment();
    play.group.elect("b", now).expect("b says role:master");
    play.settle();
    assert_eq!(play.story(), ["1: b elected, operator"]);
}

/// Only replicas tell their priority: it has to be remembered from before the promotion.
#[test]
fn a_replica_of_priority_0_that_is_promoted_beside_a_living_primary_is_a_rival() {
    let mut play = Replay::of("promoted_with_priority_zero");
    play.finish();
    assert_eq!(play.story(), ["0: a elected, only"]);
    assert_eq!(play.rivals(), ["b"]);
}

#[test]
fn after_a_crash_the_replica_that_somebody_promotes_is_followed() {
    let mut play = Replay::of("crash_and_promotion_by_hand");
    play.until("a killed");
    assert_eq!(play.story(), ["0: a elected, only"]);
    play.until("REPLICAOF NO ONE to b");
    assert_eq!(play.story(), ["1: a lost, down"]);
    assert_eq!((play.primary(), play.rule()), (None, "nobody"));
    play.finish();
    assert_eq!(play.story(), ["1: b elected, proof"]);
    assert!(play.rivals().is_empty());
}

/// a was heard for the last time 90 ms before it died, and b had more than that by then; c, at the same moment, still more.
#[test]
fn an_offset_that_is_older_than_the_promotion_makes_no_negative_loss() {
    let mut play = Replay::of("crash_and_promotion_by_hand");
    play.finish();
    assert!(play.lost_bytes().is_some_and(|lost| lost < 1000), "{:?}", play.lost_bytes());
}

#[test]
fn after_a_crash_under_sentinel_its_choice_is_followed_and_the_old_primary_coming_back_empty_is_a_rival() {
    let mut play = Replay::of("sentinel_crash");
    play.until("a started as master without RDB");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down", "1: b elected, proof"]);
    play.finish();
    assert!(play.story().is_empty(), "neither as a master nor as a replica does it move traffic");
    assert!(play.rivals().is_empty());
}

#[test]
fn a_primary_that_was_stopped_and_replaced_is_a_rival_when_it_goes_on() {
    let mut play = Replay::of("primary_stopped_and_back");
    play.until("REPLICAOF NO ONE to b");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down"]);
    play.until("a continued");
    assert_eq!(play.story(), ["1: b elected, proof"]);
    play.until("REPLICAOF b to a");
    assert!(play.story().is_empty());
    assert_eq!(play.rivals(), ["a"]);
    play.finish();
    assert!(play.story().is_empty());
    assert!(play.rivals().is_empty());
}

#[test]
fn a_replica_behind_a_replica_follows_into_the_new_history_and_may_succeed_it() {
    let mut play = Replay::of("chained_replica");
    play.until("REPLICAOF NO ONE to b");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down"]);
    play.until("REPLICAOF NO ONE to c");
    assert_eq!(play.story(), ["1: b elected, proof"]);
    play.finish();
    assert_eq!(play.story(), ["2: b lost, succeeded", "2: c elected, proof"]);
}

/// A full resync clears replid2, but only of the replica: the successor keeps its proof, and a later one gets it anew.
#[test]
fn full_resyncs_after_a_promotion_take_no_proof_away() {
    let mut play = Replay::of("successor_resynced");
    play.until("REPLICAOF b to a");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, succeeded", "1: b elected, proof"]);
    play.until("REPLICAOF NO ONE to c");
    assert!(play.story().is_empty());
    assert!(play.rivals().is_empty());
    play.until("REPLICAOF c to b");
    assert_eq!(play.story(), ["2: b lost, succeeded", "2: c elected, proof"]);
    play.finish();
    assert!(play.story().is_empty());
    assert_eq!((play.primary(), play.epoch()), (Some("c"), 2));
}
