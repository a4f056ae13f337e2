//! How a session ends, and what does not end it.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::harness::expected::*;
use crate::harness::*;
use crate::{redis_mode, send, upstreams};

#[test]
fn a_client_that_closes_its_writing_side_receives_every_reply() {
    let server = Redis::start(&[]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let mut client = mainstay.client();
    client.must(&["SET", "k", &"v".repeat(1000)]);
    client.send(&client::command(&["GET", "k"]).repeat(50)).expect("it stands");
    client.finish_writing();
    let (replies, end) = client.drain(PATIENCE);
    assert_eq!((replies.len(), end), (50 * 1009, Gone::Closed));
    wait_until(PATIENCE, "its upstream is gone", || upstreams(&mainstay) == 0.0);
}

#[test]
fn a_blocked_client_that_leaves_takes_nothing_with_it() {
    let server = Redis::start(&[]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let mut worker = mainstay.client();
    worker.must(&["WATCH", "something"]);
    send(&mut worker, &["BRPOP", "jobs", "0"]);
    wait_until(PATIENCE, "it is blocked", || server.info("blocked_clients") == "1");
    worker.finish_writing();
    wait_until(PATIENCE, "the server knows that it has left", || server.info("blocked_clients") == "0");
    server.command(&["LPUSH", "jobs", "one"]);
    assert_eq!(server.command(&["LLEN", "jobs"]), Reply::Int(1));
    assert_ne!(worker.end(PATIENCE), Gone::Silent);
}

#[test]
fn a_blocked_client_that_leaves_with_much_behind_its_request_takes_nothing_with_it_and_has_none_of_it_executed() {
    let server = Redis::start(&[]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let mut worker = mainstay.client();
    send(&mut worker, &["BRPOP", "jobs", "0"]);
    // More than mainstay reads of it meanwhile: its end is not read. Not so much that the kernel could not take the end in.
    send(&mut worker, &["SET", "a", &"v".repeat(30_000)]);
    worker.send(&client::command(&["SET", "b", &"v".repeat(30_000)]).repeat(8)).expect("it stands");
    wait_until(PATIENCE, "it is blocked", || server.info("blocked_clients") == "1");
    drop(worker);
    wait_until(PATIENCE, "the server knows that it has left", || server.info("blocked_clients") == "0");
    server.command(&["LPUSH", "jobs", "one"]);
    assert_eq!(server.command(&["LLEN", "jobs"]), Reply::Int(1));
    assert_eq!(server.command(&["EXISTS", "a", "b"]), Reply::Int(0));
}

#[test]
fn quit_is_answered_and_the_connection_closed() {
    let server = Redis::start(&[]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let mut client = mainstay.client();
    client.send(b"SET k v\r\nGET k\r\nQUIT\r\n").expect("it stands");
    assert_eq!(client.drain(PATIENCE), (b"+OK\r\n$1\r\nv\r\n+OK\r\n".to_vec(), Gone::Closed));
    wait_until(PATIENCE, "it is counted", || mainstay.metric("mainstay_sessions_closed_total", &[r#"reason="client""#]) == 1.0);
}

#[test]
fn a_write_in_flight_when_the_primary_dies_closes_its_session_and_only_that() {
    let mut family = Redis::family(1);
    let setup = redis_mode(&family).hold("window = \"20s\"").expecting(&[LOST, DOWN, CONFLICT, SILENT]);
    let mainstay = setup.start_on(&family[0]);
    let (mut writer, mut reader, mut idle) = (mainstay.client(), mainstay.client(), mainstay.client());
    writer.must(&["SET", "k", "v"]);
    reader.must(&["PING"]);
    idle.must(&["PING"]);
    family[1].wait_in_step(&family[0]);
    family[0].process.stop();
    send(&mut writer, &["INCR", "fate"]);
    send(&mut reader, &["GET", "k"]);
    assert_eq!(reader.reply(ms(100)), Err(Gone::Silent), "they are on their way");
    family[0].kill9();
    assert_ne!(writer.end(PATIENCE), Gone::Silent, "nobody can know whether it ran");
    family[1].promote();
    mainstay.wait_for_primary(&family[1].address());
    assert_eq!(reader.reply(PATIENCE), Ok(Reply::bulk("v")), "a read is asked again");
    idle.must(&["PING"]);
    assert_eq!(family[1].command(&["EXISTS", "fate"]), Reply::Int(0), "and not resent");
    assert_eq!(mainstay.metric("mainstay_sessions_closed_total", &[]), 1.0);
    assert!(mainstay.log.has("executed"), "the log says why:\n{}", mainstay.log.text());
}

#[test]
fn what_is_no_protocol_gets_an_error_and_others_are_unaffected() {
    let server = Redis::start(&[]);
    let mainstay = redis_mode([&server]).start_on(&server);
    let mut other = mainstay.client();
    other.must(&["SET", "k", "v"]);
    let huge = format!("*1\r\n${}\r\n", i64::MAX);
    let long = "x".repeat(200_000);
    for wrong in ["*1\r\n$-5\r\n", "*a\r\n", "*1\r\n!3\r\nabc\r\n", "*99999999999\r\n", &huge, &long] {
        let mut client = mainstay.client();
        // The reply before it arrives all the same.
        client.send(&client::command(&["GET", "k"])).expect("it stands");
        let _ = client.send(wrong.as_bytes());
        let (text, end) = client.drain(PATIENCE);
        let (text, shown) = (String::from_utf8_lossy(&text).into_owned(), &wrong[..wrong.len().min(40)]);
        let word = text.strip_prefix("$1\r\nv\r\n").unwrap_or_else(|| panic!("{shown:?} was answered {text:?}"));
        assert!(word.starts_with("-ERR") && word.ends_with("\r\n"), "{shown:?} was answered {text:?}");
        assert_ne!(end, Gone::Silent);
        other.must(&["GET", "k"]);
    }
    wait_until(PATIENCE, "all are counted", || mainstay.metric("mainstay_sessions_closed_total", &[]) == 6.0);
}

/// A backend that says role:master, and is no server otherwise: to everything but a check it says `answer`, then it closes.
fn strange_backend(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind(("127.0.0.1", free_port())).expect("a free port");
    let address = listener.local_addr().expect("a bound socket").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut chunk) {
                    if !chunk[..read].windows(4).any(|word| word.eq_ignore_ascii_case(b"INFO")) {
                        let _ = stream.write_all(answer);
                        return;
                    }
                    let info = "redis_version:7.0.15\r\nrole:master\r\nrun_id:1\r\nmaster_replid:1\r\n";
                    let _ = write!(stream, "${}\r\n{info}\r\n", info.len());
                }
            });
        }
    });
    address
}

#[test]
fn a_server_that_closes_whatever_is_asked_is_not_asked_for_ever() {
    let backend = strange_backend(b"");
    let mainstay = Setup::at([&backend]).listener(crate::REDIS_MODE).hold("window = \"1s\"").start();
    mainstay.wait_for_primary(&backend);
    let mut client = mainstay.client();
    let before = mainstay.process.cpu();
    let answer = client.ask(&["GET", "k"]);
    let ended = answer.is_err() || answer.as_ref().is_ok_and(Reply::is_error);
    assert!(ended, "{answer:?}");
    assert!(mainstay.process.cpu() - before < ms(1000), "it does not spin");
}

#[test]
fn a_server_that_confirms_a_subscription_and_closes_every_time_is_not_connected_without_end() {
    let backend = strange_backend(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    let mainstay = Setup::at([&backend]).listener(crate::REDIS_MODE).start();
    mainstay.wait_for_primary(&backend);
    let connects = || mainstay.metric("mainstay_upstream_connect_duration_seconds_count", &[]);
    let mut subscriber = mainstay.client();
    subscriber.must(&["SUBSCRIBE", "news"]);
    wait_until(PATIENCE, "it is connected again and again", || connects() >= 4.0);
    let before = connects();
    stays(ms(1000), "it pauses in between", || connects() - before < 15.0);
    wait_until(PATIENCE, "and is not forgotten", || connects() > before);
    assert_eq!(subscriber.reply(ms(100)), Err(Gone::Silent), "its client notices nothing");
}

#[test]
fn a_server_that_breaks_the_protocol_loses_its_client() {
    let backend = strange_backend(b"?nonsense\r\n");
    let mainstay = Setup::at([&backend]).listener(crate::REDIS_MODE).start();
    mainstay.wait_for_primary(&backend);
    let mut client = mainstay.client();
    send(&mut client, &["SET", "k", "v"]);
    assert_ne!(client.end(PATIENCE), Gone::Silent);
    mainstay.process.cpu();
    assert!(mainstay.get("/healthz").is_some_and(|(code, _)| code == 200));
}

#[test]
fn an_idle_session_is_closed_after_its_time() {
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).listener("mode = \"redis\"\nidle_timeout = \"1s\"").start_on(&server);
    let (mut asked, mut silent) = (mainstay.client(), mainstay.client());
    asked.must(&["PING"]);
    assert_ne!(asked.end(PATIENCE), Gone::Silent);
    assert_ne!(silent.end(PATIENCE), Gone::Silent, "one that never said a word as well");
    wait_until(PATIENCE, "they are counted", || mainstay.metric("mainstay_sessions_closed_total", &[r#"reason="idle""#]) == 2.0);
}
