//! What a made-up Sentinel says changes nothing that facts contradict, and costs little, whatever it is.

use super::harness::expected::*;
use super::liar::{Liar, Story, list, section, string, strings};
use super::*;

/// Three that name this server at this epoch and know each other.
fn three(master: &Redis, config_epoch: u64) -> Vec<Liar> {
    let liars: Vec<Liar> = "abc".chars().map(|id| Liar::telling(Story::naming(id, master, config_epoch))).collect();
    let peers: Vec<(String, u16)> = "abc".chars().zip(&liars).map(|(id, liar)| (id.to_string().repeat(40), liar.port)).collect();
    for (place, liar) in liars.iter().enumerate() {
        let others = peers.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, peer)| peer.clone()).collect();
        liar.change(|story| story.peers = others);
    }
    liars
}

#[test]
fn a_replica_that_all_sentinels_praise_is_not_served() {
    let family = Redis::family(1);
    let liars = three(&family[0], 1);
    let mainstay = Setup::of(&family).sentinel(&section(&liars)).expecting(&[SENTINEL]).start_on(&family[0]);
    let epoch = mainstay.epoch();
    liars.iter().for_each(|liar| {
        liar.change(|story| (story.master.1, story.config_epoch) = (family[1].port, 100));
    });
    wait_until(PATIENCE, "they are heard", || word(&mainstay)["backend"] == *family[1].address());
    stays(ms(2000), "the primary stays", || mainstay.primary() == Some(family[0].address()) && mainstay.epoch() == epoch);
    wait_until(PATIENCE, "it is said", || mainstay.log.has("the Sentinels disagree"));
}

#[test]
fn one_liar_among_three_changes_nothing_and_is_said_to_be_odd() {
    let family = Redis::family(1);
    let liars = three(&family[0], 5);
    let mainstay = Setup::of(&family).sentinel(&section(&liars)).expecting(&[SENTINEL]).start_on(&family[0]);
    wait_until_agreed(&mainstay);
    let epoch = mainstay.epoch();
    // Old news, then news that nobody else has.
    liars[2].change(|story| (story.master.1, story.config_epoch) = (family[1].port, 4));
    wait_until(PATIENCE, "it is stale", || states(&mainstay) == ["answering", "answering", "stale"]);
    assert_eq!(word(&mainstay)["votes"], 2);
    liars[2].change(|story| story.config_epoch = 9);
    wait_until(PATIENCE, "it is ahead", || states(&mainstay).contains(&"ahead".to_owned()));
    wait_until(PATIENCE, "the majority has its word back", || word(&mainstay)["backend"] == *family[0].address());
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(family[0].address()), epoch));
}

#[test]
fn one_that_takes_the_id_of_another_gains_no_second_vote() {
    let family = Redis::family(1);
    let mut strangers = vec![Redis::start(&[])];
    let liars = three(&family[0], 5);
    let setup = Setup::of(&family).sentinel(&section(&liars)).expecting(&[SENTINEL]);
    let mainstay = setup.start_on(&family[0]);
    wait_until_agreed(&mainstay);
    liars[2].change(|story| {
        story.id = "a".repeat(40);
        (story.master.1, story.config_epoch) = (strangers[0].port, 9);
        story.peers = vec![("a".repeat(40), 1), ("b".repeat(40), 2)];
    });
    let epoch = mainstay.epoch();
    stays(ms(3000), "the primary stays", || mainstay.primary() == Some(family[0].address()) && mainstay.epoch() == epoch);
    strangers.clear();
}

