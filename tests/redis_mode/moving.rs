//! From one primary to the next, unnoticed.

use std::collections::BTreeSet;

use crate::harness::expected::*;
use crate::harness::*;
use crate::{REDIS_MODE, demote, held, redis_mode, send, upstreams};

#[test]
fn an_idle_session_survives_a_planned_failover() {
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).start_on(&family[0]);
    let mut client = mainstay.client();
    client.must(&["SET", "k", "v"]);
    client.must(&["CLIENT", "SETNAME", "worker"]);
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    assert_eq!(client.must(&["GET", "k"]), Reply::bulk("v"));
    assert_eq!(client.must(&["CLIENT", "GETNAME"]), Reply::bulk("worker"), "its state was replayed");
    client.must(&["SET", "k", "w"]);
    assert_eq!(family[1].command(&["GET", "k"]), Reply::bulk("w"));
    assert_eq!(mainstay.metric("mainstay_sessions_closed_total", &[]), 0.0);
}

#[test]
fn writers_notice_nothing_of_a_planned_failover() {
    const CLIENTS: usize = 10;
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).start_on(&family[0]);
    let address = mainstay.listen.clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (address, stop) = (address.clone(), stop.clone());
            std::thread::spawn(move || {
                let (mut client, key, mut count) = (Client::connect(&address), format!("count:{number}"), 0);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    count += 1;
                    assert_eq!(client.ask(&["INCR", &key]), Ok(Reply::Int(count)), "{key}");
                }
                (key, count)
            })
        })
        .collect();
    std::thread::sleep(ms(300));
    for (old, new) in [(0, 1), (1, 0), (0, 1)] {
        family[old].failover_to(&family[new]);
        mainstay.wait_for_primary(&family[new].address());
        family[old].wait_for_link();
        std::thread::sleep(ms(300));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for writer in writers {
        let (key, count) = writer.join().expect("no client saw an error");
        assert_eq!(family[1].command(&["GET", &key]).text(), count.to_string());
        assert!(count > 10, "{key} was written {count} times");
    }
}

#[test]
fn a_thousand_idle_sessions_move_without_a_storm() {
    const SESSIONS: usize = 1000;
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).listener(&format!("{REDIS_MODE}\nmax_connections = 2000")).start_on(&family[0]);
    let mut clients: Vec<Client> = (0..SESSIONS).map(|_| mainstay.client()).collect();
    for client in &mut clients {
        client.must(&["PING"]);
    }
    wait_until(PATIENCE, "each has its upstream", || upstreams(&mainstay) == SESSIONS as f64);
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    wait_until(PATIENCE, "the upstreams are dropped", || upstreams(&mainstay) == 0.0);
    stays(ms(500), "nobody connects before he is asked something", || {
        family[1].info("connected_clients").parse::<usize>().is_ok_and(|clients| clients < 10)
    });
    for client in &mut clients {
        send(client, &["INCR", "after"]);
    }
    for client in &mut clients {
        assert!(matches!(client.reply(PATIENCE), Ok(Reply::Int(_))));
    }
    assert_eq!(family[1].command(&["GET", "after"]), Reply::bulk(&SESSIONS.to_string()));
}

#[test]
fn an_upstream_that_is_killed_while_idle_is_replaced_silently() {
    let server = Redis::start(&[]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let mut client = mainstay.client();
    client.must(&["SET", "k", "v"]);
    let id = client.must(&["CLIENT", "ID"]).text();
    server.command(&["CLIENT", "KILL", "ID", &id]);
    wait_until(PATIENCE, "the upstream is gone", || upstreams(&mainstay) == 0.0);
    assert_eq!(client.must(&["GET", "k"]), Reply::bulk("v"));
    assert_ne!(client.must(&["CLIENT", "ID"]).text(), id);
    assert_eq!(mainstay.epoch(), 0);
}

#[test]
fn a_subscriber_is_attached_again_at_once_and_hears_what_the_next_primary_says() {
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).start_on(&family[0]);
    let mut subscriber = mainstay.client();
    send(&mut subscriber, &["SUBSCRIBE", "news"]);
    assert_eq!(subscriber.reply(PATIENCE).expect("a confirmation").items()[0], Reply::bulk("subscribe"));
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    wait_until(PATIENCE, "it listens there", || family[1].command(&["PUBLISH", "news", "hello"]) == Reply::Int(1));
    let heard = subscriber.reply(PATIENCE).expect("the message, and no second confirmation");
    assert_eq!(heard.items(), [Reply::bulk("message"), Reply::bulk("news"), Reply::bulk("hello")]);
}

