//! Looking at mainstay and steering it: health, metrics, the API, the command line, signals.

mod harness;

use std::time::Instant;

use harness::expected::*;
use harness::*;
use rustix::process::Signal;

#[test]
fn sigterm_stops_accepting_lets_sessions_end_and_leaves_with_0() {
    let server = Redis::start(&[]);
    let mut mainstay = Setup::of([&server]).start_on(&server);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    mainstay.signal(Signal::TERM);
    wait_until(PATIENCE, "nobody new is accepted", || match Client::try_connect(&mainstay.listen) {
        Err(_) => true,
        Ok(mut late) => late.ask_within(ms(200), &["PING"]).is_err(),
    });
    for _ in 0..100 {
        client.must(&["INCR", "while-draining"]);
    }
    assert!(mainstay.process.ended().is_none());
    drop(client);
    assert_eq!(mainstay.process.wait(PATIENCE).code(), Some(0));
}

#[test]
fn after_drain_timeout_the_sessions_that_are_left_are_cut() {
    let server = Redis::start(&[]);
    let mut mainstay = Setup::of([&server]).runtime("drain_timeout = \"1s\"").expecting(&[CUT]).start_on(&server);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    let begun = Instant::now();
    mainstay.signal(Signal::TERM);
    client.must(&["PING"]);
    assert_ne!(client.end(PATIENCE), Gone::Silent);
    assert_eq!(mainstay.process.wait(PATIENCE).code(), Some(0));
    assert!(begun.elapsed() >= ms(900), "cut after {:?}", begun.elapsed());
}

#[test]
fn a_second_signal_cuts_at_once() {
    let server = Redis::start(&[]);
    let mut mainstay = Setup::of([&server]).runtime("drain_timeout = \"10m\"").expecting(&[CUT]).start_on(&server);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    mainstay.signal(Signal::TERM);
    wait_until(PATIENCE, "it drains", || Client::try_connect(&mainstay.listen).is_err());
    client.must(&["PING"]);
    mainstay.signal(Signal::TERM);
    assert_ne!(client.end(PATIENCE), Gone::Silent);
    mainstay.process.wait(PATIENCE);
}

#[test]
fn readiness_says_which_group_lacks_a_primary() {
    let server = Redis::start(&[]);
    let lonely = Redis::start(&["replicaof 127.0.0.1 1"]);
    let address = format!("127.0.0.1:{}", free_port());
    let more = format!(
        "[[group]]\nname = \"cache\"\nbackends = [\"{}\"]\n[[listener]]\nname = \"cache\"\nbind = \"{address}\"\ngroup = \"cache\"\n",
        lonely.address()
    );
    let mainstay = Setup::of([&server]).more(more).start_on(&server);
    let code = |path: &str| mainstay.get(path).expect("it answers").0;
    assert_eq!((code("/healthz"), code("/readyz")), (200, 200), "a proxy that holds is ready");
    assert_eq!(code("/readyz?primary&group=jobs"), 200);
    for path in ["/readyz?primary", "/readyz?primary&group=cache"] {
        let (code, body) = mainstay.get(path).expect("it answers");
        assert_eq!(code, 503, "{path}");
        assert!(body.contains("cache") && !body.contains("jobs"), "{path}: {body}");
    }
    assert!((400..500).contains(&code("/readyz?primary&group=nonsense")));
    lonely.promote();
    wait_until(PATIENCE, "both have a primary", || code("/readyz?primary") == 200);
}

