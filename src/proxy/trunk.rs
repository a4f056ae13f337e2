//! A trunk: one upstream that many sessions of a worker share.
//!
//! ```text
//!   sessions ── speak ──▶ speakers ── flush, once a turn ──▶ out ──▶ primary
//!      ▲                                                               │
//!      └─── each its own, in order ◀── in flight: whose turn ◀─────────┘
//! ```
//!
//! Sessions do not write: one that has something to say says so ([`Trunk::speak`]), and when all sessions of this turn had theirs the
//! worker's one [`Flusher`] asks the fence, gathers what each has ready, a bounded share at a time, and writes it in one go. What stands in
//! `out` is handed over: it is written, or taken back when the epoch passes, or the trunk ends.
//!
//! Replies come in the order of the requests. For each run of requests there is a place; a session that has left leaves its places
//! behind, and what comes for them is dropped. Where there is any doubt whose reply something is, the trunk ends.
//!
//! | file | holds |
//! |---|---|
//! | `seat.rs` | who is owed what; how much one session may have in flight |
//! | `flusher.rs`, `writing.rs` | the one write of a turn |
//! | `reading.rs` | where a reply ends, and whose it is |
//! | `pool.rs` | which trunks there are; connections that were given back |
//! | `door.rs` | who has not logged in is asked by the primary first |
//! | `silence.rs`, `useless.rs` | one that says nothing, or something that nobody takes, does not hold up the others |

mod door;
mod flusher;
mod pool;
mod reading;
mod seat;
mod silence;
mod useless;
mod writing;

pub use door::Entry;
pub use flusher::Flusher;
pub use pool::{Pool, Spare};
pub use reading::Frames;
pub use seat::Seat;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use self::reading::Reading;
use self::seat::Place;
use self::silence::Silence;
use super::lanes::Lanes;
use super::policy::Policy;
use super::tally::SharedUpstream;
use super::transport::Stream;
use crate::conversation::ConnectionKey;
use crate::route::{Departure, Epoch, Moment, Noticed, Way};

/// Replies of a primary that was withdrawn are awaited for so long. Its sessions give up as soon; this is for what they left.
const RETIRES_FOR: Duration = Duration::from_secs(1);

/// How far a trunk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Connecting, or being told its [`ConnectionKey`].
    Opening,
    Open,
    /// Its epoch has passed: nothing is written any more, what was asked is still answered.
    Retiring,
    Over,
}

/// See the module.
pub struct Trunk {
    /// Of the listener that opened it.
    pub policy: Arc<Policy>,
    /// What its sessions have in common.
    pub key: ConnectionKey,
    /// It leads to the primary of this epoch, or to the replica of this tenure.
    pub epoch: Epoch,
    /// How to get to that.
    pub way: Way,
    lanes: Rc<Lanes>,
    stage: Cell<Stage>,
    speakers: RefCell<VecDeque<Rc<Seat>>>,
    /// It is on the flusher's list.
    dirty: Cell<bool>,
    wire: RefCell<Wire>,
    /// The way to where it leads is another one now: it was moved, or is to be spoken to by TLS.
    outdated: Cell<bool>,
    /// A reply is under way that is too large to be kept: better to begin on another trunk.
    congested: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// The tick of the last byte.
    active: Cell<u32>,
    retired_at: Cell<Moment>,
    /// How often the worker had stood still.
    stalls: Cell<u32>,
    /// Checks of the alignment are refused.
    is_uncheckable: Cell<bool>,
    /// The primary has said something.
    has_heard: Cell<bool>,
    silence: Silence,
    /// The server was busy with a script, in its own words, and so could not be told what it has to be told.
    busy: RefCell<Option<String>>,
}

/// What touches the socket.
#[derive(Default)]
struct Wire {
    stream: Option<Stream>,
    out: Vec<u8>,
    written: usize,
    /// Of the last places in flight, where in `out` each begins.
    begins: Vec<usize>,
    in_flight: VecDeque<Place>,
    reading: Reading,
    /// The primary takes no more; what it said before is still to come.
    is_deaf: bool,
    has_written: bool,
    nonce: u64,
    counted: Option<SharedUpstream>,
}

impl Trunk {
    /// Begins to open one. It ends by itself.
    fn open(lanes: &Rc<Lanes>, policy: &Arc<Policy>, key: ConnectionKey, epoch: Epoch, way: Way) -> Rc<Self> {
        let trunk = Rc::new(Self {
            policy: policy.clone(),
            key,
            epoch,
            way,
            lanes: lanes.clone(),
            stage: Cell::new(Stage::Opening),
            speakers: RefCell::default(),
            dirty: Cell::new(false),
            wire: RefCell::default(),
            outdated: Cell::new(false),
            congested: Cell::new(false),
            waker: RefCell::new(None),
            active: Cell::new(lanes.local.tick.get()),
            retired_at: Cell::new(Moment::default()),
            stalls: Cell::new(lanes.local.stalls()),
            is_uncheckable: Cell::new(false),
            has_heard: Cell::new(false),
            silence: Silence::default(),
            busy: RefCell::new(None),
        });
        tokio::task::spawn_local(trunk.clone().run());
        trunk
    }

    /// Nothing goes over it any more, nor comes.
    pub fn is_over(&self) -> bool {
        self.stage.get() == Stage::Over
    }

    /// It has stood open.
    pub fn is_open(&self) -> bool {
        self.stage.get() == Stage::Open
    }

    /// Nobody begins on it any more.
    pub fn is_outdated(&self) -> bool {
        self.outdated.get()
    }

