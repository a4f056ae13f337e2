//! The benchmarks' own arithmetic: a bench without a harness cannot test itself.

#[allow(dead_code)]
#[path = "../benches/throughput/replies.rs"]
mod replies;
#[allow(dead_code)]
#[path = "../benches/support/stats.rs"]
mod stats;

use replies::{Expected, Replies};
use stats::{Spread, paired_ratios, quantile, sorted};

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
