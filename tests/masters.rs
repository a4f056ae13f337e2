//! More than one backend says role:master, or the old one returns: who may receive a byte, and who must not.

mod harness;

use harness::expected::*;
use harness::*;

/// A primary behind a relay that writes down what mainstay sends to it, and its replica.
struct Pair {
    old: Redis,
    new: Redis,
    relay: Recorder,
}

impl Pair {
    fn start() -> Self {
        let mut family = Redis::family(1);
        let (new, old) = (family.remove(1), family.remove(0));
        let relay = Recorder::relay(&old.address());
        Self { old, new, relay }
    }

    /// A mainstay that knows the old primary by the relay's address.
    #[track_caller]
    fn mainstay(&self, expected: &[&[&str]]) -> Mainstay {
        let setup = Setup::at([self.relay.address(), self.new.address()]).expecting(expected);
        let mainstay = setup.start();
        mainstay.wait_for_primary(&self.relay.address());
        mainstay
    }
}

/// Writes through fresh connections for `span`: every write must end on `winner`.
#[track_caller]
fn write_for(span: std::time::Duration, mainstay: &Mainstay, winner: &Redis, name: &str) {
    let (begun, mut written) = (std::time::Instant::now(), 0);
    while begun.elapsed() < span {
        written += 1;
        mainstay.client().must(&["INCR", name]);
        std::thread::sleep(ms(5));
    }
    assert_eq!(winner.command(&["GET", name]).text(), written.to_string());
}

#[test]
fn a_stopped_primary_that_wakes_up_after_another_was_promoted_gets_no_byte() {
    let pair = Pair::start();
    let mainstay = pair.mainstay(&[SILENT, CONFLICT, LOST]);
    let mut before = mainstay.client();
    before.must(&["SET", "first-marker", "v"]);
    assert_eq!(pair.relay.count("first-marker", None), 1);
    pair.new.wait_in_step(&pair.old);
    pair.old.process.stop();
    pair.new.promote();
    mainstay.wait_for_primary(&pair.new.address());
    // From here on mainstay has reported the epoch passed.
    let _ = before.send(&client::command(&["SET", "second-marker", "v"]));
    assert_ne!(before.end(PATIENCE), Gone::Silent);
    write_for(ms(500), &mainstay, &pair.new, "third-marker");
    pair.old.process.cont();
    wait_until(PATIENCE, "the old one is seen again", || mainstay.backend(&pair.relay.address())["role"] == "master");
    write_for(ms(1500), &mainstay, &pair.new, "fourth-marker");
    assert_eq!(mainstay.primary(), Some(pair.new.address()));
    for marker in ["second-marker", "third-marker", "fourth-marker"] {
        assert_eq!(pair.relay.count(marker, None), 0, "{marker}");
        assert_eq!(pair.old.command(&["EXISTS", marker]), Reply::Int(0), "{marker}");
    }
}

#[test]
fn bytes_that_the_old_primary_has_not_taken_yet_are_thrown_away() {
    let pair = Pair::start();
    let mainstay = pair.mainstay(&[SILENT, CONFLICT, LOST]);
    let mut writer = mainstay.client();
    writer.must(&["PING"]);
    pair.relay.hold_requests(true);
    std::thread::sleep(ms(50));
    let before = pair.relay.count("z", None);
    // Far more than all kernels on the way can hold: some of it waits in mainstay, and behind it in this client's kernel.
    let mut flood = format!("*3\r\n$3\r\nSET\r\n$4\r\nbulk\r\n${}\r\n", 64 << 20).into_bytes();
    flood.resize(64 << 20, b'z');
    let (gone, sent) = writer.send_within(ms(1500), &flood).expect_err("nobody reads");
    assert_eq!(gone, Gone::Silent);
    pair.new.promote();
    mainstay.wait_for_primary(&pair.new.address());
    let already_there = pair.relay.waiting();
    assert!((sent as u64) > 2 * already_there, "{sent} bytes sent, of which {already_there} arrived: too few to tell");
    pair.relay.hold_requests(false);
    assert_ne!(writer.end(PATIENCE), Gone::Silent);
    write_for(ms(500), &mainstay, &pair.new, "after");
    let handed_over = (pair.relay.count("z", None) - before) as u64;
    assert!(handed_over <= already_there, "{handed_over} bytes reached the old primary, only {already_there} were there before");
}

#[test]
fn a_mainstay_that_stood_still_while_the_primary_changed_hands_nothing_to_the_old_one() {
    let pair = Pair::start();
    let mainstay = pair.mainstay(&[CONFLICT, STALLED]);
    let mut clients: Vec<Client> = (0..20).map(|_| mainstay.client()).collect();
    for client in &mut clients {
        client.must(&["PING"]);
    }
    mainstay.process.stop();
    pair.new.promote();
    for client in &mut clients {
        client.send(&client::command(&["SET", "sleeping-marker", "v"])).expect("the kernel takes it");
    }
    std::thread::sleep(ms(4000)); // the time it sleeps is what this test is about
    mainstay.process.cont();
    mainstay.wait_for_primary(&pair.new.address());
    for client in &mut clients {
        assert_ne!(client.end(PATIENCE), Gone::Silent);
    }
    write_for(ms(500), &mainstay, &pair.new, "awake");
    assert_eq!(pair.relay.count("sleeping-marker", None), 0);
    assert_eq!(pair.old.command(&["EXISTS", "sleeping-marker"]), Reply::Int(0));
}

