//! No secret is told to anybody.

use crate::*;

#[test]
fn no_password_and_no_hash_is_in_log_metrics_status_or_configuration_not_even_at_the_finest_level() {
    let server = locked(&[]);
    for way in WAYS {
        let setup = guarded([&server], way);
        let mainstay = setup.clone().start_on(&server);
        let (level, format) = ("[log]\nlevel = \"trace\"\nformat", "[log]\nformat");
        mainstay.write(&setup.toml(&mainstay.admin, &mainstay.listen).replacen(format, level, 1));
        assert_eq!(harness::http::ask(&mainstay.admin, "POST", "/api/v1/reload", "").unwrap().0, 200);
        let mut client = mainstay.client();
        for words in [
            &["AUTH", "app", APP][..],
            &["AUTH", DEFAULT],
            &["AUTH", "app", "a-wrong-word"],
            // Given in the wrong place.
            &["AUTH", APP, "app"],
            &["HELLO", "2", "AUTH", "app", APP],
            &["HELLO", "3", "AUTH", APP],
            &["SET", "k", "v"],
            &["RESET"],
            &["AUTH", APP, APP, APP],
        ] {
            client.ask(words).expect("a reply");
        }
        client.send(b"*2\r\n$4\r\nAUTH\r\n$9999999\r\n").unwrap();
        client.end(PATIENCE);
        wait_until(PATIENCE, "it is counted", || mainstay.metric("mainstay_denied_total", &["what=\"login\""]) == 2.0);
        wait_until(PATIENCE, "it is said", || mainstay.log.has("do not fit"));
        let pages = ["/metrics", "/api/v1/status"].map(|path| mainstay.get(path).expect("it answers").1);
        let hash = user("", APP);
        for secret in [APP, DEFAULT, OWN, "a-wrong-word", &hash[1..]] {
            for text in pages.iter().chain([&mainstay.log.text()]) {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    }
}
