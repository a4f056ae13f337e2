//! A changed configuration is applied while clients work; what did not change is not touched.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use harness::expected::*;
use harness::*;
use rustix::process::Signal;

/// A client that works without pause until it is told to stop; it must never see an error.
struct Worker {
    over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<Result<(), String>>>,
}

impl Worker {
    fn on(mainstay: &Mainstay) -> Self {
        let (mut client, over, done) = (mainstay.client(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (theirs, count) = (over.clone(), done.clone());
        let work = move || {
            while !theirs.load(Ordering::SeqCst) {
                match client.ask(&["INCR", "work"]) {
                    Ok(Reply::Int(_)) => count.fetch_add(1, Ordering::SeqCst),
                    other => return Err(format!("{other:?}")),
                };
            }
            Ok(())
        };
        Self { over, done, thread: Some(std::thread::spawn(work)) }
    }

    /// Waits until more work was done, which shows that the session lives.
    #[track_caller]
    fn goes_on(&self) {
        let before = self.done.load(Ordering::SeqCst);
        wait_until(PATIENCE, "the session goes on", || self.done.load(Ordering::SeqCst) > before + 10);
    }

    #[track_caller]
    fn finish(mut self) {
        self.over.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("finished once");
        assert_eq!(thread.join().expect("no panic"), Ok(()), "the session broke");
    }
}

#[track_caller]
fn reloaded(mainstay: &Mainstay) {
    let (code, answer) = mainstay.reload();
    assert_eq!(code, 200, "{answer}");
}

fn listeners(mainstay: &Mainstay) -> Vec<String> {
    let status = mainstay.status();
    let all = status["listeners"].as_array().expect("an array").iter();
    all.filter(|one| one["draining"] == false).map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_backend_a_listener_and_a_group_are_added_and_removed_under_traffic() {
    let family = Redis::family(1);
    let other = Redis::start(&[]);
    let mut mainstay = Setup::of(&family[..1]).start_on(&family[0]);
    let worker = Worker::on(&mainstay);
    let (epoch, address) = (mainstay.epoch(), format!("127.0.0.1:{}", free_port()));

    mainstay.setup.backends.push(family[1].address());
    mainstay.setup.more = format!(
        "[[group]]\nname = \"cache\"\nbackends = [\"{}\"]\n[[listener]]\nname = \"cache\"\nbind = \"{address}\"\ngroup = \"cache\"\n",
        other.address()
    );
    reloaded(&mainstay);
    wait_until(PATIENCE, "the replica is checked", || mainstay.backend(&family[1].address())["role"] == "slave");
    let mut cached = Client::connect(&address);
    cached.must(&["SET", "in-the-cache", "v"]);
    assert_eq!(other.command(&["GET", "in-the-cache"]), Reply::bulk("v"));
    assert_eq!(listeners(&mainstay), ["sidekiq", "cache"]);
    worker.goes_on();

    // The listener goes, its session stays until the client leaves.
    mainstay.setup.backends.pop();
    mainstay.setup.more = String::new();
    reloaded(&mainstay);
    wait_until(PATIENCE, "nobody listens there", || Client::try_connect(&address).err() == Some(Gone::Refused));
    assert_eq!(listeners(&mainstay), ["sidekiq"]);
    cached.must(&["GET", "in-the-cache"]);
    wait_until(PATIENCE, "the replica is forgotten", || mainstay.group()["backends"].as_array().map(Vec::len) == Some(1));
    drop(cached);
    wait_until(PATIENCE, "the drained listener and its group are forgotten", || {
        let status = mainstay.status();
        status["listeners"].as_array().map(Vec::len) == Some(1) && status["groups"].as_array().map(Vec::len) == Some(1)
    });
    worker.goes_on();
    worker.finish();
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(family[0].address()), epoch));
}

#[test]
fn sessions_of_a_removed_listener_stay_watched() {
    let family = Redis::family(1);
    let second = format!("127.0.0.1:{}", free_port());
    let more = format!("[[listener]]\nname = \"second\"\nbind = \"{second}\"\ngroup = \"jobs\"\n");
    let mut mainstay = Setup::of(&family).more(more).expecting(&[CONFLICT]).start_on(&family[0]);
    let mut left = Client::connect(&second);
    left.must(&["PING"]);
    mainstay.setup.more = String::new();
    reloaded(&mainstay);
    left.must(&["PING"]);
    let draining = |mainstay: &Mainstay| mainstay.status()["listeners"][1]["draining"] == true;
    assert!(draining(&mainstay));
    family[1].promote();
    assert_ne!(left.end(PATIENCE), Gone::Silent, "cut like any other session");
    wait_until(PATIENCE, "the drained listener is forgotten", || !draining(&mainstay));
}

#[test]
fn a_removed_primary_is_kept_until_it_is_replaced() {
    let family = Redis::family(1);
    let mut mainstay = Setup::of(&family).start_on(&family[0]);
    let worker = Worker::on(&mainstay);
    worker.goes_on();
    mainstay.setup.backends = vec![family[1].address()];
    reloaded(&mainstay);
    stays(ms(1500), "it stays primary", || mainstay.primary() == Some(family[0].address()));
    assert_eq!(mainstay.backend(&family[0].address())["leaving"], true);
    worker.goes_on();
    worker.finish();
    mainstay.client().must(&["SET", "k", "v"]);
    let epoch = mainstay.epoch();
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    assert_eq!(mainstay.epoch(), epoch + 1);
    wait_until(PATIENCE, "the old one is forgotten", || mainstay.group()["backends"].as_array().map(Vec::len) == Some(1));
    assert_eq!(mainstay.client().must(&["GET", "k"]), Reply::bulk("v"));
}

#[test]
fn a_file_that_does_not_validate_changes_nothing() {
    let server = Redis::start(&[]);
    let mut mainstay = Setup::of([&server]).expecting(&[REFUSED_RELOAD]).start_on(&server);
    let worker = Worker::on(&mainstay);
    mainstay.setup.listener = "max_conections = 5\nidle_timeout = \"soon\"".into();
    let (code, answer) = mainstay.reload();
    assert!((400..500).contains(&code), "{code} {answer}");
    for fault in ["max_conections", "idle_timeout"] {
        assert!(answer.contains(fault), "every fault is named: {answer}");
    }
    mainstay.signal(Signal::HUP);
    wait_until(PATIENCE, "SIGHUP reports it in the log", || mainstay.log.has("max_conections"));
    worker.goes_on();
    worker.finish();
    assert_eq!(mainstay.epoch(), 0);
    mainstay.client().must(&["PING"]);
}

#[test]
fn sighup_applies_the_file() {
    let server = Redis::start(&[]);
    let mut mainstay = Setup::of([&server]).start_on(&server);
    let worker = Worker::on(&mainstay);
    let second = format!("127.0.0.1:{}", free_port());
    mainstay.setup.more = format!("[[listener]]\nname = \"second\"\nbind = \"{second}\"\ngroup = \"jobs\"\n");
    mainstay.write(&mainstay.setup.toml(&mainstay.admin, &mainstay.listen));
    mainstay.signal(Signal::HUP);
    wait_until(PATIENCE, "the new listener serves", || Client::try_connect(&second).is_ok());
    Client::connect(&second).must(&["PING"]);
    worker.goes_on();
    worker.finish();
}

#[test]
fn a_changed_limit_applies_to_the_listener_that_stands() {
    let server = Redis::start(&[]);
    let mut mainstay = Setup::of([&server]).start_on(&server);
    let mut first = mainstay.client();
    first.must(&["PING"]);
    mainstay.setup.listener = "max_connections = 1".into();
    reloaded(&mainstay);
    assert_eq!(mainstay.client().drain(PATIENCE).0, b"-ERR max number of clients reached\r\n");
    first.must(&["PING"]);
    mainstay.setup.listener = String::new();
    reloaded(&mainstay);
    mainstay.client().must(&["PING"]);
}

#[test]
fn the_epoch_never_shrinks_over_reloads() {
    let family = Redis::family(1);
    let mut mainstay = Setup::of(&family).start_on(&family[0]);
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    assert_eq!(mainstay.epoch(), 1);
    for window in ["1s", "2s", "3s"] {
        mainstay.setup.hold = format!("window = \"{window}\"");
        reloaded(&mainstay);
        assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(family[1].address()), 1));
        assert_eq!(mainstay.metric("mainstay_group_epoch", &[r#"group="jobs""#]), 1.0);
    }
    // A group that leaves and returns under the same name begins where it left, or later.
    let backends = std::mem::replace(&mut mainstay.setup.backends, vec![family[0].address()]);
    reloaded(&mainstay);
    mainstay.setup.backends = backends;
    reloaded(&mainstay);
    mainstay.wait_for_primary(&family[1].address());
    assert!(mainstay.epoch() >= 1);
}

#[test]
fn who_shares_connections_goes_by_the_new_way_once_a_reload_has_changed_the_way_to_the_same_server() {
    // One process at two addresses: it stays the primary, in the same epoch.
    let server = Redis::start(&["bind 127.0.0.1 127.0.0.2"]);
    let new_way = format!("127.0.0.2:{}", server.port);
    let shared = "mode = \"redis\"\nshared_connections = true";
    let mut mainstay = Setup::of([&server]).runtime("workers = 1").listener(shared).start_on(&server);
    // At which address the connection came in that asked for this last.
    let came_in = |command: &str| {
        let list = server.command(&["CLIENT", "LIST", "TYPE", "normal"]).text();
        let line = list.lines().find(|line| line.contains(&format!(" cmd={command} ")));
        let line = line.unwrap_or_else(|| panic!("no {command} in {list}"));
        line.split(' ').find_map(|field| field.strip_prefix("laddr=")).expect("it is told").to_owned()
    };
    let mut before = mainstay.client();
    // The first to come goes alone.
    before.must(&["PING"]);
    before.must(&["STRLEN", "k"]);
    assert_eq!(came_in("strlen"), server.address());
    // On a connection of its own, which is given back.
    before.must(&["BLPOP", "nothing", "0.01"]);
    before.must(&["STRLEN", "k"]);
    let upstreams = |kind: &str| mainstay.metric("mainstay_upstreams", &[&format!("kind=\"{kind}\"")]);
    wait_until(PATIENCE, "it is given back", || upstreams("spare") == 1.0);

    mainstay.setup.backends = vec![new_way.clone()];
    reloaded(&mainstay);
    mainstay.wait_for_primary(&new_way);
    wait_until(PATIENCE, "it goes by its new name only", || {
        mainstay.group()["backends"].as_array().is_some_and(|all| all.len() == 1)
    });
    assert_eq!(mainstay.epoch(), 0);
    let mut after = mainstay.client();
    after.must(&["PING"]);
    after.must(&["EXISTS", "k"]);
    assert_eq!(came_in("exists"), new_way);
    after.must(&["BRPOP", "nothing", "0.01"]);
    // It is given back at some time.
    let list = server.command(&["CLIENT", "LIST", "TYPE", "normal"]).text();
    let own = list.lines().find(|line| line.contains(" cmd=brpop ") || line.contains(" cmd=reset "));
    assert!(own.is_some_and(|line| line.contains(&format!("laddr={new_way} "))), "{own:?}");
    before.must(&["TTL", "k"]);
    assert_eq!(came_in("ttl"), new_way, "who was there before goes over as well, between two requests");
}
