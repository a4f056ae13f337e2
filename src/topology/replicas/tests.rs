//! The rule, case by case, and in made-up worlds.

mod bonds;

use std::collections::HashMap;
use std::net::SocketAddr;

use super::*;
use crate::route::Endpoint;
use crate::topology::Rules;

const WINDOW: Duration = Duration::from_secs(3);
const FRESH: Duration = Duration::from_secs(4);

fn terms() -> Terms {
    Terms { window: WINDOW, fresh_for: FRESH }
}

fn rules() -> Rules {
    Rules {
        rise: 1,
        fall: 3,
        interval: Duration::from_secs(1),
        fast_interval: Duration::from_millis(50),
        max_succession_gap: 1000,
        hold_window: WINDOW,
    }
}

/// A primary `a` and its replicas `b` and `c`, whose history is `x`.
struct World {
    group: Group,
    replicas: Replicas,
    ways: HashMap<&'static str, Way>,
    /// The tenures of those that became the primary.
    promoted: Vec<u64>,
    now: Moment,
}

fn way(port: u16) -> Way {
    Way { endpoint: Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], port))), tls: None }
}

fn facts(run: &str, role: Role, id: &str, offset: u64) -> Facts {
    let link_up = (role == Role::Replica).then_some(true);
    let (run_id, replid, priority) = (Id::new(run), Id::new(id), Some(100));
    Facts { run_id, role, replid, offset: Some(offset), link_up, priority, repl_input_bytes: Some(9), ..Facts::default() }
}

fn master(run: &str, id: &str, offset: u64) -> Outcome {
    Outcome::Facts(Box::new(facts(run, Role::Master, id, offset)))
}

fn replica(run: &str, id: &str, offset: u64) -> Outcome {
    Outcome::Facts(Box::new(facts(run, Role::Replica, id, offset)))
}

fn promoted(run: &str, id: &str, from: &str, offset: u64) -> Outcome {
    let (replid2, second_offset) = (Id::new(from), Some(offset + 1));
    Outcome::Facts(Box::new(Facts { replid2, second_offset, ..facts(run, Role::Master, id, offset) }))
}

fn cut_off(run: &str, id: &str, offset: u64) -> Outcome {
    Outcome::Facts(Box::new(Facts { link_up: Some(false), ..facts(run, Role::Replica, id, offset) }))
}

impl World {
    fn unknown() -> Self {
        let now = Moment::from_millis(1000);
        let names = ["a", "b", "c"].map(Arc::from);
        let ways = HashMap::from([("a", way(1)), ("b", way(2)), ("c", way(3))]);
        Self { group: Group::new(rules(), &names, 0, now), replicas: Replicas::new(now), ways, promoted: Vec::new(), now }
    }

    fn family() -> Self {
        let mut world = Self::unknown();
        world.hears("a", &master("a", "x", 100));
        world.hears("b", &replica("b", "x", 100));
        world.hears("c", &replica("c", "x", 90));
        assert_eq!((world.group.primary().map(|name| &**name), world.usable()), (Some("a"), vec!["b", "c"]));
        world
    }

    /// A check ends, and what follows from it is carried out.
    fn hears(&mut self, name: &str, outcome: &Outcome) {
        self.now = self.now + Duration::from_millis(1);
        self.group.check_started(name, self.now);
        self.group.check_ended(name, self.now, outcome, self.now);
        while self.group.step(self.now, true).is_some() {
            self.judge();
        }
        self.judge();
    }

    fn judge(&mut self) {
        self.replicas.judge(&self.group, terms(), |name| self.ways.get(name).cloned(), self.now);
        self.promoted.extend(self.replicas.promoted());
    }

    fn passes(&mut self, time: Duration) {
        self.now = self.now + time;
        self.judge();
    }

    fn reader(&self, name: &str) -> &Reader {
        self.replicas.readers().iter().find(|reader| &*reader.name == name).expect("not the primary")
    }

