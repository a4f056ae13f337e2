//! How a dialogue comes to an upstream, keeps it, and lets it go.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::doubt::Doubt;
use super::shared::Boarded;
use super::{Dialogue, End, Present};
use crate::conversation::{Conversation, Need};
use crate::metrics::{CloseReason, HoldOutcome};
use crate::proxy::lanes::{Slot, Target};
use crate::proxy::policy::Admission;
use crate::proxy::session::Verdict;
use crate::proxy::tally::{OwnUpstream, Pinned};
use crate::proxy::transport::Stream;
use crate::proxy::trunk::{Entry, Spare};
use crate::route::{Berth, Epoch, Moment, Passage, Way};

/// A connect slot is kept until what was held is answered, or for this long, so that a new primary is not flattened by all that was held.
const SLOT_FOR: Duration = Duration::from_secs(1);
/// Replies of a primary that was withdrawn are awaited for this long.
const DRAIN_FOR: Duration = Duration::from_secs(1);

/// What a dialogue has upstream.
pub(super) enum Upstream {
    /// Nothing.
    None,
    /// A place in the lanes' queue.
    Parked,
    /// A connection in the making. No byte of the client has gone anywhere.
    Connecting(Connecting),
    /// A connection to the primary.
    Live(Live),
    /// A seat on one that others use as well.
    Shared(Boarded),
    /// The epoch has passed. Nothing more is written; replies to what was written are awaited.
    Draining(Draining),
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<(Stream, Slot)>>>>;

pub(super) struct Connecting {
    pub(super) target: Target,
    future: Attempt,
}

/// A connection to the primary.
pub struct Live {
    pub(super) stream: Stream,
    pub(super) epoch: Epoch,
    way: Box<Way>,
    pub(super) counted: OwnUpstream,
    pub(super) slot: Option<Slot>,
    pub(super) since: Moment,
    /// Another session has used it before.
    pub(super) is_used: bool,
    /// What had waited for it has been answered.
    pub(super) settled: bool,
    /// The first byte was written.
    pub(super) has_written: bool,
    /// It takes no more; what it said before is still to come.
    pub(super) is_deaf: bool,
}

pub(super) struct Draining {
    pub(super) stream: Stream,
    since: Moment,
    _counted: OwnUpstream,
}

/// Keeps a session counted whose upstream is spliced.
pub struct Counted {
    _upstream: OwnUpstream,
    _pinned: Pinned,
}

impl Counted {
    pub(super) fn new(upstream: OwnUpstream, pinned: Pinned) -> Self {
        Self { _upstream: upstream, _pinned: pinned }
    }
}

impl Upstream {
    /// Resets it, so that nothing unsent is delivered.
    pub(super) fn abort(self) {
        match self {
            Self::Live(live) => live.stream.abort(),
            Self::Draining(draining) => draining.stream.abort(),
            Self::None | Self::Parked | Self::Connecting(_) | Self::Shared(_) => {}
        }
    }

    /// The epoch that it leads to, while that has not passed.
    pub(super) fn live_epoch(&self) -> Option<Epoch> {
        match self {
            Self::Live(live) => Some(live.epoch),
            Self::Shared(boarded) if boarded.draining.is_none() => Some(boarded.trunk.epoch),
            Self::None | Self::Parked | Self::Connecting(_) | Self::Shared(_) | Self::Draining(_) => None,
        }
    }

    /// Some of what was written to it is still on this machine.
    pub(super) fn has_unsent(&self) -> bool {
        matches!(self, Self::Live(live) if live.stream.has_unsent())
    }

    /// What has arrived from it.
    pub(super) fn receive_now(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let stream = match self {
            Self::Live(live) => &mut live.stream,
            Self::Draining(draining) => &mut draining.stream,
            Self::None | Self::Parked | Self::Connecting(_) | Self::Shared(_) => return None,
        };
        stream.receive_now(buffer).ok().filter(|read| *read > 0)
    }
}

fn session_shares(present: &Present<'_>) -> bool {
    present.session.policy.shared_connections
}

impl Dialogue {
    /// Gets an upstream where one is needed, and looks after the present one.
    pub(super) fn attend(&mut self, cx: &mut Context<'_>, present: &Present<'_>) -> Result<(), End> {
        loop {
            let goes_on = match &mut self.upstream {
                Upstream::None => !self.pauses(present) && self.conversation.need() != Need::Nothing && self.seek(present)?,
                Upstream::Parked => self.hear_verdict(present)?,
                Upstream::Connecting(connecting) => match connecting.future.as_mut().poll(cx) {
                    Poll::Pending => false,
                    Poll::Ready(connected) => {
                        let target = connecting.target.clone();
                        self.connected(present, target, connected)?;
                        true
                    }
                },
                Upstream::Live(_) => {
                    self.look_after(present);
                    let gives_back = self.conversation.may_leave();
                    if gives_back {
                        self.give_back(present);
                    }
                    gives_back
                }
                Upstream::Shared(_) => self.look_after_seat(present),
                Upstream::Draining(draining) => {
                    let over = present.now() >= draining.since + DRAIN_FOR;
                    if over {
                        self.lose_upstream(present);
                    }
                    over
                }
            };
            if !goes_on || self.ending.is_some() {
                return Ok(());
            }
        }
    }