#[test]
fn a_blocked_client_goes_on_waiting_at_the_next_primary() {
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).start_on(&family[0]);
    let mut worker = mainstay.client();
    worker.must(&["PING"]);
    send(&mut worker, &["BRPOP", "jobs", "30"]);
    wait_until(PATIENCE, "it is blocked", || family[0].info("blocked_clients") == "1");
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    wait_until(PATIENCE, "it is blocked there", || family[1].info("blocked_clients") == "1");
    mainstay.client().must(&["LPUSH", "jobs", "one"]);
    assert_eq!(worker.reply(PATIENCE).expect("the job").items()[1], Reply::bulk("one"));
}

#[test]
fn a_client_that_waits_to_move_an_element_goes_on_after_a_planned_failover_and_is_closed_by_a_crash() {
    let mut family = Redis::family(1);
    let setup = redis_mode(&family).hold("window = \"20s\"").expecting(&[LOST, DOWN, CONFLICT, SILENT]);
    let mainstay = setup.start_on(&family[0]);
    let (mut popper, mut mover) = (mainstay.client(), mainstay.client());
    send(&mut popper, &["BRPOP", "jobs", "60"]);
    send(&mut mover, &["BLMOVE", "queue", "working", "RIGHT", "LEFT", "60"]);
    wait_until(PATIENCE, "they are blocked", || family[0].info("blocked_clients") == "2");
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    wait_until(PATIENCE, "they are blocked there", || family[1].info("blocked_clients") == "2");
    family[0].wait_for_link();
    family[1].kill9();
    assert_ne!(mover.end(PATIENCE), Gone::Silent, "the element may stand in the other list already");
    family[0].promote();
    mainstay.wait_for_primary(&family[0].address());
    wait_until(PATIENCE, "one is blocked there", || family[0].info("blocked_clients") == "1");
    mainstay.client().must(&["LPUSH", "jobs", "one"]);
    assert_eq!(popper.reply(PATIENCE).expect("the job").items()[1], Reply::bulk("one"));
}