    fn usable(&self) -> Vec<&str> {
        let usable = |reader: &&Reader| matches!(reader.standing, Standing::Usable { .. });
        self.replicas.readers().iter().filter(usable).map(|reader| &*reader.name).collect()
    }

    fn lag(&self, name: &str) -> Option<u64> {
        Some(self.reader(name)).filter(|reader| matches!(reader.standing, Standing::Usable { .. })).map(|reader| reader.lag)
    }
}

#[test]
fn a_replica_counts_that_carries_the_primarys_id_with_its_link_up() {
    let mut world = World::family();
    assert_eq!(world.lag("c"), Some(10));
    world.hears("b", &replica("b", "another", 100));
    assert_eq!(world.usable(), ["c"], "whatever it follows, it is not our primary");
    world.hears("c", &cut_off("c", "x", 90));
    assert_eq!(world.usable(), ["c"], "perhaps the primary is gone, and that is why");
    world.hears("a", &master("a", "x", 100));
    assert!(world.usable().is_empty());
    assert!(matches!(world.reader("b").standing, Standing::Out(_)), "everybody was asked, and nobody knows its id");
    let before = world.reader("c").ordinal;
    world.hears("c", &replica("c", "x", 95));
    assert!(world.reader("c").ordinal > before, "it is another tenure");
}

#[test]
fn who_refuses_or_loads_is_out_at_once_and_who_is_silent_after_fall_checks_or_when_the_facts_are_old() {
    for outcome in [Outcome::Refused, Outcome::Loading] {
        let mut world = World::family();
        world.hears("b", &outcome);
        assert_eq!(world.usable(), ["c"], "{outcome:?}");
    }
    let mut world = World::family();
    world.hears("b", &Outcome::Silent);
    assert!(matches!(world.reader("b").standing, Standing::Usable { takes_new: false, .. }));
    world.hears("b", &Outcome::Silent);
    world.hears("b", &Outcome::Silent);
    assert_eq!(world.usable(), ["c"]);
    let mut world = World::family();
    world.passes(FRESH);
    world.hears("a", &master("a", "x", 100));
    world.hears("c", &replica("c", "x", 100));
    world.hears("b", &Outcome::Busy);
    assert_eq!(world.usable(), ["c"], "nobody knows how it stands with it");
}

#[test]
fn a_lost_primary_throws_nobody_out_for_as_long_as_the_window_and_lets_nobody_in() {
    let mut world = World::family();
    world.hears("c", &replica("c", "another", 5));
    for _ in 0..3 {
        world.hears("a", &Outcome::Refused);
    }
    assert_eq!(world.group.primary(), None);
    world.hears("b", &cut_off("b", "x", 100));
    world.hears("c", &replica("c", "x", 100));
    assert_eq!(world.usable(), ["b"]);
    world.passes(WINDOW);
    assert!(world.usable().is_empty());
}

#[test]
fn those_that_follow_the_next_primary_in_time_never_stop_being_usable() {
    let mut world = World::family();
    let ordinal = world.reader("c").ordinal;
    world.hears("b", &promoted("b", "y", "x", 100));
    assert_eq!(world.group.primary().map(|name| &**name), Some("b"));
    world.hears("c", &cut_off("c", "x", 90));
    assert_eq!(world.usable(), ["c"]);
    world.hears("c", &replica("c", "y", 100));
    world.passes(WINDOW);
    world.hears("b", &promoted("b", "y", "x", 110));
    world.hears("c", &replica("c", "y", 110));
    assert_eq!((world.usable(), world.reader("c").ordinal), (vec!["c"], ordinal));
}

#[test]
fn one_that_stays_with_the_old_primary_is_out_when_the_window_ends() {
    let mut world = World::family();
    world.hears("b", &promoted("b", "y", "x", 100));
    world.hears("c", &replica("c", "x", 100));
    assert_eq!(world.usable(), ["c"]);
    world.passes(WINDOW);
    world.hears("b", &promoted("b", "y", "x", 100));
    world.hears("c", &replica("c", "x", 130));
    assert!(world.usable().is_empty());
}

