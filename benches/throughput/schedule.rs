//! When requests are sent that wait for nobody's replies.

use std::time::Duration;

/// Moments since the start, without end. The gaps are random as those between requests of many independent clients are (exponentially
/// distributed around a mean), and the same for the same seed, so that every target of a round gets the same crowds and pauses.
pub struct Schedule {
    random: u64,
    mean_gap_secs: f64,
    due_secs: f64,
}

impl Schedule {
    /// `rate`: requests a second, above zero.
    pub fn new(rate: f64, seed: u64) -> Self {
        // An odd multiplier keeps seeds apart; zero would stay zero for ever.
        Self { random: (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15), mean_gap_secs: 1.0 / rate, due_secs: 0.0 }
    }

    /// The next moment.
    pub fn next_due(&mut self) -> Duration {
        // xorshift64, of which the upper 53 bits make a number above 0 and at most 1.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = ((self.random >> 11) + 1) as f64 / (1u64 << 53) as f64;
        self.due_secs -= self.mean_gap_secs * share.ln();
        Duration::from_secs_f64(self.due_secs)
    }
}
