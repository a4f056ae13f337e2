//! Whole pages, as they are printed.

use std::time::UNIX_EPOCH;

use super::*;

fn backend(address: &str, state: &str, role: &str) -> BackendStatus {
    BackendStatus {
        address: address.into(),
        up: true,
        state: state.into(),
        role: Some(role.into()),
        last_check: Some("facts".into()),
        checked_ms_ago: Some(420),
        ..BackendStatus::default()
    }
}

fn calm() -> Status {
    let replica = BackendStatus { lag_bytes: Some(1536), link_up: Some(true), ..backend("redis2:6379", "replica", "slave") };
    let group = GroupStatus {
        name: "jobs".into(),
        epoch: 1,
        primary: Some("redis1:6379".into()),
        rule: "only".into(),
        why: "redis1:6379 is the only one that says role:master".into(),
        first_round_done: true,
        for_ms: 725_000,
        backends: vec![backend("redis1:6379", "primary", "master"), replica],
        ..GroupStatus::default()
    };
    let listener = ListenerStatus {
        name: "sidekiq".into(),
        bind: "127.0.0.1:6400".into(),
        group: "jobs".into(),
        route: "primary".into(),
        mode: "tcp".into(),
        shared_connections: false,
        sessions: 12,
        max_connections: 1000,
        draining: false,
    };
    Status {
        version: "0.1.0".into(),
        pid: 4242,
        started_at: "2024-02-29T08:00:00.000Z".into(),
        uptime_seconds: 11_530,
        ready: true,
        workers: 2,
        groups: vec![group],
        listeners: vec![listener],
    }
}

fn page(status: &Status) -> String {
    // 2024-02-29T11:12:10Z
    render(status, UNIX_EPOCH + Duration::from_secs(1_709_205_130))
}

#[test]
fn a_calm_day_is_told_in_the_first_line() {
    let expected = "\
All well: every group has its primary, every backend is up.
mainstay 0.1.0, process 4242, 2 workers, up 3 h 12 min since 2024-02-29T08:00:00.000Z

GROUP jobs: primary redis1:6379
  for 12 min 5 s, since 2024-02-29T11:00:05.000Z, epoch 1, 0 clients held
  why: redis1:6379 is the only one that says role:master (rule: only)

  BACKEND      STATE    SAYS    BEHIND   LAST CHECK        MESSAGE
  redis1:6379  primary  master  -        facts 420 ms ago
  redis2:6379  replica  slave   1.5 KiB  facts 420 ms ago

LISTENERS
  NAME     BIND            GROUP  MODE  SESSIONS
  sidekiq  127.0.0.1:6400  jobs   tcp   12/1000
";
    assert_eq!(page(&calm()), expected);
}

#[test]
fn a_bad_night_begins_with_what_needs_somebody() {
    let mut status = calm();
    status.ready = false;
    status.listeners[0].sessions = 1000;
    status.listeners[0].draining = true;
    status.listeners[0].mode = "redis".into();
    status.listeners[0].shared_connections = true;
    let group = &mut status.groups[0];
    (group.primary, group.rule) = (None, "tie".into());
    group.why = "redis1:6379 and redis2:6379 both say role:master and neither proves that it succeeds the other".into();
    (group.conflict, group.rivals) = (true, vec!["redis1:6379".into(), "redis2:6379".into()]);
    (group.doubt, group.held, group.for_ms, group.epoch) = (true, 40, 1250, 2);
    group.backends[1] = BackendStatus { admin_state: AdminState::Drain, ..backend("redis2:6379", "rival", "master") };
    group.backends.push(BackendStatus {
        up: false,
        last_check: Some("refused".into()),
        message: Some("connection refused".into()),
        failed_running: 7,
        role: None,
        leaving: true,
        ..backend("redis3:6379", "refused", "")
    });
    group.backends.push(BackendStatus { address: "unix:/run/r.sock".into(), ..BackendStatus::default() });
    let expected = "\
!! CONFLICT in jobs: redis1:6379 and redis2:6379 say role:master without proof; settle it: mainstay elect jobs BACKEND
!! NO PRIMARY in jobs for 1.2 s, 40 clients held: redis1:6379 and redis2:6379 both say role:master and neither proves that it succeeds the other
!! DOWN: redis3:6379 in jobs: connection refused
!! FULL: listener sidekiq has its 1000 sessions
!! NOT READY: still binding listeners, or checking backends for the first time
mainstay 0.1.0, process 4242, 2 workers, up 3 h 12 min since 2024-02-29T08:00:00.000Z

GROUP jobs: NO PRIMARY
  for 1.2 s, since 2024-02-29T11:12:08.750Z, epoch 2, 40 clients held, in doubt: checked at fast_interval
  why: redis1:6379 and redis2:6379 both say role:master and neither proves that it succeeds the other (rule: tie)

  BACKEND           STATE                  SAYS    BEHIND  LAST CHECK                            MESSAGE
  redis1:6379       primary                master  -       facts 420 ms ago
  redis2:6379       rival, drain           master  -       facts 420 ms ago
  redis3:6379       DOWN refused, leaving  -       -       refused 420 ms ago, 7 failed running  connection refused
  unix:/run/r.sock  not checked yet        -       -       -

LISTENERS
  NAME     BIND            GROUP  MODE           SESSIONS
  sidekiq  127.0.0.1:6400  jobs   redis, shared  1000/1000  draining
";
    assert_eq!(page(&status), expected);
}