#[test]
fn one_that_says_master_claims_while_there_is_no_primary_and_is_out_beside_one() {
    let mut world = World::family();
    for _ in 0..3 {
        world.hears("a", &Outcome::Refused);
    }
    // Not elected: an operator has taken it out of service as a primary.
    let mut unproved = facts("b", Role::Master, "z", 0);
    unproved.priority = Some(0);
    world.group.set_admin("b", AdminState::Drain, false, world.now).expect("it is a backend");
    world.group.check_ended("b", world.now, &Outcome::Facts(Box::new(unproved)), world.now);
    world.judge();
    assert_eq!(world.reader("b").standing, Standing::Unsettled);
    let mut world = World::family();
    world.hears("b", &master("b", "z", 100));
    assert_eq!((world.group.primary().map(|name| &**name), world.usable()), (Some("a"), vec!["c"]), "a rival");
}

#[test]
fn after_a_stall_everybody_stays_in_name_until_heard() {
    let mut world = World::family();
    world.now = world.now + Duration::from_secs(60);
    world.group.stalled(world.now);
    world.judge();
    assert!(world.group.owes_a_round() && world.usable() == ["b", "c"]);
    world.hears("b", &replica("b", "another", 1));
    world.hears("c", &replica("c", "x", 100));
    world.hears("a", &master("a", "x", 100));
    assert!(!world.group.owes_a_round());
    assert_eq!(world.usable(), ["c"]);
}

#[test]
fn what_the_primary_wrote_since_it_was_asked_is_no_lag() {
    let mut world = World::family();
    world.passes(Duration::from_millis(500));
    world.hears("b", &replica("b", "x", 1_000_000));
    world.passes(Duration::from_millis(500));
    world.hears("a", &master("a", "x", 2_000_100));
    let lag = world.lag("b").expect("usable");
    assert_eq!(lag, 0);
}

#[test]
fn one_that_follows_somebody_new_waits_until_everybody_was_asked_who_that_is() {
    let mut world = World::family();
    let ordinal = world.reader("c").ordinal;
    world.hears("c", &replica("c", "y", 100));
    assert_eq!(world.reader("c").standing, Standing::Unsettled);
    world.hears("b", &promoted("b", "y", "x", 100));
    assert_eq!((world.usable(), world.reader("c").ordinal), (vec!["c"], ordinal), "it knew of the next primary first");
    world.hears("c", &replica("c", "foreign", 100));
    world.hears("b", &promoted("b", "y", "x", 100));
    assert_eq!(world.reader("c").standing, Standing::Unsettled);
    world.hears("a", &Outcome::Refused);
    assert!(world.usable().is_empty() && !world.reader("c").is_in_force());
}

#[test]
fn one_that_is_told_to_follow_another_address_is_not_read_until_its_link_there_is_up_and_its_id_is_ours() {
    let told = |link_up, id, port: &str| {
        let follows = Some(("10.0.0.9".into(), port.into()));
        Outcome::Facts(Box::new(Facts { follows, link_up: Some(link_up), ..facts("c", Role::Replica, id, 100) }))
    };
    let mut world = World::family();
    world.hears("c", &told(true, "x", "1"));
    for _ in 0..3 {
        world.hears("a", &Outcome::Refused);
    }
    world.hears("c", &told(false, "x", "1"));
    assert_eq!(world.usable(), ["b", "c"]);
    world.hears("c", &told(false, "x", "2"));
    assert_eq!(world.reader("c").standing, Standing::Unsettled);
    world.hears("b", &promoted("b", "y", "x", 100));
    assert_eq!(world.reader("c").standing, Standing::Unsettled);
    world.hears("c", &told(true, "y", "2"));
    assert_eq!(world.usable(), ["c"]);
}

