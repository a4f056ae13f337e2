//! The admin side by TLS: what is read on the way, who shows a certificate, and the command line.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mainstay::admin::Limits;
use mainstay::config::secret::Secret;
use mainstay::config::{Admin, Identity, Pem, ServerTls};
use mainstay::tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::certificates::{Authority, DAY, Pair};
use super::world::{DEADLINE, World};

const TOKEN: &str = "the-right-token-of-this-test";

fn pem(path: &str) -> Pem {
    Pem { path: path.into(), text: std::fs::read_to_string(path).unwrap().into() }
}

/// What `[admin]` says.
fn admin(pair: &Pair, client_ca: Option<&Authority>, token: Option<&str>) -> Admin {
    let identity = Identity { certificate: pem(&pair.certificate), key: pem(&pair.key) };
    let tls = ServerTls { identity, client_ca: client_ca.map(|ca| pem(&ca.file())) };
    Admin { token: token.map(Secret::new), tls: Some(tls), ..Admin::default() }
}

impl World {
    fn be(&self, admin: &Admin) {
        let access = self.access.borrow().renewed(admin).unwrap();
        self.access.send_replace(Arc::new(access));
    }
}

fn connector(ca: &Authority, shown: Option<&Pair>) -> tls::Connector {
    let read = |path: &str| std::fs::read(path).unwrap();
    let (ca, pair) = (ca.file(), shown.map(|pair| (read(&pair.certificate), read(&pair.key))));
    let text = read(&ca);
    fn part<'a>(path: &'a str, bytes: &'a [u8]) -> tls::Pem<'a> {
        tls::Pem { path: Path::new(path), bytes }
    }
    let identity = pair.as_ref().map(|(certificate, key)| tls::Identity {
        certificates: part("the certificate", certificate),
        key: part("the key", key),
    });
    tls::Connector::new(Some(part(&ca, &text)), identity, None).unwrap().to("127.0.0.1").unwrap()
}

/// The code of one request, and its connection.
async fn ask(stream: &mut tls::Stream, path: &str, headers: &str) -> Result<u16, std::io::Error> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes()).await?;
    let mut answer = vec![0; 64 * 1024];
    let read = tokio::time::timeout(DEADLINE, stream.read(&mut answer)).await.expect("an answer in time")?;
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| std::io::Error::other(text))
}

async fn once(world: &World, connector: &tls::Connector, path: &str, headers: &str) -> Result<u16, String> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let mut stream = connector.connect(stream).await.map_err(|fault| fault.to_string())?;
    ask(&mut stream, path, headers).await.map_err(|fault| fault.to_string())
}

