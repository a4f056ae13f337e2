//! What traffic noticed: it makes control ask, and keeps new sessions waiting until it has.

use std::sync::atomic::Ordering;

use super::coordinator::Coordinator;
use crate::route::{Hint, Moment, is_tenure};

impl Coordinator {
    pub(super) fn hint(&mut self, hint: &Hint, now: Moment) {
        if is_tenure(hint.epoch) {
            return self.hint_of_reader(now);
        }
        if hint.epoch != self.group.epoch() || self.group.primary().is_none() {
            // Old news, which does not end what is being looked into.
            if self.suspect.is_none() {
                self.clear_suspicion();
            }
            return;
        }
        self.journal.hint(hint);
        self.group.hint(now);
        self.order_round(now);
        if hint.what.is_suspicious() {
            self.suspect.get_or_insert(now);
            // Already raised by who sent the hint, unless an earlier suspicion was cleared while this one waited in the inbox.
            self.link.suspected.store(true, Ordering::SeqCst);
        }
    }

    /// A check of the primary that began then has ended, and it is still the primary.
    pub(super) fn looked(&mut self, started: Moment) {
        self.link.looked.fetch_max(started.as_micros(), Ordering::SeqCst);
        if self.suspect.is_some_and(|since| started >= since) {
            self.clear_suspicion();
        }
    }

    /// Lets new sessions in again; workers look at their queues when the route is published, changed or not.
    pub(super) fn clear_suspicion(&mut self) {
        self.suspect = None;
        if self.link.suspected.swap(false, Ordering::SeqCst) {
            self.route.send_modify(|_| {});
        }
    }
}
