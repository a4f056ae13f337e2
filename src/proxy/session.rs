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
//! One task a session. What is rare (waiting, connecting, lingering) lives in boxed futures that are gone while the session is idle.
//! The session neither watches a channel nor holds a timer: its [`Lanes`] wake it, refuse it, or cut it from outside.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::lanes::Lanes;
use super::policy::{Admission, Policy};
use super::splice::{End, Splice, Turn};
use super::tally::Tally;
use super::transport::Stream;
use super::upstream;
use crate::metrics::{CloseReason, HoldOutcome};
use crate::route::{Epoch, Moment};

/// What a parked client may have sent. While there is no primary one that sends more is closed: were the rest left in the kernel, its
/// end could not be seen, and what it sent might be executed after it has gone.
const PARKED_BYTES_MAX: usize = 256 * 1024;
/// The same of one that merely queues for its connection to a primary: the rest waits in the kernel, it will not be long.
const QUEUED_BYTES_MAX: usize = 16 * 1024;

/// What the session's task and its lanes share.
pub struct Session {
    /// Its listener's rules.
    pub policy: Arc<Policy>,
    tally: Rc<Tally>,
    lane: RefCell<Lane>,
    /// The task's waker, which stays the same for its whole life.
    waker: RefCell<Option<Waker>>,
    /// What the lanes decided of a parked session.
    verdict: Cell<Option<Verdict>>,
    /// The tick of the last byte.
    active: Cell<u32>,
    /// Bytes held while parked.
    held: Cell<usize>,
    /// When it began to wait for a primary.
    waiting_since: Cell<Option<Moment>>,
}