    /// Sessions should begin on another one.
    pub fn is_congested(&self) -> bool {
        self.congested.get()
    }

    /// Is it one for sessions of this listener with this key?
    fn serves(&self, policy: &Arc<Policy>, key: &ConnectionKey, epoch: Epoch) -> bool {
        self.epoch == epoch && !self.is_outdated() && Arc::ptr_eq(&self.policy, policy) && self.key == *key
    }

    /// Nothing holds up who begins on it.
    fn is_lively(&self) -> bool {
        !self.is_congested() && !self.is_silent()
    }

    /// The session in this seat has something to say.
    #[inline]
    pub fn speak(self: &Rc<Self>, seat: &Rc<Seat>) {
        if !seat.speaks.replace(true) {
            self.speakers.borrow_mut().push_back(seat.clone());
        }
        self.soil();
    }

    /// The flusher has to come by.
    fn soil(self: &Rc<Self>) {
        if !self.dirty.replace(true) {
            self.lanes.local.flusher.add(self.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Connects, carries, ends.
    async fn run(self: Rc<Self>) {
        let hint = match self.connect().await {
            Ok(()) => poll_fn(|cx| self.poll(cx)).await,
            Err(()) => None,
        };
        if !self.has_heard.get() && matches!(self.stage.get(), Stage::Opening | Stage::Open) {
            // It was good for nothing: the next one must not follow at once, for ever.
            self.lanes.could_not_connect(self.epoch);
        }
        self.end();
        if let Some(noticed) = hint {
            self.lanes.hint(self.epoch, noticed);
        }
    }

    async fn connect(self: &Rc<Self>) -> Result<(), ()> {
        let connected = self.lanes.clone().connect(self.way.clone(), self.policy.clone()).await;
        if self.stage.get() != Stage::Opening {
            return Err(());
        }
        let Ok((stream, slot)) = connected else {
            return Err(());
        };
        let steps = self.key.opening();
        let mut wire = self.wire.borrow_mut();
        wire.out = steps.concat();
        wire.in_flight.extend(steps.iter().map(|_| Place::opening()));
        wire.stream = Some(stream);
        wire.counted = Some(self.lanes.local.tally(&self.policy).shared_upstream());
        drop(wire);
        drop(slot);
        if steps.is_empty() {
            self.stage.set(Stage::Open);
        }
        self.soil();
        Ok(())
    }

    fn poll(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Option<Noticed>> {
        if !self.waker.borrow().as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
        }
        if self.stage.get() == Stage::Over {
            return Poll::Ready(None);
        }
        if self.holds_stale(Moment::now()) {
            return Poll::Ready(None);
        }
        self.push_on(cx);
        self.read(cx)
    }

    /// The epoch has passed: nothing more is written. What it has said by now was heard before.
    pub fn retire(self: &Rc<Self>, left: Departure) {
        if matches!(self.stage.get(), Stage::Over | Stage::Retiring) {
            return;
        }
        self.take_back();
        let wire = self.wire.borrow();
        let has_unsent = || wire.stream.as_ref().is_some_and(|stream| stream.has_unsent());
        // What it has not been sent yet it may execute, though another has taken its place.
        let ends = left == Departure::Gone
            || wire.in_flight.is_empty()
            || self.stage.get() == Stage::Opening
            || left == Departure::Replaced && has_unsent();
        drop(wire);
        self.stage.set(Stage::Retiring);
        self.retired_at.set(Moment::now());
        // Their sessions are told in a moment.
        self.speakers.borrow_mut().clear();
        if ends {
            self.cut();
        }
    }

    /// Ends it now, by reset. Its sessions have to be told by somebody else.
    pub fn cut(&self) {
        self.stage.set(Stage::Over);
        let mut wire = self.wire.borrow_mut();
        if let Some(stream) = wire.stream.take() {
            stream.abort();
        }
        wire.counted = None;
        drop(wire);
        self.wake();
    }

    /// Its epoch has passed, and what is still unanswered has been awaited for long enough.
    fn is_overdue(&self, now: Moment) -> bool {
        self.stage.get() == Stage::Retiring && now >= self.retired_at.get() + RETIRES_FOR
    }

    /// Nobody uses it: it closes.
    fn is_idle(&self, ticks: u32) -> bool {
        let quiet = self.lanes.local.tick.get().wrapping_sub(self.active.get()) > ticks;
        quiet
            && self.stage.get() != Stage::Opening
            && self.wire.borrow().in_flight.is_empty()
            && self.speakers.borrow().is_empty()
    }

    /// It has ended: every session that waits for something here loses its upstream.
    fn end(self: &Rc<Self>) {
        self.cut();
        self.lanes.pool.forget(self);
        let places = std::mem::take(&mut self.wire.borrow_mut().in_flight);
        let speakers = std::mem::take(&mut *self.speakers.borrow_mut());
        let busy = self.busy.take();
        let mut concerned = 0;
        let seats: Vec<Rc<Seat>> = places.into_iter().filter_map(Place::into_seat).collect();
        for seat in &seats {
            concerned += usize::from(seat.in_flight.take() > 0 && seat.session().is_some());
        }
        self.lanes.remarks.trunk_lost(&self.lanes.link, self, concerned, || {
            for seat in seats.into_iter().chain(speakers) {
                if let Some(session) = seat.session() {
                    session.lost_trunk(&self.lanes, &seat, busy.as_deref());
                }
            }
        });
        if let Some(words) = busy {
            self.lanes.pool.tell_busy(&words, self.epoch, self.lanes.local.tick.get());
        }
    }
}
