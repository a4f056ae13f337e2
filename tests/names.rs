//! Names that change while mainstay runs: one address, several, none; services; and a resolver that fails.

mod harness;
mod names {
    pub mod dns;
    pub mod scene;
}
use names::{dns, scene};

use dns::Manner;
use harness::expected::*;
use harness::*;
use scene::{Scene, backends, family_at, wait_for_backends, wait_until_checked};

/// The resolver fails, and the last answer stays in force.
const UNRESOLVED: &[&str] = &["cannot be resolved"];

/// Works on one session that must not break, until it is dropped.
struct Session(Client);

impl Session {
    fn on(mainstay: &Mainstay) -> Self {
        let mut session = Self(mainstay.client());
        session.goes_on();
        session
    }

    #[track_caller]
    fn goes_on(&mut self) {
        self.0.must(&["INCR", "work"]);
    }
}

#[test]
fn a_name_that_grows_from_one_address_to_three_and_shrinks_again_cuts_nobody() {
    let Some(scene) = Scene::start() else { return };
    let mut family = family_at(&["127.1.0.1", "127.1.0.2", "127.1.0.3"]);
    let name = format!("redis.test:{}", family[0].port);
    scene.dns.set("redis.test", &["127.1.0.1"]);
    let mainstay = scene.setup(std::slice::from_ref(&name)).expecting(&[DOWN, LOST]).start();
    mainstay.wait_for_primary(&name);
    let mut session = Session::on(&mainstay);

    scene.dns.set("redis.test", &["127.1.0.2", "127.1.0.1", "127.1.0.3"]);
    let all: Vec<String> = family.iter().map(Redis::address).collect();
    wait_for_backends(&mainstay, &all);
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(all[0].clone()), 0));
    wait_until_checked(&mainstay, &[&family[0], &family[1], &family[2]]);
    session.goes_on();
    mainstay.client().must(&["PING"]);
    let (_, metrics) = mainstay.get("/metrics").expect("it answers");
    assert!(!metrics.contains(&name), "the old label is gone");
    assert_eq!(mainstay.metric("mainstay_group_primary", &[&format!("backend=\"{}\"", all[0])]), 1.0);
    // Answers in changing order change nothing.
    let asked = scene.dns.asked();
    wait_until(PATIENCE, "it is resolved again", || scene.dns.asked() > asked + 6);
    assert_eq!((mainstay.primary(), mainstay.epoch(), backends(&mainstay)), (Some(all[0].clone()), 0, all.clone()));
    session.goes_on();

    family[1].wait_in_step(&family[0]);
    family[0].kill9();
    family[1].promote();
    family[2].follow(&family[1]);
    mainstay.wait_for_primary(&all[1]);
    let mut session = Session::on(&mainstay);
    let epoch = mainstay.epoch();

    scene.dns.set("redis.test", &["127.1.0.2"]);
    wait_for_backends(&mainstay, std::slice::from_ref(&name));
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(name), epoch));
    session.goes_on();
}

#[test]
fn a_primary_whose_address_vanishes_stays_without_new_sessions_until_it_is_replaced() {
    let Some(scene) = Scene::start() else { return };
    let family = family_at(&["127.2.0.1", "127.2.0.2", "127.2.0.3"]);
    let all: Vec<String> = family.iter().map(Redis::address).collect();
    scene.dns.set("redis.test", &["127.2.0.1", "127.2.0.2", "127.2.0.3"]);
    let setup = scene.setup(&[format!("redis.test:{}", family[0].port)]);
    let mainstay = setup.hold("window = \"30s\"").expecting(&[CONFLICT]).start();
    mainstay.wait_for_primary(&all[0]);
    wait_for_backends(&mainstay, &all);
    let mut session = Session::on(&mainstay);

    scene.dns.set("redis.test", &["127.2.0.2", "127.2.0.3"]);
    wait_until(PATIENCE, "it is leaving", || mainstay.backend(&all[0])["leaving"] == true);
    let epoch = mainstay.epoch();
    assert_eq!(mainstay.primary(), Some(all[0].clone()));
    session.goes_on();
    let mut waiting = mainstay.client();
    waiting.send(&client::command(&["PING"])).expect("the kernel takes it");
    wait_until(PATIENCE, "new clients wait", || mainstay.group()["held"] == 1);

    // It is back: the same backend as before.
    scene.dns.set("redis.test", &["127.2.0.1", "127.2.0.2", "127.2.0.3"]);
    assert_eq!(waiting.reply(PATIENCE).map(|reply| reply.text()), Ok("PONG".into()));
    wait_until(PATIENCE, "it stays", || mainstay.backend(&all[0])["leaving"] == false);
    session.goes_on();

    scene.dns.set("redis.test", &["127.2.0.2", "127.2.0.3"]);
    wait_until(PATIENCE, "it is leaving", || mainstay.backend(&all[0])["leaving"] == true);
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&all[1]);
    assert_eq!(mainstay.epoch(), epoch + 1);
    wait_for_backends(&mainstay, &all[1..]);
    assert_ne!(session.0.end(PATIENCE), Gone::Silent);
    mainstay.client().must(&["SET", "k", "v"]);
}

