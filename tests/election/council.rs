//! What the Sentinels say together, each with a view of its own.

use std::sync::Arc;
use std::time::Duration;

use mainstay::route::Moment;
use mainstay::topology::facts::Id;
use mainstay::topology::sentinel::{Council, Named, Odd, Peer, Place, SENTINELS_MAX, Said, Silence, Word};

const FRESH: Duration = Duration::from_secs(3);

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn place(host: &str) -> Place {
    Place { host: host.into(), port: 26379 }
}

fn address(name: &str) -> Arc<str> {
    place(name).to_string().into()
}

/// Sentinel `me` of s1 to s3 names `master`.
fn says(me: &str, master: &str, config_epoch: u64) -> Said {
    let peers = ["s1", "s2", "s3"].into_iter().filter(|other| *other != me);
    Said {
        id: Id::new(me),
        master: Place { host: master.into(), port: 6379 },
        master_run_id: None,
        config_epoch,
        quorum: 2,
        replicas: vec![],
        peers: peers.map(|other| Peer { id: Id::new(other), place: place(other) }).collect(),
        tilt: false,
        failover_in_progress: false,
    }
}

/// Three Sentinels, all of them configured.
fn council() -> Council {
    Council::new(&["s1", "s2", "s3"].map(address), FRESH)
}

fn hear(council: &mut Council, me: &str, master: &str, config_epoch: u64, now: u64) {
    council.said(&address(me), Ok(says(me, master, config_epoch)), at(now));
}

fn fail(council: &mut Council, me: &str, now: u64) {
    council.said(&address(me), Err(Silence::Failed("no answer".into())), at(now));
}

fn word(council: &mut Council, now: u64) -> String {
    match council.word(at(now), |place, _| (place.host != "foreign").then(|| place.host.as_str().into())) {
        Word::Names(Named { backend, place, config_epoch, votes, known }) => {
            format!("{} at {config_epoch}, {votes} of {known}", backend.as_deref().unwrap_or(&format!("?{}", place.host)))
        }
        Word::None(_) => "none".into(),
        Word::Changing(_) => "changing".into(),
        Word::Awaited => "awaited".into(),
        Word::NotAsked => "not asked".into(),
    }
}

#[test]
fn nobody_has_a_word_before_each_configured_one_was_heard_or_failed() {
    let mut council = council();
    hear(&mut council, "s1", "a", 0, 0);
    hear(&mut council, "s2", "a", 0, 0);
    assert_eq!(word(&mut council, 0), "awaited");
    fail(&mut council, "s3", 0);
    assert_eq!(word(&mut council, 0), "a at 0, 2 of 3");
}

#[test]
fn one_of_three_is_no_majority_however_new_its_word_is() {
    let mut council = council();
    hear(&mut council, "s1", "b", 7, 0);
    fail(&mut council, "s2", 0);
    fail(&mut council, "s3", 0);
    assert_eq!(word(&mut council, 0), "none");
    // One that was configured alone knows of the others: they count although nobody reaches them.
    let mut alone = Council::new(&[address("s1")], FRESH);
    hear(&mut alone, "s1", "b", 7, 0);
    assert_eq!(word(&mut alone, 0), "none");
    assert_eq!(alone.members().len(), 3, "and they are asked");
}

#[test]
fn a_word_that_is_not_repeated_is_none_any_more() {
    let mut council = council();
    ["s1", "s2", "s3"].iter().for_each(|me| hear(&mut council, me, "a", 0, 0));
    assert_eq!(word(&mut council, 3_000), "a at 0, 3 of 3");
    hear(&mut council, "s1", "a", 0, 2_000);
    assert_eq!(word(&mut council, 3_001), "none");
    council.stalled();
    assert_eq!(word(&mut council, 3_001), "awaited");
}

#[test]
fn a_failover_is_a_change_until_the_majority_has_heard_of_it() {
    let mut council = council();
    ["s1", "s2", "s3"].iter().for_each(|me| hear(&mut council, me, "a", 4, 0));
    hear(&mut council, "s2", "b", 5, 1_000);
    assert_eq!(word(&mut council, 1_000), "changing");
    hear(&mut council, "s1", "b", 5, 1_500);
    assert_eq!(word(&mut council, 1_500), "b at 5, 2 of 3");
    let stale = council.members().iter().find(|member| *member.address == *address("s3")).expect("it is there");
    assert_eq!(council.odd(stale), Some(Odd::Stale));
}

#[test]
fn one_that_stays_ahead_of_the_others_is_the_odd_one() {
    let mut council = council();
    for now in (0..=12_000).step_by(500) {
        hear(&mut council, "s1", "a", 4, now);
        hear(&mut council, "s2", "a", 4, now);
        hear(&mut council, "s3", "b", 9, now);
        assert_eq!(word(&mut council, now), if now < 10_000 { "changing" } else { "a at 4, 2 of 3" });
    }
    let ahead = council.members().iter().find(|member| *member.address == *address("s3")).expect("it is there");
    assert_eq!(council.odd(ahead), Some(Odd::Ahead));
}

#[test]
fn a_sentinel_with_old_news_changes_nothing_and_two_of_them_have_no_word() {
    let mut council = council();
    ["s1", "s2", "s3"].iter().for_each(|me| hear(&mut council, me, "b", 5, 0));
    assert_eq!(word(&mut council, 0), "b at 5, 3 of 3");
    hear(&mut council, "s1", "a", 4, 100);
    assert_eq!(word(&mut council, 100), "b at 5, 2 of 3");
    hear(&mut council, "s2", "a", 4, 200);
    fail(&mut council, "s3", 200);
    assert_eq!(word(&mut council, 3_150), "none", "a majority of old news");
    hear(&mut council, "s1", "a", 4, 3_200);
    hear(&mut council, "s2", "a", 4, 3_200);
    hear(&mut council, "s3", "a", 4, 3_200);
    assert_eq!(word(&mut council, 3_200), "a at 4, 3 of 3", "all of them: they were set up anew");
}

