//! One client connection, from accept to close.
//!
//! ```text
//!             no primary, or a queue            granted, in turn              connected
//!   accepted ────────────────────────▶ Parked ──────────────────▶ Attaching ────────────▶ Spliced
//!      │  └──────────────────────────────┼───────────────────────▶    │  ▲                   │
//!      │        primary, no queue        │ window over, full,         │  │ failed:           │ client, backend, idle
//!      ▼                                 ▼ client gone                └──┘ Parked again      ▼ or the epoch has passed
//!   Ended ◀──────────────────────────────┴──────────────────────────────────────────────── Ended
//! ```
//!
//! In redis mode a session is one [`Dialogue`] from the beginning, which parks and attaches by itself, as often as it takes.
//!
//! One task a session. What is rare (waiting, connecting, lingering) lives in boxed futures that are gone while the session is idle.
//! The session neither watches a channel nor holds a timer: its [`Lanes`] wake it, refuse it, or cut it from outside.

mod sharing;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::lanes::{Lanes, Ticket};
use super::policy::Policy;
use super::redis_mode::{self, Counted, Dialogue, Present};
use super::splice::{End, Splice, Turn};
use super::tally::Tally;
use super::tcp_mode;
use super::transport::Stream;
use crate::config::Mode;
use crate::metrics::{CloseReason, HoldOutcome};
use crate::route::{Departure, Epoch, Moment};

/// Ticks without a byte after which a redis-mode session gives back what it does not need.
const REST_AFTER: u32 = 2;

/// Ticks that a client has for logging in, where users are mainstay's own: half a minute.
const LOGIN_TICKS_MAX: u32 = 300;

/// What the session's task and its lanes share.
pub struct Session {
    /// Its listener's rules.
    pub policy: Arc<Policy>,
    /// Its listener's counters.
    pub tally: Rc<Tally>,
    lane: RefCell<Lane>,
    /// The task's waker, which stays the same for its whole life.
    waker: RefCell<Option<Waker>>,
    /// What the lanes decided of a parked session.
    verdict: Cell<Option<Verdict>>,
    /// Its place in the queue; 0 while it has none.
    ticket: Cell<Ticket>,
    /// The tick of the last byte.
    active: Cell<u32>,
    /// Bytes held while parked.
    held: Cell<usize>,
    /// When it began to wait for a primary.
    waiting_since: Cell<Option<Moment>>,
    /// The next tick wakes it.
    reminder: Cell<bool>,
    /// Idle, and what it could give back is given back.
    resting: Cell<bool>,
    /// Since this tick its client has yet to log in for the first time.
    outside_since: Cell<Option<u32>>,
}

/// What a session has upstream.
enum Lane {
    /// Nothing yet: tcp mode sets it up.
    None,
    /// In the middle of it. In redis mode what passes is no conversation any more, and is still counted.
    Spliced(Box<Splice>, Option<Box<Counted>>),
    /// Redis mode.
    Dialogue(Box<Dialogue>),
    /// Cut from outside; the task closes the client.
    Cut(Stream, CloseReason),
}

/// What the lanes decide of a parked session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its turn has come.
    Attach,
    /// It has to go.
    Refuse(HoldOutcome),
}

impl Session {
    /// A session of a listener.
    pub fn new(policy: Arc<Policy>, tally: Rc<Tally>) -> Self {
        Self {
            policy,
            tally,
            lane: RefCell::new(Lane::None),
            waker: RefCell::new(None),
            verdict: Cell::new(None),
            ticket: Cell::new(0),
            active: Cell::new(0),
            held: Cell::new(0),
            waiting_since: Cell::new(None),
            reminder: Cell::new(false),
            resting: Cell::new(false),
            outside_since: Cell::new(None),
        }
    }

    /// Joins the queue of those who wait for an upstream, with so many bytes held.
    pub fn park(self: &Rc<Self>, lanes: &Lanes, held: usize, now: Moment) {
        self.verdict.set(None);
        self.waiting_since.set(self.waiting_since.get().or(Some(now)));
        lanes.park(self);
        self.holds(lanes, held);
    }

    /// Holds so many bytes now.
    pub fn holds(&self, lanes: &Lanes, bytes: usize) {
        let before = self.held.get();
        // One that was sent away already holds nothing, though it has not heard of it.
        if bytes > before && self.verdict.get().is_none() {
            self.held.set(bytes);
            lanes.holds(bytes - before);
        }
    }

    /// Leaves the queue, if it is in it.
    pub fn leave_queue(&self, lanes: &Lanes, outcome: HoldOutcome) {
        if self.ticket.replace(0) != 0 {
            lanes.unpark(self.give_up_bytes(), outcome);
        }
    }