/// Small and good enough to make worlds up.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn in_no_world_is_a_replica_usable_that_is_not_of_the_primarys_line() {
    for seed in 0..400 {
        let (mut dice, mut world) = (Dice(seed), World::unknown());
        let mut seen: Vec<Seen> = Vec::new();
        for step in 0..120 {
            let name = ["a", "b", "c"][dice.below(3) as usize];
            // `own` is another group's; `x`, `y` and `z` are a line, as far as whoever says so proves it.
            let id = ["x", "x", "x", "y", "z", "own"][dice.below(6) as usize];
            let offset = 100 + step;
            let another = format!("another {name}");
            let run = if dice.below(12) == 0 { another.as_str() } else { name };
            if dice.below(30) == 0 {
                world.ways.insert(name, way(dice.below(3) as u16));
            }
            let outcome = match dice.below(12) {
                0 => Outcome::Refused,
                1 => Outcome::Silent,
                2 => Outcome::Loading,
                3 if id != "own" => master(run, id, offset),
                4 if id == "y" => promoted(run, "y", "x", offset),
                4 if id == "z" => promoted(run, "z", "y", offset),
                4..6 => cut_off(run, id, offset),
                _ => {
                    if name == "a" {
                        master("a", "x", offset)
                    } else {
                        replica(run, id, offset)
                    }
                }
            };
            if dice.below(40) == 0 {
                world.group.stalled(world.now);
            }
            world.passes(Duration::from_millis(dice.below(1200)));
            world.hears(name, &outcome);
            check(&world, &mut seen, seed);
        }
    }
}

/// A tenure, and whose it was at first.
struct Seen {
    name: Arc<str>,
    ordinal: u64,
    process: Option<Id>,
}

/// What is true at any time.
fn check(world: &World, seen: &mut Vec<Seen>, seed: u64) {
    let World { group, replicas, now, .. } = world;
    let in_grace = replicas.grace_until.is_some_and(|until| *now < until);
    let primary = group.present_place().map(|place| &group.backends[place]);
    for reader in replicas.readers().iter().filter(|reader| reader.is_in_force()) {
        let backend = group.backends().iter().find(|backend| backend.name == reader.name).expect("of the group");
        let process = backend.health.facts().and_then(|facts| facts.run_id.clone());
        match seen.iter().find(|seen| seen.ordinal == reader.ordinal) {
            Some(seen) => {
                assert_eq!(seen.name, reader.name, "seed {seed}: a tenure of its own");
                assert!(!backend.health.heard || seen.process == process, "seed {seed}: {reader:?} is somebody else");
            }
            None => seen.push(Seen { name: reader.name.clone(), ordinal: reader.ordinal, process }),
        }
        if !backend.health.heard {
            assert!(group.owes_a_round(), "seed {seed}: nothing is vouched for");
            continue;
        }
        let Some(facts) = backend.health.facts() else { panic!("seed {seed}: {reader:?} without facts") };
        assert!(now.since(backend.health.facts_at().expect("with facts")) <= FRESH, "seed {seed}");
        let primary_id = primary.and_then(|primary| primary.health.facts()).and_then(|facts| facts.replid.as_ref());
        match (&reader.standing, primary) {
            (Standing::Unsettled, _) => assert!(reader.odd_since.is_some() || primary.is_none() && in_grace, "seed {seed}"),
            (_, None) => assert!(in_grace && facts.role == Role::Replica, "seed {seed}"),
            (_, Some(_)) if in_grace => assert_eq!(facts.role, Role::Replica, "seed {seed}"),
            (_, Some(_)) => {
                let unheard = primary_id.is_none();
                assert!(unheard || facts.replid.as_ref() == primary_id, "seed {seed}: {reader:?}");
                assert!(
                    facts.role == Role::Replica && (facts.link_up == Some(true) || reader.odd_since.is_some()),
                    "seed {seed}"
                );
            }
        }
        let is_ours = facts.replid != Id::new("own") || reader.standing == Standing::Unsettled;
        assert!(is_ours, "seed {seed}: no server of the group ever was its master: {reader:?}");
    }
}
