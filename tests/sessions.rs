//! What a client sees of one session: bytes pass untouched, in both directions, to the very end.

mod harness;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use harness::expected::*;
use harness::*;

#[test]
fn a_client_that_closes_its_writing_side_receives_every_reply() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).start_on(&server);
    let mut client = mainstay.client();
    client.must(&["SET", "k", &"v".repeat(1000)]);
    // Not more: when Redis reads the end of a client it throws away what its kernel has not taken (measured from 78 KB on).
    client.send(&client::command(&["GET", "k"]).repeat(50)).expect("it stands");
    client.finish_writing();
    let (replies, end) = client.drain(PATIENCE);
    assert_eq!((replies.len(), end), (50 * 1009, Gone::Closed));
}

/// A backend that says role:master, and answers `STREAM` only once the client has closed its writing side: with 8 MiB.
fn patient_backend() -> String {
    let listener = TcpListener::bind(("127.0.0.1", free_port())).expect("a free port");
    let address = listener.local_addr().expect("a bound socket").to_string();
    let serve = |mut stream: TcpStream| {
        let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            all.extend_from_slice(&chunk[..read]);
            if !all.starts_with(b"STREAM") {
                let info = "redis_version:7.0.15\r\nrole:master\r\nrun_id:1\r\nmaster_replid:1\r\n";
                let _ = write!(stream, "${}\r\n{info}\r\n", info.len());
            }
        }
        if all.starts_with(b"STREAM") {
            let _ = stream.write_all(&vec![b'x'; 8 << 20]);
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn a_backend_may_answer_at_length_after_the_client_closed_its_writing_side() {
    let backend = patient_backend();
    let mainstay = Setup::at([&backend]).start();
    mainstay.wait_for_primary(&backend);
    let mut client = mainstay.client();
    client.send(b"STREAM\r\n").expect("it stands");
    assert_eq!(client.end(ms(300)), Gone::Silent, "the end of the client has not come yet");
    client.finish_writing();
    let (all, end) = client.drain(PATIENCE);
    assert_eq!((all.len(), end), (8 << 20, Gone::Closed));
}

#[test]
fn the_error_that_redis_sends_before_it_closes_arrives() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).start_on(&server);
    for wrong in ["*1\r\n$-5\r\n", "*a\r\n", "*1\r\n!3\r\nabc\r\n"] {
        let mut client = mainstay.client();
        client.send(wrong.as_bytes()).expect("it stands");
        let (text, end) = client.drain(PATIENCE);
        let text = String::from_utf8_lossy(&text);
        assert!(text.starts_with("-ERR Protocol error") && text.ends_with("\r\n"), "{wrong:?} was answered {text:?}");
        assert_eq!(end, Gone::Closed);
    }
    assert_eq!(mainstay.epoch(), 0);
}

#[test]
fn a_large_reply_arrives_whole_although_the_backend_closes_behind_it() {
    let server = Redis::start(&[]);
    server.command(&["SETRANGE", "big", "20000000", "x"]);
    let mainstay = Setup::of([&server]).start_on(&server);
    let mut client = mainstay.client();
    client.send(b"GET big\r\nQUIT\r\n").expect("it stands");
    // Redis has given everything to its kernel and closed long before this client begins to read.
    wait_until(PATIENCE, "the reply is on its way", || {
        server.info("total_net_output_bytes").parse::<u64>().unwrap_or(0) > 1_000_000
    });
    let (all, end) = client.drain(PATIENCE);
    assert_eq!(all.len(), "$20000001\r\n".len() + 20_000_001 + "\r\n+OK\r\n".len());
    assert!(all.ends_with(b"x\r\n+OK\r\n"));
    assert_eq!(end, Gone::Closed);
}

