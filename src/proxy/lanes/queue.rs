//! The parked queue, the same for both modes: first in, first out, and a bounded number at a time.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::Lanes;
use crate::metrics::HoldOutcome;
use crate::proxy::policy::Admission;
use crate::proxy::session::{Session, Verdict};
use crate::route::Moment;

/// Connects under way at once, for each worker and group. In redis mode what was held counts until it is answered.
const CONNECTS_MAX: usize = 64;

/// One of `CONNECTS_MAX` places. The next in the queue has it when this is dropped.
pub struct Slot(Rc<Lanes>);

impl Slot {
    pub(super) fn new(lanes: Rc<Lanes>) -> Self {
        lanes.connecting.set(lanes.connecting.get() + 1);
        Self(lanes)
    }

    pub(super) fn lanes(&self) -> &Lanes {
        &self.0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.connecting.set(self.0.connecting.get() - 1);
        self.0.pump();
    }
}

impl Lanes {
    pub(super) fn may_connect(&self, now: Moment) -> bool {
        self.connecting.get() < CONNECTS_MAX && now >= self.reconnect_at.get()
    }

    /// A session joins the queue.
    pub fn park(&self, session: &Rc<Session>) {
        let mut parked = self.parked.borrow_mut();
        if parked.len() > 64 + 2 * self.parked_count.get() {
            // Those that left keep their place until it is their turn: not when most of them are gone.
            parked.retain(|(ticket, session)| session.waits_as(*ticket));
        }
        // It wraps after four billion waits, long after the places of before were cleared away.
        let ticket = self.ticket.get().wrapping_add(1);
        self.ticket.set(ticket);
        session.has_ticket(ticket);
        parked.push_back((ticket, session.clone()));
        self.parked_count.set(self.parked_count.get() + 1);
        self.link.held.fetch_add(1, Ordering::Relaxed);
        self.metrics.held.inc();
    }

    /// A session's waiting ended.
    pub fn unpark(&self, bytes: usize, outcome: HoldOutcome) {
        self.parked_count.set(self.parked_count.get() - 1);
        self.link.held.fetch_sub(1, Ordering::Relaxed);
        self.link.held_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.metrics.held.dec();
        self.metrics.ended(outcome).inc();
    }

    /// A parked client sent something, or parks again with what it had sent. While the group has no room for it the oldest that hold
    /// bytes have to go. Their bytes count no more from here on: the next one must not send further clients away for them.
    pub fn holds(&self, bytes: usize) {
        let room = self.route.borrow().hold_max_bytes;
        let mut held = self.link.held_bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let parked = self.parked.borrow();
        let mut holders = parked.iter().filter(|(ticket, session)| session.waits_as(*ticket) && session.holds_bytes());
        while held > room && !self.has_primary() {
            let Some((_, oldest)) = holders.next() else { return };
            let freed = oldest.give_up_bytes() as u64;
            held = self.link.held_bytes.fetch_sub(freed, Ordering::Relaxed) - freed;
            oldest.decide(Verdict::Refuse(HoldOutcome::Full));
        }
    }

    /// Lets parked clients attach, first in first out.
    pub fn pump(&self) {
        let now = Moment::now();
        while self.may_connect_with_reserve(now) {
            let Some((ticket, session)) = self.parked.borrow_mut().pop_front() else { return };
            let Some(since) = session.parked_since(ticket) else { continue };
            match self.admission(session.policy.route, since, now) {
                Admission::Attach => session.decide(Verdict::Attach),
                Admission::Refuse => session.decide(Verdict::Refuse(HoldOutcome::Window)),
                Admission::Park => {
                    self.parked.borrow_mut().push_front((ticket, session));
                    return;
                }
            }
        }
    }

    /// Those that were told to attach but did not begin yet are still counted as parked.
    fn may_connect_with_reserve(&self, now: Moment) -> bool {
        let undecided = self.parked.borrow().len();
        let about_to = self.parked_count.get().saturating_sub(undecided);
        now >= self.reconnect_at.get() && self.connecting.get() + about_to < CONNECTS_MAX
    }

    pub(super) fn expire_parked(&self) {
        let now = Moment::now();
        self.parked.borrow_mut().retain(|(ticket, session)| {
            let Some(since) = session.parked_since(*ticket) else { return false };
            let over = self.admission(session.policy.route, since, now) == Admission::Refuse;
            if over {
                session.decide(Verdict::Refuse(HoldOutcome::Window));
            }
            !over
        });
    }
}