#[test]
fn a_backend_that_is_up_but_in_trouble_is_named_at_the_top() {
    let mut status = calm();
    let backends = &mut status.groups[0].backends;
    backends[0].failed_running = 2;
    backends[1].message = Some("the password was refused".into());
    let page = page(&status);
    let expected = "\
!! TROUBLE: redis1:6379 in jobs, 2 failed checks running
!! TROUBLE: redis2:6379 in jobs: the password was refused
mainstay 0.1.0";
    assert!(page.starts_with(expected), "{page}");
}

#[test]
fn failovers_are_told_with_their_times_and_what_they_cost() {
    let failover = |epoch: u64| FailoverRecord {
        epoch,
        at: format!("2024-02-29T11:0{epoch}:00.000Z"),
        cause: "demoted".into(),
        why: "redis1:6379 says role:slave".into(),
        from: "redis1:6379".into(),
        to: Some("redis2:6379".into()),
        rule: Some("proof".into()),
        lost_ms: 5000,
        first_seen_ms: Some(5010),
        elected_ms: Some(5038),
        first_byte_ms: Some(5041),
        lost_bytes: Some(120),
        lost_bytes_age_ms: Some(800),
    };
    let mut status = calm();
    let unfinished = FailoverRecord { to: None, elected_ms: None, first_byte_ms: None, lost_bytes: None, ..failover(7) };
    status.groups[0].failovers = (1..=6).map(failover).chain([unfinished]).collect();
    let page = page(&status);
    let (_, told) = page.split_once("  LAST FAILOVERS").expect("a section of its own");
    let expected = ", the newest first
  2024-02-29T11:07:00.000Z  epoch 7  redis1:6379 -> nobody yet  demoted
    nobody elected yet, lost writes: unknown
    redis1:6379 says role:slave
  2024-02-29T11:06:00.000Z  epoch 6  redis1:6379 -> redis2:6379  demoted
    elected after 38 ms, first byte after 41 ms, lost writes: about 120 B, by a check 800 ms before the loss
    redis1:6379 says role:slave
";
    assert!(told.starts_with(expected), "{told}");
    assert!(told.contains("epoch 3") && !told.contains("epoch 2 ") && told.contains("  and 2 older, see --json\n"), "{told}");
}

#[test]
fn durations_and_sizes_stay_short() {
    let spans = [0, 999, 1000, 9_999, 10_000, 61_000, 3_600_000, 90_000_000].map(span);
    assert_eq!(spans, ["0 ms", "999 ms", "1.0 s", "9.9 s", "10 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"]);
    let sizes = [0, 1023, 1024, 1536, 64 << 20, u64::MAX].map(size);
    assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "64.0 MiB", "16777216.0 TiB"]);
}

#[test]
fn a_primary_that_drains_and_a_rival_of_a_living_primary_are_no_calm_day() {
    let mut status = calm();
    let group = &mut status.groups[0];
    group.backends[0].admin_state = AdminState::Drain;
    (group.conflict, group.rivals) = (true, vec!["redis2:6379".into()]);
    let expected = "\
!! CONFLICT in jobs: redis2:6379 says role:master without proof; make it a replica of redis1:6379, or settle it: mainstay elect jobs BACKEND
!! DRAINING: redis1:6379 is the primary of jobs; new clients wait until there is another
";
    let page = page(&status);
    assert!(page.starts_with(expected), "{page}");
}