/// The old primary dies, its replica is promoted, and the old one starts again as a master.
fn returns_as_a_second_master(with_rdb: bool) {
    let mut pair = Pair::start();
    let mainstay = pair.mainstay(&[DOWN, CONFLICT, LOST]);
    mainstay.client().must(&["SET", "k", "v"]);
    pair.new.wait_in_step(&pair.old);
    if with_rdb {
        pair.old.save();
    }
    pair.old.kill9();
    pair.new.promote();
    mainstay.wait_for_primary(&pair.new.address());
    let epoch = mainstay.epoch();
    pair.old.start_again();
    assert_eq!(pair.old.command(&["EXISTS", "k"]), Reply::Int(i64::from(with_rdb)));
    wait_until(PATIENCE, "it is seen as a master", || mainstay.backend(&pair.relay.address())["role"] == "master");
    write_for(ms(2000), &mainstay, &pair.new, "return-marker");
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(pair.new.address()), epoch));
    assert_eq!(pair.relay.count("return-marker", None), 0);
    pair.old.follow(&pair.new);
    pair.old.wait_for_link();
    wait_until(PATIENCE, "the conflict is over", || mainstay.metric("mainstay_group_conflict", &[]) == 0.0);
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(pair.new.address()), epoch));
}

#[test]
fn an_old_primary_restarted_as_a_master_from_its_rdb_stays_out() {
    returns_as_a_second_master(true);
}

#[test]
fn an_old_primary_restarted_as_a_master_without_its_rdb_stays_out() {
    returns_as_a_second_master(false);
}

/// A replica starts again as a master beside its living primary.
fn a_rival_appears(with_rdb: bool) {
    let mut family = Redis::family(1);
    family[0].command(&["SET", "k", "v"]);
    family[1].wait_in_step(&family[0]);
    family[1].save();
    let setup = Setup::of(&family).expecting(&[DOWN, CONFLICT]);
    let mainstay = setup.start_on(&family[0]);
    let mut before = mainstay.client();
    before.must(&["PING"]);
    let epoch = mainstay.epoch();
    family[1].kill9();
    if !with_rdb {
        family[1].lose_rdb();
    }
    family[1].start_again_as_master();
    let shows_the_old_id = family[1].info("master_replid2") == family[0].info("master_replid");
    assert_eq!(shows_the_old_id, with_rdb, "since Redis 7 an RDB brings the old id along");
    wait_until(PATIENCE, "the rival is seen", || mainstay.group()["conflict"] == true);
    stays(ms(2000), "the primary stays", || mainstay.primary() == Some(family[0].address()));
    assert_eq!(mainstay.metric("mainstay_group_conflict", &[r#"group="jobs""#]), 1.0);
    assert_eq!(mainstay.group()["rivals"][0], family[1].address());
    before.must(&["PING"]);
    assert_eq!(mainstay.epoch(), epoch);
}

#[test]
fn a_replica_restarted_as_a_master_from_its_rdb_proves_nothing() {
    a_rival_appears(true);
}

#[test]
fn an_empty_master_in_the_place_of_a_replica_moves_nothing() {
    a_rival_appears(false);
}

#[test]
fn two_masters_from_the_start_without_proof_are_both_refused_until_an_operator_elects_one() {
    let masters = [Redis::start(&[]), Redis::start(&[])];
    let setup = Setup::of(&masters).hold("window = \"1s\"").expecting(&[CONFLICT, TIE]);
    let mainstay = setup.start();
    stays(ms(1500), "nobody is elected", || mainstay.primary().is_none());
    assert_eq!(mainstay.client().end(PATIENCE), Gone::Closed);
    let group = mainstay.group();
    assert_eq!(group["rule"], "tie", "{group:#}");
    let (status, text) = mainstay.cli(&["elect", "jobs", &masters[1].address()]);
    assert!(status.success(), "{text}");
    mainstay.wait_for_primary(&masters[1].address());
    write_for(ms(500), &mainstay, &masters[1], "elected-marker");
    assert_eq!(masters[0].command(&["EXISTS", "elected-marker"]), Reply::Int(0));
    assert_eq!(mainstay.group()["rule"], "operator");
    let (status, text) = mainstay.cli(&["elect", "jobs", "127.0.0.1:1"]);
    assert!(!status.success(), "there is no such backend: {text}");
}

#[test]
fn two_masters_from_the_start_with_proof_lead_to_the_successor() {
    let family = Redis::family(1);
    family[0].command(&["SET", "k", "v"]);
    family[1].wait_in_step(&family[0]);
    family[1].promote();
    let mainstay = Setup::of(&family).expecting(&[CONFLICT]).start_on(&family[1]);
    write_for(ms(500), &mainstay, &family[1], "n");
    assert_eq!(mainstay.group()["rule"], "proof");
    assert_eq!(family[0].command(&["EXISTS", "n"]), Reply::Int(0));
}

#[test]
fn two_masters_from_the_start_lead_to_the_one_that_most_others_follow() {
    let mut servers = Redis::family(2);
    servers.push(Redis::start(&[]));
    let mainstay = Setup::of(&servers).expecting(&[CONFLICT]).start_on(&servers[0]);
    assert_eq!(mainstay.group()["rule"], "followers");
    stays(ms(1000), "it stays", || mainstay.primary() == Some(servers[0].address()));
}
