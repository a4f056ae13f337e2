//! Clients that speak TLS to mainstay.

use std::process::{Command, Stdio};

use crate::harness::expected::{DOWN, NOT_RECEIVED};
use crate::harness::*;

/// `redis-cli --tls` with these words: what it printed.
fn redis_cli(mainstay: &Mainstay, certificates: &Certificates, words: &[&str]) -> String {
    let (host, port) = mainstay.listen.rsplit_once(':').expect("host:port");
    let mut command = Command::new("redis-cli");
    command.args(["-h", host, "-p", port, "--tls", "--cacert", &certificates.certificate("ca")]).args(words);
    let output = command.stdin(Stdio::null()).output().expect("redis-cli is installed");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

/// `[listener.tls]` that shows this certificate.
fn listener(certificates: &Certificates, mode: &str, name: &str, more: &str) -> String {
    format!("{mode}\n[listener.tls]\n{}\n{more}\n", certificates.identity(name))
}

const MODES: [&str; 3] = ["mode = \"tcp\"", "mode = \"redis\"", "mode = \"redis\"\nshared_connections = true"];

#[test]
fn redis_cli_speaks_tls_to_every_mode() {
    let (certificates, redis) = (Certificates::new(), Redis::start(&[]));
    for mode in MODES {
        let mainstay = Setup::of([&redis])
            .expecting(&[NOT_RECEIVED])
            .listener(&listener(&certificates, mode, "server", ""))
            .start_on(&redis);
        assert_eq!(redis_cli(&mainstay, &certificates, &["SET", "key", "value"]), "OK");
        assert_eq!(redis_cli(&mainstay, &certificates, &["GET", "key"]), "value");
        let mut plain = mainstay.client();
        let told = plain.ask(&["PING"]);
        assert!(matches!(&told, Ok(Reply::Error(said)) if said.contains("speaks TLS")), "{told:?}");
    }
}

#[test]
fn a_listener_that_wants_certificates_takes_only_those_of_its_ca() {
    let (certificates, redis) = (Certificates::new(), Redis::start(&[]));
    let more = format!("client_ca_file = \"{}\"", certificates.certificate("ca"));
    let mainstay =
        Setup::of([&redis]).expecting(&[NOT_RECEIVED]).listener(&listener(&certificates, "", "server", &more)).start_on(&redis);
    let shown = |name: &str| {
        let words = ["--cert", &certificates.certificate(name), "--key", &certificates.key(name), "PING"];
        redis_cli(&mainstay, &certificates, &words)
    };
    assert_eq!(shown("client"), "PONG");
    for refused in [shown("strange"), shown("expired"), redis_cli(&mainstay, &certificates, &["PING"])] {
        assert!(!refused.contains("PONG"), "{refused}");
    }
}

#[test]
fn a_reload_takes_another_certificate_and_leaves_connections_alone() {
    let (certificates, redis) = (Certificates::new(), Redis::start(&[]));
    let mut mainstay =
        Setup::of([&redis]).expecting(&[NOT_RECEIVED]).listener(&listener(&certificates, "", "server", "")).start_on(&redis);
    let mut standing = TlsClient::connect(&mainstay.listen, &certificates);
    standing.must(&["SET", "key", "value"]);
    mainstay.setup.listener = listener(&certificates, "", "elsewhere", "");
    let (code, said) = mainstay.reload();
    assert_eq!(code, 200, "{said}");
    assert_eq!(standing.must(&["GET", "key"]).text(), "value");
    let refused = redis_cli(&mainstay, &certificates, &["--sni", "localhost", "PING"]);
    let connected = TlsClient::try_connect(&mainstay.listen, &certificates);
    let said = connected.err().expect("it is for another name").to_string();
    assert!(said.contains("for elsewhere.test, and not for localhost"), "{said}; {refused}");
}

#[test]
fn large_values_and_long_pipelines_pass_by_tls_on_both_sides_through_a_failover() {
    let certificates = Certificates::new();
    let first = TlsRedis::start(&certificates, "server", &["tls-auth-clients no"]);
    let second = TlsRedis::replica_of(&first, &certificates, "server", &["tls-auth-clients no"]);
    let value = "v".repeat(16 * 1024 * 1024);
    for mode in MODES {
        let (first, second) = if first.redis.is_master() { (&first, &second) } else { (&second, &first) };
        let mainstay = Setup::at([first.address(), second.address()])
            .group(&certificates.group(""))
            .listener(&listener(&certificates, mode, "server", ""))
            .expecting(&[DOWN])
            .start();
        mainstay.wait_for_primary(&first.address());
        let mut client = TlsClient::connect(&mainstay.listen, &certificates);
        client.must(&["SET", "large", &value]);
        let get = client::command(&["GET", "large"]);
        client.send(&[&get[..], &get].concat());
        std::thread::sleep(ms(200));
        assert!(client.reply().text() == value && client.reply().text() == value, "every byte of it, in {mode}");
        let requests: Vec<u8> = (0..10_000).flat_map(|number| client::command(&["ECHO", &number.to_string()])).collect();
        client.send(&requests);
        for number in 0..10_000 {
            assert_eq!(client.reply().text(), number.to_string());
        }
        second.redis.wait_in_step(&first.redis);
        first.redis.failover_to(&second.redis);
        mainstay.wait_for_primary(&second.address());
        if mode.contains("tcp") {
            client = TlsClient::connect(&mainstay.listen, &certificates);
        }
        client.must(&["SET", "after", mode]);
        assert_eq!(second.redis.command(&["GET", "after"]).text(), mode);
        first.redis.wait_for_link();
    }
}

#[test]
fn a_client_that_says_its_end_still_has_its_answers_and_an_end_of_its_own() {
    let (certificates, redis) = (Certificates::new(), Redis::start(&[]));
    for mode in MODES {
        let mainstay = Setup::of([&redis]).listener(&listener(&certificates, mode, "server", "")).start_on(&redis);
        let mut client = TlsClient::connect(&mainstay.listen, &certificates);
        client.send(b"PING\r\nPING\r\n");
        client.finish_writing();
        assert_eq!(client.rest().expect("the end is said"), b"+PONG\r\n+PONG\r\n", "in {mode}");
    }
}
