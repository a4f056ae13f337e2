//! The admin side as its users see it: every endpoint over a real connection.

mod bounds;
#[path = "../harness/certificates.rs"]
#[allow(dead_code)]
mod certificates;
mod command_line;
mod encrypted;
mod feed;
mod token;
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay::admin::Limits;
use mainstay::route::{Action, AdminState, Moment, Status};
use world::{World, jobs};

#[tokio::test]
async fn health_answers_whatever_the_state_of_the_groups_is() {
    let world = World::new().await;
    world.listening.send_replace(false);
    world.add_unchecked_group();
    let answer = world.get("/healthz").await;
    assert_eq!((answer.code, answer.body.as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn readiness_waits_for_the_listeners_and_for_the_first_round_of_every_group() {
    let world = World::new().await;
    assert_eq!(world.get("/readyz").await.code, 200);

    world.listening.send_replace(false);
    let answer = world.get("/readyz").await;
    assert_eq!((answer.code, answer.body.contains("not listening")), (503, true), "{answer:?}");

    world.listening.send_replace(true);
    world.add_unchecked_group();
    let answer = world.get("/readyz").await;
    assert_eq!(answer.code, 503);
    assert!(answer.body.contains("cache") && !answer.body.contains("jobs"), "{answer:?}");
}

#[tokio::test]
async fn readiness_does_not_need_a_primary_unless_it_is_asked_for_one() {
    let world = World::new().await;
    world.status.send_modify(|status| {
        let status = Arc::make_mut(status);
        status.primary = None;
        status.why = "two backends say role:master".into();
    });
    assert_eq!(world.get("/readyz").await.code, 200);
    let answer = world.get("/readyz?primary").await;
    assert_eq!(answer.code, 503);
    assert!(answer.body.contains("jobs") && answer.body.contains("two backends"), "{answer:?}");
    assert_eq!(world.get("/readyz?primary&group=jobs").await.code, 503);

    world.status.send_replace(Arc::new(jobs()));
    assert_eq!(world.get("/readyz?primary").await.code, 200);
    assert_eq!(world.get("/readyz?primary=true&group=jobs").await.code, 200);
    assert_eq!(world.get("/readyz?primary&group=job").await.code, 404);
    assert_eq!(world.get("/readyz?group=jobs").await.code, 400);
    assert_eq!(world.get("/readyz?primary=maybe").await.code, 400);
}

#[tokio::test]
async fn metrics_are_written_for_prometheus() {
    let world = World::new().await;
    world.metrics.group("jobs").epoch.set(3);
    let answer = world.get("/metrics").await;
    assert_eq!(answer.code, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{answer:?}");
    assert!(answer.body.contains("mainstay_group_epoch{group=\"jobs\"} 3\n"), "{answer:?}");
    assert!(answer.body.contains("# TYPE mainstay_build_info gauge"), "{answer:?}");
}

#[tokio::test]
async fn the_index_lists_the_endpoints() {
    let answer = World::new().await.get("/").await;
    assert_eq!(answer.code, 200);
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/events", "/api/v1/reload", "elect", "maintenance"]
    {
        assert!(answer.body.contains(path), "{path}");
    }
}

#[tokio::test]
async fn the_status_is_right_at_the_time_of_the_request() {
    let world = World::new().await;
    world.held.store(9, Ordering::Relaxed);
    let later = || async {
        let answer = world.get("/api/v1/status").await;
        assert_eq!(answer.code, 200);
        serde_json::from_str::<Status>(&answer.body).unwrap()
    };
    let status = later().await;
    assert!(status.ready);
    assert_eq!((status.workers, status.pid), (2, std::process::id()));
    assert_eq!((status.groups[0].epoch, status.groups[0].held), (3, 9));
    assert_eq!((status.listeners[0].sessions, status.listeners[0].max_connections), (7, 1000));
    assert!(status.started_at.ends_with('Z'));

    // The snapshot stays the same; the ages in it grow.
    let taken_at = world.status.borrow().taken_at.unwrap();
    let passed = Duration::from_millis(50);
    while Moment::now().since(taken_at) < passed {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let group = &later().await.groups[0];
    assert!(group.for_ms >= 1050, "{group:?}");
    assert!(group.backends[0].checked_ms_ago.unwrap() >= 55, "{group:?}");
}

#[tokio::test]
async fn a_reload_says_what_changed_or_every_fault() {
    let world = World::new().await;
    assert_eq!(world.post("/api/v1/reload", "").await.said(), (200, "nothing changed".into()));
    *world.reloaded.lock().unwrap() = Ok(vec!["group cache added".into(), "listener sidekiq: max_connections 10".into()]);
    let answer = world.post("/api/v1/reload", "").await;
    assert_eq!(answer.said(), (200, "group cache added; listener sidekiq: max_connections 10".into()));
    assert_eq!(answer.json()["changes"][0], "group cache added");
    *world.reloaded.lock().unwrap() = Err("mainstay.toml:3: group.nmae is unknown".into());
    assert_eq!(world.post("/api/v1/reload", "").await.said(), (422, "mainstay.toml:3: group.nmae is unknown".into()));
    assert_eq!(world.post("/api/v1/reload?now", "").await.code, 400);
}

#[tokio::test]
async fn an_election_takes_its_backend_from_the_body_or_the_query() {
    let world = World::new().await;
    let elect = |query: &'static str, body: &'static str| {
        let (world, path) = (&world, format!("/api/v1/groups/jobs/elect{query}"));
        async move { world.post(&path, body).await.said() }
    };
    let done = (200, "a:1 is primary in epoch 4".to_owned());
    assert_eq!(elect("", r#"{"backend": "a:1"}"#).await, done);
    assert_eq!(elect("?backend=a%3A1", "").await, done);
    assert_eq!(*world.asked.lock().unwrap(), vec![Action::Elect { backend: "a:1".into() }; 2]);

    assert_eq!(elect("", r#"{"backend": "unix:/run/b.sock"}"#).await, (409, "it is a replica".into()));
    let unknown = elect("", r#"{"backend": "x:1"}"#).await;
    assert_eq!(unknown, (404, "group jobs has no backend x:1; it has a:1, unix:/run/b.sock".into()));
    for (query, body) in
        [("", ""), ("", "a:1"), ("?backnd=a:1", ""), ("?backend=a:1&backend=b:1", ""), ("?backend=b:1", r#"{"backend":"a:1"}"#)]
    {
        assert_eq!(elect(query, body).await.0, 400, "{query} {body}");
    }
    let answer = world.post("/api/v1/groups/none/elect", r#"{"backend": "a:1"}"#).await;
    assert_eq!(answer.said(), (404, "there is no group none".into()));
}

#[tokio::test]
async fn a_backend_goes_into_maintenance_drains_and_comes_back() {
    let world = World::new().await;
    let path = |backend: &str, word: &str| format!("/api/v1/groups/jobs/backends/{backend}/{word}");
    let answer = world.post(&path("unix%3A%2Frun%2Fb.sock", "drain"), "").await;
    assert_eq!(answer.said(), (200, "unix:/run/b.sock is now drain".into()));
    let answer = world.post(&path("%5B%3A%3A1%5D:6379", "ready"), "").await;
    assert_eq!(answer.said(), (200, "[::1]:6379 is now ready".into()));
    let answer = world.post(&path("a:1", "maintenance"), "").await;
    assert_eq!(answer.said(), (409, "a:1 is the only possible primary; force it".into()));
    let answer = world.post(&path("a:1", "maintenance?force=true"), "").await;
    assert_eq!(answer.said(), (200, "a:1 is now maintenance".into()));
    let last = world.asked.lock().unwrap().last().cloned();
    assert_eq!(last, Some(Action::Backend { backend: "a:1".into(), state: AdminState::Maintenance, force: true }));

    assert_eq!(world.post(&path("c:1", "drain"), "").await.code, 404);
    assert_eq!(world.post(&path("a:1", "explode"), "").await.code, 404);
    assert_eq!(world.post(&path("a:1", "drain?force=perhaps"), "").await.code, 400);
    assert_eq!(world.post(&path("a%zz", "drain"), "").await.code, 400);
}

#[tokio::test]
async fn a_command_that_nobody_answers_is_told_as_such() {
    let world = World::new().await;
    world.deaf.store(true, Ordering::Relaxed);
    let (code, sentence) = world.post("/api/v1/groups/jobs/elect?backend=a:1", "").await.said();
    assert_eq!((code, sentence.contains("look at the status")), (503, true), "{sentence}");
    // The coordinator of this one has ended.
    world.add_unchecked_group();
    let (code, sentence) = world.post("/api/v1/groups/cache/elect?backend=a:1", "").await.said();
    assert_eq!((code, sentence.contains("stopping")), (503, true), "{sentence}");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let world = World::new().await;
    for (method, path, allow) in [
        ("POST", "/healthz", "get, head"),
        ("DELETE", "/api/v1/status", "get, head"),
        ("GET", "/api/v1/reload", "post"),
        ("PUT", "/api/v1/groups/jobs/elect", "post"),
        ("HEAD", "/api/v1/groups/jobs/backends/a:1/drain", "post"),
    ] {
        let answer = world.ask(method, path, "", "").await;
        assert_eq!(answer.code, 405, "{method} {path}");
        assert!(answer.head.contains(&format!("allow: {allow}\r\n")), "{answer:?}");
    }
    assert!(world.asked.lock().unwrap().is_empty());
    assert_eq!(world.get("/nowhere").await.code, 404);
    assert_eq!(world.get("/%zz").await.code, 400);
}

#[tokio::test]
async fn head_gives_the_head_of_get_and_no_body() {
    let world = World::new().await;
    for path in ["/healthz", "/readyz", "/metrics", "/", "/api/v1/status"] {
        let (head, get) = (world.ask("HEAD", path, "", "").await, world.get(path).await);
        assert_eq!((head.code, head.body.as_str()), (200, ""), "{path}");
        if path != "/api/v1/status" {
            assert!(head.head.contains(&format!("content-length: {}\r\n", get.body.len())), "{head:?}");
        }
    }
}

#[tokio::test]
async fn one_connection_serves_request_after_request() {
    let world = World::new().await;
    let one = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
    let last = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", world.address);
    let answer = world.raw(&format!("{one}{one}{last}")).await;
    assert_eq!(answer.body.matches("HTTP/1.1 200 OK").count(), 2, "{answer:?}");
    assert!(answer.body.ends_with("ready\n"));
}

#[tokio::test]
async fn a_page_from_elsewhere_cannot_act() {
    let world = World::new().await;
    for headers in
        ["Origin: http://evil.example\r\n", "Origin: null\r\n", "Host: evil.example\r\nOrigin: http://evil.example\r\n"]
    {
        let answer = world.ask("POST", "/api/v1/groups/jobs/elect?backend=a:1", headers, "").await;
        assert_eq!(answer.said().0, 403, "{headers}");
    }
    let answer = world.ask("GET", "/api/v1/status", "Host: evil.example\r\n", "").await;
    assert_eq!(answer.said().0, 403);
    let answer = world.ask("GET", "/api/v1/status", "Host: a\r\nHost: b\r\n", "").await;
    assert_eq!(answer.said().0, 400);
    assert!(world.asked.lock().unwrap().is_empty());

    let own = format!("Origin: http://{}\r\n", world.address);
    assert_eq!(world.ask("POST", "/api/v1/groups/jobs/elect?backend=a:1", &own, "").await.code, 200);
}

#[tokio::test]
async fn off_loopback_only_health_readiness_and_metrics_answer() {
    let world = World::with("0.0.0.0:0", Limits::default()).await;
    for path in ["/healthz", "/readyz", "/readyz?primary", "/metrics"] {
        assert_eq!(world.ask("GET", path, "Host: mainstay.example\r\n", "").await.code, 200, "{path}");
    }
    for path in ["/", "/api/v1/status", "/api/v1/events", "/nowhere", "/%zz"] {
        let (code, sentence) = world.get(path).await.said();
        assert_eq!((code, sentence.contains("loopback")), (403, true), "{path}: {sentence}");
    }
    assert_eq!(world.post("/api/v1/reload", "").await.code, 403);
    assert_eq!(world.post("/api/v1/groups/jobs/elect?backend=a:1", "").await.code, 403);
    assert!(world.asked.lock().unwrap().is_empty());
}
