//! The table of `guard.rs`, cell by cell.

use hyper::header::{AUTHORIZATION, HeaderValue};

use super::*;

const LOOPBACK: &str = "127.0.0.1:9600";
const ELSEWHERE: &str = "0.0.0.0:9600";

#[derive(Clone, Copy, Default)]
struct Case {
    token: bool,
    client_ca: bool,
    certified: bool,
    host: Option<&'static str>,
    origin: Option<&'static str>,
    shown: Option<&'static str>,
    query: &'static str,
}

/// What comes of it: 200, 401 (missing), 4010 (wrong), or the code of the refusal.
fn admit(bound: &str, place: &Place, case: Case) -> u16 {
    let mut headers = HeaderMap::new();
    for (name, value) in [(HOST, case.host), (ORIGIN, case.origin), (AUTHORIZATION, case.shown)] {
        value.map(|value| headers.insert(name, HeaderValue::from_static(value)));
    }
    let access = Access::of(case.token.then_some("0123456789abcdef"), case.client_ca);
    let uri: Uri = format!("/{}", case.query).parse().unwrap();
    let asked = Asked { place: Some(place), uri: &uri, headers: &headers, certified: case.certified };
    match Guard::new(bound.parse().unwrap()).admit(&access, asked) {
        Ok(()) => 200,
        Err(Denied::NoToken) => 401,
        Err(Denied::WrongToken) => 4010,
        Err(Denied::Refused((code, _))) => code.as_u16(),
    }
}

const RIGHT: Option<&str> = Some("Bearer 0123456789abcdef");
const WRONG: Option<&str> = Some("Bearer 0123456789abcdee");

#[test]
fn a_page_from_elsewhere_cannot_act() {
    let act = |host, origin| admit(LOOPBACK, &Place::Reload, Case { host, origin, ..Case::default() });
    assert_eq!(act(Some("127.0.0.1:9600"), None), 200);
    assert_eq!(act(None, None), 200);
    assert_eq!(act(Some("localhost:9600"), Some("http://localhost:9600")), 200);
    assert_eq!(act(Some("LOCALHOST:9600"), Some("http://localhost:9600")), 200);
    assert_eq!(act(Some("[::1]:9600"), Some("http://[::1]:9600")), 200);
    for origin in ["http://evil.example", "null", "http://localhost:3000", "", "file://", "http://localhost"] {
        assert_eq!(act(Some("localhost:9600"), Some(origin)), 403, "{origin}");
    }
    assert_eq!(act(None, Some("http://localhost:9600")), 403);
}

#[test]
fn a_name_that_was_pointed_at_loopback_neither_acts_nor_reads() {
    let evil = Case { host: Some("evil.example:9600"), origin: Some("http://evil.example:9600"), ..Case::default() };
    for place in [Place::Reload, Place::Status, Place::Index] {
        assert_eq!(admit(LOOPBACK, &place, evil), 403, "{place:?}");
        assert_eq!(admit(LOOPBACK, &place, Case { token: true, ..evil }), 401, "{place:?}");
    }
    assert_eq!(admit(LOOPBACK, &Place::Health, evil), 200);
}

#[test]
fn off_loopback_only_health_readiness_and_metrics_answer_without_proof() {
    for bound in [ELSEWHERE, "[::]:9600", "10.0.0.1:9600"] {
        for place in [Place::Health, Place::Ready, Place::Metrics] {
            let anybody = Case { host: Some("mainstay.example"), ..Case::default() };
            assert_eq!(admit(bound, &place, anybody), 200);
            for case in [Case { token: true, ..anybody }, Case { token: true, shown: WRONG, ..anybody }] {
                assert_eq!(admit(bound, &place, case), 200, "a probe has no token");
            }
        }
        for place in [Place::Index, Place::Status, Place::Events, Place::Reload] {
            let anybody = Case { host: Some("10.0.0.1:9600"), ..Case::default() };
            assert_eq!(admit(bound, &place, anybody), 403, "{bound} {place:?}");
            assert_eq!(admit(bound, &place, Case { shown: RIGHT, ..anybody }), 403, "no token is configured");
            assert_eq!(admit(bound, &place, Case { certified: true, ..anybody }), 403, "no client CA is configured");
        }
    }
    assert_eq!(admit("[::ffff:127.0.0.1]:9600", &Place::Status, Case::default()), 200);
}

#[test]
fn where_a_token_is_configured_everything_else_needs_it_also_on_loopback() {
    for bound in [LOOPBACK, ELSEWHERE] {
        for place in [Place::Index, Place::Status, Place::Events, Place::Reload] {
            let case = Case { token: true, ..Case::default() };
            assert_eq!(admit(bound, &place, case), 401, "{bound} {place:?}");
            assert_eq!(admit(bound, &place, Case { shown: WRONG, ..case }), 4010, "{bound} {place:?}");
            assert_eq!(admit(bound, &place, Case { shown: RIGHT, ..case }), 200, "{bound} {place:?}");
            // Whatever name the server has, and whatever page it is: no browser adds the token by itself.
            let page = Case { host: Some("mainstay.example"), origin: Some("https://proxy.example"), ..case };
            assert_eq!(admit(bound, &place, Case { shown: RIGHT, ..page }), 200, "{bound} {place:?}");
            assert_eq!(admit(bound, &place, page), 401, "{bound} {place:?}");
        }
    }
}

#[test]
fn a_client_certificate_counts_like_the_token_but_a_foreign_page_cannot_use_it() {
    for bound in [LOOPBACK, ELSEWHERE] {
        for token in [false, true] {
            let case = Case { token, client_ca: true, certified: true, host: Some("mainstay.example:9600"), ..Case::default() };
            let act = |case| admit(bound, &Place::Reload, case);
            assert_eq!(act(case), 200, "{bound}");
            assert_eq!(act(Case { origin: Some("https://mainstay.example:9600"), ..case }), 200, "{bound}");
            assert_eq!(act(Case { origin: Some("https://evil.example"), ..case }), 403, "{bound}");
            let without = if token { 401 } else { 403 };
            assert_eq!(act(Case { certified: false, ..case }), without, "{bound}");
            assert_eq!(admit(bound, &Place::Metrics, Case { certified: false, ..case }), 200);
        }
    }
}

#[test]
fn a_token_in_the_query_is_refused_even_if_it_is_right() {
    for query in ["?token=0123456789abcdef", "?x&access_token=1", "?Token", "?t%6fken=1"] {
        for (token, shown) in [(true, None), (true, RIGHT), (false, None)] {
            assert_eq!(admit(LOOPBACK, &Place::Status, Case { token, shown, query, ..Case::default() }), 400, "{query}");
        }
    }
    let other = Case { query: "?tokens=1", ..Case::default() };
    assert_eq!(admit(LOOPBACK, &Place::Status, other), 200);
}