    /// It was given this place in the queue.
    pub fn has_ticket(&self, ticket: Ticket) {
        self.ticket.set(ticket);
    }

    /// Does it wait at this place in the queue, undecided?
    pub fn waits_as(&self, ticket: Ticket) -> bool {
        self.ticket.get() == ticket && self.verdict.get().is_none()
    }

    /// When it began to wait, if it waits at this place in the queue and is undecided.
    pub fn parked_since(&self, ticket: Ticket) -> Option<Moment> {
        self.waiting_since.get().filter(|_| self.waits_as(ticket))
    }

    /// What was decided of it.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict.get()
    }

    /// When it began to wait for an upstream.
    pub fn waiting_since(&self) -> Option<Moment> {
        self.waiting_since.get()
    }

    /// It waits for an upstream since then, or for none.
    pub fn waits_since(&self, since: Option<Moment>) {
        self.waiting_since.set(since);
    }

    /// Holds bytes of its client while parked.
    pub fn holds_bytes(&self) -> bool {
        self.held.get() > 0
    }

    /// Counts its bytes as held no more, and says how many they were.
    pub fn give_up_bytes(&self) -> usize {
        self.held.replace(0)
    }

    /// Decides over a parked session.
    pub fn decide(&self, verdict: Verdict) {
        self.verdict.set(Some(verdict));
        self.wake();
    }

    /// Polls the session's task.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// The tick that it wanted to be reminded on.
    pub fn reminded(&self) {
        self.reminder.set(false);
        self.wake();
    }

    fn remind_me(self: &Rc<Self>, lanes: &Lanes) {
        if !self.reminder.replace(true) {
            lanes.remind(self.clone());
        }
    }

    /// There is a new route, or something else to look at. What is older than `epoch` is cut or withdrawn: nothing more is written to it
    /// when this returns. `left`: how the last primary left.
    pub fn follow(self: &Rc<Self>, lanes: &Rc<Lanes>, epoch: Epoch, left: Departure) {
        let older = |splice: &Splice| splice.epoch() < epoch;
        let concerned = match &mut *self.lane.borrow_mut() {
            Lane::Spliced(splice, _) => splice.waits_for_fence,
            Lane::Dialogue(dialogue) => {
                let mut scratch = lanes.local.scratch.borrow_mut();
                dialogue.follow(&Present::new(lanes, self), epoch, left, &mut scratch)
            }
            Lane::None | Lane::Cut(..) => false,
        };
        if matches!(&*self.lane.borrow(), Lane::Spliced(splice, _) if older(splice)) {
            self.cut(CloseReason::Failover, lanes);
        } else if concerned {
            self.wake();
        }
    }

    /// Ends the session from outside, whatever it is doing.
    pub fn cut(self: &Rc<Self>, reason: CloseReason, lanes: &Rc<Lanes>) {
        let mut scratch = lanes.local.scratch.borrow_mut();
        let lane = self.lane.replace(Lane::None);
        let lane = match lane {
            Lane::Spliced(splice, _) => Lane::Cut(splice.cut(&mut scratch), reason),
            Lane::Dialogue(dialogue) => Lane::Cut(dialogue.cut(&Present::new(lanes, self), &mut scratch), reason),
            other => other,
        };
        *self.lane.borrow_mut() = lane;
        self.wake();
    }

    /// Without a byte since `tick` minus its idle time?
    pub fn is_idle(&self, tick: u32, ticks_max: u32) -> bool {
        let may_be = || match &*self.lane.borrow() {
            Lane::Spliced(..) => true,
            Lane::Dialogue(_) => self.ticket.get() == 0,
            Lane::None | Lane::Cut(..) => false,
        };
        tick.wrapping_sub(self.active.get()) > ticks_max && may_be()
    }

    /// Its client has been asked for a password for long enough.
    pub fn is_overdue(&self, tick: u32) -> bool {
        self.outside_since.get().is_some_and(|since| tick.wrapping_sub(since) > LOGIN_TICKS_MAX)
    }

    fn poll(self: &Rc<Self>, cx: &mut Context<'_>, lanes: &Rc<Lanes>) -> Poll<(CloseReason, Stream)> {
        // Taken out, as what it ends in replaces it; nobody else looks at it meanwhile.
        let lane = self.lane.replace(Lane::None);
        let goes_on = match lane {
            Lane::Spliced(mut splice, counted) => match self.poll_splice(cx, lanes, &mut splice) {
                Poll::Pending => Lane::Spliced(splice, counted),
                Poll::Ready(End::Closed(reason)) => return Poll::Ready((reason, splice.into_client(reason))),
                Poll::Ready(End::Passed) => {
                    return Poll::Ready((CloseReason::Failover, splice.cut(&mut lanes.local.scratch.borrow_mut())));
                }
            },
            Lane::Dialogue(mut dialogue) => match self.poll_dialogue(cx, lanes, &mut dialogue) {
                Poll::Pending => Lane::Dialogue(dialogue),
                Poll::Ready(redis_mode::End::Closed(reason)) => return Poll::Ready((reason, dialogue.into_client(reason))),
                Poll::Ready(redis_mode::End::Opaque(live)) => {
                    let (splice, counted) = dialogue.into_splice(live);
                    cx.waker().wake_by_ref();
                    Lane::Spliced(Box::new(splice), Some(Box::new(counted)))
                }
            },
            Lane::Cut(client, reason) => return Poll::Ready((reason, client)),
            // In tcp mode it is set before this is polled first, and only ever replaced by Cut.
            Lane::None => Lane::None,
        };
        *self.lane.borrow_mut() = goes_on;
        Poll::Pending
    }

    fn poll_splice(&self, cx: &mut Context<'_>, lanes: &Lanes, splice: &mut Splice) -> Poll<End> {
        let mut scratch = lanes.local.scratch.borrow_mut();
        let mut turn =
            Turn { scratch: &mut scratch, fence: &lanes.link.fence, bytes_in: 0, bytes_out: 0, hint: None, first_byte: None };
        let result = splice.poll(cx, &mut turn);
        let Turn { bytes_in, bytes_out, hint, first_byte, .. } = turn;
        if bytes_in + bytes_out > 0 {
            self.active.set(lanes.local.tick.get());
            self.tally.add(bytes_in, bytes_out);
        }
        if let Some(what) = hint {
            lanes.hint(splice.epoch(), what);
        }
        if let Some(now) = first_byte {
            lanes.link.first_byte.wrote(now);
        }
        result
    }

    fn poll_dialogue(self: &Rc<Self>, cx: &mut Context<'_>, lanes: &Rc<Lanes>, dialogue: &mut Dialogue) -> Poll<redis_mode::End> {
        let mut scratch = lanes.local.scratch.borrow_mut();
        let present = Present::new(lanes, self);
        let result = dialogue.poll(cx, &present, &mut scratch);
        let tick = lanes.local.tick.get();
        if self.outside_since.get().is_some() && !dialogue.is_outside(self.policy.access.as_ref()) {
            // Who says RESET later may take its time: pools do so.
            self.outside_since.set(None);
        }
        if present.has_moved() {
            self.active.set(tick);
            self.resting.set(false);
        }
        if dialogue.needs_the_clock() {
            self.remind_me(lanes);
        } else if !self.resting.get() {
            if tick.wrapping_sub(self.active.get()) >= REST_AFTER {
                self.resting.set(true);
                dialogue.shrink();
            } else {
                self.remind_me(lanes);
            }
        }
        result
    }
}