/// The one that a client is blocked at lives on and does not know that it was replaced.
#[test]
fn a_blocked_client_is_taken_from_a_primary_that_lives_on_beside_its_successor() {
    let old = Redis::start(&["requirepass secret"]);
    let new = Redis::replica_of(&old, &[]);
    let setup = redis_mode([&old, &new]).group("password_env = \"REDIS_PASSWORD\"").environment("REDIS_PASSWORD", "secret");
    let mainstay = setup.expecting(&[CONFLICT]).start_on(&old);
    let mut workers: Vec<Client> = (0..20).map(|_| mainstay.client()).collect();
    for worker in &mut workers {
        worker.must(&["AUTH", "secret"]);
        send(worker, &["BRPOP", "jobs", "30"]);
    }
    wait_until(PATIENCE, "they are blocked", || old.info("blocked_clients") == "20");
    new.promote();
    mainstay.wait_for_primary(&new.address());
    wait_until(PATIENCE, "they are blocked there", || new.info("blocked_clients") == "20");
    assert_eq!(old.info("blocked_clients"), "0");
    let asked = old.info("cmdstat_client|unblock");
    assert!(asked.starts_with("calls=20,"), "each was ended by name: {asked:?}");
    for number in 0..workers.len() {
        new.command(&["LPUSH", "jobs", &number.to_string()]);
    }
    let job = |worker: &mut Client| worker.reply(PATIENCE).expect("a job").items()[1].text();
    let jobs: BTreeSet<String> = workers.iter_mut().map(job).collect();
    assert_eq!(jobs.len(), workers.len(), "each has one of its own: {jobs:?}");
    assert!(mainstay.metric("mainstay_retries_total", &[r#"reason="blocked""#]) >= 20.0);
}

#[test]
fn what_was_refused_by_a_demoted_server_is_asked_again_and_not_passed_on() {
    let family = Redis::family(1);
    // The demotion is seen by nobody but the client that writes.
    let setup = redis_mode(&family).check("interval = \"60s\"").hold("window = \"20s\"");
    let mainstay = setup.expecting(&[CONFLICT]).start_on(&family[0]);
    wait_until(PATIENCE, "the group is no longer in doubt", || mainstay.group()["doubt"] == false);
    let mut client = mainstay.client();
    client.must(&["SET", "k", "v"]);
    let _stranger = demote(&family[0]);
    send(&mut client, &["SET", "k", "w"]);
    wait_until(PATIENCE, "it is held", || held(&mainstay) == 1.0);
    family[1].promote();
    assert_eq!(client.reply(PATIENCE), Ok(Reply::ok()));
    assert_eq!(family[1].command(&["GET", "k"]), Reply::bulk("w"));
    assert!(mainstay.metric("mainstay_retries_total", &[r#"reason="readonly""#]) >= 1.0);
}

#[test]
fn a_refusal_that_proves_nothing_about_the_primary_is_passed_on() {
    let server = Redis::start(&["min-replicas-to-write 1"]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let mut client = mainstay.client();
    for _ in 0..3 {
        let refused = client.ask(&["SET", "k", "v"]).expect("the session stands");
        assert!(refused.text().starts_with("NOREPLICAS"), "{refused:?}");
        client.must(&["GET", "k"]);
    }
    assert_eq!(mainstay.epoch(), 0);
}

#[test]
fn a_hundred_clients_refused_at_once_hear_it_as_soon_as_one_would() {
    let server = Redis::start(&["min-replicas-to-write 1"]);
    let mainstay = redis_mode([&server]).hold("window = \"1h\"").start_on(&server);
    let mut clients: Vec<_> = (0..100).map(|_| mainstay.client()).collect();
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        clients.iter_mut().for_each(|client| send(client, &["SET", "k", "v"]));
        for client in &mut clients {
            let refused = client.reply(PATIENCE).expect("the session stands");
            assert!(refused.text().starts_with("NOREPLICAS"), "{refused:?}");
        }
        assert!(begun.elapsed() < ms(3000), "each waited for a look of its own: {:?}", begun.elapsed());
    }
}

#[test]
fn monitor_passes_bytes_from_then_on_and_is_cut_at_a_failover() {
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).start_on(&family[0]);
    let mut watcher = mainstay.client();
    assert_eq!(watcher.must(&["MONITOR"]), Reply::ok());
    mainstay.client().must(&["SET", "seen", "yes"]);
    wait_until(PATIENCE, "it is seen", || watcher.reply(PATIENCE).is_ok_and(|line| line.text().contains("seen")));
    let opaque = || mainstay.metric("mainstay_pinned_sessions", &[r#"reason="opaque""#]);
    wait_until(PATIENCE, "it is counted", || opaque() == 1.0);
    family[0].failover_to(&family[1]);
    assert_ne!(watcher.end(PATIENCE), Gone::Silent);
    wait_until(PATIENCE, "it is not counted any more", || opaque() == 0.0);
}

#[test]
fn a_session_with_an_upstream_goes_on_while_its_primary_is_drained() {
    let server = Redis::start(&[]);
    let mainstay = redis_mode([&server]).hold("window = \"20s\"").start_on(&server);
    let mut present = mainstay.client();
    present.must(&["PING"]);
    let (status, said) = mainstay.cli(&["backend", "jobs", &server.address(), "drain"]);
    assert!(status.success(), "{said}");
    let mut late = mainstay.client();
    send(&mut late, &["PING"]);
    wait_until(PATIENCE, "the late one is held", || held(&mainstay) == 1.0);
    present.must(&["PING"]);
    let (status, said) = mainstay.cli(&["backend", "jobs", &server.address(), "ready"]);
    assert!(status.success(), "{said}");
    assert_eq!(late.reply(PATIENCE), Ok(Reply::Status("PONG".into())));
}
