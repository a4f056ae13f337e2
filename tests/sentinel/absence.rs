//! Sentinels that are gone, stand still, were restarted, or do not know: the facts decide.

use super::harness::expected::*;
use super::*;

#[test]
fn a_restart_of_each_sentinel_in_turn_changes_nothing() {
    let mut watched = Watched::new(1);
    let mainstay = watched.setup().expecting(&[SENTINEL]).start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    for sentinel in &mut watched.sentinels.all {
        sentinel.restart(None);
        wait_until(PATIENCE, "all of them answer", || states(&mainstay) == ["answering"; 3]);
    }
    wait_until_agreed(&mainstay);
    assert_eq!((mainstay.primary(), mainstay.epoch()), (Some(watched.family[0].address()), 0));
}

#[test]
fn one_restarted_with_an_old_configuration_brings_back_nothing() {
    let mut watched = Watched::new(1);
    let mainstay = watched.setup().expecting(&[CONFLICT, SENTINEL]).start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    let old = watched.sentinels.all[2].configuration();
    assert_eq!(watched.sentinels.all[0].ask(&["SENTINEL", "FAILOVER", "jobs"]), Some(Reply::ok()));
    mainstay.wait_for_primary(&watched.family[1].address());
    wait_until(PATIENCE, "all of them name it", || word(&mainstay)["votes"] == 3);
    let epoch = mainstay.epoch();
    watched.sentinels.all[2].restart(Some(&old));
    stays(ms(4000), "the primary stays", || mainstay.primary() == Some(watched.family[1].address()) && mainstay.epoch() == epoch);
    wait_until(PATIENCE, "all of them name it", || word(&mainstay)["votes"] == 3);
}

#[test]
fn a_minority_has_no_word_and_the_facts_go_on() {
    let watched = Watched::new(1);
    let mainstay = watched.setup().expecting(&[SENTINEL]).start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    let stopped = &watched.sentinels.all[1..];
    stopped.iter().for_each(|sentinel| sentinel.process.stop());
    wait_until(PATIENCE, "it is no majority", || {
        word(&mainstay)["message"].as_str().is_some_and(|why| why.contains("1 of 3 Sentinels answer"))
    });
    assert_eq!(mainstay.primary(), Some(watched.family[0].address()));
    assert_eq!(mainstay.metric("mainstay_sentinels", &[r#"state="silent""#]), 2.0);
    assert_eq!(mainstay.metric("mainstay_sentinels_agree", &[]), 0.0);
    watched.family[0].failover_to(&watched.family[1]);
    mainstay.wait_for_primary(&watched.family[1].address());
    let epoch = mainstay.epoch();
    // They come back with old news, and having stood still.
    stopped.iter().for_each(|sentinel| sentinel.process.cont());
    wait_until(PATIENCE, "they are in TILT", || states(&mainstay).contains(&"tilt".to_owned()));
    stays(ms(2000), "who says role:slave is not served", || {
        mainstay.primary() == Some(watched.family[1].address()) && mainstay.epoch() == epoch
    });
}

#[test]
fn without_any_sentinel_the_facts_decide() {
    let mut watched = Watched::new(1);
    let mainstay = watched.setup().expecting(&[SENTINEL]).start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    watched.sentinels.all.iter_mut().for_each(|sentinel| sentinel.process.kill9());
    wait_until(PATIENCE, "none answers", || states(&mainstay) == ["silent"; 3]);
    wait_until(PATIENCE, "it is said", || mainstay.log.has("no Sentinel answers"));
    watched.family[0].failover_to(&watched.family[1]);
    mainstay.wait_for_primary(&watched.family[1].address());
    // And from the start.
    let another = watched.setup().expecting(&[SENTINEL]).start_on(&watched.family[1]);
    assert!(another.serves());
}

#[test]
fn an_unknown_master_name_is_said_and_the_facts_decide() {
    let watched = Watched::new(1);
    let section = watched.sentinels.section().replace("jobs", "other");
    let mainstay = watched.setup().sentinel(&section).expecting(&[SENTINEL]).start_on(&watched.family[0]);
    assert_eq!(states(&mainstay), ["unknown_master"; 3]);
    wait_until(PATIENCE, "it is said", || mainstay.log.has("watches no master of the name other"));
    assert!(mainstay.cli(&["status"]).1.contains("watches no master of the name other"));
}

#[test]
fn a_wrong_password_is_said_and_never_printed() {
    let family = Redis::family(1);
    let lines = ["requirepass open-sesame", "sentinel sentinel-pass open-sesame", "user app on >horse +@all ~* &*"];
    let sentinels = Sentinels::start_with(&lines, 3, 2, &family[0], 1, DOWN_AFTER_MS);
    let with = |more: &str, password: &str| {
        let setup = Setup::of(&family).sentinel(&format!("{}{more}", sentinels.section()));
        setup.environment("SENTINEL_PASSWORD", password).expecting(&[SENTINEL]).start_on(&family[0])
    };
    let password = "password_env = \"SENTINEL_PASSWORD\"\n";
    let said = |mainstay: &Mainstay| mainstay.group()["sentinels"].to_string();
    let without = with("", "x");
    assert!(said(&without).contains("wants a password"), "{}", said(&without));
    let wrong = with(password, "battery-staple");
    assert!(said(&wrong).contains("refuses the username or password"), "{}", said(&wrong));
    assert!(!wrong.log.text().contains("battery-staple") && !said(&wrong).contains("battery-staple"));
    wait_until_agreed(&with(password, "open-sesame"));
    let user = with(&format!("username = \"app\"\n{password}"), "horse");
    wait_until_agreed(&user);
    assert!(!user.log.text().contains("horse"));
}
