//! How often to ask. In doubt the whole group is checked at `fast_interval`; a doubt that nothing resolves decays towards
//! `interval`, so that a long outage does not become a load of its own. Anything new begins the fast phase again.

use std::time::Duration;

use super::group::Group;
use crate::route::Moment;

/// How long a doubt keeps the fast pace.
const FAST_FOR: Duration = Duration::from_secs(10);
/// After that the pace halves once in this time.
const HALVES_EVERY: Duration = Duration::from_secs(2);
/// A hint that the next checks did not confirm is forgotten after this.
const HINT_LASTS: Duration = Duration::from_secs(1);

/// Since when a group is in doubt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doubt {
    since: Option<Moment>,
}

impl Doubt {
    /// The group is, or is not, in doubt now.
    pub fn set(&mut self, doubt: bool, now: Moment) {
        self.since = doubt.then(|| self.since.unwrap_or(now));
    }

    /// Something changed: if in doubt, the fast phase begins again.
    pub fn news(&mut self, now: Moment) {
        if self.since.is_some() {
            self.since = Some(now);
        }
    }

    /// In doubt?
    pub fn is_some(&self) -> bool {
        self.since.is_some()
    }

    /// From the start of one check to the start of the next, before jitter.
    pub fn pace(&self, interval: Duration, fast: Duration, now: Moment) -> Duration {
        let Some(since) = self.since else { return interval };
        let slow = now.since(since).saturating_sub(FAST_FOR);
        let halvings = (slow.as_millis() / HALVES_EVERY.as_millis()).min(31) as u32;
        fast.saturating_mul(1 << halvings).min(interval)
    }
}

impl Group {
    /// Brings the doubt up to date.
    pub fn refresh(&mut self, now: Moment) {
        let doubt = self.is_in_doubt(now);
        self.doubt.set(doubt, now);
    }

    fn is_in_doubt(&self, now: Moment) -> bool {
        let Some(place) = self.present_place() else { return true };
        let health = &self.backends[place].health;
        let unanswered = health.waiting_since.is_some_and(|since| now.since(since) > 2 * self.rules.fast_interval);
        let failing_over = health.facts().is_some_and(|facts| facts.failover_in_progress);
        let hinted = self.hinted_at.is_some_and(|at| now.since(at) < HINT_LASTS);
        let rival = self.rivals().next().is_some();
        unanswered
            || health.failed_running > 0
            || failing_over
            || hinted
            || rival
            || self.unvouched
            || self.round_owed
            || self.word_disputes()
    }

    /// When [`Group::refresh`] will find a doubt that no event announces: a check of the primary that stays unanswered.
    pub fn doubts_at(&self) -> Option<Moment> {
        let waiting = self.backends[self.present_place()?].health.waiting_since?;
        Some(waiting + 2 * self.rules.fast_interval + Duration::from_millis(1))
    }

    /// From the start of one check to the start of the next, before jitter.
    pub fn pace(&self, now: Moment) -> Duration {
        self.doubt.pace(self.rules.interval, self.rules.fast_interval, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_is_fast_for_ten_seconds_then_decays_to_the_interval_and_news_make_it_fast_again() {
        let (interval, fast) = (Duration::from_secs(1), Duration::from_millis(50));
        let at = Moment::from_millis;
        let mut doubt = Doubt::default();
        assert_eq!(doubt.pace(interval, fast, at(0)), interval);
        doubt.set(true, at(1_000));
        doubt.set(true, at(5_000));
        assert_eq!(doubt.pace(interval, fast, at(11_000)), fast);
        assert_eq!(doubt.pace(interval, fast, at(13_000)), 2 * fast);
        assert_eq!(doubt.pace(interval, fast, at(3_600_000)), interval);
        doubt.news(at(3_600_000));
        assert_eq!(doubt.pace(interval, fast, at(3_600_001)), fast);
        doubt.set(false, at(3_600_001));
        assert_eq!(doubt.pace(interval, fast, at(3_600_002)), interval);
    }
}
