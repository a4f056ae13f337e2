//! mainstay starts, or is started again, in the middle of things.

use crate::replay::Replay;

/// Every order in which the first checks of three may end.
const ORDERS: [&str; 6] = ["abc", "acb", "bac", "bca", "cab", "cba"];

#[test]
fn of_two_strangers_at_the_start_the_one_that_the_others_follow_is_elected() {
    for order in ORDERS {
        let mut play = Replay::of("two_masters_from_the_start");
        play.until("REPLICAOF b to c").mainstay_restarts(order);
        assert_eq!(play.story(), ["0: a elected, followers"], "{order}");
        assert_eq!(play.rivals(), ["b"]);
        play.finish();
        assert!(play.story().is_empty(), "votes count at the start only: a stays when c follows b");
        play.mainstay_restarts(order);
        assert_eq!(play.story(), ["0: b elected, followers"], "{order}");
    }
}

#[test]
fn a_successor_is_known_at_the_start_by_what_it_received() {
    for order in ["ab", "ba"] {
        let mut play = Replay::of("promoted_before_the_start");
        play.finish().mainstay_restarts(order);
        assert_eq!(play.story(), ["0: b elected, proof"], "{order}");
        assert_eq!(play.rivals(), ["a"]);
    }
}

#[test]
fn at_the_start_nobody_is_elected_beside_a_server_that_started_from_a_file() {
    for order in ["ab", "ba"] {
        let mut play = Replay::of("restarted_from_rdb_before_the_start");
        play.finish().mainstay_restarts(order);
        assert!(play.story().is_empty(), "{order}: a tie, and luck must not settle it");
        assert_eq!(play.rule(), "tie", "{order}");
    }
}

#[test]
fn an_old_primary_restarted_from_its_file_is_not_elected_by_a_mainstay_that_has_just_started() {
    for order in ORDERS {
        for (name, then) in [
            ("old_primary_restarted_from_rdb", Some("REPLICAOF b to a")),
            ("old_primary_restarted_empty", None),
            ("old_primary_restarted_from_aof", None),
        ] {
            let mut play = Replay::of(name);
            match then {
                Some(note) => play.until(note),
                None => play.finish(),
            };
            play.mainstay_restarts(order);
            assert_eq!(play.story(), ["0: b elected, followers"], "{name} {order}");
        }
    }
}

#[test]
fn a_primary_that_was_stopped_and_replaced_is_known_at_the_start_by_its_successors_proof() {
    for order in ORDERS {
        let mut play = Replay::of("primary_stopped_and_back");
        play.until("REPLICAOF b to a").mainstay_restarts(order);
        assert_eq!(play.story(), ["0: b elected, proof"], "{order}");
    }
}

/// c follows nobody, b and c both came from a: whoever is asked, neither proves anything over the other.
#[test]
fn siblings_at_the_start_are_a_tie() {
    for order in ORDERS {
        let mut play = Replay::of("promoted_one_after_the_other");
        play.finish().mainstay_restarts(order);
        assert!(play.story().is_empty(), "{order}");
        assert_eq!(play.rule(), "tie", "{order}");
    }
}

#[test]
fn in_the_middle_of_every_planned_failover_a_new_start_finds_the_right_primary() {
    for order in ORDERS {
        let mut play = Replay::of("failover_chain");
        for (note, primary) in
            [("REPLICAOF b to c", "b"), ("FAILOVER TO c", "b"), ("REPLICAOF c to a", "c"), ("FAILOVER TO a", "c")]
        {
            play.until(note).mainstay_restarts(order);
            assert_eq!(play.story(), [format!("0: {primary} elected, only")], "{order} {note}");
        }
    }
}
