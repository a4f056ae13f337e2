//! How a dialogue loses its upstream, and how it ends.

use super::upstream::{Counted, Live, Upstream};
use super::{Dialogue, Present};
use crate::conversation::{Close, Conversation, Fault, Withdrawn};
use crate::metrics::CloseReason;
use crate::proxy::splice::Splice;
use crate::proxy::transport::Stream;
use crate::proxy::trunk::Entry;
use crate::route::{Departure, Epoch, Moment, Noticed, is_tenure};

/// What a backend had sent when mainstay ends a session is passed on, as far as so many reads take it.
const FAREWELL_READS_MAX: usize = 4;

/// An upstream that was.
pub(super) struct Lived {
    epoch: Epoch,
    since: Moment,
    /// What had waited for it was answered.
    settled: bool,
}

/// What was said, and not heard yet, when this came out of force is passed on. Not of a replica that may tell of another primary's data.
pub fn is_heard_out(epoch: Epoch, left: Departure) -> bool {
    !is_tenure(epoch) || left != Departure::Gone
}

impl Dialogue {
    /// The upstream closed, or broke.
    pub(super) fn upstream_ended(&mut self, present: &Present<'_>) {
        // What the client asked for by QUIT, or by leaving, is no trouble.
        let asked_for = self.client_ended || self.conversation.is_over();
        if let (Upstream::Live(live), false) = (&self.upstream, asked_for) {
            present.lanes.hint(live.epoch, Noticed::Closed);
        }
        self.lose_upstream(present);
    }

    /// There is no upstream any more, and what was in flight on it is not answered.
    pub(super) fn lose_upstream(&mut self, present: &Present<'_>) {
        let reason = match &self.upstream {
            upstream if upstream.live_epoch().is_some_and(|epoch| present.lanes.still_grants(epoch)) => CloseReason::Backend,
            _ => CloseReason::Failover,
        };
        let lived = self.give_up_upstream();
        match self.tell(present, &[], Conversation::upstream_lost) {
            Ok(()) => self.beware(present, lived),
            Err(close) => self.close(present, &close, reason),
        }
    }

    /// Aborts the upstream. Returns what is to be known of one that was live.
    pub(super) fn give_up_upstream(&mut self) -> Option<Lived> {
        let upstream = std::mem::replace(&mut self.upstream, Upstream::None);
        let lived = match &upstream {
            // One that another session has used was not connected: it tells nothing of the primary.
            Upstream::Live(Live { is_used: true, settled: false, .. }) => None,
            Upstream::Live(Live { epoch, since, settled, .. }) => Some(Lived { epoch: *epoch, since: *since, settled: *settled }),
            _ => None,
        };
        upstream.abort();
        (self.doubt, self.waits_for_fence) = (None, false);
        lived
    }

    /// An upstream that was good for nothing counts as one that could not be connected: the next must not follow at once, for ever. Nor
    /// must it where one after the other was good for a moment.
    pub(super) fn beware(&mut self, present: &Present<'_>, lived: Option<Lived>) {
        match lived.filter(|_| self.conversation.wants_upstream()) {
            Some(Lived { epoch, settled: false, .. }) => present.lanes.could_not_connect(epoch),
            Some(Lived { epoch, since, .. }) => self.pause.after(epoch, since, present.now()),
            None => {}
        }
    }

    /// Has to wait before it may connect again?
    pub(super) fn pauses(&mut self, present: &Present<'_>) -> bool {
        let pauses = self.pause.is_on()
            && self.pause.holds(
                present.lanes.target(&present.session.policy, self.conversation.attached_in()).map(|target| target.epoch),
                present.now(),
            );
        self.has_waited |= pauses;
        pauses
    }

    /// The session ends; what the client is owed is still paid.
    pub(super) fn close(&mut self, present: &Present<'_>, close: &Close, upstream_fault: CloseReason) {
        let (group, listener) = (&present.lanes.link, &present.session.policy.listener);
        present.lanes.remarks.closed(group, listener, close, present.now());
        self.ending = Some(match close.fault {
            Fault::Client | Fault::Replay => CloseReason::Error,
            Fault::Write | Fault::Upstream => upstream_fault,
        });
        self.give_up_upstream();
    }

    /// Answers what waits with an error. The connection stays.
    pub(super) fn refuse(&mut self, present: &Present<'_>, why: &str) {
        self.tell(present, &[], |conversation, turn| conversation.refuse(why, turn));
        present.session.waits_since(None);
        self.has_waited = false;
    }