#[test]
fn a_resolver_that_fails_hangs_or_answers_nothing_keeps_the_last_answer() {
    let Some(scene) = Scene::start() else { return };
    let mut family = family_at(&["127.3.0.1", "127.3.0.2"]);
    let all: Vec<String> = family.iter().map(Redis::address).collect();
    scene.dns.set("redis.test", &["127.3.0.1", "127.3.0.2"]);
    let setup = scene.setup(&[format!("redis.test:{}", family[0].port)]);
    let mainstay = setup.expecting(&[UNRESOLVED, DOWN, LOST]).start();
    mainstay.wait_for_primary(&all[0]);
    let mut session = Session::on(&mainstay);
    let said = || mainstay.log.text().matches("redis.test cannot be resolved").count();
    for (times, manner) in [(1, Manner::Fails), (2, Manner::Silent), (3, Manner::Answers)] {
        if manner == Manner::Answers {
            scene.dns.set("redis.test", &[]);
        }
        scene.dns.behave(manner);
        wait_until(PATIENCE, "the failure is said", || said() == times);
        let told = mainstay.backend(&all[1])["message"].to_string();
        assert!(told.contains("its last answer stays in force"), "{told}");
        let asked = scene.dns.asked();
        wait_until(PATIENCE, "it is asked again", || scene.dns.asked() > asked + 1);
        assert_eq!((said(), backends(&mainstay), mainstay.epoch()), (times, all.clone(), 0));
        session.goes_on();
        scene.dns.set("redis.test", &["127.3.0.1", "127.3.0.2"]);
        scene.dns.behave(Manner::Answers);
        wait_until(PATIENCE, "the end is said", || mainstay.log.text().matches("redis.test is resolved again").count() == times);
    }
    scene.dns.behave(Manner::Silent);
    family[1].wait_in_step(&family[0]);
    family[0].kill9();
    family[1].promote();
    mainstay.wait_for_primary(&all[1]);
    mainstay.client().must(&["GET", "work"]);
}

#[test]
fn a_server_that_returns_under_another_address_is_found_at_once() {
    let Some(scene) = Scene::start() else { return };
    let mut old = family_at(&["127.4.0.1"]).remove(0);
    let name = format!("redis.test:{}", old.port);
    scene.dns.set("redis.test", &["127.4.0.1"]);
    // As always, resolved again every 30 s, unless something happens.
    let setup = scene.setup(std::slice::from_ref(&name)).group("").expecting(&[DOWN, LOST, RETURNED_EMPTY]);
    let mainstay = setup.start();
    mainstay.wait_for_primary(&name);
    old.kill9();
    let new = Redis::try_start_on("127.4.0.2", old.port, &[]).expect("the port is free there as well");
    scene.dns.set("redis.test", &["127.4.0.2"]);
    let begun = std::time::Instant::now();
    wait_until(PATIENCE, "it is found", || mainstay.backend(&name)["endpoint"] == new.address());
    mainstay.wait_for_primary(&name);
    assert!(begun.elapsed() < ms(10_000), "long before the next regular question");
    mainstay.client().must(&["SET", "k", "v"]);
    assert_eq!(new.command(&["GET", "k"]), Reply::bulk("v"));
}

#[test]
fn a_name_that_is_pointed_to_the_promoted_replica_is_followed_although_the_old_one_still_answers() {
    let Some(scene) = Scene::start() else { return };
    let family = family_at(&["127.5.0.1", "127.5.0.2"]);
    let name = format!("redis.test:{}", family[0].port);
    scene.dns.set("redis.test", &["127.5.0.1"]);
    let mainstay = scene.setup(std::slice::from_ref(&name)).group("").start();
    mainstay.wait_for_primary(&name);
    mainstay.client().must(&["SET", "k", "v"]);
    family[0].failover_to(&family[1]);
    mainstay.wait_for_no_primary();
    scene.dns.set("redis.test", &["127.5.0.2"]);
    mainstay.wait_for_primary(&name);
    mainstay.client().must(&["SET", "k", "w"]);
    assert_eq!(family[1].command(&["GET", "k"]), Reply::bulk("w"));
}

