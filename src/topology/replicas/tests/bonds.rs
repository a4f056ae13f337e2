//! A tenure is one process, wherever the name leads.

use super::*;

#[test]
fn a_tenure_ends_when_another_process_answers_to_the_name_however_well_that_one_is_in_step() {
    let mut world = World::family();
    let before = world.reader("b").ordinal;
    world.hears("b", &Outcome::Silent);
    assert_eq!(world.reader("b").ordinal, before, "who tells nothing is nobody else");
    world.hears("b", &replica("b", "x", 100));
    assert_eq!(world.reader("b").ordinal, before);
    world.hears("b", &replica("another", "x", 100));
    assert_eq!(world.usable(), ["b", "c"]);
    assert!(world.reader("b").ordinal > before, "it is another tenure");
    world.group.stalled(world.now);
    world.judge();
    let before = world.reader("b").ordinal;
    world.hears("b", &replica("b", "x", 100));
    assert!(world.reader("b").ordinal > before, "also where it came while mainstay stood still");
    // Nothing excuses the new one for what the one of before knew.
    for _ in 0..3 {
        world.hears("a", &Outcome::Refused);
    }
    world.hears("b", &cut_off("another", "x", 100));
    assert_eq!((world.usable(), world.reader("b").left), (vec!["c"], Departure::Gone));
}

#[test]
fn a_tenure_goes_on_where_the_same_process_answers_elsewhere() {
    let mut world = World::family();
    let before = world.reader("b").ordinal;
    world.ways.insert("b", way(22));
    world.hears("b", &replica("b", "x", 100));
    assert_eq!((world.usable(), world.reader("b").ordinal), (vec!["b", "c"], before));
}

#[test]
fn of_who_does_not_tell_its_run_id_a_tenure_ends_when_the_name_leads_elsewhere_and_not_before_that_is_known() {
    let mut world = World::unknown();
    world.ways.remove("b");
    world.hears("a", &master("a", "x", 100));
    world.hears("b", &Outcome::Facts(Box::new(Facts { run_id: None, ..facts("b", Role::Replica, "x", 100) })));
    world.hears("c", &replica("c", "x", 100));
    let before = world.reader("b").ordinal;
    world.ways.insert("b", way(2));
    world.judge();
    world.ways.remove("b");
    world.judge();
    assert_eq!((world.usable(), world.reader("b").ordinal), (vec!["b", "c"], before));
    world.ways.insert("b", way(22));
    world.judge();
    assert!(world.reader("b").ordinal > before);
}

#[test]
fn who_read_a_replica_reads_the_primary_only_where_that_is_the_same_process_at_the_same_place() {
    let elected = |world: &World| world.group.primary().is_some_and(|name| &**name == "b");
    let mut world = World::family();
    let ordinal = world.reader("b").ordinal;
    world.hears("b", &promoted("b", "y", "x", 100));
    assert!(elected(&world));
    assert_eq!(world.promoted, [ordinal]);

    let mut world = World::family();
    (0..3).for_each(|_| world.hears("a", &Outcome::Refused));
    world.hears("b", &promoted("another", "y", "x", 100));
    assert!(elected(&world) && world.promoted.is_empty(), "it answers to the name since a moment ago");

    for elsewhere in [Some(way(22)), None] {
        let mut world = World::family();
        match elsewhere {
            Some(way) => world.ways.insert("b", way),
            None => world.ways.remove("b"),
        };
        world.hears("b", &promoted("b", "y", "x", 100));
        assert!(elected(&world) && world.promoted.is_empty());
    }
}

#[test]
fn who_takes_over_a_name_does_not_take_over_the_tenure_of_its_bearer() {
    let mut world = World::family();
    let names = ["a", "b"].map(Arc::from);
    world.group.reconfigure(rules(), &names);
    // As when the name of `b` leads to where the primary is: the primary is called so from now on.
    assert!(world.group.rename("a", &"b".into()));
    world.replicas.rename("a", &"b".into());
    world.judge();
    assert_eq!(world.group.primary().map(|name| &**name), Some("b"));
    assert!(world.promoted.is_empty() && world.replicas.readers().is_empty());
}
