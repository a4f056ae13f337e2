//! The benchmarks' own arithmetic: a bench without a harness cannot test itself.

#[allow(dead_code)]
#[path = "../benches/throughput/replies.rs"]
mod replies;
#[path = "../benches/throughput/schedule.rs"]
mod schedule;
#[allow(dead_code)]
#[path = "../benches/support/stats.rs"]
mod stats;
#[allow(dead_code)]
#[path = "../benches/failover/verdict.rs"]
mod verdict;

use std::time::{Duration, Instant};

use replies::{Expected, Replies};
use schedule::Schedule;
use stats::{Spread, median_confidence, paired_ratios, quantile, sorted};
use verdict::{Attempt, Kept, Timeline, judge};

#[test]
fn the_median_of_an_even_number_of_values_lies_between_the_two_in_the_middle() {
    assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 2.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
}

#[test]
fn nothing_measured_has_no_spread() {
    assert_eq!(Spread::of(&[]), None);
    assert_eq!(quantile(&[], 0.5), None);
}

#[test]
fn quantiles_reach_from_the_smallest_to_the_greatest() {
    let values = sorted(&[30.0, 10.0, 20.0]);
    assert_eq!(quantile(&values, 0.0), Some(10.0));
    assert_eq!(quantile(&values, 0.75), Some(25.0));
    assert_eq!(quantile(&values, 1.0), Some(30.0));
}

#[test]
fn ratios_are_taken_within_a_round_and_rounds_without_a_figure_are_left_out() {
    assert_eq!(paired_ratios(&[2.0, 9.0, 0.0], &[1.0, 3.0, 5.0]), vec![2.0, 3.0]);
    assert_eq!(paired_ratios(&[2.0, 1.0], &[0.0, 4.0]), vec![0.25]);
}

#[test]
fn replies_are_counted_however_the_bytes_are_cut() {
    let bytes = b"$3\r\nabc\r\n$3\r\n$3\r\r\n$3\r\nabc\r\n";
    for size in 1..=bytes.len() {
        let mut replies = Replies::default();
        let counted: usize = bytes.chunks(size).map(|chunk| replies.count(chunk, &Expected::value(3)).unwrap()).sum();
        assert_eq!(counted, 3, "in pieces of {size}");
    }
}

#[test]
fn an_error_in_place_of_a_value_is_not_counted() {
    assert!(Replies::default().count(b"-READONLY You can't write\r\n", &Expected::ok()).is_err());
    assert!(Replies::default().count(b"$4\r\nabcd\r\n", &Expected::value(3)).is_err());
}

#[test]
fn requests_are_due_at_the_rate_that_was_asked_for_and_at_the_same_times_for_the_same_seed() {
    let moments = |seed| {
        let mut schedule = Schedule::new(1000.0, seed);
        (0..10_000).map(|_| schedule.next_due()).collect::<Vec<Duration>>()
    };
    let first = moments(0);
    assert!(first.is_sorted());
    let seconds = first[first.len() - 1].as_secs_f64();
    assert!((9.5..10.5).contains(&seconds), "10,000 requests at 1,000 a second took {seconds} s");
    assert!(first == moments(0) && first != moments(1));
    // Crowds and pauses, not a metronome: two in three gaps of such a crowd are shorter than the mean.
    let short = first.windows(2).filter(|pair| pair[1] - pair[0] < Duration::from_millis(1)).count();
    assert!((6_000..6_700).contains(&short), "{short} of 10,000 gaps are shorter than the mean");
}

#[test]
fn the_median_is_known_the_better_the_more_was_measured() {
    let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
    assert_eq!(median_confidence(&hundred), Some((40.0, 61.0)), "the ranks of the sign test for 100 values");
    assert_eq!(median_confidence(&[1.0, 2.0]), None);
}

/// The old primary falls silent 10 ms after the event and the promotion is visible at 100 ms. Times are milliseconds after the event.
fn failover() -> (Timeline, impl Fn(u64, u64, u64, Option<&str>) -> Attempt) {
    let event = Instant::now() + Duration::from_secs(1000);
    let at = move |millis| event + Duration::from_millis(millis);
    let timeline = Timeline { event, old_is_mute: Some(at(10)), old_speaks_again: Some(at(5000)), visible: at(100) };
    let attempt = move |value, sent, done, error: Option<&str>| Attempt {
        value,
        sent: at(sent),
        done: at(done),
        error: error.map(str::to_owned),
    };
    (timeline, attempt)
}

#[test]
fn a_write_held_since_before_the_promotion_is_the_first_one_served() {
    let (timeline, attempt) = failover();
    let attempts = vec![attempt(1, 5, 101, None), attempt(2, 60, 130, None), attempt(3, 131, 132, None)];
    let verdict = judge(&[(attempts, [1, 2, 3].map(|value| (value, 1)).into())], timeline);
    assert_eq!(verdict.served, Some(Duration::from_millis(30)), "the first was acknowledged by the old primary");
}

#[test]
fn what_a_stopped_primary_acknowledges_after_its_return_is_not_taken_for_service() {
    let (timeline, attempt) = failover();
    let verdict = judge(&[(vec![attempt(1, 5001, 5002, None)], Kept::new())], timeline);
    assert_eq!((verdict.served, verdict.lost_after), (None, 1));
    assert_eq!(verdict.last_lost, Some(Duration::from_millis(4901)));
}

#[test]
fn a_lost_write_counts_against_the_proxy_only_after_the_promotion_was_visible() {
    let (timeline, attempt) = failover();
    let verdict = judge(&[(vec![attempt(1, 99, 99, None), attempt(2, 100, 101, None)], Kept::new())], timeline);
    assert_eq!((verdict.lost_before, verdict.lost_after), (1, 1));
}

#[test]
fn a_write_that_is_there_twice_is_counted_however_it_was_answered() {
    let (timeline, attempt) = failover();
    let attempts = vec![attempt(1, 20, 21, None), attempt(2, 30, 40, Some("closed"))];
    assert_eq!(judge(&[(attempts, Kept::from([(1, 2), (2, 3)]))], timeline).doubled, 2);
}

#[test]
fn errors_are_counted_by_kind_and_for_the_client_that_had_most() {
    let (timeline, attempt) = failover();
    let unlucky = vec![attempt(1, 20, 21, Some("READONLY")), attempt(2, 30, 40, Some("closed"))];
    let lucky = vec![attempt(1, 20, 25, Some("closed"))];
    let verdict = judge(&[(unlucky, Kept::new()), (lucky, Kept::new())], timeline);
    assert_eq!((verdict.error_count(), verdict.errors_of_one_client), (3, 2));
    assert_eq!(verdict.errors["closed"], 2);
    assert_eq!((verdict.first_error, verdict.last_error), (Some(Duration::from_millis(21)), Some(Duration::from_millis(40))));
}