/// What a session has upstream.
enum Lane {
    /// Nothing yet: parked, or about to be.
    None,
    /// Being connected in this epoch. No byte of the client has gone anywhere.
    Attaching,
    /// In the middle of it.
    Spliced(Box<Splice>),
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

/// How a session stands after the first part of its life.
enum Setup {
    Spliced,
    Ended(CloseReason, Stream),
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
            active: Cell::new(0),
            held: Cell::new(0),
            waiting_since: Cell::new(None),
        }
    }

    /// When it began to wait, if it is parked and undecided.
    pub fn parked_since(&self) -> Option<Moment> {
        if self.verdict.get().is_some() { None } else { self.waiting_since.get() }
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

    /// Waits for the fence to be renewed?
    pub fn waits_for_fence(&self) -> bool {
        matches!(&*self.lane.borrow(), Lane::Spliced(splice) if splice.waits_for_fence)
    }

    /// Cuts the session if its upstream is older than `epoch`. The upstream is reset when this returns.
    pub fn cut_older(&self, epoch: Epoch, scratch: &mut [u8]) {
        let older = matches!(&*self.lane.borrow(), Lane::Spliced(splice) if splice.epoch() < epoch);
        if older {
            self.cut(CloseReason::Failover, scratch);
        }
    }

    /// Ends the session from outside, whatever it is doing.
    pub fn cut(&self, reason: CloseReason, scratch: &mut [u8]) {
        let lane = std::mem::replace(&mut *self.lane.borrow_mut(), Lane::None);
        let lane = match lane {
            Lane::Spliced(splice) => Lane::Cut(splice.cut(scratch), reason),
            other => other,
        };
        *self.lane.borrow_mut() = lane;
        self.wake();
    }

    /// Without a byte since `tick` minus its idle time?
    pub fn is_idle(&self, tick: u32, ticks_max: u32) -> bool {
        tick.wrapping_sub(self.active.get()) > ticks_max && matches!(&*self.lane.borrow(), Lane::Spliced(_))
    }

    fn poll_splice(&self, cx: &mut Context<'_>, lanes: &Lanes) -> Poll<(CloseReason, Stream)> {
        let mut lane = self.lane.borrow_mut();
        let Lane::Spliced(splice) = &mut *lane else {
            return match std::mem::replace(&mut *lane, Lane::None) {
                Lane::Cut(client, reason) => Poll::Ready((reason, client)),
                // Set before this is polled first, and only ever replaced by Cut.
                Lane::None | Lane::Attaching | Lane::Spliced(_) => Poll::Pending,
            };
        };
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
        let Poll::Ready(end) = result else { return Poll::Pending };
        let Lane::Spliced(splice) = std::mem::replace(&mut *lane, Lane::None) else { return Poll::Pending };
        Poll::Ready(match end {
            End::Closed(reason) => (reason, splice.into_client(reason)),
            End::Passed => (CloseReason::Failover, splice.cut(&mut scratch)),
        })
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
    let (reason, client) = match Box::pin(set_up(&lanes, &session, client)).await {
        Setup::Spliced => poll_fn(|cx| session.poll_splice(cx, &lanes)).await,
        Setup::Ended(reason, client) => (reason, client),
    };
    lanes.leave(key, &session.policy, reason);
    drop(session);
    let local = lanes.local.clone();
    drop(lanes);
    if let Some(_place) = local.linger() {
        Box::pin(client.close_lingering(b"")).await;
    }
    local.closed();
}

async fn set_up(lanes: &Rc<Lanes>, session: &Rc<Session>, mut client: Stream) -> Setup {
    let mut held = Vec::new();
    let mut has_waited = false;
    loop {
        let gone = |client| Setup::Ended(CloseReason::Client, client);
        match lanes.admit(session.waiting_since.get()) {
            Admission::Attach => {}
            Admission::Refuse => return Setup::Ended(CloseReason::Refused, client),
            Admission::Park => {
                has_waited = true;
                match wait(lanes, session, &mut client, &mut held).await {
                    Waited::Attach => {}
                    Waited::Refused => return Setup::Ended(CloseReason::Refused, client),
                    Waited::Shutdown => return Setup::Ended(CloseReason::Drain, client),
                    Waited::Gone => return gone(client),
                }
            }
        }
        let Some((epoch, endpoint)) = lanes.target() else { continue };
        *session.lane.borrow_mut() = Lane::Attaching;
        let connected = lanes.connect(|| upstream::connect(&endpoint, &session.policy)).await;
        *session.lane.borrow_mut() = Lane::None;
        match connected {
            // A client that left while it waited must not have its requests executed.
            Ok(_) if client.peer_is_gone() || has_waited && client.peer_has_closed() => return gone(client),
            Ok(upstream) if lanes.link.fence.epoch() == epoch && !lanes.is_stopping() => {
                session.active.set(lanes.local.turn_tick());
                session.waiting_since.set(None);
                let splice = Splice::new(client, upstream, epoch, held);
                *session.lane.borrow_mut() = Lane::Spliced(Box::new(splice));
                return Setup::Spliced;
            }
            Ok(upstream) => upstream.abort(),
            Err(_) => {
                // From here on its own waiting counts.
                session.waiting_since.set(session.waiting_since.get().or_else(|| Some(Moment::now())));
                lanes.could_not_connect(epoch);
            }
        }
        if lanes.is_stopping() {
            return Setup::Ended(CloseReason::Drain, client);
        }
    }
}

enum Waited {
    Attach,
    Refused,
    Shutdown,
    Gone,
}

/// Waits in the queue. Reads what the client sends, within bounds: to keep it, and to notice that the client leaves.
async fn wait(lanes: &Rc<Lanes>, session: &Rc<Session>, client: &mut Stream, held: &mut Vec<u8>) -> Waited {
    session.verdict.set(None);
    session.waiting_since.set(session.waiting_since.get().or_else(|| Some(Moment::now())));
    lanes.park(session);
    if !held.is_empty() {
        // Parked before: it could not be connected.
        session.held.set(held.len());
        lanes.holds(held.len());
    }
    let outcome = poll_fn(|cx| poll_wait(cx, lanes, session, client, held)).await;
    // Whatever the outcome: it is not in the queue's care any more.
    let verdict = match outcome {
        HoldOutcome::Elected => Verdict::Attach,
        other => Verdict::Refuse(other),
    };
    session.verdict.set(Some(verdict));
    let gone = outcome == HoldOutcome::Elected && client.peer_has_closed();
    let outcome = if gone { HoldOutcome::ClientGone } else { outcome };
    lanes.unpark(session.give_up_bytes(), outcome);
    match outcome {
        HoldOutcome::Elected => Waited::Attach,
        HoldOutcome::Window | HoldOutcome::Full => Waited::Refused,
        HoldOutcome::Shutdown => Waited::Shutdown,
        HoldOutcome::ClientGone => Waited::Gone,
    }
}

fn poll_wait(
    cx: &mut Context<'_>,
    lanes: &Lanes,
    session: &Session,
    client: &mut Stream,
    held: &mut Vec<u8>,
) -> Poll<HoldOutcome> {
    loop {
        match session.verdict.get() {
            Some(Verdict::Attach) => return Poll::Ready(HoldOutcome::Elected),
            Some(Verdict::Refuse(outcome)) => return Poll::Ready(outcome),
            None => {}
        }
        let mut scratch = lanes.local.scratch.borrow_mut();
        let room = match lanes.target() {
            Some(_) => QUEUED_BYTES_MAX.saturating_sub(held.len()),
            None if held.len() > PARKED_BYTES_MAX => return Poll::Ready(HoldOutcome::Full),
            None => scratch.len(),
        };
        if room == 0 {
            return Poll::Pending;
        }
        let read = match client.poll_read(cx, &mut scratch[..room]) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(read)) if read > 0 => read,
            Poll::Ready(_) => return Poll::Ready(HoldOutcome::ClientGone),
        };
        held.extend_from_slice(&scratch[..read]);
        drop(scratch);
        session.tally.add(read as u64, 0);
        session.held.set(session.held.get() + read);
        lanes.holds(read);
    }
}
