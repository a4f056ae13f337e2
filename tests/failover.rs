//! The primary changes, in the ways that are meant to happen.

mod harness;

use harness::expected::*;
use harness::*;

/// One planned FAILOVER from `old` to `new`, seen by a client of `mainstay`.
#[track_caller]
fn planned(mainstay: &Mainstay, old: &Redis, new: &Redis) {
    let mut before = mainstay.client();
    before.must(&["SET", "by", &old.address()]);
    let epoch = mainstay.epoch();
    old.failover_to(new);
    mainstay.wait_for_primary(&new.address());
    assert_ne!(before.end(PATIENCE), Gone::Silent, "a session of the old primary is closed");
    assert_eq!(mainstay.epoch(), epoch + 1);
    let mut after = mainstay.client();
    assert_eq!(after.must(&["GET", "by"]).text(), old.address(), "what was written before is there");
    after.must(&["SET", "by", &new.address()]);
    assert_eq!(new.command(&["GET", "by"]).text(), new.address());
}

#[test]
fn a_planned_failover_moves_the_traffic_and_closes_the_old_sessions() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).start_on(&family[0]);
    planned(&mainstay, &family[0], &family[1]);
    assert_eq!(mainstay.metric("mainstay_failovers_total", &[r#"group="jobs""#]), 1.0);
    assert!(mainstay.metric("mainstay_sessions_closed_total", &[r#"reason="failover""#]) >= 1.0);
}

#[test]
fn three_failovers_lead_back_to_the_first_server() {
    let family = Redis::family(2);
    let mainstay = Setup::of(&family).start_on(&family[0]);
    for (old, new) in [(0, 1), (1, 2), (2, 0)] {
        planned(&mainstay, &family[old], &family[new]);
        for other in (0..3).filter(|other| *other != new) {
            family[other].follow(&family[new]);
            family[other].wait_for_link();
        }
    }
}

#[test]
fn a_failover_is_recorded_with_its_timeline() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).start_on(&family[0]);
    planned(&mainstay, &family[0], &family[1]);
    let recorded = || mainstay.group()["failovers"][0].clone();
    wait_until(PATIENCE, "the first byte is recorded", || recorded()["first_byte_ms"].is_u64());
    let record = recorded();
    assert_eq!(record["epoch"], mainstay.epoch());
    assert_eq!((record["from"].as_str(), record["to"].as_str()), (Some(&*family[0].address()), Some(&*family[1].address())));
    let at = |what: &str| record[what].as_u64().unwrap_or_else(|| panic!("no {what} in {record:#}"));
    assert!(at("lost_ms") <= at("elected_ms") && at("first_seen_ms") <= at("elected_ms"), "{record:#}");
    assert!(at("elected_ms") <= at("first_byte_ms"), "{record:#}");
    assert!(record["why"].as_str().is_some_and(|why| !why.is_empty()) && record["rule"].is_string(), "{record:#}");
    assert_eq!(mainstay.metric("mainstay_failover_duration_seconds_count", &[r#"group="jobs""#]), 1.0);
}

#[test]
fn a_replica_promoted_by_hand_beside_its_living_primary_takes_over() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).expecting(&[CONFLICT]).start_on(&family[0]);
    let mut before = mainstay.client();
    before.must(&["PING"]);
    family[1].promote();
    mainstay.wait_for_primary(&family[1].address());
    assert_ne!(before.end(PATIENCE), Gone::Silent);
    assert!(family[0].is_master(), "the loser still believes in itself");
    mainstay.client().must(&["SET", "only", "here"]);
    assert_eq!(family[0].command(&["EXISTS", "only"]), Reply::Int(0));
    let epoch = mainstay.epoch();
    family[0].follow(&family[1]);
    family[0].wait_for_link();
    stays(ms(1500), "the primary and its epoch stay", || {
        mainstay.primary() == Some(family[1].address()) && mainstay.epoch() == epoch
    });
}

#[test]
fn a_demotion_by_hand_closes_sessions_and_the_promotion_that_follows_is_served() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).start_on(&family[0]);
    let mut before = mainstay.client();
    before.must(&["PING"]);
    let elsewhere = Redis::start(&[]);
    family[0].follow(&elsewhere);
    assert_ne!(before.end(PATIENCE), Gone::Silent, "closed although nobody succeeds yet");
    wait_until(PATIENCE, "there is no primary", || mainstay.primary().is_none());
    let mut waiting = mainstay.client();
    waiting.send(&client::command(&["SET", "waited", "yes"])).expect("parked clients may send");
    family[1].promote();
    assert_eq!(waiting.reply(PATIENCE), Ok(Reply::ok()));
    assert_eq!(family[1].command(&["GET", "waited"]), Reply::bulk("yes"));
}

#[test]
fn after_kill_9_whom_sentinel_promotes_is_served_and_the_returning_one_is_not() {
    let mut family = Redis::family(2);
    let sentinels = Sentinels::start(3, 2, &family[0], 2, 500);
    let setup = Setup::of(&family).hold("window = \"20s\"");
    let mainstay = setup.expecting(&[LOST, DOWN, CONFLICT, RETURNED_EMPTY]).start_on(&family[0]);
    mainstay.client().must(&["SET", "k", "v"]);
    family[1].wait_in_step(&family[0]);
    family[2].wait_in_step(&family[0]);
    family[0].kill9();
    let (old, old_port) = (family[0].address(), family[0].port);
    let agreed = || {
        let named = sentinels.primary().map(|port| format!("127.0.0.1:{port}"));
        named.is_some() && mainstay.primary() == named
    };
    wait_until(PATIENCE, "Sentinel promotes one", || sentinels.primary().is_some_and(|port| port != old_port));
    // Sentinels sometimes elect a second leader and fail over once more: mainstay has to follow.
    let mut since = std::time::Instant::now();
    wait_until(PATIENCE * 2, "Sentinel and mainstay agree for a while", || {
        if !agreed() {
            since = std::time::Instant::now();
        }
        since.elapsed() > ms(3000)
    });
    assert_eq!(mainstay.client().must(&["GET", "k"]), Reply::bulk("v"));
    // It returns as a master, empty, and stays one until Sentinel notices.
    family[0].start_again();
    wait_until(PATIENCE * 4, "Sentinel demotes the returned one", || {
        assert_ne!(mainstay.primary().as_ref(), Some(&old), "without its data it is never served");
        !family[0].is_master()
    });
    wait_until(PATIENCE * 2, "all agree again", || agreed() && mainstay.group()["conflict"] == false);
    assert_eq!(mainstay.client().must(&["GET", "k"]), Reply::bulk("v"));
}

#[test]
fn a_killed_primary_without_sentinel_is_waited_for_and_served_again() {
    let mut family = Redis::family(1);
    family[0].command(&["SET", "k", "v"]);
    family[0].save();
    let setup = Setup::of(&family).hold("window = \"20s\"").expecting(&[LOST, DOWN]);
    let mainstay = setup.start_on(&family[0]);
    let mut before = mainstay.client();
    before.must(&["PING"]);
    family[0].kill9();
    assert_ne!(before.end(PATIENCE), Gone::Silent);
    mainstay.wait_for_no_primary();
    let mut waiting = mainstay.client();
    waiting.send(&client::command(&["GET", "k"])).expect("parked clients may send");
    family[0].start_again();
    assert_eq!(waiting.reply(PATIENCE), Ok(Reply::bulk("v")));
    assert_eq!(mainstay.primary(), Some(family[0].address()));
    assert!(!mainstay.log.has("returned empty"));
}

/// The first of `servers` is primary, has 1,000 keys, and comes back without them.
fn returns_empty(mut servers: Vec<Redis>) {
    let mut client = servers[0].client();
    for number in 0..1000 {
        client.must(&["SET", &format!("key:{number}"), "v"]);
    }
    let setup = Setup::of(&servers).expecting(&[LOST, DOWN, RETURNED_EMPTY]);
    let mainstay = setup.start_on(&servers[0]);
    servers[0].kill9();
    mainstay.wait_for_no_primary();
    servers[0].start_again();
    mainstay.wait_for_primary(&servers[0].address());
    wait_until(PATIENCE, "the loss of data is reported", || mainstay.log.has("returned empty"));
}

#[test]
fn a_primary_that_comes_back_without_its_data_is_reported() {
    returns_empty(Redis::family(1));
}

#[test]
fn a_lone_server_that_comes_back_without_its_data_is_reported() {
    // Without a replica it counts no offset that could shrink.
    returns_empty(Redis::family(0));
}

#[test]
fn a_quick_restart_between_two_checks_ends_the_sessions_of_the_old_process() {
    let mut servers = vec![Redis::start(&[])];
    let setup = Setup::of(&servers).expecting(&[LOST, DOWN, RETURNED_EMPTY]);
    let mainstay = setup.start_on(&servers[0]);
    let mut before = mainstay.client();
    before.must(&["PING"]);
    servers[0].start_again();
    assert_ne!(before.end(PATIENCE), Gone::Silent);
    wait_until(PATIENCE, "it is served again", || mainstay.serves());
    wait_until(PATIENCE, "a new process is a new epoch", || mainstay.epoch() >= 1);
    mainstay.wait_for_primary(&servers[0].address());
}

#[test]
fn a_client_blocked_in_brpop_is_closed_with_its_primary() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).expecting(&[CONFLICT]).start_on(&family[0]);
    let mut blocked = mainstay.client();
    blocked.send(&client::command(&["BRPOP", "queue", "0"])).expect("it stands");
    wait_until(PATIENCE, "it is blocked", || family[0].info("blocked_clients") == "1");
    family[1].promote();
    assert_ne!(blocked.end(PATIENCE), Gone::Silent);
    mainstay.client().must(&["RPUSH", "queue", "job"]);
    assert_eq!(family[1].command(&["LLEN", "queue"]), Reply::Int(1));
}