#[test]
fn the_servers_of_a_service_are_found_and_followed() {
    let Some(scene) = Scene::start() else { return };
    let mut family = Redis::family(2);
    let service = "_redis._tcp.shop.test";
    // Long names, so that the answer does not fit into a datagram.
    let long = |number: usize| format!("redis-{number}.{0}.{0}.{0}.test", "a-long-label-as-clouds-like-them-so-very-much");
    let hosts: Vec<String> = (0..3).map(long).collect();
    for host in &hosts {
        scene.dns.set(host, &["127.0.0.1"]);
    }
    let targets: Vec<(&str, u16)> = hosts.iter().zip(&family).map(|(host, server)| (host.as_str(), server.port)).collect();
    let names: Vec<String> = targets.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    scene.dns.set_service(service, &targets[..1]);
    let mainstay = scene.setup(&[service.to_owned()]).expecting(&[DOWN, LOST, UNRESOLVED]).start();
    mainstay.wait_for_primary(&names[0]);
    assert_eq!(scene.dns.asked_over_tcp(), 0);
    let mut session = Session::on(&mainstay);

    scene.dns.set_service(service, &targets);
    wait_for_backends(&mainstay, &names);
    assert!(scene.dns.asked_over_tcp() > 0, "the answer was too large for a datagram");
    wait_until(PATIENCE, "the replicas are checked", || mainstay.backend(&names[2])["role"] == "slave");
    session.goes_on();
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(names[0].clone()), 0));
    let (asked, descriptors) = (scene.dns.asked_over_tcp(), mainstay.process.descriptors());
    wait_until(PATIENCE, "it is asked again and again", || scene.dns.asked_over_tcp() >= asked + 6);
    wait_until(PATIENCE, "no question leaves a socket behind", || mainstay.process.descriptors() <= descriptors);

    family[1].wait_in_step(&family[0]);
    family[0].kill9();
    family[1].promote();
    mainstay.wait_for_primary(&names[1]);
    scene.dns.set_service(service, &targets[1..]);
    wait_for_backends(&mainstay, &names[1..]);
    // No such name any more, as when a zone is written anew: the last answer stays.
    scene.dns.set_service(service, &[]);
    wait_until(PATIENCE, "the failure is said", || mainstay.log.has("_redis._tcp.shop.test cannot be resolved"));
    assert_eq!(backends(&mainstay), names[1..]);
    mainstay.client().must(&["SET", "k", "v"]);
}

#[test]
fn a_host_with_both_families_is_one_backend_also_where_one_of_them_is_out_of_reach() {
    let Some(scene) = Scene::start() else { return };
    let server = family_at(&["127.6.0.1"]).remove(0);
    let name = format!("redis.test:{}", server.port);
    // Nobody listens at the IPv6 address.
    scene.dns.set("redis.test", &["127.6.0.1", "::1"]);
    let mainstay = scene.setup(std::slice::from_ref(&name)).expecting(&[DOWN]).start();
    mainstay.wait_for_primary(&name);
    let mut session = Session::on(&mainstay);
    for answer in [&["127.6.0.1"][..], &["::1", "127.6.0.1"]] {
        scene.dns.set("redis.test", answer);
        let asked = scene.dns.asked();
        wait_until(PATIENCE, "it is asked again", || scene.dns.asked() > asked + 3);
        session.goes_on();
        assert_eq!((backends(&mainstay), mainstay.epoch()), (vec![name.clone()], 0));
    }
    mainstay.client().must(&["PING"]);
}

#[test]
fn a_resolver_that_hangs_from_the_start_keeps_nobody_from_being_served() {
    let Some(scene) = Scene::start() else { return };
    let family = Redis::family(1);
    scene.dns.behave(Manner::Silent);
    let addresses = [family[0].address(), "other.test:6379".into(), "_redis._tcp.shop.test".into()];
    let mainstay = scene.setup(&addresses).expecting(&[&["name_not_resolved"], DOWN]).start();
    mainstay.wait_for_primary(&family[0].address());
    mainstay.client().must(&["PING"]);
    assert_eq!(mainstay.backend("other.test:6379")["state"], "name_not_resolved");
    scene.dns.set("other.test", &["127.0.0.1"]);
    scene.dns.set_service("_redis._tcp.shop.test", &[("other.test", family[1].port)]);
    scene.dns.behave(Manner::Answers);
    let found = format!("other.test:{}", family[1].port);
    wait_until(PATIENCE, "the service is found", || backends(&mainstay).contains(&found));
    wait_until(PATIENCE, "its server is checked", || mainstay.backend(&found)["role"] == "slave");
}

#[test]
fn who_reads_a_replica_does_not_stay_with_it_when_its_name_leads_to_another_one() {
    let Some(scene) = Scene::start() else { return };
    let family = family_at(&["127.7.0.1", "127.7.0.2", "127.7.0.3"]);
    let name = format!("redis.test:{}", family[0].port);
    let host_read = |client: &mut Client| client.must(&["CONFIG", "GET", "bind"]).items()[1].text();
    let usable = |mainstay: &Mainstay, at: &Redis| {
        let backend = mainstay.backend(&name);
        backend["reads"] == "usable" && backend["endpoint"] == at.address()
    };
    for mode in ["tcp", "redis"] {
        scene.dns.set("redis.test", &["127.7.0.2"]);
        let setup = scene.setup(&[family[0].address(), name.clone()]);
        let mainstay = setup.listener(&format!("route = \"replica\"\nmode = \"{mode}\"")).start();
        wait_until(PATIENCE, "the replica is usable", || usable(&mainstay, &family[1]));
        let mut client = mainstay.client();
        assert_eq!(host_read(&mut client), "127.7.0.2");
        scene.dns.set("redis.test", &["127.7.0.3"]);
        wait_until(PATIENCE, "the other one is found", || usable(&mainstay, &family[2]));
        // Both are in step with the primary, but nobody asks the first one any more.
        if mode == "tcp" {
            assert_ne!(client.end(PATIENCE), Gone::Silent);
            client = mainstay.client();
        }
        assert_eq!(host_read(&mut client), "127.7.0.3", "{mode}");
    }
}
