//! The subcommands that steer a running mainstay, as processes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use mainstay::route::{Action, AdminState, Status};

use super::world::World;

/// The binary with `--admin` pointing at `address`.
fn command(address: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(arguments).env("MAINSTAY_ADMIN", format!("http://{address}"));
    command
}

/// Runs it to its end. The world lives on this thread, so the waiting is done on another one.
async fn run(address: &str, arguments: &[&str]) -> Output {
    let mut command = command(address, arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Exit status, stdout, stderr.
async fn run_in(world: &World, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(&world.address.to_string(), arguments).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn status_shows_a_table_or_the_answer_as_it_is() {
    let world = World::new().await;
    let (code, table, errors) = run_in(&world, &["status"]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(table.contains("GROUP jobs: primary a:1\n") && table.contains("7/1000"), "{table}");
    let (code, json, _) = run_in(&world, &["status", "--json"]).await;
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap().groups[0].primary.as_deref(), Some("a:1"));
    assert!(json.contains("\n  \"version\""), "laid out for people: {json}");
}

#[tokio::test]
async fn watching_shows_it_again_and_outlives_a_restart() {
    let world = World::new().await;
    let mut command = command(&world.address.to_string(), &["status", "--watch"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let (lines, mut shown) = tokio::sync::mpsc::unbounded_channel();
    let stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).take_while(|line| lines.send(line.clone()).is_ok()).count()
    });
    let mut until = async |needle: &str| {
        let found = async { while !shown.recv().await.expect("it goes on").contains(needle) {} };
        tokio::time::timeout(super::world::DEADLINE, found).await.unwrap_or_else(|_| panic!("no {needle}"));
    };
    until("GROUP jobs").await;
    until("GROUP jobs").await;
    world.serving.abort();
    until("cannot reach mainstay's admin address").await;
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
}

#[tokio::test]
async fn elect_and_backend_say_what_was_done() {
    let world = World::new().await;
    let said = |text: &str| (Some(0), format!("{text}\n"), String::new());
    assert_eq!(run_in(&world, &["elect", "jobs", "a:1"]).await, said("a:1 is primary in epoch 4"));
    let drain = ["backend", "jobs", "unix:/run/b.sock", "drain"];
    assert_eq!(run_in(&world, &drain).await, said("unix:/run/b.sock is now drain"));
    let force = ["backend", "jobs", "a:1", "maintenance", "--force"];
    assert_eq!(run_in(&world, &force).await, said("a:1 is now maintenance"));
    let last = world.asked.lock().unwrap().last().cloned();
    assert_eq!(last, Some(Action::Backend { backend: "a:1".into(), state: AdminState::Maintenance, force: true }));
}

#[tokio::test]
async fn what_was_refused_is_one_sentence_and_status_1() {
    let world = World::new().await;
    for (arguments, sentence) in [
        (vec!["elect", "jobs", "unix:/run/b.sock"], "it is a replica"),
        (vec!["elect", "jobs", "x:1"], "group jobs has no backend x:1; it has a:1, unix:/run/b.sock"),
        (vec!["elect", "no/ne", "a:1"], "there is no group no/ne"),
        (vec!["backend", "jobs", "a:1", "maintenance"], "a:1 is the only possible primary; force it"),
    ] {
        let refused = (Some(1), String::new(), format!("mainstay: {sentence}\n"));
        assert_eq!(run_in(&world, &arguments).await, refused);
    }
    assert_eq!(run_in(&world, &["backend", "jobs", "a:1", "explode"]).await.0, Some(2));
}

#[tokio::test]
async fn who_cannot_be_reached_or_is_somebody_else_is_told_as_such() {
    let world = World::new().await;
    let address = world.address.to_string();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (nobody, silent) = (address.as_str(), free.local_addr().unwrap().to_string());
    world.serving.abort();
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    for arguments in [&["status"][..], &["status", "--watch"], &["elect", "jobs", "a:1"]] {
        let output = run(nobody, arguments).await;
        let expected = format!(
            "mainstay: cannot reach mainstay's admin address http://{nobody}: connection refused; \
             is it running, and is [admin] bind the same?\n"
        );
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(1), expected));
    }
    // It takes the connection and says nothing.
    let output = run(&silent, &["status"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.contains("no answer within 5 s")), (Some(1), true), "{said}");
    drop(free);

    let world = World::with("0.0.0.0:0", mainstay::admin::Limits::default()).await;
    let (code, _, said) = run_in(&world, &["status"]).await;
    assert_eq!((code, said.contains("not a loopback address")), (Some(1), true), "{said}");
}
