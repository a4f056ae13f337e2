//! Sentinels that speak TLS alone, and servers that do.

use super::harness::expected::*;
use super::harness::tls::Certificates;
use super::*;

/// What makes a server or a Sentinel speak TLS, to clients and to its like.
fn lines(certificates: &Certificates, port: &str) -> Vec<String> {
    vec![
        format!("tls-port {port}"),
        format!("tls-cert-file {}", certificates.certificate("server")),
        format!("tls-key-file {}", certificates.key("server")),
        format!("tls-ca-cert-file {}", certificates.certificate("ca")),
        "tls-auth-clients no".into(),
        "tls-replication yes".into(),
    ]
}

#[test]
fn one_that_speaks_no_tls_is_told_from_one_that_is_silent() {
    let (certificates, watched) = (Certificates::new(), Watched::new(1));
    let section = section(&certificates, &watched.sentinels, "ca");
    let mainstay = Setup::of(&watched.family).sentinel(&section).expecting(&[SENTINEL]).start_on(&watched.family[0]);
    let said = mainstay.group()["sentinels"].to_string();
    assert!(said.contains("does not speak TLS") && said.contains("[group.sentinel.tls]"), "{said}");
}

fn borrowed(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// `[group.sentinel]` with TLS that trusts this CA.
fn section(certificates: &Certificates, sentinels: &Sentinels, ca: &str) -> String {
    format!("{}\n[group.sentinel.tls]\nca_file = \"{}\"\n", sentinels.section(), certificates.certificate(ca))
}

#[test]
fn everything_by_tls_and_the_backends_left_out() {
    let certificates = Certificates::new();
    let (port, other) = (free_port(), free_port());
    let mut primary = Redis::start(&borrowed(&lines(&certificates, &port.to_string())));
    let mut followed = lines(&certificates, &other.to_string());
    followed.push(format!("replicaof 127.0.0.1 {port}"));
    let replica = Redis::start(&borrowed(&followed));
    replica.wait_for_link();
    let mut sentinel = lines(&certificates, "PORT");
    sentinel.push(format!("sentinel monitor jobs 127.0.0.1 {port} 2"));
    let sentinels = Sentinels::start_with(&borrowed(&sentinel), 3, 2, &primary, 1, DOWN_AFTER_MS);
    let setup = Setup::at([] as [String; 0]).group(&certificates.group("")).hold("window = \"20s\"");
    let setup = setup.sentinel(&section(&certificates, &sentinels, "ca")).expecting(&[SENTINEL, LOST, DOWN, CONFLICT]);
    let mainstay = setup.start();
    mainstay.wait_for_primary(&format!("127.0.0.1:{port}"));
    wait_until(PATIENCE, "all three name it, and know each other and the replica", || {
        let group = mainstay.group();
        let backends = group["backends"].as_array().map_or(0, Vec::len);
        group["sentinel"]["votes"] == 3 && group["sentinels"].as_array().map_or(0, Vec::len) == 3 && backends == 2
    });
    mainstay.client().must(&["SET", "k", "v"]);
    replica.wait_in_step(&primary);
    primary.kill9();
    mainstay.wait_for_primary(&format!("127.0.0.1:{other}"));
    wait_until_agreed(&mainstay);
    assert_eq!(mainstay.client().must(&["GET", "k"]), Reply::bulk("v"));
}

#[test]
fn a_sentinel_with_a_certificate_of_strangers_is_not_believed_and_that_is_said() {
    let certificates = Certificates::new();
    let family = Redis::family(1);
    let monitor = format!("sentinel monitor jobs 127.0.0.1 {} 2", family[0].port);
    let mut sentinel = lines(&certificates, "PORT");
    // The servers speak no TLS, so between each other these Sentinels do not either.
    sentinel.retain(|line| line != "tls-replication yes");
    sentinel.push(monitor);
    let sentinels = Sentinels::start_with(&borrowed(&sentinel), 3, 2, &family[0], 1, DOWN_AFTER_MS);
    let said = |mainstay: &Mainstay| mainstay.group()["sentinels"].to_string();
    let with = |section: &str| Setup::of(&family).sentinel(section).expecting(&[SENTINEL]).start_on(&family[0]);
    let strange = with(&section(&certificates, &sentinels, "strange-ca"));
    assert_eq!(states(&strange), ["silent"; 3]);
    assert!(said(&strange).contains("certificate"), "{}", said(&strange));
    let plain = with(&sentinels.section());
    assert_eq!(states(&plain), ["silent"; 3]);
    assert!(said(&plain).contains("add [group.sentinel.tls]"), "{}", said(&plain));
}
