//! Real clients log in.

use std::process::Command;

use crate::*;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn redis_cli_logs_in_by_user_and_by_password_alone() {
    let server = locked(&[]);
    for way in WAYS {
        let mainstay = guarded([&server], way).start_on(&server);
        let (host, port) = mainstay.listen.rsplit_once(':').unwrap();
        let cli = |words: &[&str]| run(Command::new("redis-cli").args(["-h", host, "-p", port, "--no-auth-warning"]).args(words));
        assert_eq!(cli(&["--user", "app", "--pass", APP, "SET", "k", "v"]), "OK\n");
        assert_eq!(cli(&["-a", DEFAULT, "-3", "GET", "k"]), "\"v\"\n".replace('"', ""), "RESP 3");
        assert!(cli(&["GET", "k"]).contains("NOAUTH"));
        assert!(cli(&["--user", "app", "--pass", "wrong", "GET", "k"]).contains("WRONGPASS"));
    }
}

#[test]
fn redis_py_logs_in_in_both_protocols() {
    let server = locked(&[]);
    for way in WAYS {
        let mainstay = guarded([&server], way).start_on(&server);
        let (host, port) = mainstay.listen.rsplit_once(':').unwrap();
        let said =
            run(Command::new(programs::python()).arg(programs::source("python").join("login.py")).args([host, port, "app", APP]));
        assert_eq!(said.lines().last(), Some("fine"), "{way}: {said}");
    }
}

#[test]
fn ioredis_and_node_redis_log_in_in_both_protocols() {
    let server = locked(&[]);
    for way in WAYS {
        let mainstay = guarded([&server], way).start_on(&server);
        let (host, port) = mainstay.listen.rsplit_once(':').unwrap();
        let said = run(Command::new("node").arg(programs::node().join("login.mjs")).args([host, port, "app", APP]));
        assert_eq!(said.lines().last(), Some("fine"), "{way}: {said}");
    }
}
