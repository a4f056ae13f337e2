use std::time::Duration;

use super::*;
use crate::route::Moment;
use crate::topology::facts::Id;
use crate::topology::{Facts, Outcome, Role, Rules, Step};

const RULES: Rules = Rules {
    rise: 2,
    fall: 3,
    interval: Duration::from_secs(1),
    fast_interval: Duration::from_millis(50),
    max_succession_gap: 1 << 20,
    hold_window: Duration::from_secs(5),
};

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn says(role: Role, run: &str, id: &str, id2: &str) -> Outcome {
    let link_up = (role == Role::Replica).then_some(true);
    let (run_id, replid, replid2) = (Id::new(run), Id::new(id), Id::new(id2));
    Outcome::Facts(Box::new(Facts { run_id, role, replid, replid2, link_up, offset: Some(9), ..Facts::default() }))
}

/// Hears it, and says each step that follows in a word.
fn hear(group: &mut Group, name: &str, outcome: &Outcome, now: u64) -> Vec<String> {
    let at = Moment::from_millis(now);
    group.check_started(name, at);
    group.check_ended(name, at, outcome, at);
    let mut steps = Vec::new();
    while let Some(step) = group.step(at, true) {
        steps.push(match step {
            Step::Withdraw { from, .. } => format!("-{from}"),
            Step::Grant { to, .. } => format!("+{to}"),
        });
    }
    steps
}

/// `redis:1` is the primary, `b:1` its replica.
fn group() -> Group {
    let mut group = Group::new(RULES, &names(&["redis:1", "b:1"]), 0, Moment::from_millis(0));
    for now in [1, 2] {
        hear(&mut group, "redis:1", &says(Role::Master, "ra", "x", ""), now);
        hear(&mut group, "b:1", &says(Role::Replica, "rb", "x", ""), now);
    }
    assert_eq!(group.primary().map(|name| &**name), Some("redis:1"));
    group
}

#[test]
fn a_primary_that_is_renamed_stays_the_primary_with_its_record_and_is_lost_as_any_other() {
    let mut group = group();
    assert!(group.rename("redis:1", &"10.0.0.1:1".into()));
    group.reconfigure(RULES, &names(&["10.0.0.1:1", "b:1", "10.0.0.3:1"]));
    assert_eq!(group.primary().map(|name| &**name), Some("10.0.0.1:1"));
    assert!(group.standing().2.starts_with("10.0.0.1:1 "), "{}", group.standing().2);
    assert!(group.backends()[0].health.up && group.epoch() == 0);
    for now in [10, 11] {
        assert!(hear(&mut group, "10.0.0.1:1", &says(Role::Master, "ra", "x", ""), now).is_empty());
        assert!(hear(&mut group, "10.0.0.3:1", &says(Role::Replica, "rc", "x", ""), now).is_empty());
    }
    let steps = hear(&mut group, "b:1", &says(Role::Master, "rb", "y", "x"), 20);
    assert_eq!(steps, ["-10.0.0.1:1", "+b:1"]);
}

#[test]
fn a_lost_primary_that_is_renamed_and_comes_back_is_known_as_the_last_one() {
    let mut group = group();
    for now in 10..13 {
        hear(&mut group, "redis:1", &Outcome::Refused, now);
    }
    assert_eq!(group.primary(), None);
    assert!(group.rename("redis:1", &"10.0.0.1:1".into()));
    group.reconfigure(RULES, &names(&["10.0.0.1:1", "b:1"]));
    // Another process, of a history that is not the last one's, while somebody else says role:master too.
    let (restarted, stranger) = (says(Role::Master, "rz", "z", ""), says(Role::Master, "rb", "w", ""));
    for now in 20..25 {
        hear(&mut group, "b:1", &stranger, now);
        assert!(!hear(&mut group, "10.0.0.1:1", &restarted, now).contains(&"+10.0.0.1:1".to_owned()));
    }
}