#[test]
fn the_same_backend_by_two_names_is_one_and_an_unknown_one_is_named_as_such() {
    let mut council = council();
    let process = Some(Id::new("0123").expect("an id"));
    for (me, host) in [("s1", "redis1"), ("s2", "10.0.0.1")] {
        let said = Said { master_run_id: process.clone(), ..says(me, host, 1) };
        council.said(&address(me), Ok(said), at(0));
    }
    fail(&mut council, "s3", 0);
    let by_process = |_: &Place, run_id: Option<&Id>| (run_id == process.as_ref()).then(|| "a".into());
    assert!(matches!(council.word(at(0), by_process), Word::Names(Named { backend: Some(_), votes: 2, .. })));
    ["s1", "s2"].iter().for_each(|me| hear(&mut council, me, "foreign", 1, 0));
    assert_eq!(word(&mut council, 0), "?foreign at 1, 2 of 3");
}

#[test]
fn a_sentinel_that_forgot_the_name_has_no_vote_and_a_liar_cannot_make_the_council_grow_without_bound() {
    let mut council = council();
    ["s1", "s2", "s3"].iter().for_each(|me| hear(&mut council, me, "a", 0, 0));
    for me in ["s1", "s2"] {
        council.said(&address(me), Err(Silence::UnknownMaster), at(10));
    }
    assert_eq!(word(&mut council, 10), "none");
    let peers = (0..10_000).map(|number| Peer { id: None, place: place(&format!("liar{number}")) }).collect();
    council.said(&address("s3"), Ok(Said { peers, ..says("s3", "a", 0) }), at(20));
    assert_eq!(council.members().len(), SENTINELS_MAX);
    assert_eq!(word(&mut council, 20), "none");
    hear(&mut council, "s3", "a", 0, 30);
    assert_eq!(council.members().len(), 3, "they left with the lie");
}

#[test]
fn a_process_is_one_sentinel_whether_it_is_known_by_its_name_or_by_its_address() {
    let mut council = Council::new(&["first.example".into(), address("s2")], FRESH);
    council.said("first.example", Ok(says("s1", "a", 0)), at(0));
    hear(&mut council, "s2", "a", 0, 0);
    hear(&mut council, "s3", "a", 0, 0);
    assert_eq!(word(&mut council, 0), "a at 0, 3 of 3");
    assert_eq!(council.members().len(), 3);
}

#[test]
fn one_that_lies_brings_no_friends_and_takes_nobodys_place() {
    let mut council = council();
    let mut lie = says("s1", "evil", 9);
    lie.peers.extend((0..9).map(|friend| Peer { id: Id::new(&format!("f{friend}")), place: place(&format!("friend{friend}")) }));
    council.said(&address("s1"), Ok(lie), at(0));
    hear(&mut council, "s2", "a", 5, 0);
    hear(&mut council, "s3", "a", 5, 0);
    assert_eq!(council.members().len(), 3);
    assert_eq!(word(&mut council, 0), "changing");
    let lie = Said { id: Id::new("s2"), ..says("s1", "evil", 10) };
    council.said(&address("s1"), Ok(lie), at(10_500));
    hear(&mut council, "s2", "a", 5, 10_500);
    hear(&mut council, "s3", "a", 5, 10_500);
    assert!(!word(&mut council, 10_500).starts_with("evil"));
}

#[test]
fn one_by_two_names_has_one_vote() {
    let mut council = Council::new(&["s1", "alias", "s2"].map(address), FRESH);
    let says = |me: &str, other: &str, master: &str| Said {
        peers: vec![Peer { id: Id::new(other), place: place(other) }],
        ..says(me, master, 5)
    };
    council.said(&address("s1"), Ok(says("s1", "s2", "a")), at(0));
    council.said(&address("alias"), Ok(says("s1", "s2", "a")), at(0));
    council.said(&address("s2"), Ok(says("s2", "s1", "b")), at(0));
    assert_eq!(word(&mut council, 0), "changing", "one against one");
    council.said(&address("s2"), Ok(says("s2", "s1", "a")), at(0));
    assert_eq!(word(&mut council, 0), "a at 5, 2 of 2");
}

#[test]
fn epochs_that_grow_without_end_silence_the_others_for_a_while_only() {
    let mut council = council();
    let mut last = String::new();
    for second in 0..15 {
        hear(&mut council, "s1", "evil", 9 + second, second * 1000);
        hear(&mut council, "s2", "a", 5, second * 1000);
        hear(&mut council, "s3", "a", 5, second * 1000);
        last = word(&mut council, second * 1000);
    }
    assert_eq!(last, "a at 5, 2 of 3");
}

#[test]
fn one_that_is_announced_where_it_cannot_be_reached_is_the_one_that_is_configured() {
    let mut council = Council::new(&["name1", "name2"].map(address), FRESH);
    for (name, me, other) in [("name1", "s1", "s2"), ("name2", "s2", "s1")] {
        let peers = vec![Peer { id: Id::new(other), place: place(other) }];
        council.said(&address(name), Ok(Said { peers, ..says(me, "a", 1) }), at(0));
    }
    let asked: Vec<&str> = council.members().iter().map(|member| &*member.address).collect();
    assert_eq!(asked, ["name1:26379", "name2:26379"]);
    assert_eq!(word(&mut council, 0), "a at 1, 2 of 2");
}