/// Serves one client.
pub async fn run(lanes: Rc<Lanes>, client: Stream, session: Rc<Session>) {
    poll_fn(|cx| {
        *session.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Ready(())
    })
    .await;
    let key = lanes.enter(&session);
    let lane = match session.policy.mode {
        Mode::Redis => {
            let shares = session.policy.shared_connections;
            Ok(Lane::Dialogue(Box::new(Dialogue::new(client, &session.tally, shares))))
        }
        Mode::Tcp => Box::pin(tcp_mode::set_up(&lanes, &session, client)).await.map(|splice| Lane::Spliced(splice, None)),
    };
    let (reason, client) = match lane {
        Ok(lane) => {
            let tick = lanes.local.turn_tick();
            session.active.set(tick);
            let has_gate = session.policy.access.as_ref().is_some_and(|access| access.gate.is_some());
            session.outside_since.set(has_gate.then_some(tick));
            *session.lane.borrow_mut() = lane;
            poll_fn(|cx| session.poll(cx, &lanes)).await
        }
        Err(ended) => ended,
    };
    session.leave_queue(&lanes, if reason == CloseReason::Drain { HoldOutcome::Shutdown } else { HoldOutcome::ClientGone });
    lanes.leave(key, &session.policy, reason);
    drop(session);
    let local = lanes.local.clone();
    drop(lanes);
    if let Some(_place) = local.linger() {
        Box::pin(client.close_lingering(b"")).await;
    }
    local.closed();
}
