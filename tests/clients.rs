//! Real clients work through mainstay: redis-cli, redis-py, Sidekiq. One after another, for they are heavy.

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use harness::*;

/// One real client at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A file beside this one.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn split(address: &str) -> (&str, &str) {
    address.rsplit_once(':').expect("host:port")
}

/// Runs a program to its end: what it printed. Fails the test when it fails.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?} failed:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A Python that knows redis-py: the system's, or one in a folder of this build.
fn python() -> PathBuf {
    let knows = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-c", "import redis.retry"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let own = folder.join("bin/python");
    if let Some(found) = [Path::new("/usr/bin/python3"), Path::new("python3"), &own].into_iter().find(|python| knows(python)) {
        return found.to_owned();
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    run(Command::new(&own).args(["-m", "pip", "install", "--quiet", "redis"]));
    own
}

#[test]
fn redis_cli_works() {
    let _alone = alone();
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).start_on(&server);
    let (host, port) = split(&mainstay.listen);
    let cli = || {
        let mut command = Command::new("redis-cli");
        command.args(["-h", host, "-p", port]);
        command
    };
    assert_eq!(run(cli().args(["SET", "k", "v"])), "OK\n");
    assert_eq!(run(cli().args(["-r", "100", "INCR", "n"])).lines().last(), Some("100"));
    assert_eq!(run(cli().args(["-3", "HGETALL", "nothing"])), "\n", "RESP3 passes as well");
    let mut inserts = String::new();
    for number in 0..20_000 {
        inserts.push_str(&format!("SET mass:{number} {number}\r\n"));
    }
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let file = dir.path().join("inserts");
    std::fs::write(&file, inserts).expect("the folder can be written");
    let pipe = run(cli().arg("--pipe").stdin(std::fs::File::open(&file).expect("just written")));
    assert!(pipe.contains("errors: 0, replies: 20000"), "{pipe}");
    assert_eq!(run(cli().args(["--scan", "--pattern", "mass:*"])).lines().count(), 20_000);
    let bench = run(Command::new("redis-benchmark").args(["-h", host, "-p", port, "-n", "20000", "-c", "50", "-P", "16", "-q"]));
    assert!(bench.contains("SET:") && bench.contains("LRANGE"), "{bench}");
}

#[test]
fn redis_py_works() {
    let _alone = alone();
    let server = Redis::start(&[]);
    let mainstay = Setup::of([&server]).start_on(&server);
    let (host, port) = split(&mainstay.listen);
    assert_eq!(run(Command::new(python()).arg(script("redis_py.py")).args([host, port])), "all well\n");
}

#[test]
fn redis_py_writes_through_failovers_and_loses_nothing() {
    let _alone = alone();
    let family = Redis::family(1);
    let mainstay = Setup::of(&family).start_on(&family[0]);
    let (host, port) = split(&mainstay.listen);
    let mut command = Process::command(python());
    command.arg(script("redis_py_failover.py")).args([host, port, "stop"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut writer = command.spawn().expect("it was found before");
    let written = |server: &Redis| server.command(&["SCARD", "written"]).text().parse::<u64>().unwrap_or(0);
    for (old, new) in [(0, 1), (1, 0)] {
        let before = written(&family[old]);
        wait_until(PATIENCE, "it writes", || written(&family[old]) > before + 100);
        family[old].failover_to(&family[new]);
        mainstay.wait_for_primary(&family[new].address());
        let before = written(&family[new]);
        wait_until(PATIENCE, "it writes again", || written(&family[new]) > before + 100);
        family[old].wait_for_link();
    }
    mainstay.client().must(&["SET", "stop", "yes"]);
    wait_until(PATIENCE, "it ends", || writer.try_wait().expect("a child").is_some());
    let output = writer.wait_with_output().expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let acknowledged: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    assert_eq!(written(&family[0]), acknowledged);
}

#[test]
fn sidekiq_works_off_ten_thousand_jobs_across_three_failovers() {
    let _alone = alone();
    const JOBS: u64 = 10_000;
    let has_sidekiq = Command::new("ruby").args(["-e", "require 'sidekiq'"]).status().is_ok_and(|status| status.success());
    assert!(has_sidekiq, "this test needs Sidekiq: apt-get install ruby-sidekiq");
    let family = Redis::family(2);
    let mainstay = Setup::of(&family).start_on(&family[0]);
    let url = format!("redis://{}", mainstay.listen);
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let log = |name: &str| std::fs::File::create(dir.path().join(name)).expect("the folder can be written");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();

    let mut worker = Process::command("sidekiq");
    worker.args(["-c", "10", "-r"]).arg(script("job.rb")).env("REDIS_URL", &url).current_dir(dir.path());
    let _worker = Process::spawn(worker.stdout(log("worker")).stderr(log("worker.err")));
    let mut enqueue = Process::command("ruby");
    enqueue.arg(script("enqueue.rb")).env("REDIS_URL", &url).env("COUNT", JOBS.to_string());
    let mut enqueue = Process::spawn(enqueue.stdout(log("errors")).stderr(log("enqueue.err")));

    let done = |server: &Redis| server.command(&["SCARD", "done"]).text().parse::<u64>().unwrap_or(0);
    let long = Duration::from_secs(120);
    for (turn, (old, new)) in [(0, 1), (1, 2), (2, 0)].into_iter().enumerate() {
        let due = (turn as u64 + 1) * JOBS / 4;
        wait_until(long, &format!("{due} jobs are done"), || done(&family[old]) >= due);
        for other in (0..3).filter(|other| *other != old) {
            family[other].wait_for_link();
        }
        family[old].failover_to(&family[new]);
        mainstay.wait_for_primary(&family[new].address());
        let behind = (0..3).find(|other| *other != old && *other != new).expect("three servers");
        wait_until(PATIENCE, "the third follows", || {
            family[behind].info("master_port") == family[new].port.to_string() || {
                family[behind].follow(&family[new]);
                false
            }
        });
    }
    assert_eq!(enqueue.wait(long).code(), Some(0), "{}", read("enqueue.err"));
    let begun = std::time::Instant::now();
    while done(&family[0]) < JOBS && begun.elapsed() < long {
        std::thread::sleep(ms(50));
    }
    let state = family[0].command(&["ZCARD", "retry"]);
    let missing = JOBS - done(&family[0]);
    assert_eq!(missing, 0, "jobs lost; still to be retried: {state:?}\n{}\n{}", read("worker"), read("worker.err"));
    let errors: u64 = read("errors").trim().parse().expect("a number");
    assert!(errors <= 15, "{errors} errors on enqueueing:\n{}", read("enqueue.err"));
    eprintln!("{errors} errors on enqueueing across three failovers");
    assert_eq!(mainstay.epoch(), 3);
}