#[test]
fn bytes_pass_unchanged_in_both_directions() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).start_on(&server);
    let mut client = mainstay.client();
    for size in [0, 1, 1000, 16_383, 16_384, 16_385, 65_536, 1 << 20, 8 << 20] {
        // Every byte value, in an order that a lost or doubled chunk would disturb.
        let value: Vec<u8> = (0_u32..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).into_bytes();
        set.extend_from_slice(&value);
        set.extend_from_slice(b"\r\n");
        client.send(&set).expect("it stands");
        assert_eq!(client.reply(PATIENCE), Ok(Reply::ok()));
        assert!(client.must(&["GET", "k"]) == Reply::Bulk(Some(value)), "{size} bytes came back changed");
    }
    wait_until(PATIENCE, "the bytes are counted", || {
        let counted = |direction| mainstay.metric("mainstay_bytes_total", &[direction, r#"listener="sidekiq""#]);
        counted(r#"direction="in""#) > 9e6 && counted(r#"direction="out""#) > 9e6
    });
}

#[test]
fn beyond_max_connections_a_client_is_told_so_and_closed() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).listener("max_connections = 2").start_on(&server);
    let (mut first, mut second) = (mainstay.client(), mainstay.client());
    first.must(&["PING"]);
    second.must(&["PING"]);
    let mut third = mainstay.client();
    // Sends before it reads, as clients do: a hasty close would reset the connection and lose the word.
    third.send(&client::command(&["PING"])).expect("the kernel takes it");
    assert_eq!(third.drain(PATIENCE), (b"-ERR max number of clients reached\r\n".to_vec(), Gone::Closed));
    first.must(&["PING"]);
    drop(second);
    wait_until(PATIENCE, "a place is free again", || mainstay.serves());
    assert!(mainstay.metric("mainstay_sessions_closed_total", &[r#"reason="refused""#]) >= 1.0);
}

#[test]
fn an_idle_session_is_closed_and_an_active_one_is_not() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).listener("idle_timeout = \"2s\"").start_on(&server);
    let (mut idle, mut active) = (mainstay.client(), mainstay.client());
    idle.must(&["PING"]);
    let begun = std::time::Instant::now();
    let mut closed = false;
    while begun.elapsed() < ms(4500) {
        active.must(&["PING"]);
        match idle.end(ms(200)) {
            Gone::Silent => assert!(begun.elapsed() < ms(4000), "still open"),
            Gone::Closed | Gone::Reset if !closed => {
                assert!(begun.elapsed() > ms(1500), "closed too early");
                closed = true;
            }
            _ => {}
        }
    }
    assert!(closed);
    active.must(&["PING"]);
    wait_until(PATIENCE, "it is counted", || mainstay.metric("mainstay_sessions_closed_total", &[r#"reason="idle""#]) == 1.0);
}

#[test]
fn when_the_backend_closes_one_session_only_that_client_is_closed() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).start_on(&server);
    let (mut killed, mut other) = (mainstay.client(), mainstay.client());
    other.must(&["PING"]);
    let id = killed.must(&["CLIENT", "ID"]).text();
    server.command(&["CLIENT", "KILL", "ID", &id]);
    assert_ne!(killed.end(PATIENCE), Gone::Silent);
    other.must(&["PING"]);
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(server.address()), 0));
    wait_until(PATIENCE, "it is counted", || mainstay.metric("mainstay_sessions_closed_total", &[r#"reason="backend""#]) == 1.0);
}

#[test]
fn when_a_client_goes_its_upstream_goes_too() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).start_on(&server);
    let clients = || server.info("connected_clients").parse::<usize>().unwrap_or(0);
    let mut many: Vec<Client> = (0..20).map(|_| mainstay.client()).collect();
    for client in &mut many {
        client.must(&["PING"]);
    }
    assert!(clients() > 20);
    drop(many);
    // What remains: the check, and the connection that asks.
    wait_until(PATIENCE, "no upstream is left behind", || clients() <= 2);
    wait_until(PATIENCE, "no session is left behind", || mainstay.status()["listeners"][0]["sessions"] == 0);
}

#[test]
fn ipv6_works_on_both_sides() {
    let server = Redis::start_at("::1", &[]);
    let bind = format!("[::1]:{}", free_port());
    let mainstay = Setup::of([&server]).bind(&bind).start_on(&server);
    mainstay.client().must(&["SET", "k", "v"]);
    assert_eq!(server.command(&["GET", "k"]), Reply::bulk("v"));
}

#[test]
fn unix_sockets_work_on_both_sides() {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let server = Redis::start(&[&format!("unixsocket {}", path("redis.sock"))]);
    let backend = format!("unix:{}", path("redis.sock"));
    let setup = Setup::at([&backend]).bind(format!("unix:{}", path("mainstay.sock")));
    let mainstay = setup.start();
    mainstay.wait_for_primary(&backend);
    mainstay.client().must(&["SET", "k", "v"]);
    assert_eq!(server.command(&["GET", "k"]), Reply::bulk("v"));
    let mut client = mainstay.client();
    client.send(b"GET k\r\nQUIT\r\n").expect("it stands");
    client.finish_writing();
    assert_eq!(client.drain(PATIENCE), (b"$1\r\nv\r\n+OK\r\n".to_vec(), Gone::Closed));
}

#[test]
fn a_host_name_is_resolved() {
    let server = Redis::start(&[]);
    let backend = format!("localhost:{}", server.port);
    // The name may stand for ::1 as well, where this server does not listen.
    let mainstay = Setup::at([&backend]).expecting(&[DOWN]).start();
    mainstay.wait_for_primary(&backend);
    mainstay.client().must(&["PING"]);
}

#[test]
fn a_refusal_that_passes_by_starts_a_check_at_once_and_not_more_often_than_allowed() {
    let server = Redis::start(&["min-replicas-to-write 1"]);
    let mainstay = Setup::of([&server]).check("interval = \"60s\"").start_on(&server);
    let checks = || mainstay.metric("mainstay_checks_total", &[r#"outcome="facts""#]);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    wait_until(PATIENCE, "the group is no longer in doubt", || mainstay.group()["doubt"] == false);
    let before = checks();
    stays(ms(500), "no check is due", || checks() == before);
    let refused = client.ask(&["SET", "k", "v"]).expect("the session stands");
    assert!(refused.text().starts_with("NOREPLICAS"), "passed on as it is: {refused:?}");
    wait_until(ms(5000), "a check round starts", || checks() > before);
    // A stream of such answers must not become a stream of checks. In doubt there are two an interval at most, one by pace and one
    // by hint, and `fast_interval` is 50 ms, jittered.
    let (begun, before) = (std::time::Instant::now(), checks());
    while begun.elapsed() < ms(1500) {
        let _ = client.ask(&["SET", "k", "v"]);
    }
    let most = begun.elapsed().as_secs_f64() * 40.0 * 1.3 + 5.0;
    assert!(checks() - before <= most, "{} checks, at most {most} allowed", checks() - before);
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(server.address()), 0));
}

#[test]
fn a_readonly_answer_reveals_a_failover_long_before_the_next_check() {
    let family = Redis::family(1);
    let setup = Setup::of(&family).check("interval = \"60s\"").expecting(&[CONFLICT]);
    let mainstay = setup.start_on(&family[0]);
    wait_until(PATIENCE, "the group is no longer in doubt", || mainstay.group()["doubt"] == false);
    let mut client = mainstay.client();
    client.must(&["SET", "k", "v"]);
    family[1].promote();
    family[0].follow(&family[1]);
    let refused = client.ask(&["SET", "k", "w"]);
    assert!(refused.is_err() || refused.is_ok_and(|reply| reply.text().starts_with("READONLY")));
    mainstay.wait_for_primary(&family[1].address());
    mainstay.client().must(&["SET", "k", "w"]);
}
