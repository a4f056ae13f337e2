//! The ends of other programs: OpenSSL as a server and as a client, stunnel.

use std::io::Write;
use std::process::{Command, Stdio};

use ::mainstay::tls::{Error, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// `openssl s_client` against mainstay's side: what each of them said.
fn accepted(certificates: &Certificates, mutual: bool, words: &[&str]) -> (Result<String, Error>, String) {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-CAfile", &certificates.certificate("ca"), "-verify_return_error"]);
        command.args(["-ign_eof"]).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("openssl is installed");
        child.stdin.as_mut().expect("a pipe").write_all(b"PING\n").expect("it reads");
        let (socket, _) = listener.accept().await.expect("it connects");
        let acceptor = certificates.acceptor("server", mutual);
        let said = match acceptor.accept(socket).await {
            Ok(stream) => Ok(answer(stream).await),
            Err(error) => Err(error),
        };
        let output = child.wait_with_output().expect("it ends");
        (said, String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    })
}

async fn answer(mut stream: Stream) -> String {
    let mut line = [0; 5];
    if stream.read_exact(&mut line).await.is_ok() {
        stream.write_all(b"+PONG\r\n").await.expect("it is read");
        stream.shut_down_writing();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    String::from_utf8_lossy(&line).into_owned()
}

#[test]
fn openssl_as_a_client_speaks_both_versions_and_no_older_one() {
    let certificates = Certificates::new();
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (said, output) = accepted(&certificates, false, &[option]);
        assert_eq!(said.as_deref(), Ok("PING\n"), "{output}");
        assert!(output.contains("+PONG") && output.contains(version), "{output}");
    }
    let (said, output) = accepted(&certificates, false, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    let said = said.expect_err("too old").to_string();
    assert!(said.contains("neither TLS 1.2 nor 1.3"), "{said}");
    assert!(output.contains("alert"), "it is told so: {output}");
}

#[test]
fn openssl_as_a_client_must_show_a_certificate_where_one_is_wanted() {
    let certificates = Certificates::new();
    let shown = |name: &str| ["-cert".to_owned(), certificates.certificate(name), "-key".into(), certificates.key(name)];
    for version in ["-tls1_2", "-tls1_3"] {
        let with = |name: &str| {
            let shown = shown(name);
            let words: Vec<&str> = shown.iter().map(String::as_str).chain([version]).collect();
            accepted(&certificates, true, &words)
        };
        let (said, output) = with("client");
        assert_eq!(said.as_deref(), Ok("PING\n"), "{output}");
        let (said, output) = with("expired");
        let said = said.expect_err("it has expired").to_string();
        assert!(said.contains("expired on 2020-02-03"), "{said}");
        assert!(output.contains("certificate expired"), "it is told why: {output}");
        let (said, output) = with("strange");
        let said = said.expect_err("another CA").to_string();
        assert!(said.contains("signed by CN=Strange CA"), "{said}");
        assert!(output.contains("unknown ca"), "it is told why: {output}");
        let (said, _) = accepted(&certificates, true, &[version]);
        let said = said.expect_err("there is none").to_string();
        assert!(said.contains("shows no certificate"), "{said}");
    }
}

#[test]
fn openssl_as_a_server_speaks_both_versions() {
    let certificates = Certificates::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let port = free_port().to_string();
        let mut command = Process::command("openssl");
        command.args(["s_server", "-accept", &port, "-rev", "-quiet", version]);
        command.args(["-cert", &certificates.certificate("server"), "-key", &certificates.key("server")]);
        let _server = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let address = format!("127.0.0.1:{port}");
        wait_until(PATIENCE, "s_server listens", || std::net::TcpStream::connect(&address).is_ok());
        runtime().block_on(async {
            let connector = certificates.connector();
            for resumed in [false, true] {
                let socket = TcpStream::connect(&address).await.expect("it listens");
                let mut stream = connector.connect(socket).await.expect("they trust");
                stream.write_all(b"hello\n").await.expect("it is read");
                let mut said = [0; 6];
                stream.read_exact(&mut said).await.expect("it answers");
                assert_eq!((&said, stream.is_resumed()), (b"olleh\n", resumed));
                stream.shut_down_writing();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
    }
}

#[test]
fn redis_cli_pings_a_backend_that_only_speaks_tls_through_a_plain_listener() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &["tls-auth-clients no"]);
    let mainstay = Setup::at([server.address()]).group(&certificates.group("")).start();
    mainstay.wait_for_primary(&server.address());
    let (host, port) = mainstay.listen.rsplit_once(':').expect("host:port");
    let output = Command::new("redis-cli").args(["-h", host, "-p", port, "PING"]).output().expect("redis-cli is installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "PONG");
}

#[test]
fn stunnel_on_the_server_side_is_a_backend_like_any_other() {
    let certificates = Certificates::new();
    let redis = Redis::start(&[]);
    let (port, dir) = (free_port(), tempfile::tempdir().expect("a folder for temporary files"));
    let text = format!(
        "foreground = yes\npid =\n[redis]\naccept = 127.0.0.1:{port}\nconnect = {}\ncert = {}\nkey = {}\n",
        redis.address(),
        certificates.certificate("server"),
        certificates.key("server")
    );
    std::fs::write(dir.path().join("stunnel.conf"), text).expect("the folder can be written");
    let mut command = Process::command("stunnel4");
    command.arg(dir.path().join("stunnel.conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let _stunnel = Process::spawn(&mut command);
    let address = format!("127.0.0.1:{port}");
    wait_until(PATIENCE, "stunnel listens", || std::net::TcpStream::connect(&address).is_ok());
    let mainstay = Setup::at([address.clone()]).group(&certificates.group("")).listener("mode = \"redis\"").start();
    mainstay.wait_for_primary(&address);
    let mut client = mainstay.client();
    client.must(&["SET", "key", "value"]);
    assert_eq!(client.must(&["GET", "key"]).text(), "value");
    assert_eq!(redis.command(&["GET", "key"]).text(), "value");
}
