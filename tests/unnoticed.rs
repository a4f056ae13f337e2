//! Real clients, unmodified, in redis mode: the primary changes twice under each of them, planned, and not one of them notices. Some of
//! them again over shared connections.
//! What the programs do: `tests/clients/README.md`.

mod harness;
mod unnoticed {
    pub mod programs;
}

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use harness::*;
use unnoticed::programs;

/// One at a time: they are heavy.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

const PASSWORD: &str = "secret";
/// What the servers of every test here are told.
const GUARDED: &[&str] = &["requirepass secret", "masterauth secret"];

/// Two servers with a password, and mainstay in redis mode before them.
struct World {
    /// The first to end: it would warn that the servers are gone.
    mainstay: Mainstay,
    servers: Vec<Redis>,
    primary: usize,
    dir: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let first = Redis::start(GUARDED);
        let second = Redis::replica_of(&first, &[]);
        Self::of(vec![first, second])
    }

    /// The same of Valkey's servers, which know more commands about a connection.
    fn of_valkey() -> Self {
        let program = programs::valkey();
        let first = Redis::start_program(&program, GUARDED);
        let follows = format!("replicaof {} {}", first.host, first.port);
        let second = Redis::start_program(&program, &[GUARDED, &[&follows]].concat());
        second.wait_for_link();
        Self::of(vec![first, second])
    }

    /// The sessions share connections.
    fn shared() -> Self {
        let first = Redis::start(GUARDED);
        let second = Redis::replica_of(&first, &[]);
        Self::behind(vec![first, second], "mode = \"redis\"\nshared_connections = true")
    }

    fn of(servers: Vec<Redis>) -> Self {
        let mode = std::env::var("UNNOTICED_MODE").unwrap_or_else(|_| "redis".into());
        Self::behind(servers, &format!("mode = \"{mode}\""))
    }

    fn behind(servers: Vec<Redis>, listener: &str) -> Self {
        let setup = Setup::of(&servers).group("password_env = \"REDIS_PASSWORD\"").environment("REDIS_PASSWORD", PASSWORD);
        let mainstay = setup.listener(listener).start_on(&servers[0]);
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        Self { servers, mainstay, primary: 0, dir }
    }

    fn primary(&self) -> &Redis {
        &self.servers[self.primary]
    }

    /// Asks the primary something in the programs' database.
    #[track_caller]
    fn ask(&self, words: &[&str]) -> Reply {
        let mut client = self.primary().client();
        client.must(&["SELECT", "1"]);
        client.must(words)
    }

    #[track_caller]
    fn fail_over(&mut self) {
        let (old, new) = (self.primary, 1 - self.primary);
        self.servers[old].failover_to(&self.servers[new]);
        self.primary = new;
        self.mainstay.wait_for_primary(&self.servers[new].address());
        self.servers[old].wait_for_link();
    }

    /// Starts a program with its output in files.
    fn spawn(&self, command: &mut Command, name: &str) -> Process {
        let file = |end: &str| File::create(self.dir.path().join(format!("{name}.{end}"))).expect("the folder can be written");
        Process::spawn(command.stdout(file("out")).stderr(file("err")))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// The last of what a program wrote.
    fn told(&self, name: &str) -> String {
        let all = self.read(&format!("{name}.out")) + &self.read(&format!("{name}.err"));
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Where clients connect to.
    fn address(&self) -> (&str, &str) {
        self.mainstay.listen.rsplit_once(':').expect("host:port")
    }

    /// Waits until `count` has grown by `by`, while the program runs.
    #[track_caller]
    fn progress(&self, process: &mut Process, name: &str, by: u64, count: impl Fn() -> u64) {
        let (begun, from) = (std::time::Instant::now(), count());
        while count() < from + by {
            assert!(process.ended().is_none(), "{name} ended:\n{}", self.told(name));
            assert!(begun.elapsed() < Duration::from_secs(40), "{name} stands still:\n{}", self.told(name));
            std::thread::sleep(ms(10));
        }
    }
}

/// How many failovers, two unless told otherwise.
fn failovers() -> u64 {
    std::env::var("UNNOTICED_FAILOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// Runs a program of rounds across failovers, and counts for itself what it did. `seen` looks at the primary after the last one.
#[track_caller]
fn rounds(world: &mut World, name: &str, program: &Path, script: Option<&Path>, resp: u8, seen: impl FnOnce(&World)) {
    let name = format!("{name}-{resp}");
    let (host, port) = world.address();
    let mut command = Process::command(program);
    command.args(script).args([host, port, PASSWORD, &resp.to_string()]);
    let mut process = world.spawn(&mut command, &name);
    let done = |world: &World| world.ask(&["GET", "w0:n"]).text().parse::<u64>().unwrap_or(0);
    for _ in 0..failovers() {
        world.progress(&mut process, &name, 50, || done(world));
        world.fail_over();
    }
    world.progress(&mut process, &name, 50, || done(world));
    // Long enough for the subscriber to have heard something of the last primary.
    seen(world);
    world.ask(&["SET", "stop", "yes"]);
    let status = process.wait(Duration::from_secs(30));
    let told = world.read(&format!("{name}.out"));
    assert!(status.success(), "{name} noticed:\n{told}\n{}", world.read(&format!("{name}.err")));
    for (worker, rounds) in told.split_whitespace().enumerate() {
        for counter in ["n", "m", "t", "s"] {
            let counted = world.ask(&["GET", &format!("w{worker}:{counter}")]).text();
            assert_eq!(counted, rounds, "{name}: what worker {worker} counted as {counter}");
        }
    }
    assert_eq!(told.split_whitespace().count(), 4, "{told}");
    println!("{name}: {} rounds of each worker", told.trim());
    world.ask(&["FLUSHDB"]);
}

/// Connections on the primary that carry the programs' name and speak this protocol.
fn named(world: &World, resp: u8) -> Vec<String> {
    let list = world.ask(&["CLIENT", "LIST"]).text();
    let own = |line: &&str| line.contains(" name=unnoticed ") && line.contains(" db=1 ");
    // Redis 7.0 does not tell the protocol.
    let speaks = |line: &&str| !line.contains(" resp=") || line.contains(&format!(" resp={resp}"));
    list.lines().filter(own).filter(speaks).map(str::to_owned).collect()
}

/// The state of the programs' connections has moved along.
#[track_caller]
fn state_moved(world: &World, resp: u8) {
    wait_until(PATIENCE, "the new primary knows name and database of the connections", || named(world, resp).len() >= 4);
}

#[test]
fn redis_py_does_not_notice_a_failover() {
    let _alone = alone();
    let (mut world, python) = (World::start(), programs::python());
    for resp in [2, 3] {
        for script in ["redis_py.py", "redis_py_asyncio.py"] {
            let path = programs::source("python").join(script);
            rounds(&mut world, script, &python, Some(&path), resp, |world| state_moved(world, resp));
        }
    }
}

#[test]
fn clients_for_node_do_not_notice_a_failover() {
    let _alone = alone();
    let (mut world, folder) = (World::start(), programs::node());
    for resp in [2, 3] {
        for script in ["ioredis.mjs", "node_redis.mjs"] {
            let path = folder.join(script);
            rounds(&mut world, script, Path::new("node"), Some(&path), resp, |world| state_moved(world, resp));
        }
    }
}

#[test]
fn redis_rb_does_not_notice_a_failover() {
    let _alone = alone();
    let mut world = World::start();
    let path = programs::source("ruby").join("redis_rb.rb");
    rounds(&mut world, "redis_rb.rb", Path::new("ruby"), Some(&path), 2, |world| state_moved(world, 2));
}

#[test]
fn clients_for_rust_do_not_notice_a_failover() {
    let _alone = alone();
    let (mut world, folder) = (World::start(), programs::rust());
    for resp in [2, 3] {
        for program in ["redis_rs", "fred"] {
            rounds(&mut world, program, &folder.join(program), None, resp, |world| state_moved(world, resp));
        }
    }
}

#[test]
fn on_valkey_the_names_of_the_libraries_move_along_as_well() {
    let _alone = alone();
    let (mut world, python, node) = (World::of_valkey(), programs::python(), programs::node());
    let library_moved = |world: &World, library: &str, resp| {
        let knows = || named(world, resp).iter().filter(|line| line.contains(&format!("lib-name={library}"))).count() >= 4;
        wait_until(PATIENCE, &format!("the new primary knows the library {library}"), knows);
    };
    for resp in [2, 3] {
        let path = programs::source("python").join("redis_py.py");
        rounds(&mut world, "redis_py.py", &python, Some(&path), resp, |world| library_moved(world, "redis-py", resp));
        let path = node.join("node_redis.mjs");
        rounds(&mut world, "node_redis.mjs", Path::new("node"), Some(&path), resp, |world| {
            library_moved(world, "node-redis", resp)
        });
    }
}

#[test]
fn bullmq_works_off_its_jobs_and_does_not_notice_a_failover() {
    let _alone = alone();
    bullmq(World::start());
}

fn bullmq(mut world: World) {
    let folder = programs::node();
    let (host, port) = world.address();
    let mut command = Process::command("node");
    command.arg(folder.join("bullmq.mjs")).args([host, port, PASSWORD]);
    let mut process = world.spawn(&mut command, "bullmq");
    let done = |world: &World| world.ask(&["GET", "done"]).text().parse::<u64>().unwrap_or(0);
    for _ in 0..failovers() {
        world.progress(&mut process, "bullmq", 300, || done(&world));
        world.fail_over();
    }
    world.progress(&mut process, "bullmq", 300, || done(&world));
    world.ask(&["SET", "stop", "yes"]);
    let status = process.wait(Duration::from_secs(40));
    let (told, errors) = (world.read("bullmq.out"), world.read("bullmq.err"));
    assert!(status.success() && errors.is_empty(), "BullMQ noticed:\n{told}\n{errors}");
    assert_eq!(world.ask(&["GET", "done"]).text(), told.trim(), "each job is done exactly once");
    println!("bullmq: {} jobs", told.trim());
}

#[test]
fn sidekiq_works_off_three_thousand_jobs_and_does_not_notice_two_failovers() {
    let _alone = alone();
    sidekiq(World::start());
}

#[test]
fn clients_that_share_do_not_notice_a_failover() {
    let _alone = alone();
    let (mut world, python, node) = (World::shared(), programs::python(), programs::node());
    let shares = |world: &World| {
        let shared = || world.mainstay.metric("mainstay_upstreams", &[r#"kind="shared""#]);
        wait_until(PATIENCE, "they share", || shared() >= 1.0);
    };
    for (resp, script) in [(2, "redis_py.py"), (3, "redis_py.py"), (3, "redis_py_asyncio.py")] {
        let path = programs::source("python").join(script);
        rounds(&mut world, script, &python, Some(&path), resp, shares);
    }
    for (resp, script) in [(2, "ioredis.mjs"), (3, "node_redis.mjs")] {
        rounds(&mut world, script, Path::new("node"), Some(&node.join(script)), resp, shares);
    }
    let path = programs::source("ruby").join("redis_rb.rb");
    rounds(&mut world, "redis_rb.rb", Path::new("ruby"), Some(&path), 2, shares);
}

#[test]
fn bullmq_works_off_its_jobs_over_shared_connections_and_does_not_notice_a_failover() {
    let _alone = alone();
    bullmq(World::shared());
}

#[test]
fn sidekiq_works_off_its_jobs_over_shared_connections_and_does_not_notice_two_failovers() {
    let _alone = alone();
    sidekiq(World::shared());
}

fn sidekiq(mut world: World) {
    const JOBS: u64 = 3000;
    let url = format!("redis://:{PASSWORD}@{}/1", world.mainstay.listen);
    let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
    let mut worker = Process::command("sidekiq");
    worker.args(["-c", "10", "-r"]).arg(script("job.rb")).env("REDIS_URL", &url).current_dir(world.dir.path());
    let mut worker = world.spawn(&mut worker, "sidekiq");
    let mut enqueue = Process::command("ruby");
    enqueue.arg(script("enqueue.rb")).env("REDIS_URL", &url).env("COUNT", JOBS.to_string());
    let mut enqueue = world.spawn(&mut enqueue, "enqueue");
    let done = |world: &World| world.ask(&["SCARD", "done"]).text().parse::<u64>().unwrap_or(0);
    for _ in 0..2 {
        world.progress(&mut worker, "sidekiq", JOBS / 4, || done(&world));
        world.fail_over();
    }
    assert_eq!(enqueue.wait(Duration::from_secs(60)).code(), Some(0), "{}", world.read("enqueue.err"));
    let left = JOBS - done(&world);
    world.progress(&mut worker, "sidekiq", left, || done(&world));
    assert_eq!(world.read("enqueue.out").trim(), "0", "errors on enqueueing:\n{}", world.read("enqueue.err"));
    assert_eq!(world.ask(&["ZCARD", "retry"]), Reply::Int(0), "jobs to be retried");
    let log = world.read("sidekiq.out") + &world.read("sidekiq.err");
    let loud: Vec<&str> =
        log.lines().filter(|line| ["WARN", "ERROR", "FATAL"].iter().any(|level| line.contains(level))).collect();
    assert!(loud.is_empty(), "Sidekiq noticed:\n{}", loud.join("\n"));
}
