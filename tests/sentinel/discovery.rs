//! Who belongs to a group, and which Sentinels there are, as the Sentinels tell.

use super::harness::expected::*;
use super::*;

/// The addresses of the group's backends.
fn backends(mainstay: &Mainstay) -> Vec<String> {
    let group = mainstay.group();
    let backends = group["backends"].as_array().cloned().unwrap_or_default();
    let mut backends: Vec<String> = backends.iter().map(|one| one["address"].as_str().unwrap_or_default().to_owned()).collect();
    backends.sort();
    backends
}

fn addresses(servers: &[Redis]) -> Vec<String> {
    let mut addresses: Vec<String> = servers.iter().map(Redis::address).collect();
    addresses.sort();
    addresses
}

#[test]
fn backends_may_be_left_out_and_come_and_go_while_it_runs() {
    let mut watched = Watched::new(1);
    let setup = Setup::at([] as [String; 0]).sentinel(&watched.sentinels.section());
    let mainstay = setup.expecting(&[SENTINEL, DOWN, CONFLICT]).start_on(&watched.family[0]);
    assert_eq!(backends(&mainstay), addresses(&watched.family));
    let newcomer = Redis::replica_of(&watched.family[0], &[]);
    watched.family.push(newcomer);
    wait_until(PATIENCE, "the new replica is a backend", || backends(&mainstay) == addresses(&watched.family));
    let known = |sentinel: &Sentinel| sentinel.ask(&["SENTINEL", "REPLICAS", "jobs"]).map_or(0, |reply| reply.items().len());
    wait_until(PATIENCE, "all of them tell of it", || watched.sentinels.all.iter().all(|sentinel| known(sentinel) == 2));
    // A dead one is told of until the Sentinels are told to forget it.
    let mut gone = watched.family.pop().expect("three");
    gone.kill9();
    assert_eq!(backends(&mainstay).len(), 3);
    for sentinel in &watched.sentinels.all {
        assert_eq!(sentinel.ask(&["SENTINEL", "RESET", "jobs"]), Some(Reply::Int(1)));
    }
    wait_until(PATIENCE * 2, "it has left", || backends(&mainstay) == addresses(&watched.family));
    assert_eq!(mainstay.epoch(), 0);
    wait_until(PATIENCE * 2, "the Sentinels know each other again", || watched.sentinels.are_content_with(&watched.family[0], 1));
    assert_eq!(watched.sentinels.all[0].ask(&["SENTINEL", "FAILOVER", "jobs"]), Some(Reply::ok()));
    mainstay.wait_for_primary(&watched.family[1].address());
}

#[test]
fn one_sentinel_in_the_configuration_is_enough_to_find_the_others() {
    let mut watched = Watched::new(1);
    let section = format!("master_name = \"jobs\"\naddresses = [\"{}\"]\n", watched.sentinels.all[0].address());
    let setup = Setup::at([] as [String; 0]).sentinel(&section).expecting(&[SENTINEL]);
    let mainstay = setup.start_on(&watched.family[0]);
    wait_until(PATIENCE, "all three are asked", || word(&mainstay)["votes"] == 3);
    watched.sentinels.join(2, &watched.family[0], 1, DOWN_AFTER_MS);
    wait_until(PATIENCE, "the new one is asked", || word(&mainstay)["votes"] == 4 && word(&mainstay)["known"] == 4);
    // The one that is configured may be the one that dies.
    watched.sentinels.all[0].process.kill9();
    wait_until(PATIENCE, "three of four are a majority", || word(&mainstay)["votes"] == 3);
    assert_eq!(word(&mainstay)["known"], 4);
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(watched.family[0].address()), 0));
}

