//! Who is trusted, and what is said of who is not.

use rcgen::date_time_ymd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Authority, Shown, pair, shake, sockets};
use crate::tls::{Acceptor, Connector, Error, Identity, Pem};

fn connector(authority: &Authority, to: &str) -> Connector {
    Connector::new(Some(authority.pem()), None, None).and_then(|connector| connector.to(to)).expect("it can be used")
}

fn acceptor(shown: &Shown) -> Acceptor {
    Acceptor::new(shown.identity(), None).expect("it can be used")
}

/// What the client says of this server.
async fn refusal(connector: &Connector, shown: &Shown) -> String {
    let (client, server) = shake(connector, &acceptor(shown)).await;
    assert!(server.is_err() || client.is_err());
    client.expect_err("it must not be trusted").to_string()
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused_with_both_names() {
    let authority = Authority::new("Test CA");
    let shown = authority.issues(&["redis2", "10.0.0.2"], |_| {});
    let said = refusal(&connector(&authority, "redis1"), &shown).await;
    assert!(said.contains("CN=redis1 for redis2, 10.0.0.2, and not for redis1"), "{said}");
    let said = refusal(&connector(&authority, "10.0.0.1"), &shown).await;
    assert!(said.contains("and not for 10.0.0.1"), "{said}");
    let nameless = authority.issues(&[], |_| {});
    let said = refusal(&connector(&authority, "redis1"), &nameless).await;
    assert!(said.contains("no subjectAltName"), "{said}");
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_any_more_or_not_yet_is_refused_with_the_day() {
    let authority = Authority::new("Test CA");
    let expired = authority.issues(&["redis1"], |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 3);
    });
    let said = refusal(&connector(&authority, "redis1"), &expired).await;
    assert!(said.contains("CN=redis1, which expired on 2020-02-03 00:00 UTC"), "{said}");
    let early = authority.issues(&["redis1"], |params| params.not_before = date_time_ymd(2996, 4, 5));
    let said = refusal(&connector(&authority, "redis1"), &early).await;
    assert!(said.contains("not valid before 2996-04-05"), "{said}");
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused_with_its_name_and_the_file() {
    let (ours, theirs) = (Authority::new("Our CA"), Authority::new("Their CA"));
    let said = refusal(&connector(&ours, "redis1"), &theirs.issues(&["redis1"], |_| {})).await;
    assert!(said.contains("signed by CN=Their CA") && said.contains("ca.pem"), "{said}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_where_it_stands_itself_in_the_ca_file() {
    for is_ca in [true, false] {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["redis1".to_owned()]).expect("a name");
        if is_ca {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let shown = Shown { certificate, key: key.serialize_pem() };
        let to = |name| {
            let ca = shown.identity().certificates;
            Connector::new(Some(ca), None, None).and_then(|connector| connector.to(name)).expect("it can be used")
        };
        let (client, _) = shake(&to("redis1"), &acceptor(&shown)).await;
        client.expect("it is pinned");
        let said = refusal(&to("redis2"), &shown).await;
        assert!(said.contains("and not for redis2"), "{said}");
        let said = refusal(&connector(&Authority::new("Test CA"), "redis1"), &shown).await;
        assert!(said.contains("signed by itself"), "{said}");
    }
}

#[tokio::test]
async fn a_certificate_that_may_not_sign_is_trusted_itself_and_nothing_that_its_key_has_signed() {
    let authority = Authority::new("Test CA");
    let (key, mut params) = (rcgen::KeyPair::generate().expect("a key"), rcgen::CertificateParams::default());
    params.subject_alt_names.push(rcgen::SanType::DnsName("redis1".try_into().expect("a name")));
    let certificate = params.signed_by(&key, &authority.issuer).expect("a certificate").pem();
    let shown = Shown { certificate, key: key.serialize_pem() };
    let leaf = Authority { pem: shown.certificate.clone(), issuer: rcgen::Issuer::new(params, key) };
    let forged = leaf.issues(&["redis1"], |_| {});
    // Of a server,
    let (client, _) = shake(&connector(&leaf, "redis1"), &acceptor(&shown)).await;
    client.expect("it is pinned");
    refusal(&connector(&leaf, "redis1"), &forged).await;
    // and of a client.
    let server = authority.issues(&["localhost"], |_| {});
    let mutual = Acceptor::new(server.identity(), Some(leaf.pem())).expect("it can be used");
    for (shown, is_trusted) in [(&shown, true), (&forged, false)] {
        let connector = Connector::new(Some(authority.pem()), Some(shown.identity()), None).and_then(|all| all.to("localhost"));
        let (_, accepted) = shake(&connector.expect("it can be used"), &mutual).await;
        assert_eq!(accepted.is_ok(), is_trusted);
    }
}

#[tokio::test]
async fn a_client_shows_a_certificate_where_one_is_wanted() {
    let authority = Authority::new("Test CA");
    let server = authority.issues(&["localhost"], |_| {});
    let mutual = Acceptor::new(server.identity(), Some(authority.pem())).expect("it can be used");
    let client_of = |identity: Option<Identity<'_>>| {
        Connector::new(Some(authority.pem()), identity, Some("localhost"))
            .and_then(|all| all.to("10.9.9.9"))
            .expect("it can be used")
    };
    let known = authority.issues(&[], |_| {});
    let (client, accepted) = shake(&client_of(Some(known.identity())), &mutual).await;
    let (mut client, mut accepted) = (client.expect("they trust"), accepted.expect("they trust"));
    accepted.write_all(b"+OK\r\n").await.expect("it is read");
    client.read_exact(&mut [0; 5]).await.expect("it was written");

    // In TLS 1.3 a client has done its part before the server looks: it hears of it with the first thing that it reads.
    let stranger = Authority::new("Their CA").issues(&[], |_| {});
    for (shown, said_by_server, said_by_client) in [
        (None, "shows no certificate", "asks for a client certificate"),
        (Some(&stranger), "signed by CN=Their CA", "unknown_ca"),
    ] {
        let (client, accepted) = shake(&client_of(shown.map(Shown::identity)), &mutual).await;
        let said = accepted.expect_err("it must not be trusted").to_string();
        assert!(said.contains(said_by_server), "{said}");
        let error = client.expect("it is done").read(&mut [0; 9]).await.expect_err("it is refused");
        let said = Error::of(&error).expect("it says why").to_string();
        assert!(said.contains(said_by_client), "{said}");
    }
}

#[tokio::test]
async fn plain_text_is_told_from_tls_on_both_sides() {
    let (connector, acceptor) = pair();
    let (client, mut server) = sockets().await;
    server.write_all(b"-ERR unknown command\r\n").await.expect("there is room");
    let error = connector.connect(client).await.expect_err("that is not TLS");
    assert_eq!(error, Error::NotTls(r"-ERR unknown command\r\n".into()));
    let (mut client, server) = sockets().await;
    client.write_all(b"AUTH hunter2\r\n").await.expect("there is room");
    let error = acceptor.accept(server).await.expect_err("that is not TLS");
    assert_eq!(error, Error::PlainClient);
    assert!(!error.to_string().contains("hunter2"));
    let mut told = String::new();
    client.read_to_string(&mut told).await.expect("it is told so");
    assert_eq!(told, "-ERR mainstay: this port speaks TLS, and this connection does not\r\n");
}

#[tokio::test]
async fn a_peer_that_closes_in_the_handshake_is_said_to() {
    let (connector, _) = pair();
    let (client, mut server) = sockets().await;
    let closing = async {
        let _ = server.read(&mut [0; 9999]).await;
        drop(server);
    };
    let (connected, ()) = tokio::join!(connector.connect(client), closing);
    assert_eq!(connected.expect_err("it closed"), Error::Closed);
}

#[tokio::test]
async fn a_second_connection_to_the_same_server_resumes_the_session_and_one_to_another_does_not() {
    let (connector, acceptor) = pair();
    for (connector, resumed) in [(&connector, false), (&connector, true), (&connector.to("localhost").expect("a name"), false)] {
        let (client, server) = shake(connector, &acceptor).await;
        let (mut client, mut server) = (client.expect("they trust"), server.expect("they trust"));
        server.write_all(b"+OK\r\n").await.expect("it is read");
        client.read_exact(&mut [0; 5]).await.expect("it was written");
        assert_eq!((client.is_resumed(), server.is_resumed()), (resumed, resumed));
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new("Test CA");
    let (one, other) = (authority.issues(&["a"], |_| {}), authority.issues(&["b"], |_| {}));
    let mixed = Identity { certificates: one.identity().certificates, key: other.identity().key };
    let said = Acceptor::new(mixed, None).expect_err("they do not fit").to_string();
    assert_eq!(said, "server.key is not the key of the certificate in server.crt");
    let swapped = Identity { certificates: one.identity().key, key: one.identity().certificates };
    let said = Acceptor::new(swapped, None).expect_err("there is none").to_string();
    assert!(said.starts_with("server.key has no certificate in it"), "{said}");
    let empty = Pem { path: std::path::Path::new("empty.pem"), bytes: b"" };
    let said = Connector::new(Some(empty), None, None).expect_err("there is none").to_string();
    assert!(said.starts_with("empty.pem has no certificate in it"), "{said}");
    let bare = Identity { certificates: one.identity().certificates, key: one.identity().certificates };
    let said = Acceptor::new(bare, None).expect_err("there is none").to_string();
    assert!(said.contains("has no private key in it"), "{said}");
}

#[test]
fn no_key_is_ever_printed() {
    let authority = Authority::new("Test CA");
    let shown = authority.issues(&["a"], |_| {});
    let secret = shown.key.lines().nth(1).expect("a line of the key");
    let (acceptor, identity) = (acceptor(&shown), shown.identity());
    let connector = Connector::new(Some(authority.pem()), Some(identity), None).expect("it can be used");
    for text in [format!("{acceptor:?}"), format!("{identity:?}"), format!("{connector:?}")] {
        assert!(!text.contains(secret), "{text}");
    }
}