    /// The epoch passed, or there is something else to look at. Nothing is written to an older upstream when this returns. True where the
    /// session's task has something to do.
    pub fn follow(&mut self, present: &Present<'_>, scratch: &mut [u8]) -> bool {
        let passed = |epoch| present.lanes.passed(epoch, &present.session.policy);
        if let Upstream::Live(live) = &self.upstream
            && passed(live.epoch).is_some_and(|left| is_heard_out(live.epoch, left))
        {
            // What it had said by now is as good as what was read before.
            self.hear_out(present, scratch);
        }
        let left = match &self.upstream {
            Upstream::Live(live) => passed(live.epoch),
            Upstream::Shared(boarded) if boarded.draining.is_none() => passed(boarded.trunk.epoch),
            Upstream::Connecting(connecting) => passed(connecting.target.epoch),
            Upstream::None | Upstream::Parked | Upstream::Shared(_) | Upstream::Draining(_) => None,
        };
        if self.berth.as_ref().is_some_and(|berth| passed(berth.number()).is_some()) {
            self.berth = None;
        }
        match (&self.upstream, left) {
            (Upstream::Live(_), Some(left)) => {
                match self.tell(present, &[], |conversation, turn| conversation.withdraw(left, turn)) {
                    Ok(Withdrawn::Drop) => drop(self.give_up_upstream()),
                    // It may execute what it has not been sent yet, though another has taken its place.
                    Ok(Withdrawn::Drain) if left == Departure::Replaced && self.upstream.has_unsent() => {
                        self.lose_upstream(present)
                    }
                    Ok(Withdrawn::Drain) => {
                        self.drain(present);
                        if let Some(id) = self.conversation.blocked_as().filter(|_| left == Departure::Replaced) {
                            present.lanes.unblock(id, &present.session.policy);
                        }
                    }
                    Err(close) => self.close(present, &close, CloseReason::Failover),
                }
            }
            (Upstream::Shared(boarded), Some(left)) => {
                if boarded.trunk.is_over() {
                    self.lose_upstream(present);
                } else {
                    match self.tell(present, &[], |conversation, turn| conversation.withdraw(left, turn)) {
                        Ok(Withdrawn::Drop) => drop(self.give_up_upstream()),
                        Ok(Withdrawn::Drain) => self.drain(present),
                        Err(close) => self.close(present, &close, CloseReason::Failover),
                    }
                }
            }
            (Upstream::Shared(boarded), None) if boarded.draining.is_some() => return false,
            // It leads nowhere.
            (Upstream::Connecting(_), Some(_)) => self.upstream = Upstream::None,
            (Upstream::Live(_) | Upstream::Shared(_), None) => return self.waits_for_fence || self.doubt.is_some(),
            (Upstream::None, _) => {}
            (Upstream::Parked | Upstream::Connecting(_) | Upstream::Draining(_), _) => return false,
        }
        self.ending.is_some() || self.needs_the_clock() || self.conversation.wants_upstream() || !self.owed.is_clear()
    }

    /// Replicas are in step again: a session that reads the primary instead goes back to them, if it is doing nothing just now. It connects
    /// when it has something to ask.
    pub fn goes_back(&mut self, present: &Present<'_>) {
        let at_primary = self.upstream.live_epoch().is_some_and(|epoch| !is_tenure(epoch));
        if at_primary && self.ending.is_none() && self.owed.is_clear() && self.conversation.may_change_places() {
            self.tell(present, &[], Conversation::leave);
            self.upstream = Upstream::None;
            (self.doubt, self.waits_for_fence) = (None, false);
        }
    }

    /// Has a deadline to watch.
    pub fn needs_the_clock(&self) -> bool {
        match &self.upstream {
            Upstream::Live(live) => live.slot.is_some() || self.doubt.is_some() || self.is_blocked_unread(),
            Upstream::Shared(boarded) => boarded.draining.is_some() || self.doubt.is_some(),
            Upstream::Draining(_) => true,
            Upstream::None => self.pause.is_on() || self.at_door == Some(Entry::Wait),
            Upstream::Parked | Upstream::Connecting(_) => false,
        }
    }

    /// Blocked, and so much was sent behind that no more is read: the client's end does not show by itself.
    pub(super) fn is_blocked_unread(&self) -> bool {
        self.conversation.is_blocked() && !self.client_ended && !self.conversation.accepts()
    }

    /// Idle for a while: gives back what it does not need.
    pub fn shrink(&mut self) {
        self.conversation.shrink();
    }

    /// Passes on what the backend has sent, as far as the client takes it without waiting.
    fn hear_out(&mut self, present: &Present<'_>, scratch: &mut [u8]) {
        for _ in 0..FAREWELL_READS_MAX {
            self.owed.pay_now(&mut self.client);
            if !self.owed.is_clear() || self.ending.is_some() {
                break;
            }
            let Some(read) = self.upstream.receive_now(scratch) else { break };
            self.upstream_said(present, &scratch[..read]);
        }
    }

    /// mainstay ends the session: passes on what the backend had sent as far as the client takes it without waiting.
    pub fn cut(mut self, present: &Present<'_>, scratch: &mut [u8]) -> Stream {
        self.hear_out(present, scratch);
        self.upstream.abort();
        self.client.shut_down_writing();
        self.client
    }

    /// The session ended by itself. Nothing of the client may still be under way: a stopped server would be given it when it wakes.
    pub fn into_client(self, reason: CloseReason) -> Stream {
        if reason == CloseReason::Client && self.ending.is_none() {
            self.upstream.abort();
        }
        self.client
    }

    /// What follows is no conversation.
    pub fn into_splice(self, live: Live) -> (Splice, Counted) {
        let Live { stream, epoch, counted, .. } = live;
        let mut splice = Splice::new(self.client, stream, epoch, self.berth, self.conversation.into_opaque());
        splice.owes(self.owed.into_rest());
        self.pinned.opaque();
        (splice, Counted::new(counted, self.pinned))
    }
}