#[test]
fn whatever_it_answers_costs_a_bounded_memory_and_changes_nothing() {
    let family = Redis::family(1);
    let liars = three(&family[0], 5);
    let setup = Setup::of(&family).check("interval = \"100ms\"\ntimeout = \"500ms\"").sentinel(&section(&liars));
    let mainstay = setup.expecting(&[SENTINEL]).start_on(&family[0]);
    wait_until_agreed(&mainstay);
    let (epoch, memory) = (mainstay.epoch(), mainstay.process.memory());
    let entry =
        |number: usize| strings(&["ip", "127.0.0.2", "port", &(number % 65_000 + 1).to_string(), "runid", "x", "flags", "slave"]);
    let ten_thousand = || list((0..10_000).map(entry).collect());
    let endless = |head: &[u8]| (head.to_vec(), true);
    let once = |bytes: &[u8]| (bytes.to_vec(), false);
    for (what, raw) in [
        ("REPLICAS", (ten_thousand(), false)),
        ("SENTINELS", (ten_thousand(), false)),
        ("MASTER", endless(&b"*1000000000\r\n".iter().chain(&b"$1\r\nx\r\n".repeat(10_000)).copied().collect::<Vec<u8>>())),
        ("REPLICAS", endless(&b"x".repeat(100_000))),
        ("REPLICAS", once(b"$536870912\r\n")),
        ("SENTINELS", endless(&b"*1\r\n".repeat(10_000))),
        ("MASTER", once(b":1\r\n")),
        ("MASTER", once(b"*-1\r\n")),
        ("GET-MASTER-ADDR-BY-NAME", once(b"*2\r\n:1\r\n:2\r\n")),
        ("GET-MASTER-ADDR-BY-NAME", (strings(&["127.0.0.1\r\nx", "99999999999"]), false)),
        ("MYID", (string(&"z".repeat(100_000)), false)),
        ("SENTINEL", once(b"%1\r\n+a\r\n+b\r\n")),
        ("MASTER", once(b"\x15\x03\x01\x00\x02\x02\x28")),
        ("*", endless(&b"*1000000000\r\n".iter().chain(&b"$1\r\nx\r\n".repeat(10_000)).copied().collect::<Vec<u8>>())),
    ] {
        liars[2].change(|story| story.raw = [(what, raw)].into());
        let asked = liars[0].asked();
        wait_until(PATIENCE, "all have been asked a few times", || liars[0].asked() > asked + 10);
        assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(family[0].address()), epoch), "{what}");
    }
    let grown = mainstay.process.memory().saturating_sub(memory);
    assert!(grown < 48 * 1024 * 1024, "{grown} bytes");
    assert!(mainstay.serves());
}

#[test]
fn a_flood_of_events_is_one_round_in_each_fast_interval() {
    let family = Redis::family(1);
    let liars = three(&family[0], 5);
    liars[2].change(|story| story.flood = Some("master jobs 127.0.0.1 1".into()));
    let mainstay = Setup::of(&family).sentinel(&section(&liars)).start_on(&family[0]);
    wait_until_agreed(&mainstay);
    wait_until(PATIENCE, "the events are heard", || mainstay.group()["doubt"] == true);
    let checks = || mainstay.metric("mainstay_checks_total", &[]);
    let (begun, before, asked, cpu) = (std::time::Instant::now(), checks(), liars[0].asked(), mainstay.process.cpu());
    stays(ms(3000), "the primary stays", || mainstay.primary() == Some(family[0].address()));
    let intervals = begun.elapsed().as_secs_f64() / 0.05;
    let (checks, asked) = (checks() - before, (liars[0].asked() - asked) as f64);
    let busy = (mainstay.process.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("in {intervals:.0} fast intervals: {checks} checks of 2 backends, {asked} questions, CPU {busy:.2}");
    assert!(checks <= 2.0 * intervals * 1.3 + 4.0, "{checks} checks in {intervals} intervals");
    assert!(asked <= 2.0 * intervals * 1.3 + 4.0, "{asked} questions in {intervals} intervals");
}

#[test]
fn an_epoch_that_grows_with_each_answer_does_not_keep_a_group_from_its_successor() {
    let family = Redis::family(1);
    let liars = three(&family[0], 5);
    let setup = Setup::of(&family).hold("window = \"4s\"").sentinel(&section(&liars));
    let mainstay = setup.expecting(&[SENTINEL, CONFLICT]).start_on(&family[0]);
    wait_until_agreed(&mainstay);
    liars[2].change(|story| (story.master.1, story.races) = (1, true));
    wait_until(PATIENCE, "it is ahead", || states(&mainstay).contains(&"ahead".to_owned()));
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&family[1].address());
}

#[test]
fn one_that_comes_and_goes_fills_no_log() {
    let family = Redis::family(1);
    let liars = three(&family[0], 5);
    let setup = Setup::of(&family).check("interval = \"100ms\"").sentinel(&section(&liars));
    let mainstay = setup.expecting(&[SENTINEL]).start_on(&family[0]);
    wait_until_agreed(&mainstay);
    let mut turns = 0;
    let begun = std::time::Instant::now();
    while begun.elapsed() < ms(7000) {
        let refuses = turns % 2 == 0;
        liars[2].change(|story| {
            story.raw.clear();
            if refuses {
                story.raw.insert("MASTER", (b"-ERR not now\r\n".to_vec(), false));
            }
        });
        let expected = if refuses { "silent" } else { "answering" };
        wait_until(PATIENCE, "it is heard", || {
            let sentinels = mainstay.group()["sentinels"].clone();
            sentinels
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["address"] == *liars[2].address() && one["state"] == expected))
        });
        turns += 1;
    }
    let lines = mainstay.log.text().lines().filter(|line| line.contains(&liars[2].address())).count();
    assert!(turns > 8, "{turns} turns");
    assert!((1..=3).contains(&lines), "{lines} lines for {turns} turns");
}