async fn cli(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(arguments).env("MAINSTAY_ADMIN", format!("https://{}", world.address));
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn health_and_metrics_need_no_certificate_and_everything_else_the_token_or_one() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let (pair, client) = (ours.issue("server", &["127.0.0.1"]), clients.issue("operator", &["operator"]));
    let (bare, certified) = (connector(&ours, None), connector(&ours, Some(&client)));
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    for bind in ["127.0.0.1:0", "0.0.0.0:0"] {
        let world = World::with(bind, Limits::default()).await;
        for (ca, token, without, with_certificate, with_token) in [
            (None, None, if bind.starts_with('1') { 200 } else { 403 }, None, None),
            (Some(&clients), None, 403, Some(200), None),
            (Some(&clients), Some(TOKEN), 401, Some(200), Some(200)),
            (None, Some(TOKEN), 401, Some(401), Some(200)),
        ] {
            world.be(&admin(&pair, ca, token));
            for path in ["/healthz", "/readyz", "/metrics"] {
                assert_eq!(once(&world, &bare, path, "").await, Ok(200));
            }
            assert_eq!(once(&world, &bare, "/api/v1/status", "").await, Ok(without));
            if let Some(code) = with_certificate {
                assert_eq!(once(&world, &certified, "/api/v1/status", "").await, Ok(code));
                let page = "Origin: https://evil.example\r\n";
                assert!([Ok(401), Ok(403)].contains(&once(&world, &certified, "/api/v1/status", page).await));
            }
            if let Some(code) = with_token {
                assert_eq!(once(&world, &bare, "/api/v1/status", &right).await, Ok(code));
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_of_somebody_else_or_of_yesterday_gets_no_answer() {
    let (ours, clients, others) = (Authority::new("ours"), Authority::new("clients"), Authority::new("others"));
    let world = World::new().await;
    world.be(&admin(&ours.issue("server", &["127.0.0.1"]), Some(&clients), None));
    let foreign = others.issue("operator", &["operator"]);
    let expired = clients.issue_until("operator", &["operator"], SystemTime::now() - DAY);
    for (wrong, why) in [(foreign, "unknown_ca"), (expired, "expired")] {
        let said = once(&world, &connector(&ours, Some(&wrong)), "/healthz", "").await.unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn other_certificates_count_at_once_and_old_connections_are_not_trusted_any_more() {
    let (ours, clients, others) = (Authority::new("ours"), Authority::new("clients"), Authority::new("others"));
    let (pair, client) = (ours.issue("server", &["127.0.0.1"]), clients.issue("operator", &["operator"]));
    let world = World::new().await;
    world.be(&admin(&pair, Some(&clients), None));
    let certified = connector(&ours, Some(&client));
    let mut open = certified.connect(world.connect().await).await.unwrap();
    assert_eq!(ask(&mut open, "/api/v1/status", "").await.unwrap(), 200);
    // Another token leaves the connection as good as it was.
    world.be(&admin(&pair, Some(&clients), Some(TOKEN)));
    assert_eq!(ask(&mut open, "/api/v1/status", "").await.unwrap(), 200);
    world.be(&admin(&pair, Some(&others), None));
    assert_eq!(ask(&mut open, "/api/v1/status", "").await.unwrap(), 403);
    let mut rest = Vec::new();
    tokio::time::timeout(DEADLINE, open.read_to_end(&mut rest)).await.expect("it ends").unwrap();
    assert!(once(&world, &certified, "/api/v1/status", "").await.is_err(), "nor is its session resumed");
}

#[tokio::test]
async fn plain_http_is_told_to_write_https() {
    let ours = Authority::new("ours");
    let world = World::new().await;
    world.be(&admin(&ours.issue("server", &["127.0.0.1"]), None, None));
    let (code, said) = world.get("/healthz").await.said();
    assert_eq!((code, said.contains("https://")), (400, true), "{said}");
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_given_up_and_a_flood_of_them_does_not_keep_others_out() {
    let ours = Authority::new("ours");
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let world = World::with("127.0.0.1:0", limits).await;
    world.be(&admin(&ours.issue("server", &["127.0.0.1"]), None, None));
    let mut silent = Vec::new();
    for half in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"].iter().cycle().take(150) {
        let mut stream = world.connect().await;
        stream.write_all(half).await.unwrap();
        silent.push(stream);
    }
    let answered = tokio::time::timeout(DEADLINE, once(&world, &connector(&ours, None), "/healthz", "")).await;
    assert_eq!(answered.expect("an answer in time"), Ok(200));
    for mut stream in silent {
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("it is closed");
    }
}

#[tokio::test]
async fn the_command_line_shows_a_token_or_a_certificate_and_says_which_is_missing() {
    let (ours, clients, others) = (Authority::new("ours"), Authority::new("clients"), Authority::new("others"));
    let (pair, client) = (ours.issue("server", &["127.0.0.1"]), clients.issue("operator", &["operator"]));
    let world = World::new().await;
    world.be(&admin(&pair, Some(&clients), Some(TOKEN)));
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    };
    let (token, wrong) = (file("token", &format!("{TOKEN}\n")), file("wrong", "a-token-that-is-wrong\n"));
    let (ca, other) = (ours.file(), others.file());
    let elect = ["elect", "jobs", "a:1", "--ca-file", &ca];
    let with = |more: &[&str]| elect.iter().chain(more).map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let foreign = others.issue("operator", &["operator"]);
    for (more, code, said) in [
        (vec!["--token-file", &token], 0, "a:1 is primary"),
        (vec!["--cert-file", &client.certificate, "--key-file", &client.key], 0, "a:1 is primary"),
        (vec![], 1, "give --token-file"),
        (vec!["--token-file", &wrong], 1, "the token is wrong"),
        (vec!["--token-file", "/nowhere"], 1, "--token-file /nowhere: the file named here cannot be opened"),
        (vec!["--cert-file", &foreign.certificate, "--key-file", &foreign.key], 1, "unknown_ca"),
        (vec!["--cert-file", &client.certificate], 2, "--key-file"),
        (vec!["--cert-file", &client.certificate, "--key-file", &foreign.key], 1, "is not the key of the certificate"),
    ] {
        let words = with(&more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (status, text) = cli(&world, &words).await;
        assert_eq!((status, text.contains(said)), (Some(code), true), "{more:?}: {text}");
        assert!(!text.contains("a-token-that-is-wrong") && !text.contains(TOKEN), "{text}");
    }
    let (status, text) = cli(&world, &["elect", "jobs", "a:1", "--ca-file", &other]).await;
    assert_eq!((status, text.contains("--ca-file")), (Some(1), true), "{text}");
    assert!(text.contains("signed by"), "{text}");
    let plain = format!("http://{}", world.address);
    let (status, text) = cli(&world, &["status", "--admin", &plain]).await;
    assert_eq!((status, text.contains("https://")), (Some(1), true), "{text}");
    let (status, text) = cli(&world, &["status", "--admin", &plain, "--ca-file", &ca]).await;
    assert_eq!((status, text.contains("write https://")), (Some(1), true), "{text}");
    // And the other way round.
    world.token(Some(TOKEN));
    let (status, text) = cli(&world, &elect).await;
    assert_eq!((status, text.contains("write http://")), (Some(1), true), "{text}");
}