    /// Asks for an upstream. False where there is none to be had.
    fn seek(&mut self, present: &Present<'_>) -> Result<bool, End> {
        let (lanes, session) = (present.lanes, present.session);
        session.waits_since(session.waiting_since().or_else(|| Some(present.now())));
        // One that only goes from one upstream to another is no newcomer.
        let moves = session_shares(present)
            && self.conversation.attached_in().is_some_and(|epoch| lanes.still_grants(epoch))
            && lanes.readmits(&session.policy);
        match if moves { Admission::Attach } else { lanes.admit(session.policy.route, session.waiting_since()) } {
            Admission::Attach => Ok(self.begin(present)),
            // It has left already, and nothing is kept for it.
            Admission::Park if self.client_ended => Err(End::Closed(CloseReason::Client)),
            Admission::Park => {
                self.has_waited = true;
                self.upstream = Upstream::Parked;
                session.park(lanes, self.conversation.held_bytes(), present.now());
                Ok(true)
            }
            Admission::Refuse => {
                // A subscription still wants one: the next route wakes it.
                self.refuse(present, &lanes.why_waiting(&session.policy));
                Ok(false)
            }
        }
    }

    /// What did the lanes decide?
    fn hear_verdict(&mut self, present: &Present<'_>) -> Result<bool, End> {
        let (lanes, session) = (present.lanes, present.session);
        if self.client_ended {
            session.leave_queue(lanes, HoldOutcome::ClientGone);
            return Err(End::Closed(CloseReason::Client));
        }
        let Some(verdict) = session.verdict() else { return Ok(false) };
        self.upstream = Upstream::None;
        match verdict {
            Verdict::Attach if self.client.peer_has_closed() => {
                session.leave_queue(lanes, HoldOutcome::ClientGone);
                Err(End::Closed(CloseReason::Client))
            }
            Verdict::Attach => {
                session.leave_queue(lanes, HoldOutcome::Elected);
                self.begin(present);
                Ok(true)
            }
            Verdict::Refuse(HoldOutcome::Shutdown) => {
                session.leave_queue(lanes, HoldOutcome::Shutdown);
                Err(End::Closed(CloseReason::Drain))
            }
            Verdict::Refuse(outcome) => {
                session.leave_queue(lanes, outcome);
                let why = match outcome {
                    HoldOutcome::Full => format!("more is held for group {} than hold.max_bytes", lanes.link.name),
                    _ => lanes.why_waiting(&session.policy),
                };
                self.refuse(present, &why);
                Ok(false)
            }
        }
    }

    /// Gets an upstream of the kind that is needed. Where the primary has just gone, the next round parks.
    fn begin(&mut self, present: &Present<'_>) -> bool {
        let lanes = present.lanes;
        let had = self.conversation.attached_in();
        let Some(target) = lanes.target(&present.session.policy, had) else { return true };
        let epoch = target.epoch;
        if !matches!((&self.berth, &target.tenure), (Some(berth), Some(tenure)) if berth.is_of(tenure)) {
            self.berth = target.tenure.as_ref().map(Berth::take);
        }
        if self.conversation.need() == Need::Shared {
            match self.stand_at_door(present) {
                Entry::Wait => return false,
                Entry::Ahead => self.conversation.goes_ahead(),
                Entry::Open if self.board(present, &target) => {
                    // It did not take long: the next in the queue has its turn.
                    lanes.pump();
                    return true;
                }
                Entry::Open => self.conversation.goes_alone(),
            }
        }
        let spare = if session_shares(present) { lanes.pool.take_spare(epoch) } else { None };
        if let Some(Spare { stream, counted, .. }) = spare {
            self.go_live(present, target, stream, counted.taken(), None);
            lanes.pump();
        } else {
            let future = Box::pin(present.lanes.clone().connect(target.way.clone(), present.session.policy.clone()));
            self.upstream = Upstream::Connecting(Connecting { target, future });
        }
        true
    }

    /// May it share, as far as it is known who it is?
    fn stand_at_door(&mut self, present: &Present<'_>) -> Entry {
        let door = &present.lanes.pool.door;
        let entry = if self.conversation.is_newcomer() { door.entry(present.now()) } else { Entry::Open };
        if entry == Entry::Wait {
            door.wait(present.session);
        }
        self.at_door = Some(entry).filter(|entry| *entry != Entry::Open);
        entry
    }