#[test]
fn every_metric_of_the_design_exists_and_moves() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).start_on(&family[0]);
    let mut client = mainstay.client();
    client.must(&["SET", "k", "v"]);
    let jobs = r#"group="jobs""#;
    let label = |server: &Redis| format!("backend=\"{}\"", server.address());
    let (first, second) = (label(&family[0]), label(&family[1]));
    let sidekiq = r#"listener="sidekiq""#;
    let moved = |name: &str, labels: &[&str]| {
        wait_until(PATIENCE, &format!("{name}{labels:?} moves"), || mainstay.metric(name, labels) > 0.0);
    };
    moved("mainstay_build_info", &["version="]);
    moved("mainstay_group_primary", &[jobs, &first]);
    moved("mainstay_backend_up", &[jobs, &first]);
    moved("mainstay_backend_up", &[jobs, &second]);
    moved("mainstay_backend_role", &[jobs, &first, r#"role="master""#]);
    moved("mainstay_backend_role", &[jobs, &second, r#"role="slave""#]);
    moved("mainstay_checks_total", &[jobs, &first, r#"outcome="facts""#]);
    moved("mainstay_check_duration_seconds_count", &[jobs, &first]);
    moved("mainstay_sessions", &[sidekiq]);
    moved("mainstay_sessions_accepted_total", &[sidekiq]);
    moved("mainstay_bytes_total", &[sidekiq, r#"direction="in""#]);
    moved("mainstay_bytes_total", &[sidekiq, r#"direction="out""#]);
    moved("mainstay_upstream_connect_duration_seconds_count", &[jobs]);
    drop(client);
    moved("mainstay_sessions_closed_total", &[sidekiq, r#"reason="client""#]);
    family[0].failover_to(&family[1]);
    moved("mainstay_failovers_total", &[jobs, "cause="]);
    moved("mainstay_failover_duration_seconds_count", &[jobs]);
    moved("mainstay_group_epoch", &[jobs]);
    moved("mainstay_group_primary", &[jobs, &second]);
    assert_eq!(mainstay.metric("mainstay_group_primary", &[jobs]), 1.0, "one primary");
    let text = mainstay.get("/metrics").expect("it answers").1;
    for name in [
        "mainstay_group_conflict",
        "mainstay_backend_replication_lag_bytes",
        "mainstay_held",
        "mainstay_held_total",
        "mainstay_sessions_closed_total",
    ] {
        assert!(text.contains(&format!("\n{name}{{")), "{name} is missing");
    }
    for reason in ["client", "backend", "failover", "idle", "refused", "error", "drain"] {
        assert!(text.contains(&format!("reason=\"{reason}\"")), "{reason} is missing");
    }
}

#[test]
fn status_is_a_table_for_people_and_json_for_machines() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).start_on(&family[0]);
    let (status, table) = mainstay.cli(&["status"]);
    assert!(status.success(), "{table}");
    for word in ["jobs", &family[0].address(), &family[1].address(), "primary", "replica", "sidekiq"] {
        assert!(table.contains(word), "{word} is missing in\n{table}");
    }
    let (status, json) = mainstay.cli(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error} in {json}"));
    assert!(status.success() && json["groups"][0]["primary"] == family[0].address());
    let mut gone = mainstay;
    gone.process.kill9();
    let (status, text) = gone.cli(&["status"]);
    assert_eq!(status.code(), Some(1), "{text}");
}

#[test]
fn the_events_tell_a_failover_as_it_happens() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).start_on(&family[0]);
    let admin = mainstay.admin.clone();
    let listener = std::thread::spawn(move || http::events(&admin, "/api/v1/events", ms(5000)));
    std::thread::sleep(ms(300)); // the stream has no greeting that one could wait for
    family[0].failover_to(&family[1]);
    let events = listener.join().expect("no panic");
    let events: Vec<serde_json::Value> = events.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let find = |kind: &str| events.iter().position(|event| event["kind"] == kind && event["epoch"] == 1);
    let (withdrawn, elected) = (find("withdrawn"), find("elected"));
    assert!(withdrawn.is_some() && withdrawn < elected, "{events:#?}");
    assert_eq!(events[elected.expect("checked")]["backend"], family[1].address());
}

#[test]
fn maintenance_is_refused_for_the_only_possible_primary_unless_forced() {
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).hold("window = \"20s\"").start_on(&family[0]);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    let address = family[0].address();
    let (status, text) = mainstay.cli(&["backend", "jobs", &address, "maintenance"]);
    assert_eq!(status.code(), Some(1), "{text}");
    client.must(&["PING"]);
    let (status, text) = mainstay.cli(&["backend", "jobs", &address, "maintenance", "--force"]);
    assert!(status.success(), "{text}");
    assert_ne!(client.end(PATIENCE), Gone::Silent, "its sessions are cut");
    mainstay.wait_for_no_primary();
    assert_eq!(mainstay.backend(&address)["admin_state"], "maintenance");
    let mut waiting = mainstay.client();
    waiting.send(b"PING\r\n").expect("parked clients may send");
    assert_eq!(waiting.reply(ms(300)), Err(Gone::Silent));
    assert!(mainstay.cli(&["backend", "jobs", &address, "ready"]).0.success());
    assert_eq!(waiting.reply(PATIENCE), Ok(Reply::Status("PONG".into())));
    // A replica may go at any time.
    assert!(mainstay.cli(&["backend", "jobs", &family[1].address(), "maintenance"]).0.success());
    mainstay.client().must(&["PING"]);
}

#[test]
fn a_drained_primary_keeps_its_sessions_and_gets_no_new_ones() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).hold("window = \"20s\"").start_on(&server);
    let mut present = mainstay.client();
    present.must(&["PING"]);
    assert!(mainstay.cli(&["backend", "jobs", &server.address(), "drain"]).0.success());
    let mut late = mainstay.client();
    late.send(b"PING\r\n").expect("parked clients may send");
    assert_eq!(late.reply(ms(500)), Err(Gone::Silent));
    present.must(&["PING"]);
    assert!(mainstay.cli(&["backend", "jobs", &server.address(), "ready"]).0.success());
    assert_eq!(late.reply(PATIENCE), Ok(Reply::Status("PONG".into())));
    present.must(&["PING"]);
}

#[test]
fn the_command_line_alone_is_enough_to_run() {
    let server = Redis::start(&["requirepass secret"]);
    let (listen, dir) = (format!("127.0.0.1:{}", free_port()), tempfile::tempdir().expect("a folder"));
    // Without a file the admin address is the default one, which another mainstay of this machine may have at present.
    wait_until(PATIENCE, "port 9600 is free", || std::net::TcpListener::bind("127.0.0.1:9600").is_ok());
    let output = std::fs::File::create(dir.path().join("output")).expect("the folder can be written");
    let mut command = Process::command(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["run", "--listen", &listen, "--backend", &server.address()]).env("MAINSTAY_PASSWORD", "secret");
    command.current_dir(dir.path()).stdout(output.try_clone().expect("a second handle")).stderr(output);
    let _process = Process::spawn(&mut command);
    let served = || {
        let Ok(mut client) = Client::try_connect(&listen) else { return false };
        client.ask_within(ms(2000), &["AUTH", "secret"]) == Ok(Reply::ok())
    };
    wait_until(PATIENCE, "clients are served", served);
}
