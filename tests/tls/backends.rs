//! Backends that speak TLS: what is trusted, what is said of what is not, and that everything goes that way.

use crate::harness::expected::*;
use crate::harness::*;

/// What the check says of the only backend, once it says something about TLS.
#[track_caller]
fn complaint(mainstay: &Mainstay, address: &str) -> String {
    let check = || mainstay.backend(address)["last_check"].as_str().unwrap_or_default().to_owned();
    wait_until(PATIENCE, "the check is about TLS", || check() == "tls_mismatch");
    mainstay.backend(address)["message"].as_str().unwrap_or_default().to_owned()
}

/// mainstay before this server, which it must not trust, or not be trusted by.
fn refused(server: &TlsRedis, group: &str) -> String {
    let mainstay = Setup::at([server.address()]).group(group).expecting(&[TLS]).start();
    let said = complaint(&mainstay, &server.address());
    assert!(mainstay.metric("mainstay_checks_total", &[r#"outcome="tls_mismatch""#]) >= 1.0);
    assert!(mainstay.primary().is_none());
    let escaped = said.replace('"', "\\\"");
    assert!(mainstay.log.text().contains(&escaped), "{}", mainstay.log.text());
    said
}

#[test]
fn commands_of_any_mode_reach_a_backend_that_speaks_tls() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &["tls-auth-clients no"]);
    for mode in ["mode = \"tcp\"", "mode = \"redis\"", "mode = \"redis\"\nshared_connections = true"] {
        let mainstay = Setup::at([server.address()]).group(&certificates.group("")).listener(mode).start();
        mainstay.wait_for_primary(&server.address());
        let mut client = mainstay.client();
        client.must(&["SET", "key", mode]);
        assert_eq!(client.must(&["GET", "key"]).text(), mode);
        let tls = server.redis.command(&["CLIENT", "LIST"]).text();
        assert!(tls.lines().count() >= 3, "{tls}");
    }
}

#[test]
fn a_server_that_wants_a_certificate_is_shown_one() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &[]);
    let group = certificates.group(&certificates.identity("client"));
    let mainstay = Setup::at([server.address()]).group(&group).start();
    mainstay.wait_for_primary(&server.address());
    mainstay.client().must(&["PING"]);
    let said = refused(&server, &certificates.group(""));
    assert!(said.contains("client certificate"), "{said}");
    let said = refused(&server, &certificates.group(&certificates.identity("strange")));
    assert!(said.contains("unknown_ca"), "{said}");
}

#[test]
fn a_server_is_trusted_by_the_name_that_is_configured() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "elsewhere", &["tls-auth-clients no"]);
    let group = certificates.group("server_name = \"elsewhere.test\"");
    let mainstay = Setup::at([server.address()]).group(&group).start();
    mainstay.wait_for_primary(&server.address());
    let said = refused(&server, &certificates.group(""));
    assert!(said.contains("for elsewhere.test, and not for 127.0.0.1"), "{said}");
}

#[test]
fn expired_and_strange_certificates_are_refused_and_the_status_says_why() {
    let certificates = Certificates::new();
    for (name, part) in [("expired", "expired on 2020-02-03"), ("strange", "signed by CN=Strange CA")] {
        let server = TlsRedis::start(&certificates, name, &["tls-auth-clients no"]);
        let said = refused(&server, &certificates.group(""));
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_plain_server_and_a_tls_server_in_the_wrong_group_are_told_apart() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &["tls-auth-clients no"]);
    let mainstay = Setup::at([server.address()]).expecting(&[TLS]).start();
    let said = complaint(&mainstay, &server.address());
    assert!(said.contains("speaks TLS"), "{said}");
    let plain = server.redis.address();
    let mainstay = Setup::at([plain.clone()]).group(&certificates.group("")).expecting(&[TLS]).start();
    let said = complaint(&mainstay, &plain);
    assert!(said.contains("does not speak TLS"), "{said}");
}

#[test]
fn a_server_that_knows_only_old_versions_is_refused_and_both_new_ones_are_taken() {
    let certificates = Certificates::new();
    for versions in ["TLSv1.2", "TLSv1.3"] {
        let more = format!("tls-protocols \"{versions}\"");
        let server = TlsRedis::start(&certificates, "server", &["tls-auth-clients no", &more]);
        let mainstay = Setup::at([server.address()]).group(&certificates.group("")).start();
        mainstay.wait_for_primary(&server.address());
        mainstay.client().must(&["PING"]);
    }
    let old = ["tls-auth-clients no", "tls-protocols \"TLSv1.1\"", "tls-ciphers DEFAULT@SECLEVEL=0"];
    let server = TlsRedis::start(&certificates, "server", &old);
    let said = refused(&server, &certificates.group(""));
    assert!(said.contains("neither TLS 1.2 nor 1.3"), "{said}");
}

#[test]
fn large_values_pass_both_ways_while_their_readers_are_slow() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &["tls-auth-clients no"]);
    let value: Vec<u8> = (0..16 * 1024 * 1024_usize).map(|at| b'a' + ((at ^ (at >> 9)) % 26) as u8).collect();
    let value = String::from_utf8(value).expect("letters");
    for mode in ["mode = \"tcp\"", "mode = \"redis\"", "mode = \"redis\"\nshared_connections = true"] {
        let mainstay = Setup::at([server.address()]).group(&certificates.group("")).listener(mode).start();
        mainstay.wait_for_primary(&server.address());
        let mut client = mainstay.client();
        server.redis.process.stop();
        client.send(&client::command(&["SET", "large", &value[..100_000]])).expect("it is taken");
        server.redis.process.cont();
        assert_eq!(client.reply(PATIENCE).expect("an answer"), Reply::ok());
        client.must(&["SET", "large", &value]);
        // Asked for several times before anything is read.
        let get = client::command(&["GET", "large"]);
        client.send(&[&get[..], &get, &get].concat()).expect("it is taken");
        std::thread::sleep(ms(300));
        for _ in 0..3 {
            assert!(client.reply(PATIENCE).expect("an answer").text() == value, "every byte of it, in {mode}");
        }
    }
}

#[test]
fn many_small_requests_in_one_go_are_answered_in_order() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &["tls-auth-clients no"]);
    for mode in ["mode = \"tcp\"", "mode = \"redis\"", "mode = \"redis\"\nshared_connections = true"] {
        let mainstay = Setup::at([server.address()]).group(&certificates.group("")).listener(mode).start();
        mainstay.wait_for_primary(&server.address());
        let mut client = mainstay.client();
        let requests: Vec<u8> = (0..20_000).flat_map(|number| client::command(&["ECHO", &number.to_string()])).collect();
        client.send(&requests).expect("it is taken");
        for number in 0..20_000 {
            assert_eq!(client.reply(PATIENCE).expect("an answer").text(), number.to_string());
        }
    }
}

#[test]
fn a_client_that_shuts_down_writing_still_has_its_answers() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &["tls-auth-clients no"]);
    let mainstay = Setup::at([server.address()]).group(&certificates.group("")).start();
    mainstay.wait_for_primary(&server.address());
    let mut client = mainstay.client();
    client.send(b"PING\r\n").expect("it is taken");
    client.finish_writing();
    let (said, gone) = client.drain(PATIENCE);
    assert_eq!((said.as_slice(), gone), (&b"+PONG\r\n"[..], Gone::Closed));
}
