//! The primary changes, by Sentinel and against it.

use super::harness::expected::*;
use super::*;

#[test]
fn all_sentinels_are_asked_and_their_word_is_shown() {
    let watched = Watched::new(1);
    let mainstay = watched.setup().start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    let word = word(&mainstay);
    assert_eq!((word["votes"].as_u64(), word["known"].as_u64()), (Some(3), Some(3)), "{word:#}");
    assert_eq!(states(&mainstay), ["answering"; 3]);
    assert_eq!(mainstay.metric("mainstay_sentinels", &[r#"state="answering""#]), 3.0);
    assert_eq!(mainstay.metric("mainstay_sentinels_agree", &[]), 1.0);
}

#[test]
fn a_crash_leads_to_the_one_that_sentinel_promotes() {
    let mut watched = Watched::new(2);
    let mainstay = watched.setup().expecting(&[LOST, DOWN, CONFLICT, RETURNED_EMPTY]).start_on(&watched.family[0]);
    mainstay.client().must(&["SET", "k", "v"]);
    watched.family[1].wait_in_step(&watched.family[0]);
    watched.family[2].wait_in_step(&watched.family[0]);
    watched.family[0].kill9();
    let old = watched.family[0].address();
    wait_until(PATIENCE, "another one is served, which a majority names", || {
        let group = mainstay.group();
        group["primary"].is_string() && group["primary"] != *old && group["sentinel"]["backend"] == group["primary"]
    });
    assert_eq!(mainstay.client().must(&["GET", "k"]), Reply::bulk("v"));
}

#[test]
fn a_sentinel_failover_is_followed() {
    let watched = Watched::new(1);
    let mainstay = watched.setup().expecting(&[CONFLICT]).start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    assert_eq!(watched.sentinels.all[0].ask(&["SENTINEL", "FAILOVER", "jobs"]), Some(Reply::ok()));
    mainstay.wait_for_primary(&watched.family[1].address());
    wait_until_agreed(&mainstay);
    let word = word(&mainstay);
    assert_eq!(word["config_epoch"], 1, "{word:#}");
    let record = mainstay.group()["failovers"][0].clone();
    println!("{record:#}");
}

#[test]
fn a_promotion_by_hand_is_held_and_then_sentinel_decides() {
    let watched = Watched::new(1);
    let setup = watched.setup().hold("window = \"4s\"").expecting(&[CONFLICT, SENTINEL]);
    let mainstay = setup.start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    watched.family[1].promote();
    mainstay.wait_for_no_primary();
    let mut waiting = mainstay.client();
    waiting.send(&client::command(&["SET", "waited", "yes"])).expect("parked clients may send");
    let why = mainstay.group()["why"].as_str().unwrap_or_default().to_owned();
    mainstay.wait_for_primary(&watched.family[0].address());
    assert_eq!(mainstay.group()["rule"], "sentinel", "{why}");
    assert_eq!(waiting.reply(PATIENCE), Ok(Reply::ok()));
    // Sentinel makes it a replica again, after ten seconds or so: nothing changes.
    let epoch = mainstay.epoch();
    wait_until(PATIENCE * 2, "it is a replica again", || !watched.family[1].is_master());
    stays(ms(1500), "the primary stays", || mainstay.primary() == Some(watched.family[0].address()) && mainstay.epoch() == epoch);
    assert_eq!(watched.family[0].command(&["GET", "waited"]), Reply::bulk("yes"));
}

#[test]
fn a_failover_that_mainstay_slept_through_is_found_when_it_wakes() {
    let watched = Watched::new(1);
    let mainstay = watched.setup().expecting(&[CONFLICT, SENTINEL, STALLED]).start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    mainstay.process.stop();
    assert_eq!(watched.sentinels.all[0].ask(&["SENTINEL", "FAILOVER", "jobs"]), Some(Reply::ok()));
    let port = Some(watched.family[1].port);
    wait_until(PATIENCE, "the Sentinels agree", || watched.sentinels.primary() == port);
    // Long enough to be noticed.
    stays(ms(1500), "it sleeps", || watched.sentinels.primary() == port);
    mainstay.process.cont();
    mainstay.wait_for_primary(&watched.family[1].address());
    wait_until_agreed(&mainstay);
    assert_eq!(mainstay.epoch(), 1);
}
