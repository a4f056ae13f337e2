//! Backends that are down, busy, asleep, locked or no Redis at all.

mod harness;

use std::io::Write;
use std::time::Instant;

use harness::expected::*;
use harness::*;

#[test]
fn when_all_backends_go_and_come_back_clients_are_served_again() {
    let mut family = Redis::family(1);
    let setup = Setup::of(&family).hold("window = \"1s\"").expecting(&[LOST, DOWN, RETURNED_EMPTY]);
    let mainstay = setup.start_on(&family[0]);
    let mut before = mainstay.client();
    before.must(&["PING"]);
    family[0].kill9();
    family[1].kill9();
    assert_ne!(before.end(PATIENCE), Gone::Silent);
    mainstay.wait_for_no_primary();
    wait_until(PATIENCE, "clients are refused at once", || {
        let begun = Instant::now();
        mainstay.client().end(ms(900)) == Gone::Closed && begun.elapsed() < ms(900)
    });
    for server in &family {
        wait_until(PATIENCE, "both are seen to be down", || mainstay.backend(&server.address())["up"] == false);
    }
    family[0].start_again();
    let answered = Instant::now();
    wait_until(PATIENCE, "clients are served again", || mainstay.serves());
    let waited = answered.elapsed();
    assert!(waited < ms(4000), "served {waited:?} after the primary answered"); // 2 s by the design, twice that on a busy machine
    family[1].start_again();
    wait_until(PATIENCE, "the replica is up", || mainstay.backend(&family[1].address())["up"] == true);
}

#[test]
fn a_backend_that_loads_its_data_set_is_waited_for() {
    // 3,000 keys at 1 ms each: three seconds of -LOADING at every start.
    let mut servers = vec![Redis::start(&["loading-process-events-interval-bytes 1024"])];
    servers[0].command(&["DEBUG", "POPULATE", "3000"]);
    servers[0].save();
    let setup = Setup::of(&servers).hold("window = \"30s\"").expecting(&[LOST, DOWN, LOADING]);
    let mainstay = setup.start_on(&servers[0]);
    servers[0].kill9();
    mainstay.wait_for_no_primary();
    servers[0].start_again_with("key-load-delay 1000");
    let mut waiting = mainstay.client();
    waiting.send(&client::command(&["DBSIZE"])).expect("parked clients may send");
    wait_until(PATIENCE, "it is seen loading", || mainstay.state_of(&servers[0]) == "loading");
    assert_eq!(mainstay.primary(), None);
    assert_eq!(waiting.reply(PATIENCE), Ok(Reply::Int(3000)), "never -LOADING");
    assert!(mainstay.metric("mainstay_checks_total", &[r#"outcome="loading""#]) >= 1.0);
    mainstay.wait_for_primary(&servers[0].address());
}

#[test]
fn a_long_script_on_the_primary_is_no_failover() {
    let family: Vec<Redis> = {
        let primary = Redis::start(&["busy-reply-threshold 50"]);
        let replica = Redis::replica_of(&primary, &[]);
        vec![primary, replica]
    };
    let mainstay = Setup::of(&family).expecting(&[SILENT, BUSY]).start_on(&family[0]);
    let epoch = mainstay.epoch();
    let mut session = mainstay.client();
    session.must(&["PING"]);
    let mut script = family[0].client();
    script.send(&client::command(&["EVAL", "while true do end", "0"])).expect("it stands");
    wait_until(PATIENCE, "the check says busy", || mainstay.backend(&family[0].address())["last_check"] == "busy");
    // Longer than `fall` failed checks in doubt would take.
    stays(ms(3000), "the primary stays", || mainstay.primary() == Some(family[0].address()));
    let refused = session.ask(&["GET", "k"]).expect("the session stands");
    assert!(refused.text().starts_with("BUSY"), "{refused:?}");
    assert_eq!(family[0].command(&["SCRIPT", "KILL"]), Reply::ok());
    wait_until(PATIENCE, "it works again", || session.ask(&["GET", "k"]) == Ok(Reply::Bulk(None)));
    assert_eq!(mainstay.epoch(), epoch);
}

#[test]
fn a_paused_primary_is_no_failover() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).expecting(&[SILENT]).start_on(&family[0]);
    let epoch = mainstay.epoch();
    let mut session = mainstay.client();
    session.must(&["PING"]);
    assert_eq!(family[0].command(&["CLIENT", "PAUSE", "3000", "ALL"]), Reply::ok());
    assert_eq!(session.ask(&["SET", "k", "v"]), Ok(Reply::ok()), "answered after the pause, over the same session");
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(family[0].address()), epoch));
}

