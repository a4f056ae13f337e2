//! Servers that come back, with their data or without, as what they were or as master.

use crate::replay::Replay;

#[test]
fn a_replica_restarted_as_master_from_its_file_is_a_rival_though_it_names_the_primarys_id() {
    let mut play = Replay::of("replica_restarted_as_master_from_rdb");
    play.until("REPLICAOF a to b");
    assert_eq!(play.story(), ["0: a elected, only"]);
    assert_eq!(play.rivals(), ["b"]);
    play.finish();
    assert!(play.story().is_empty());
    assert!(play.rivals().is_empty());
    assert!(play.group.backends().iter().all(|backend| backend.bar.is_none()), "a replica in the lineage is no rival any more");
}

/// `total_net_repl_input_bytes` is 0 there; the process was seen as a replica, and that is proof.
#[test]
fn a_replica_restarted_as_replica_and_promoted_before_it_received_a_byte_is_followed() {
    let mut play = Replay::of("replica_restarted_then_promoted");
    play.until("REPLICAOF NO ONE to b");
    assert_eq!(play.story(), ["0: a elected, only"]);
    play.finish();
    assert_eq!(play.story(), ["1: a lost, succeeded", "1: b elected, proof"]);
    assert_eq!(play.lost_bytes(), Some(0));
}

#[test]
fn an_old_primary_restarted_as_master_never_takes_the_traffic_back() {
    for (name, back) in [
        ("old_primary_restarted_from_rdb", "a started as master from its RDB"),
        ("old_primary_restarted_empty", "a started as master without RDB"),
        ("old_primary_restarted_from_aof", "a started as master from its AOF"),
    ] {
        let mut play = Replay::of(name);
        play.until(back);
        assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down", "1: b elected, proof"], "{name}");
        if name == "old_primary_restarted_from_rdb" {
            play.until("REPLICAOF b to a");
        } else {
            play.finish();
        }
        assert!(play.story().is_empty(), "{name}");
        assert_eq!(play.rivals(), ["a"], "{name}");
        play.finish();
        assert!(play.story().is_empty(), "{name}");
    }
}

#[test]
fn a_primary_restarted_with_its_file_is_elected_again_as_the_only_one() {
    for name in ["primary_restarted_with_rdb", "sole_primary_restarted_with_rdb"] {
        let mut play = Replay::of(name);
        play.until("a started");
        assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down"], "{name}");
        play.finish();
        assert_eq!(play.story(), ["1: a elected, only"], "{name}");
        assert_eq!(play.returned_empty, None, "{name}");
    }
}

#[test]
fn a_primary_restarted_without_its_file_is_elected_again_and_reported_empty() {
    let mut play = Replay::of("primary_restarted_without_rdb");
    play.finish();
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down", "1: a elected, only"]);
    assert!(play.returned_empty.is_some());
}

/// A primary that never had a replica has offset 0 all its life: only its keys show that it came back empty.
#[test]
fn a_primary_without_replicas_that_returns_without_its_file_is_reported_empty() {
    let mut play = Replay::of("sole_primary_restarted_without_rdb");
    play.finish();
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down", "1: a elected, only"]);
    assert!(play.returned_empty.is_some());
}

#[test]
fn a_replica_promoted_beside_a_restarted_primary_succeeds_its_new_id() {
    let mut play = Replay::of("old_primary_back_first");
    play.until("REPLICAOF NO ONE to b");
    assert_eq!(play.story(), ["0: a elected, only", "1: a lost, down", "1: a elected, only"]);
    play.finish();
    assert_eq!(play.story(), ["2: a lost, succeeded", "2: b elected, proof"]);
    assert_eq!(play.rivals(), ["a"]);
}

#[test]
fn a_primary_that_loads_after_its_restart_is_not_elected_before_its_data_is_in_memory() {
    let mut play = Replay::of("loading_primary");
    play.finish();
    let elected = play.failover().elected.expect("a is back").as_millis();
    assert!(play.story().ends_with(&["1: a elected, only".into()]));
    assert_eq!(play.returned_empty, None, "what it said while loading is no measure");
    assert!(elected > 2000, "{elected}");
}
