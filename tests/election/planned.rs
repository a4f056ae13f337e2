//! Planned changes of primary, those that fail included.

use crate::replay::Replay;

/// The new primary may be heard before the old one is: then the old one is lost because it was succeeded.
fn assert_failover(play: &mut Replay, epoch: u64, from: &str, to: &str) {
    let story = play.story();
    let lost = [format!("{epoch}: {from} lost, demoted"), format!("{epoch}: {from} lost, succeeded")];
    assert!(story.len() == 2 && lost.contains(&story[0]), "{story:?}");
    assert_eq!(story[1], format!("{epoch}: {to} elected, proof"));
    assert_eq!(play.lost_bytes(), Some(0));
    assert!(play.rivals().is_empty());
}

#[test]
fn a_planned_failover_round_the_group_is_followed_by_proof_and_loses_nothing() {
    let mut play = Replay::of("failover_chain");
    play.until("FAILOVER TO b");
    assert_eq!(play.story(), ["0: a elected, only"]);
    play.until("REPLICAOF b to c");
    assert_failover(&mut play, 1, "a", "b");
    play.until("REPLICAOF c to a");
    assert_failover(&mut play, 2, "b", "c");
    play.finish();
    assert_failover(&mut play, 3, "c", "a");
    assert_eq!((play.primary(), play.epoch()), (Some("a"), 3));
}

#[test]
fn a_change_by_hand_moves_traffic_once_and_at_the_promotion() {
    let mut play = Replay::of("replicaof_by_hand");
    play.until("REPLICAOF NO ONE to b");
    assert_eq!(play.story(), ["0: a elected, only"]);
    play.until("REPLICAOF b to a");
    assert_eq!(play.story(), ["1: a lost, succeeded", "1: b elected, proof"]);
    assert_eq!(play.rivals(), ["a"], "it still says role:master");
    assert_eq!(play.lost_bytes(), Some(0));
    play.finish();
    assert!(play.story().is_empty());
    assert!(play.rivals().is_empty());
}

#[test]
fn a_failover_that_times_out_or_is_aborted_moves_nothing() {
    for name in ["failover_timed_out", "failover_aborted"] {
        let mut play = Replay::of(name);
        play.finish();
        assert_eq!(play.story(), ["0: a elected, only"], "{name}");
        assert!(play.rivals().is_empty());
    }
}

#[test]
fn a_group_is_in_doubt_while_its_primary_prepares_a_failover() {
    let mut play = Replay::of("failover_aborted");
    play.until("b stopped");
    assert!(!play.group.doubts());
    play.until("FAILOVER ABORT");
    assert!(play.group.doubts());
    play.finish();
    assert!(!play.group.doubts());
}

#[test]
fn a_failover_forced_onto_a_stopped_server_waits_for_it_and_tells_what_was_lost() {
    let mut play = Replay::of("failover_forced_onto_stopped");
    play.until("b continued");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, demoted"]);
    assert_eq!((play.primary(), play.rule()), (None, "nobody"));
    play.finish();
    assert_eq!(play.story(), ["1: b elected, proof"]);
    let lost = play.lost_bytes().expect("both offsets are known");
    assert!((1_000_000..=20_020_000).contains(&lost), "20 MB were written, the kernel held a part of it for b: {lost}");
}

#[test]
fn a_forced_failover_that_misses_too_much_is_no_proof_and_the_only_master_is_elected_after_rise() {
    let rules = mainstay::topology::Rules { max_succession_gap: 1 << 20, ..crate::replay::RULES };
    let mut play = Replay::with("failover_forced_onto_stopped", rules);
    play.until("b continued");
    play.story();
    play.finish();
    // b was never a rival: there was no primary beside it. It is the only one left that says role:master.
    assert_eq!(play.story(), ["1: b elected, only"]);
    assert!(play.lost_bytes().is_some_and(|lost| lost > 1 << 20));
}

#[test]
fn a_primary_whose_forced_failover_is_aborted_continues_itself() {
    let mut play = Replay::of("failover_forced_then_aborted");
    play.until("FAILOVER ABORT");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, demoted"]);
    play.until("b continued");
    assert_eq!(play.story(), ["1: a elected, proof"]);
    assert_eq!(play.lost_bytes(), Some(0));
    play.finish();
    assert!(play.story().is_empty());
}

#[test]
fn a_planned_failover_of_sentinel_is_followed_though_the_old_primary_says_master_for_long() {
    let mut play = Replay::of("sentinel_planned");
    play.until("SENTINEL FAILOVER");
    assert_eq!(play.story(), ["0: a elected, only"]);
    play.finish();
    assert_eq!(play.story(), ["1: a lost, succeeded", "1: b elected, proof"]);
    let lost = play.lost_bytes().expect("both offsets are known");
    assert!(lost < 1000, "only pings and the words of Sentinels: {lost}");
    assert!(play.rivals().is_empty());
}
