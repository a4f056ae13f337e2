//! Who shows the token may look and steer; who does not learns what to do.

use std::time::{Duration, Instant};

use mainstay::admin::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{DEADLINE, World};

const TOKEN: &str = "the right token of this test";

fn with(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn everything_but_health_readiness_and_metrics_needs_the_token() {
    for bind in ["127.0.0.1:0", "0.0.0.0:0"] {
        let world = World::with(bind, Limits::default()).await;
        world.token(Some(TOKEN));
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(world.get(path).await.code, 200, "{path}");
            assert_eq!(world.ask("GET", path, &with("wrong"), "").await.code, 200, "{path}");
        }
        let places =
            [("GET", "/"), ("HEAD", "/"), ("GET", "/api/v1/status"), ("GET", "/api/v1/events"), ("OPTIONS", "/api/v1/status")];
        let actions = [("POST", "/api/v1/reload"), ("POST", "/api/v1/groups/jobs/elect?backend=a:1"), ("GET", "/nowhere")];
        for (method, path) in places.into_iter().chain(actions) {
            let answer = world.ask(method, path, "", "").await;
            assert_eq!(answer.code, 401, "{method} {path}");
            assert!(answer.head.contains("www-authenticate: bearer realm=\"mainstay\"\r\n"), "{answer:?}");
            assert!(method == "HEAD" || answer.body.contains("--token-file"), "{answer:?}");
        }
        assert!(world.asked.lock().unwrap().is_empty());
        for path in ["/", "/api/v1/status"] {
            assert_eq!(world.ask("GET", path, &with(TOKEN), "").await.code, 200);
            assert_eq!(world.ask("HEAD", path, &with(TOKEN), "").await.code, 200);
        }
        let elect = "/api/v1/groups/jobs/elect?backend=a:1";
        assert_eq!(world.ask("POST", elect, &with(TOKEN), "").await.code, 200);
        assert_eq!(world.ask("GET", "/nowhere", &with(TOKEN), "").await.code, 404);
    }
}

#[tokio::test]
async fn no_page_is_ever_allowed_to_send_the_token() {
    let world = World::new().await;
    world.token(Some(TOKEN));
    let preflight = "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\
                     Access-Control-Request-Headers: authorization\r\n";
    for headers in [preflight.to_owned(), preflight.to_owned() + &with(TOKEN)] {
        for path in ["/api/v1/status", "/api/v1/reload", "/healthz", "/metrics"] {
            let answer = world.ask("OPTIONS", path, &headers, "").await;
            assert!([401, 405].contains(&answer.code) && !answer.head.contains("access-control"), "{answer:?}");
        }
    }
    let answer = world.ask("GET", "/metrics", "Origin: http://evil.example\r\n", "").await;
    assert!(!answer.head.contains("access-control"), "{answer:?}");
}

#[tokio::test]
async fn a_wrong_token_is_answered_late_and_its_connection_ends() {
    let limits = Limits { wrong_token_delay: Duration::from_millis(400), ..Limits::default() };
    let world = World::with("127.0.0.1:0", limits).await;
    world.token(Some(TOKEN));
    let begun = Instant::now();
    let mut stream = world.connect().await;
    let one = format!("GET /api/v1/status HTTP/1.1\r\nHost: {}\r\n{}\r\n", world.address, with("the wrong token of this test"));
    stream.write_all(one.repeat(3).as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await;
    read.expect("the connection ends").unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!(answer.matches("HTTP/1.1 401 ").count(), 1, "{answer}");
    assert!(answer.contains("error=\"invalid_token\"") && answer.contains("connection: close"), "{answer}");
    assert!(!answer.contains("the wrong token"), "{answer}");
}

#[tokio::test]
async fn who_has_the_token_is_served_while_others_guess() {
    let world = World::new().await;
    world.token(Some(TOKEN));
    let address = world.address;
    let guess = move || async move {
        let mut guesses = 0;
        loop {
            let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return guesses };
            let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: a\r\n{}\r\n", with(&format!("guess {guesses}")));
            let _ = stream.write_all(request.as_bytes()).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            guesses += 1;
        }
    };
    let guessers: Vec<_> = (0..100).map(|_| tokio::spawn(guess())).collect();
    let begun = Instant::now();
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(world.ask("GET", "/api/v1/status", &with(TOKEN), "").await.code, 200);
        assert!(asked.elapsed() < Duration::from_secs(4), "waited {:?}", asked.elapsed());
        assert_eq!(world.get("/healthz").await.code, 200);
    }
    assert!(begun.elapsed() < DEADLINE);
    guessers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_with_a_word() {
    let world = World::new().await;
    for token in [None, Some(TOKEN)] {
        world.token(token);
        let (code, said) = world.get("/api/v1/status?token=0123456789").await.said();
        assert_eq!(code, 400);
        assert!(said.contains("Authorization: Bearer") && !said.contains("0123456789"), "{said}");
    }
}

#[tokio::test]
async fn another_token_counts_at_once_also_on_a_connection_that_is_open() {
    let world = World::new().await;
    world.token(Some(TOKEN));
    let mut stream = world.connect().await;
    let one = format!("GET /api/v1/status HTTP/1.1\r\nHost: {}\r\n{}\r\n", world.address, with(TOKEN));
    stream.write_all(one.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let read = stream.read(&mut buffer).await.unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
    world.token(Some("another token of this test"));
    stream.write_all(one.as_bytes()).await.unwrap();
    let mut rest = String::new();
    let _ = stream.read_to_string(&mut rest).await;
    assert!(rest.contains("HTTP/1.1 401"), "{rest}");
    world.token(None);
    assert_eq!(world.get("/api/v1/status").await.code, 200);
}