#[test]
fn a_wrong_password_is_told_apart_and_the_right_one_works() {
    let servers = [Redis::start(&["requirepass correct"])];
    let setup = || Setup::of(&servers).group("password_env = \"TEST_PASSWORD\"").hold("window = \"1s\"");
    let wrong = setup().environment("TEST_PASSWORD", "not-the-one").expecting(&[AUTH]).start();
    wait_until(PATIENCE, "the refusal is counted", || {
        wrong.metric("mainstay_checks_total", &[r#"outcome="auth_refused""#]) >= 1.0
    });
    assert_eq!(wrong.primary(), None);
    assert_eq!(wrong.backend(&servers[0].address())["last_check"], "auth_refused");
    assert!(!wrong.log.has("not-the-one"), "a secret is never printed");
    assert!(!wrong.get("/api/v1/status").expect("it answers").1.contains("not-the-one"));
    let right = setup().environment("TEST_PASSWORD", "correct").start_on(&servers[0]);
    let mut client = right.client();
    assert!(client.ask(&["GET", "k"]).expect("it stands").text().starts_with("NOAUTH"), "clients bring their own");
    client.must(&["AUTH", "correct"]);
    client.must(&["SET", "k", "v"]);
}

#[test]
fn a_password_that_changes_does_not_unseat_a_primary_whose_sessions_work() {
    let servers = [Redis::start(&["requirepass first"])];
    let setup = Setup::of(&servers).group("password_env = \"TEST_PASSWORD\"").environment("TEST_PASSWORD", "first");
    let mainstay = setup.expecting(&[AUTH, DOWN]).start_on(&servers[0]);
    let mut client = mainstay.client();
    client.must(&["AUTH", "first"]);
    let epoch = mainstay.epoch();
    let mut direct = servers[0].client();
    direct.must(&["CONFIG", "SET", "requirepass", "second"]);
    // Ends the connection of the check, so that it has to authenticate anew.
    let checks = client_ids(&mut direct, "cmd=info");
    assert!(!checks.is_empty());
    for id in checks {
        direct.must(&["CLIENT", "KILL", "ID", &id]);
    }
    wait_until(PATIENCE, "the refusal is seen", || mainstay.backend(&servers[0].address())["last_check"] == "auth_refused");
    stays(ms(3000), "the primary stays", || mainstay.primary() == Some(servers[0].address()) && mainstay.epoch() == epoch);
    client.must(&["SET", "k", "v"]);
    direct.must(&["CONFIG", "SET", "requirepass", "first"]);
    wait_until(PATIENCE, "the check works again", || mainstay.backend(&servers[0].address())["last_check"] == "facts");
}

/// The ids of the clients in CLIENT LIST whose line contains `part`.
fn client_ids(direct: &mut Client, part: &str) -> Vec<String> {
    let list = direct.must(&["CLIENT", "LIST"]).text();
    let lines = list.lines().filter(|line| line.contains(part));
    lines.filter_map(|line| line.split(' ').find_map(|field| field.strip_prefix("id=")).map(str::to_owned)).collect()
}

/// A real primary and something else beside it: the primary is served, the other one is told apart and costs little.
fn beside(stranger: Recorder, outcomes: &[&str]) {
    let primary = Redis::start(&[]);
    let setup = Setup::at([stranger.address(), primary.address()]).expecting(&[NOT_REDIS, SILENT, DOWN]);
    let mainstay = setup.start_on(&primary);
    mainstay.client().must(&["PING"]);
    wait_until(PATIENCE, "it was checked twice", || {
        let labels = [format!("backend=\"{}\"", stranger.address())];
        mainstay.metric("mainstay_checks_total", &[&labels[0]]) >= 2.0
    });
    let seen = mainstay.backend(&stranger.address());
    assert!(outcomes.contains(&seen["last_check"].as_str().unwrap_or_default()), "{seen:#}");
    assert_eq!(seen["up"], false);
    assert!(mainstay.process.memory() < 64 << 20, "{} bytes", mainstay.process.memory());
}

#[test]
fn a_backend_that_speaks_http_is_told_apart() {
    let stranger = Recorder::answering(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    beside(stranger, &["not_redis"]);
}

#[test]
fn a_backend_that_sends_garbage_is_told_apart() {
    let stranger = Recorder::answering(|stream| {
        let _ = stream.write_all(&[0, 255, 7, 13, 10, b'*', b'9', b'9', b'9', b'9', b'9', b'9', b'9', 13, 10]);
    });
    beside(stranger, &["not_redis"]);
}

#[test]
fn a_backend_that_sends_an_endless_reply_costs_bounded_memory_and_one_check() {
    let stranger = Recorder::answering(|stream| {
        let _ = stream.write_all(b"$2000000000\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    beside(stranger, &["not_redis", "silent"]);
}

#[test]
fn a_backend_that_trickles_its_reply_fails_the_check_in_time() {
    let stranger = Recorder::answering(|stream| {
        let _ = stream.write_all(b"$2000\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(ms(20));
        }
    });
    beside(stranger, &["silent"]);
}

#[test]
fn a_silence_shorter_than_fall_checks_changes_nothing_and_a_longer_one_loses_the_primary() {
    let server = Redis::start(&[]);
    let relay = Recorder::relay(&server.address());
    let setup = Setup::at([relay.address()]).check("interval = \"200ms\"\ntimeout = \"200ms\"");
    let mainstay = setup.expecting(&[SILENT, LOST]).start();
    mainstay.wait_for_primary(&relay.address());
    let epoch = mainstay.epoch();
    let mut session = mainstay.client();
    session.must(&["PING"]);
    relay.hold_replies(true);
    wait_until(PATIENCE, "a check fails", || mainstay.backend(&relay.address())["failed_running"].as_u64() >= Some(1));
    relay.hold_replies(false);
    wait_until(PATIENCE, "checks work again", || mainstay.backend(&relay.address())["last_check"] == "facts");
    session.must(&["PING"]);
    assert_eq!(mainstay.epoch(), epoch);
    relay.hold_replies(true);
    assert_ne!(session.end(PATIENCE), Gone::Silent);
    mainstay.wait_for_no_primary();
    relay.hold_replies(false);
    mainstay.wait_for_primary(&relay.address());
    assert_eq!(mainstay.epoch(), epoch + 1);
    mainstay.client().must(&["PING"]);
}