#[test]
fn a_new_bearer_of_the_lost_primarys_name_is_not_taken_for_it() {
    let mut group = group();
    for now in 10..13 {
        hear(&mut group, "redis:1", &Outcome::Refused, now);
    }
    group.reconfigure(RULES, &names(&["b:1"]));
    assert!(group.rename("b:1", &"redis:1".into()));
    // A replica of a stranger: were it taken for the last primary, that one would have submitted to the stranger.
    hear(&mut group, "redis:1", &says(Role::Replica, "rb", "w", ""), 20);
    assert!(!group.ballot().last_follows(&Id::new("w").unwrap()));
}

#[test]
fn who_has_the_name_makes_way_for_the_primary_and_for_nobody_else() {
    let mut group = group();
    assert!(!group.rename("b:1", &"redis:1".into()));
    assert!(!group.rename("nobody:1", &"c:1".into()));
    assert!(group.rename("redis:1", &"b:1".into()));
    assert_eq!(group.backends().len(), 1);
    assert_eq!(group.primary().map(|name| &**name), Some("b:1"));
}

#[test]
fn a_rival_that_vanishes_and_comes_back_is_still_one() {
    let mut group = group();
    let rival = says(Role::Master, "rb", "z", "");
    for now in 10..13 {
        hear(&mut group, "redis:1", &says(Role::Master, "ra", "x", ""), now);
        hear(&mut group, "b:1", &rival, now);
    }
    group.reconfigure(RULES, &names(&["redis:1"]));
    for now in 20..23 {
        hear(&mut group, "redis:1", &Outcome::Refused, now);
    }
    group.reconfigure(RULES, &names(&["redis:1", "b:1"]));
    for now in 30..40 {
        assert!(hear(&mut group, "b:1", &rival, now).is_empty());
        hear(&mut group, "redis:1", &Outcome::Refused, now);
    }
    assert_eq!(group.primary(), None);
}

#[test]
fn a_leaving_primary_whose_process_answers_under_a_name_that_stays_has_an_heir() {
    let mut group = group();
    group.reconfigure(RULES, &names(&["b:1", "other:1"]));
    hear(&mut group, "redis:1", &says(Role::Master, "ra", "x", ""), 10);
    assert_eq!(group.heir_of_leaving_primary(), None);
    assert!(hear(&mut group, "other:1", &says(Role::Master, "ra", "x", ""), 10).is_empty());
    assert_eq!(group.heir_of_leaving_primary(), Some(("redis:1".into(), "other:1".into())));
    assert!(group.rename("redis:1", &"other:1".into()));
    group.reconfigure(RULES, &names(&["b:1", "other:1"]));
    assert_eq!(group.heir_of_leaving_primary(), None);
    assert!(hear(&mut group, "other:1", &says(Role::Master, "ra", "x", ""), 11).is_empty());
    assert_eq!((group.primary().map(|name| &**name), group.epoch()), (Some("other:1"), 0));
}

#[test]
fn two_names_of_one_process_are_one_candidate_and_no_tie() {
    let mut group = Group::new(RULES, &names(&["v4:1", "v6:1"]), 0, Moment::from_millis(0));
    let same = says(Role::Master, "ra", "x", "");
    let steps: Vec<String> =
        (1..4).flat_map(|now| ["v4:1", "v6:1"].map(|name| hear(&mut group, name, &same, now))).flatten().collect();
    assert_eq!(steps, ["+v4:1"]);
    // Restarted: each of its names is heard under the new process, and none stands against the other.
    let again = says(Role::Master, "rz", "z", "");
    let steps: Vec<String> =
        (10..14).flat_map(|now| ["v6:1", "v4:1"].map(|name| hear(&mut group, name, &again, now))).flatten().collect();
    assert_eq!(steps, ["-v4:1", "+v4:1"]);
    assert_eq!(group.rivals().count(), 0);
}