/// Servers and Sentinels that call each other `localhost`.
fn by_name() -> Watched {
    let primary = Redis::start(&["replica-announce-ip localhost"]);
    let replica = Redis::replica_of(&primary, &["replica-announce-ip localhost"]);
    let family = vec![primary, replica];
    let monitor = format!("sentinel monitor jobs localhost {} 2", family[0].port);
    let lines = ["sentinel resolve-hostnames yes", "sentinel announce-hostnames yes", &monitor];
    let sentinels = Sentinels::start_with(&lines, 3, 2, &family[0], 1, DOWN_AFTER_MS);
    Watched { family, sentinels }
}

#[test]
fn announced_host_names_are_connected_to() {
    let watched = by_name();
    let setup = Setup::at([] as [String; 0]).sentinel(&watched.sentinels.section());
    let mainstay = setup.expecting(&[CONFLICT, SENTINEL]).start();
    mainstay.wait_for_primary(&format!("localhost:{}", watched.family[0].port));
    let mut names: Vec<String> = watched.family.iter().map(|server| format!("localhost:{}", server.port)).collect();
    names.sort();
    assert_eq!(backends(&mainstay), names);
    wait_until_agreed(&mainstay);
}

#[test]
fn an_announced_name_is_known_as_the_backend_that_is_configured_by_its_address() {
    let watched = by_name();
    let mainstay = watched.setup().expecting(&[CONFLICT, SENTINEL]).start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    let names = word(&mainstay)["names"].as_str().unwrap_or_default().to_owned();
    assert!(names.starts_with("localhost:"), "{names}");
    assert_eq!(watched.sentinels.all[0].ask(&["SENTINEL", "FAILOVER", "jobs"]), Some(Reply::ok()));
    mainstay.wait_for_primary(&watched.family[1].address());
    wait_until_agreed(&mainstay);
}

#[test]
fn a_master_that_is_no_backend_of_the_group_is_said_and_its_group_is_not_served_without_proof() {
    let watched = Watched::new(1);
    let foreign = Redis::family(1);
    let setup = Setup::of(&foreign).sentinel(&watched.sentinels.section());
    let mainstay = setup.expecting(&[SENTINEL]).start();
    wait_until(PATIENCE, "they are heard", || word(&mainstay)["votes"] == 3);
    assert_eq!(word(&mainstay)["backend"], serde_json::Value::Null);
    stays(ms(2000), "nobody is served", || mainstay.primary().is_none());
    let why = mainstay.group()["why"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("no backend of this group"), "{why}");
}

#[test]
fn a_reload_takes_other_sentinels_and_leaves_sessions_alone() {
    let watched = Watched::new(1);
    let mut mainstay = Setup::of(&watched.family).expecting(&[SENTINEL]).start_on(&watched.family[0]);
    let mut session = mainstay.client();
    session.must(&["PING"]);
    mainstay.setup.sentinel = watched.sentinels.section();
    assert_eq!(mainstay.reload().0, 200);
    wait_until_agreed(&mainstay);
    // Without backends: those that are known stay, though the Sentinels are asked anew.
    mainstay.setup.backends.clear();
    mainstay.setup.check = "interval = \"500ms\"".into();
    assert_eq!(mainstay.reload().0, 200);
    wait_until_agreed(&mainstay);
    mainstay.setup.sentinel = mainstay.setup.sentinel.replace("[", "[\"127.0.0.1:1\", ");
    assert_eq!(mainstay.reload().0, 200);
    wait_until(PATIENCE, "the new one is asked", || states(&mainstay).contains(&"silent".to_owned()));
    wait_until_agreed(&mainstay);
    session.must(&["PING"]);
    mainstay.setup.backends = watched.family.iter().map(Redis::address).collect();
    mainstay.setup.sentinel.clear();
    assert_eq!(mainstay.reload().0, 200);
    wait_until(PATIENCE, "there are none any more", || mainstay.group()["sentinel"].is_null());
    session.must(&["PING"]);
    assert_eq!((mainstay.epoch(), mainstay.metric("mainstay_sentinels", &[])), (0, 0.0));
}
