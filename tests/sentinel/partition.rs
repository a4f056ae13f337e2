//! A network that falls in two, with a minority of the Sentinels on one side.
//!
//! Each test runs itself again in a network namespace of its own, here called *here*; a second one, *there*, hangs on the other end of a
//! cable that can be pulled.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::harness::expected::*;
use super::*;

const HERE: &str = "10.77.0.1";
const THERE: &str = "10.77.0.2";
/// Set in the namespace.
const INSIDE: &str = "MAINSTAY_TEST_INSIDE";

/// Runs the test `name` in a namespace, or says true where it is in one.
fn inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let may = Command::new("unshare").args(["-n", "ip", "link"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this test needs a network namespace (unshare -n, ip), which this user may not make");
        return false;
    }
    let this = std::env::current_exe().expect("a test has a program");
    let mut command = Process::command("unshare");
    command.arg("-n").arg(this).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let status = Process::spawn(&mut command).wait(PATIENCE * 6);
    assert!(status.success(), "it failed in its namespace");
    false
}

/// The two sides.
struct Sides {
    there: Process,
    /// Runs redis-server there.
    program: PathBuf,
    _dir: TempDir,
}

impl Sides {
    fn new() -> Self {
        let mut command = Process::command("unshare");
        let there = Process::spawn(command.args(["-n", "sleep", "infinity"]));
        let own = fs::read_link("/proc/self/ns/net").expect("a namespace");
        wait_until(PATIENCE, "the other side is there", || {
            fs::read_link(format!("/proc/{}/ns/net", there.id())).is_ok_and(|other| other != own)
        });
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        let program = dir.path().join("redis-there");
        let script = format!("#!/bin/sh\nexec nsenter -t {} -n redis-server \"$@\"\n", there.id());
        fs::write(&program, script).expect("the folder can be written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let sides = Self { there, program, _dir: dir };
        let id = sides.there.id();
        run(&format!("ip link set lo up && ip link add cable type veth peer name cable netns {id}"));
        run(&format!("ip addr add {HERE}/24 dev cable && ip link set cable up"));
        sides.there(&format!("ip link set lo up && ip addr add {THERE}/24 dev cable && ip link set cable up"));
        sides
    }

    fn there(&self, script: &str) -> String {
        run(&format!("nsenter -t {} -n sh -c '{script}'", self.there.id()))
    }

    /// Pulls the cable.
    fn cut(&self) {
        run("ip link set cable down");
    }

    fn heal(&self) {
        run("ip link set cable up");
    }

    /// The port of the master that a Sentinel there names.
    fn named_there(&self, sentinel: &Sentinel) -> String {
        let asked = format!("redis-cli -h {THERE} -p {} SENTINEL GET-MASTER-ADDR-BY-NAME jobs", sentinel.port);
        self.there(&asked).lines().nth(1).unwrap_or_default().to_owned()
    }
}

fn run(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().expect("there is a shell");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server on each side, the first one is the primary.
fn family(sides: &Sides, primary_here: bool) -> Vec<Redis> {
    let open = "protected-mode no";
    let here = |lines: &[&str]| Redis::start_at(HERE, lines);
    let there = |lines: &[&str]| Redis::start_program_at(&sides.program, THERE, lines);
    let primary = if primary_here { here(&[open]) } else { there(&[open]) };
    let follow = format!("replicaof {} {}", primary.host, primary.port);
    let replica = if primary_here { there(&[open, &follow]) } else { here(&[open, &follow]) };
    replica.wait_for_link();
    vec![primary, replica]
}

#[test]
fn what_a_majority_decided_beyond_the_cut_counts_once_it_can_be_seen() {
    if !inside("partition::what_a_majority_decided_beyond_the_cut_counts_once_it_can_be_seen") {
        return;
    }
    let sides = Sides::new();
    let family = family(&sides, true);
    let places = [(HERE, std::path::Path::new("redis-server")), (THERE, &sides.program), (THERE, &sides.program)];
    let sentinels = Sentinels::start_at(&places, 2, &family[0], 1, DOWN_AFTER_MS);
    let setup = Setup::of(&family).sentinel(&sentinels.section());
    let mainstay = setup.expecting(&[SENTINEL, CONFLICT, SILENT, DOWN]).start_on(&family[0]);
    wait_until_agreed(&mainstay);
    sides.cut();
    wait_until(PATIENCE, "the Sentinel here is a minority", || {
        word(&mainstay)["message"].as_str().is_some_and(|why| why.contains("1 of 3 Sentinels answer"))
    });
    let new = family[1].port.to_string();
    wait_until(PATIENCE, "the others have promoted one", || sides.named_there(&sentinels.all[1]) == new);
    // What is seen from here is one primary, alive, and nobody who says otherwise.
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(family[0].address()), 0));
    sides.heal();
    mainstay.wait_for_primary(&family[1].address());
    assert_eq!(mainstay.epoch(), 1);
    wait_until_agreed(&mainstay);
    mainstay.client().must(&["SET", "k", "v"]);
    assert_eq!(family[1].command(&["GET", "k"]), Reply::bulk("v"));
}

#[test]
fn an_old_primary_that_comes_back_with_its_minority_is_not_served() {
    if !inside("partition::an_old_primary_that_comes_back_with_its_minority_is_not_served") {
        return;
    }
    let sides = Sides::new();
    let family = family(&sides, false);
    let here = std::path::Path::new("redis-server");
    let places = [(THERE, sides.program.as_path()), (HERE, here), (HERE, here)];
    let sentinels = Sentinels::start_at(&places, 2, &family[0], 1, DOWN_AFTER_MS);
    let setup = Setup::of(&family).check("timeout = \"300ms\"\nfall = 3").hold("window = \"20s\"").sentinel(&sentinels.section());
    let mainstay = setup.expecting(&[SENTINEL, CONFLICT, SILENT, LOST, DOWN]).start_on(&family[0]);
    wait_until_agreed(&mainstay);
    sides.cut();
    mainstay.wait_for_primary(&family[1].address());
    wait_until_agreed(&mainstay);
    mainstay.client().must(&["SET", "k", "v"]);
    let epoch = mainstay.epoch();
    sides.heal();
    // It still says role:master when it comes back, and its Sentinel still names it.
    wait_until(PATIENCE * 2, "it is a replica", || {
        assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(family[1].address()), epoch));
        !family[0].is_master()
    });
    wait_until(PATIENCE, "all name the new one", || word(&mainstay)["votes"] == 3);
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(family[1].address()), epoch));
}
