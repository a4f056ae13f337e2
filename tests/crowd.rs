//! Many clients, much data, few descriptors: heavy, hence a binary of its own whose tests run one after another.

mod harness;

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use harness::expected::*;
use harness::*;

/// One heavy test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[test]
fn eight_thousand_idle_sessions_cost_little_and_all_live() {
    let _alone = alone();
    const SESSIONS: usize = 8000;
    // mainstay inherits the limit and holds two descriptors a session.
    need_descriptors(2 * SESSIONS as u64 + 500);
    let server = Redis::start(&["maxclients 9000"]);
    let mainstay = Setup::of([&server]).listener("max_connections = 9000").start_on(&server);
    let mut clients: Vec<Client> = Vec::new();
    let mut at_200 = 0;
    for number in 0..SESSIONS {
        let mut client = mainstay.client();
        client.must(&["PING"]);
        clients.push(client);
        if number + 1 == 200 {
            at_200 = mainstay.process.memory();
        }
    }
    let each = (mainstay.process.memory().saturating_sub(at_200)) / (SESSIONS as u64 - 200);
    assert!(each < 8 * 1024, "an idle session costs {each} bytes"); // a debug build; the bench holds the release to 2 KiB
    assert_eq!(mainstay.status()["listeners"][0]["sessions"], SESSIONS);
    let cpu = mainstay.process.cpu();
    std::thread::sleep(ms(2000));
    let spent = mainstay.process.cpu() - cpu;
    assert!(spent < ms(600), "idle sessions cost {spent:?} of CPU time in 2 s");
    for client in &mut clients {
        client.must(&["PING"]);
    }
    drop(clients);
    wait_until(PATIENCE, "all are gone", || mainstay.status()["listeners"][0]["sessions"] == 0);
}

#[test]
fn a_client_that_does_not_read_a_gibibyte_of_replies_costs_bounded_memory() {
    let _alone = alone();
    // Redis may buffer what it likes here: it is mainstay's memory that is looked at.
    let server = Redis::start(&["client-output-buffer-limit normal 0 0 0"]);
    server.command(&["SETRANGE", "mib", &(1024 * 1024 - 1).to_string(), "x"]);
    // Redis copies all these replies in one go and answers nobody meanwhile, the check included.
    let mainstay = Setup::of([&server]).expecting(&[SILENT]).start_on(&server);
    let (mut lazy, mut other) = (mainstay.client(), mainstay.client());
    let mut requests = Vec::new();
    for _ in 0..1024 {
        requests.extend(client::command(&["GET", "mib"]));
    }
    lazy.send(&requests).expect("the requests are small");
    let begun = Instant::now();
    let mut most = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        other.must(&["PING"]);
        most = most.max(mainstay.process.memory());
        std::thread::sleep(ms(50));
    }
    assert!(most < 64 << 20, "{most} bytes");
    // And when it reads at last, nothing is missing.
    let reply = "$1048576\r\n".len() + 1024 * 1024 + 2;
    lazy.skip(1024 * reply, Duration::from_secs(120)).expect("all of it arrives");
    assert_eq!(lazy.ask(&["PING"]), Ok(Reply::Status("PONG".into())));
    assert!(mainstay.process.memory() < 64 << 20, "{} bytes", mainstay.process.memory());
}

#[test]
fn hundreds_of_clients_come_back_at_once_after_a_failover() {
    let _alone = alone();
    const CLIENTS: usize = 500;
    need_descriptors(3 * CLIENTS as u64 + 500);
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).hold("window = \"20s\"").start_on(&family[0]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| mainstay.client()).collect();
    for client in &mut clients {
        client.must(&["INCR", "before"]);
    }
    let elsewhere = Redis::start(&[]);
    family[1].wait_in_step(&family[0]);
    family[0].follow(&elsewhere);
    for client in &mut clients {
        assert_ne!(client.end(PATIENCE), Gone::Silent);
    }
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| mainstay.client()).collect();
    for client in &mut clients {
        client.send(&client::command(&["INCR", "after"])).expect("parked clients may send");
    }
    wait_until(PATIENCE, "all are parked", || mainstay.metric("mainstay_held", &[]) == CLIENTS as f64);
    family[1].promote();
    let promoted = Instant::now();
    for client in &mut clients {
        assert!(matches!(client.reply(PATIENCE), Ok(Reply::Int(_))));
    }
    let took = promoted.elapsed();
    assert!(took < Duration::from_secs(5), "the last of {CLIENTS} was served {took:?} after the promotion");
    assert_eq!(family[1].command(&["GET", "after"]).text(), CLIENTS.to_string());
    assert_eq!(mainstay.epoch(), 1);
}

#[test]
fn out_of_descriptors_mainstay_neither_spins_nor_stops_its_checks() {
    let _alone = alone();
    let family = Redis::family(1);
    let setup = Setup::of(&family).wrapper(&["prlimit", "--nofile=200:200"]);
    let mainstay = setup.expecting(&[DESCRIPTORS, CONFLICT]).start_on(&family[0]);
    assert!(mainstay.log.has("open files"), "a configuration that cannot fit is reported");
    let mut clients: Vec<Client> = (0..300).filter_map(|_| Client::try_connect(&mainstay.listen).ok()).collect();
    for client in &mut clients {
        let _ = client.send(b"PING\r\n");
    }
    std::thread::sleep(ms(500));
    let checks = || mainstay.metric("mainstay_checks_total", &[r#"outcome="facts""#]);
    let (cpu, before) = (mainstay.process.cpu(), checks());
    std::thread::sleep(ms(3000));
    let spent = mainstay.process.cpu() - cpu;
    assert!(spent < ms(1000), "{spent:?} of CPU time in 3 s: it spins");
    assert!(checks() >= before + 4.0, "checks go on");
    assert!(mainstay.process.descriptors() <= 200);
    family[1].promote();
    mainstay.wait_for_primary(&family[1].address());
    drop(clients);
    wait_until(PATIENCE, "it recovers", || mainstay.serves());
    let mut again: Vec<Client> = (0..20).map(|_| mainstay.client()).collect();
    for client in &mut again {
        client.must(&["PING"]);
    }
}

/// Far more clients than are connected at once, each of which sends more than a parked client may while there is no primary.
#[test]
fn a_crowd_with_large_requests_only_queues_for_its_connections() {
    let _alone = alone();
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).runtime("workers = 1").start_on(&server);
    let value = "x".repeat(1 << 20);
    let request = client::command(&["SET", "k", &value]);
    let mut clients: Vec<Client> = (0..200).map(|_| mainstay.client()).collect();
    for client in &mut clients {
        client.send(&request).expect("nobody is sent away");
    }
    for client in &mut clients {
        assert_eq!(client.reply(PATIENCE), Ok(Reply::ok()));
    }
}
