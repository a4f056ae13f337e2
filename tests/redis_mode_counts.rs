//! What redis mode counts, and what a reload makes of a listener's mode.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::client::command;
use harness::*;

const REDIS_MODE: &str = "mode = \"redis\"";
const SIDEKIQ: &str = r#"listener="sidekiq""#;

fn plain_listener(bind: &str) -> String {
    format!("[[listener]]\nname = \"plain\"\nbind = \"{bind}\"\ngroup = \"jobs\"\n")
}

/// Counters reach the metrics with the worker's tick.
#[track_caller]
fn becomes(mainstay: &Mainstay, name: &str, labels: &[&str], wanted: f64) {
    let what = format!("{name} {labels:?} is {wanted}");
    wait_until(PATIENCE, &what, || mainstay.metric(name, labels) == wanted);
}

fn pinned(mainstay: &Mainstay, reason: &str, wanted: f64) {
    becomes(mainstay, "mainstay_pinned_sessions", &[SIDEKIQ, &format!("reason=\"{reason}\"")], wanted);
}

#[test]
fn requests_are_counted_and_timed_in_redis_mode_only() {
    let server = Redis::start(&[]);
    let plain = format!("127.0.0.1:{}", free_port());
    let mainstay = Setup::of([&server]).listener(REDIS_MODE).more(plain_listener(&plain)).start_on(&server);
    let (mut smooth, mut other) = (mainstay.client(), Client::connect(&plain));
    for _ in 0..20 {
        smooth.must(&["SET", "key", "value"]);
        other.must(&["GET", "key"]);
    }
    // A pipeline counts by its requests.
    smooth.send(&[command(&["PING"]), command(&["PING"])].concat()).expect("sent");
    for _ in 0..2 {
        assert_eq!(smooth.reply(PATIENCE), Ok(Reply::Status("PONG".into())));
    }
    becomes(&mainstay, "mainstay_requests_total", &[SIDEKIQ], 22.0);
    becomes(&mainstay, "mainstay_request_duration_seconds_count", &[SIDEKIQ], 22.0);
    let sum = mainstay.metric("mainstay_request_duration_seconds_sum", &[SIDEKIQ]);
    assert!(sum > 0.0 && sum < 20.0, "{sum} s for 22 requests");
    let (_, page) = mainstay.get("/metrics").expect("the admin address answers");
    let of_plain = page.lines().filter(|line| line.contains(r#"listener="plain""#));
    let strays: Vec<&str> =
        of_plain.filter(|line| ["request", "retries", "pinned"].iter().any(|word| line.contains(word))).collect();
    assert!(strays.is_empty(), "{strays:?}");
}

#[test]
fn an_upstream_is_opened_with_the_first_request_and_counted_while_it_stands() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).listener(REDIS_MODE).start_on(&server);
    let own = [r#"group="jobs""#, r#"kind="own""#];
    let mut clients: Vec<Client> = (0..3).map(|_| mainstay.client()).collect();
    becomes(&mainstay, "mainstay_sessions", &[SIDEKIQ], 3.0);
    becomes(&mainstay, "mainstay_upstreams", &own, 0.0);
    clients[0].must(&["PING"]);
    clients[1].must(&["PING"]);
    becomes(&mainstay, "mainstay_upstreams", &own, 2.0);
    drop(clients);
    becomes(&mainstay, "mainstay_upstreams", &own, 0.0);
}

#[test]
fn sessions_that_need_an_upstream_of_their_own_are_counted_by_the_reason() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).listener(REDIS_MODE).start_on(&server);
    let mut client = mainstay.client();
    client.must(&["WATCH", "key"]);
    pinned(&mainstay, "watch", 1.0);
    client.must(&["MULTI"]);
    pinned(&mainstay, "transaction", 1.0);
    pinned(&mainstay, "watch", 0.0);
    client.must(&["EXEC"]);
    pinned(&mainstay, "transaction", 0.0);

    let [mut subscriber, mut blocked, mut monitor] = [mainstay.client(), mainstay.client(), mainstay.client()];
    subscriber.must(&["SUBSCRIBE", "news"]);
    blocked.send(&command(&["BRPOP", "nothing", "0"])).expect("sent");
    monitor.must(&["MONITOR"]);
    for reason in ["subscription", "blocked", "opaque"] {
        pinned(&mainstay, reason, 1.0);
    }
    drop((subscriber, blocked, monitor));
    for reason in ["subscription", "blocked", "opaque"] {
        pinned(&mainstay, reason, 0.0);
    }
}

#[test]
fn what_a_planned_failover_makes_mainstay_ask_again_is_counted() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).listener(REDIS_MODE).start_on(&family[0]);
    let over = Arc::new(AtomicBool::new(false));
    let (mut client, theirs) = (mainstay.client(), over.clone());
    let writer = std::thread::spawn(move || {
        let mut written = 0;
        while !theirs.load(Ordering::SeqCst) {
            written += 1;
            assert_eq!(client.ask(&["INCR", "written"]), Ok(Reply::Int(written)), "no error, nothing lost, nothing twice");
        }
    });
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    let counted = mainstay.metric("mainstay_requests_total", &[SIDEKIQ]);
    wait_until(PATIENCE, "the new primary is written to", || mainstay.metric("mainstay_requests_total", &[SIDEKIQ]) > counted);
    over.store(true, Ordering::SeqCst);
    writer.join().expect("the client noticed nothing");
    // Redis holds writes back while it hands over, and then refuses the one that this client had sent.
    becomes(&mainstay, "mainstay_retries_total", &[SIDEKIQ, r#"reason="readonly""#], 1.0);
}

#[test]
fn a_reload_changes_the_mode_of_new_sessions_and_leaves_the_present_ones() {
    let family = Redis::family(1);
    let mut mainstay = Setup::of(&family).start_on(&family[0]);
    let mut plain = mainstay.client();
    plain.must(&["PING"]);
    mainstay.setup.listener = REDIS_MODE.into();
    let (code, answer) = mainstay.reload();
    assert_eq!((code, answer.contains("listener sidekiq changed")), (200, true), "{answer}");
    let listener = &mainstay.status()["listeners"][0];
    assert_eq!((&listener["mode"], &listener["shared_connections"]), (&"redis".into(), &false.into()));
    let mut smooth = mainstay.client();
    smooth.must(&["SET", "key", "value"]);
    plain.must(&["GET", "key"]);
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    assert_ne!(plain.end(PATIENCE), Gone::Silent, "it began in tcp mode");
    assert_eq!(smooth.must(&["GET", "key"]), Reply::bulk("value"), "it began in redis mode");

    mainstay.setup.listener = format!("{REDIS_MODE}\nshared_connections = true");
    assert_eq!(mainstay.reload().0, 200);
    assert_eq!(mainstay.status()["listeners"][0]["shared_connections"], true);
}