    fn connected(&mut self, present: &Present<'_>, target: Target, connected: io::Result<(Stream, Slot)>) -> Result<(), End> {
        self.upstream = Upstream::None;
        present.moves();
        match connected {
            // A client that left while it waited must not have its requests executed.
            Ok(_) if self.client.peer_is_gone() || self.has_waited && self.client.peer_has_closed() => {
                return Err(End::Closed(CloseReason::Client));
            }
            Ok((stream, slot)) if present.lanes.still_grants(target.epoch) => {
                let counted = present.session.tally.own_upstream();
                self.go_live(present, target, stream, counted, Some(slot));
            }
            Ok((stream, _)) => stream.abort(),
            Err(_) => {
                self.has_waited = true;
                present.lanes.could_not_connect(target.epoch);
            }
        }
        Ok(())
    }

    /// A connection of its own is there. Without a slot it is one that somebody else has given back.
    fn go_live(&mut self, present: &Present<'_>, target: Target, stream: Stream, counted: OwnUpstream, slot: Option<Slot>) {
        let Target { epoch, way, .. } = target;
        self.upstream = Upstream::Live(Live {
            stream,
            epoch,
            way: way.into(),
            counted,
            is_used: slot.is_none(),
            slot,
            since: present.now(),
            settled: false,
            has_written: false,
            is_deaf: false,
        });
        self.tell(present, &[], |conversation, turn| conversation.attach(epoch, turn));
    }

    /// Its own connection is not needed any more.
    fn give_back(&mut self, present: &Present<'_>) {
        let may_be_used = self.tell(present, &[], Conversation::leave);
        if self.at_door.take() == Some(Entry::Ahead) {
            present.lanes.pool.door.answered(!self.conversation.is_newcomer(), present.now());
        }
        (self.doubt, self.waits_for_fence) = (None, false);
        if let Upstream::Live(live) = std::mem::replace(&mut self.upstream, Upstream::None) {
            let tick = present.lanes.local.tick.get();
            let passage = present.lanes.passage(live.epoch, present.now());
            let leads = || present.lanes.leads(&live.way, live.epoch);
            if may_be_used && !live.is_deaf && passage == Passage::Open && leads() {
                present.lanes.pool.give_back(live.stream, (live.epoch, *live.way), live.counted, tick);
            }
        }
    }

    /// Gets off in time, and asks whether a doubt is settled. True where it has none any more.
    fn look_after_seat(&mut self, present: &Present<'_>) -> bool {
        let Upstream::Shared(boarded) = &self.upstream else { return true };
        let (epoch, is_over) = (boarded.trunk.epoch, boarded.trunk.is_over());
        let too_long = boarded.draining.is_some_and(|since| present.now() >= since + DRAIN_FOR);
        if is_over || too_long {
            self.lose_upstream(present);
            return true;
        }
        if self.conversation.must_leave() {
            self.get_off(present);
            return true;
        }
        self.settle_doubt(present, epoch);
        self.has_caught_up(present);
        !matches!(self.upstream, Upstream::Shared(_))
    }

    /// Gives the slot back in time, and asks whether a doubt is settled.
    fn look_after(&mut self, present: &Present<'_>) {
        let Upstream::Live(live) = &mut self.upstream else { return };
        if !live.settled || live.slot.is_some() {
            // A blocking command may wait for hours, and is no burden meanwhile.
            let blocked = self.conversation.is_blocked();
            if self.conversation.caught_up() || blocked {
                (live.settled, live.slot) = (true, None);
                present.session.waits_since(None);
            } else if present.now() >= live.since + SLOT_FOR {
                live.slot = None;
            }
        }
        let epoch = live.epoch;
        if !self.conversation.doubts() {
            self.has_waited &= !live.settled || self.waits_for_fence;
        }
        self.settle_doubt(present, epoch);
    }

    /// Asks whether a doubt is settled.
    fn settle_doubt(&mut self, present: &Present<'_>, epoch: Epoch) {
        if !self.conversation.doubts() {
            self.doubt = None;
            return;
        }
        self.has_waited = true;
        let now = present.now();
        // The code was taken with the reply; without one any of them makes control look.
        let doubt = self.doubt.get_or_insert_with(|| Box::new(Doubt::new("READONLY", now)));
        if doubt.is_settled(present.lanes, epoch, now) {
            self.doubt = None;
            let next = self.tell(present, &[], Conversation::primary_stays);
            self.heed(present, next);
        }
    }

    /// The epoch has passed, and what was sent may still be answered.
    pub(super) fn drain(&mut self, present: &Present<'_>) {
        match std::mem::replace(&mut self.upstream, Upstream::None) {
            Upstream::Live(Live { stream, counted, .. }) => {
                self.upstream = Upstream::Draining(Draining { stream, since: present.now(), _counted: counted });
            }
            Upstream::Shared(mut boarded) => {
                boarded.draining = Some(present.now());
                self.upstream = Upstream::Shared(boarded);
            }
            other => self.upstream = other,
        }
        (self.doubt, self.waits_for_fence) = (None, false);
    }
}
