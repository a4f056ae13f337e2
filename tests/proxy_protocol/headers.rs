//! allow and proxy_protocol_from.

use std::time::{Duration, Instant};

use crate::*;

/// Two proxies are trusted, and clients of one address may connect.
const RULES: &str = "allow = [\"127.0.0.2\", \"10.0.0.0/8\"]\nproxy_protocol_from = [\"127.0.0.1\", \"127.0.0.9\"]";
const MODES: [&str; 3] = ["mode = \"tcp\"", "mode = \"redis\"", "mode = \"redis\"\nshared_connections = true"];

fn ruled(server: &Redis, mode: &str) -> Mainstay {
    Setup::of([server]).listener(&format!("{mode}\n{RULES}")).expecting(&[&["refused: "]]).start_on(server)
}

#[test]
fn only_allowed_addresses_get_in_and_the_others_are_told() {
    let server = Redis::start(&[]);
    for mode in MODES {
        let mainstay = ruled(&server, mode);
        assert_eq!(client_from("127.0.0.2", &mainstay.listen).must(&["PING"]).text(), "PONG");
        let mut stranger = client_from("127.0.0.3", &mainstay.listen);
        let (said, gone) = stranger.drain(PATIENCE);
        assert_eq!(
            (&*String::from_utf8_lossy(&said), gone),
            ("-ERR mainstay: clients of this address may not connect here\r\n", Gone::Closed)
        );
        // A header is believed of trusted proxies alone.
        for own in ["127.0.0.2", "127.0.0.3"] {
            let mut liar = client_from(own, &mainstay.listen);
            let _ = liar.send(&[&header("10.0.0.1")[..], b"PING\r\n"].concat());
            let (said, _) = liar.drain(Duration::from_millis(500));
            assert!(said.starts_with(b"-ERR"), "{said:?}");
        }
        assert_eq!(refused(&mainstay, "network"), 2.0, "{mode}");
        assert_eq!(mainstay.metric("mainstay_sessions_closed_total", &["reason=\"refused\""]), 2.0);
        assert!(mainstay.log.has("refused: 127.0.0.3 is in none of the networks in allow"), "{}", mainstay.log.text());
    }
}

