//! Servers that change their own replication id.

use crate::replay::Replay;

#[test]
fn a_primary_whose_backlog_expires_changes_its_id_and_stays() {
    let mut play = Replay::of("id_changes_by_backlog_expiry");
    play.finish();
    assert_eq!(play.story(), ["0: a elected, only"]);
    assert!(play.rivals().is_empty());
}

#[test]
fn a_successor_keeps_its_place_when_both_ids_of_its_proof_have_expired() {
    let mut play = Replay::of("promoted_then_old_id_expires");
    play.finish();
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, succeeded", "1: b elected, proof"]);
    assert_eq!(play.rivals(), ["a"]);
}

/// The replicas keep the old id with their link up, so a promoted one names an id that the primary has left: no proof.
#[test]
fn a_primary_stays_when_debug_changed_its_id_and_a_replica_of_the_old_id_is_promoted() {
    let mut play = Replay::of("id_changes_by_debug");
    play.until("REPLICAOF NO ONE to b");
    assert_eq!(play.story(), ["0: a elected, only"]);
    assert!(play.rivals().is_empty());
    play.finish();
    assert!(play.story().is_empty());
    assert_eq!(play.rivals(), ["b"]);
}
