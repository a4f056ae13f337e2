//! Certificates and users are replaced while mainstay runs, and nobody tells it.

mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::SystemTime;

use harness::expected::*;
use harness::*;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Two looks of mainstay at its files.
const TWO_LOOKS: std::time::Duration = ms(4500);

/// Does the address show the certificate that stands in this file now?
fn shows(address: &str, ca_file: &str, certificate: &str) -> bool {
    let shown = || secure::certificate(&secure::connect(TcpStream::connect(address).ok()?, ca_file, None)?);
    shown() == CertificateDer::from_pem_file(certificate).ok()
}

#[test]
fn a_renewed_certificate_of_the_admin_side_is_shown_without_a_reload() {
    let (authority, server) = (Authority::new("ours"), Redis::start(&[]));
    let pair = authority.issue_until("admin", &["127.0.0.1"], SystemTime::now() + 10 * DAY);
    let way_in = WayIn { ca_file: Some(authority.file()), token: None };
    let lines = format!("[admin.tls]\n{}", pair.toml());
    let mainstay = Setup::of([&server]).admin(&lines, way_in).expecting(&[NOT_USABLE, EXPIRES]).start_on(&server);
    let ca = authority.file();
    assert!(shows(&mainstay.admin, &ca, &pair.certificate));
    let label = format!("file=\"{}\"", pair.certificate);
    let days = || {
        let end = mainstay.metric("mainstay_certificate_expiry_timestamp_seconds", &[&label]);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        ((end - now) / DAY.as_secs_f64()).round()
    };
    wait_until(PATIENCE, "the metric is there", || days() == 10.0);
    wait_until(PATIENCE, "its end is said", || mainstay.log.has("expires on"));

    // Somebody edits the configuration meanwhile: it is not looked at.
    mainstay.write("[[group");
    let mut client = mainstay.client();
    client.must(&["PING"]);
    // The certificate comes before its key.
    let before = std::fs::read(&pair.key).expect("readable");
    authority.issue("admin", &["127.0.0.1"]);
    let key = std::fs::read(&pair.key).expect("readable");
    std::fs::write(&pair.key, before).expect("writable");
    wait_until(PATIENCE, "it is said that they do not fit", || mainstay.log.has("is not the one of the certificate"));
    stays(TWO_LOOKS, "the old one is shown", || mainstay.get("/healthz").is_some_and(|(code, _)| code == 200));
    assert_eq!(mainstay.log.text().matches("is not the one of the certificate").count(), 1, "said once");
    std::fs::write(&pair.key, key).expect("writable");
    wait_until(PATIENCE, "the new one is shown", || shows(&mainstay.admin, &ca, &pair.certificate));
    wait_until(PATIENCE, "the metric follows", || days() == 365.0);
    client.must(&["PING"]);
}

#[test]
fn a_renewed_certificate_of_a_listener_is_shown_and_open_sessions_live_on() {
    let (authority, server) = (Authority::new("ours"), Redis::start(&[]));
    let (pair, ca) = (authority.issue("web", &["127.0.0.1"]), authority.file());
    let listener = format!("[listener.tls]\n{}", pair.toml());
    for mode in ["tcp", "redis"] {
        let mainstay = Setup::of([&server]).listener(&format!("mode = \"{mode}\"\n{listener}")).start_on(&server);
        let mut session = secure::connect(TcpStream::connect(&mainstay.listen).expect("it listens"), &ca, None).expect("TLS");
        ping(&mut session);
        authority.issue("web", &["127.0.0.1"]);
        wait_until(PATIENCE, "the new one is shown", || shows(&mainstay.listen, &ca, &pair.certificate));
        ping(&mut session);
    }
}

fn ping(session: &mut secure::Stream) {
    session.write_all(b"PING\r\n").expect("it is open");
    let mut answer = [0; 7];
    session.read_exact(&mut answer).expect("it is open");
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn users_of_a_replaced_file_can_log_in_and_those_that_left_cannot() {
    let server = Redis::start(&["requirepass the-password-of-redis"]);
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users");
    let hash = |password: &str| -> String {
        digest(&SHA256, password.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    // As cert-manager and the kubelet do: another file takes the name.
    let write = |name: &str, password: &str| {
        let new = folder.path().join("new");
        std::fs::write(&new, format!("{name}:{}\n", hash(password))).expect("writable");
        std::fs::rename(&new, &users).expect("the same folder");
    };
    write("app", "first");
    let listener = format!("mode = \"redis\"\n[listener.auth]\nusers_file = \"{}\"", Path::new(&users).display());
    let group = "password_env = \"REDIS_PASSWORD\"";
    let setup = Setup::of([&server]).group(group).environment("REDIS_PASSWORD", "the-password-of-redis").listener(&listener);
    let mainstay = setup.start_on(&server);
    let login = |name: &str, password: &str| mainstay.client().ask(&["AUTH", name, password]) == Ok(Reply::ok());
    assert!(login("app", "first") && !login("web", "second"));
    write("web", "second");
    wait_until(PATIENCE, "the new user can log in", || login("web", "second"));
    assert!(!login("app", "first"));
}