#[test]
fn a_trusted_proxy_says_for_whom_it_connects() {
    let server = Redis::start(&[]);
    for mode in MODES {
        let mainstay = ruled(&server, mode);
        for own in ["127.0.0.1", "127.0.0.9"] {
            let mut client = client_from(own, &mainstay.listen);
            // In pieces, and with the first request right behind it.
            let bytes = [&header("10.1.2.3")[..], b"*1\r\n$4\r\nPING\r\n"].concat();
            for piece in bytes.chunks(7) {
                client.send(piece).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
            assert_eq!(client.reply(PATIENCE).unwrap().text(), "PONG", "{mode}");
            assert_eq!(client.must(&["PING"]).text(), "PONG");
        }
        let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12".to_vec();
        binary.extend([10, 1, 2, 3, 127, 0, 0, 1, 1, 2, 3, 4, 0x04, 0, 3, 1, 2, 3]);
        let mut client = client_from("127.0.0.1", &mainstay.listen);
        client.send(&binary).unwrap();
        assert_eq!(client.must(&["PING"]).text(), "PONG");
        let mut stranger = client_from("127.0.0.1", &mainstay.listen);
        stranger.send(&header("192.168.0.1")).unwrap();
        assert!(stranger.drain(PATIENCE).0.starts_with(b"-ERR mainstay: clients of this address"));
        // Where it connects for itself its own address counts, and that is not allowed here.
        let mut local = client_from("127.0.0.1", &mainstay.listen);
        local.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").unwrap();
        assert!(local.drain(PATIENCE).0.starts_with(b"-ERR mainstay: clients of this address"));
        assert_eq!(refused(&mainstay, "network"), 2.0);
        wait_until(PATIENCE, "it is said", || mainstay.log.has("192.168.0.1 (through 127.0.0.1)"));
    }
}

#[test]
fn who_has_to_send_a_header_and_sends_something_else_is_closed_at_once() {
    let server = Redis::start(&[]);
    let mainstay = ruled(&server, MODES[0]);
    let long = [&b"PROXY UNKNOWN "[..], &[b'f'; 200]].concat();
    let binary = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"[..], &[0; 600]].concat();
    for bytes in [&b"*1\r\n$4\r\nPING\r\n"[..], b"PROXY TCP4 1 2 3 4\r\n", b"\x16\x03\x01\0\0", &long, &binary, &[0; 4096]] {
        let begun = Instant::now();
        let mut client = client_from("127.0.0.1", &mainstay.listen);
        let _ = client.send(bytes);
        assert_ne!(client.end(PATIENCE), Gone::Silent);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", bytes.escape_ascii());
    }
    // It is closed first, and counted then.
    wait_until(PATIENCE, "all are counted", || refused(&mainstay, "header") == 6.0);
    let hint = "refused: 127.0.0.1 is in proxy_protocol_from and has to begin with a PROXY header, but it begins with something else; \
                let it send one (send-proxy), or take it out of proxy_protocol_from";
    assert!(mainstay.log.has(hint), "{}", mainstay.log.text());
    // A check that only connects is no trouble.
    drop(client_from("127.0.0.1", &mainstay.listen));
    wait_until(PATIENCE, "it is counted", || refused(&mainstay, "left") == 1.0);
    wait_until(PATIENCE, "nobody is left", || mainstay.metric("mainstay_sessions", &[]) == 0.0);
}

#[test]
fn slow_and_silent_senders_have_ten_seconds() {
    let server = Redis::start(&[]);
    let mainstay = ruled(&server, MODES[1]);
    let begun = Instant::now();
    let (mut silent, mut slow) = (client_from("127.0.0.1", &mainstay.listen), client_from("127.0.0.1", &mainstay.listen));
    let mut quick = client_from("127.0.0.2", &mainstay.listen);
    let bytes = header("10.1.2.3");
    for byte in &bytes {
        if slow.send(&[*byte]).is_err() || begun.elapsed() > Duration::from_secs(30) {
            break;
        }
        assert_eq!(quick.must(&["PING"]).text(), "PONG");
        std::thread::sleep(Duration::from_secs(1));
    }
    for client in [&mut silent, &mut slow] {
        assert_ne!(client.end(PATIENCE), Gone::Silent);
    }
    let took = begun.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert_eq!(refused(&mainstay, "time"), 2.0);
    wait_until(PATIENCE, "only one is left", || mainstay.metric("mainstay_sessions", &[]) == 1.0);
}

#[test]
fn haproxy_in_front_says_for_whom_it_connects_in_both_versions() {
    let server = Redis::start(&[]);
    for mode in MODES {
        let mainstay = ruled(&server, mode);
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        let (ports, file) = ([free_port(), free_port()], dir.path().join("haproxy.cfg"));
        let listen = |port: u16, send: &str| {
            format!(
                "listen p{port}\n  mode tcp\n  bind 127.0.0.1:{port}\n  server a {} source 127.0.0.9 {send}\n",
                mainstay.listen
            )
        };
        let config = format!(
            "defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n{}{}",
            listen(ports[0], "send-proxy"),
            listen(ports[1], "send-proxy-v2 check check-send-proxy inter 100ms")
        );
        std::fs::write(&file, config).expect("the folder can be written");
        let _haproxy = Process::spawn(Process::command("haproxy").args(["-db", "-f"]).arg(&file));
        for port in ports {
            let address = format!("127.0.0.1:{port}");
            wait_until(PATIENCE, "HAProxy listens", || try_from("127.0.0.2", &address).is_ok());
            let mut client = client_from("127.0.0.2", &address);
            assert_eq!(client.must(&["PING"]).text(), "PONG", "{mode}");
            assert!(
                client_from("127.0.0.3", &address).ask(&["PING"]).is_ok_and(|reply| reply.text().contains("may not connect")),
                "{mode}"
            );
        }
    }
}

#[test]
fn a_reload_changes_who_may_connect_and_leaves_those_who_are_there() {
    let server = Redis::start(&[]);
    let mut mainstay = ruled(&server, MODES[1]);
    let mut client = client_from("127.0.0.2", &mainstay.listen);
    client.must(&["PING"]);
    mainstay.setup.listener = "mode = \"redis\"\nallow = [\"127.0.0.3\"]".into();
    assert_eq!(mainstay.reload().0, 200);
    assert_eq!(client.must(&["PING"]).text(), "PONG");
    assert!(client_from("127.0.0.2", &mainstay.listen).drain(PATIENCE).0.starts_with(b"-ERR"));
    assert_eq!(client_from("127.0.0.3", &mainstay.listen).must(&["PING"]).text(), "PONG");
}
