//! What one worker has of one group: its copy of the route, its sessions, its parked queue.
//!
//! One task owns the order of events here. When the route changes it first aborts every session of an older epoch, in slices, and
//! acknowledges on the fence; only then does it let parked clients attach, first in first out, a bounded number at a time, so that a
//! new primary is not flattened by a thousand connects at once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use super::local::{Local, TICK};
use super::policy::{Admission, Policy, admission};
use super::session::{Session, Verdict};
use super::transport::Stream;
use crate::metrics::{CloseReason, HoldMetrics, HoldOutcome};
use crate::route::{Endpoint, Epoch, GroupLink, Hint, Moment, Noticed, Route};

/// Connects under way at once, for each worker and group.
const CONNECTS_MAX: usize = 64;
/// Sessions looked at before other tasks get a turn.
const SLICE: usize = 256;
/// A connect that failed is tried again no sooner.
const RECONNECT_AFTER: Duration = Duration::from_millis(50);
/// Idle sessions are looked for once in so many ticks.
const IDLE_EVERY: u32 = 5;

/// See the module.
pub struct Lanes {
    /// What crosses to control.
    pub link: GroupLink,
    /// The worker.
    pub local: Rc<Local>,
    route: RefCell<Arc<Route>>,
    sessions: RefCell<Slab<Rc<Session>>>,
    parked: RefCell<VecDeque<Rc<Session>>>,
    parked_count: Cell<usize>,
    connecting: Cell<usize>,
    reconnect_at: Cell<Moment>,
    /// When control was last told of something, and whether that was suspicious.
    hinted_at: Cell<Option<(Moment, bool)>>,
    stopping: Cell<bool>,
    finished: Notify,
    /// The first session has come: from now on time matters.
    entered: Notify,
    metrics: HoldMetrics,
}

impl Lanes {
    /// For one group; [`Lanes::run`] has to run beside it.
    pub fn new(link: GroupLink, local: Rc<Local>, metrics: HoldMetrics) -> Self {
        let route = RefCell::new(link.route.borrow().clone());
        Self {
            link,
            local,
            route,
            sessions: RefCell::default(),
            parked: RefCell::default(),
            parked_count: Cell::new(0),
            connecting: Cell::new(0),
            reconnect_at: Cell::new(Moment::default()),
            hinted_at: Cell::new(None),
            stopping: Cell::new(false),
            finished: Notify::new(),
            entered: Notify::new(),
            metrics,
        }
    }

    /// Follows the route until the group is forgotten.
    pub async fn run(self: Rc<Self>) {
        let mut route = self.link.route.clone();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What was published before this task first ran counts as well.
        route.mark_changed();
        loop {
            let busy = !self.sessions.borrow().is_empty();
            tokio::select! {
                changed = route.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let newest = route.borrow_and_update().clone();
                    self.follow(newest).await;
                }
                _ = ticks.tick(), if busy => self.tick().await,
                () = self.entered.notified(), if !busy => {}
                () = self.finished.notified() => return,
            }
        }
    }

    async fn follow(&self, route: Arc<Route>) {
        let epoch = route.epoch;
        *self.route.borrow_mut() = route;
        self.each(|session| {
            session.cut_older(epoch, &mut self.local.scratch.borrow_mut());
            if session.waits_for_fence() {
                session.wake();
            }
        })
        .await;
        self.link.fence.acknowledge(self.local.index, epoch);
        self.link.acknowledged.notify_one();
        self.pump();
    }

    /// Walks the slab in slices. Sessions that enter meanwhile belong to the present route already.
    async fn each(&self, mut visit: impl FnMut(&Session)) {
        let end = self.sessions.borrow().capacity();
        for start in (0..end).step_by(SLICE) {
            if start > 0 {
                tokio::task::yield_now().await;
            }
            for key in start..(start + SLICE).min(end) {
                let session = self.sessions.borrow().get(key).cloned();
                if let Some(session) = session {
                    visit(&session);
                }
            }
        }
    }

    async fn tick(&self) {
        let tick = self.local.turn_tick();
        self.expire_parked();
        self.pump();
        if tick.is_multiple_of(IDLE_EVERY) {
            self.each(|session| {
                // The walk pauses and time goes on: a session that was just active must not be ahead of the tick it is held against.
                let tick = self.local.tick.get();
                let ticks_max = session.policy.idle_timeout.as_millis().div_ceil(TICK.as_millis());
                if session.is_idle(tick, u32::try_from(ticks_max).unwrap_or(u32::MAX / 2)) {
                    session.cut(CloseReason::Idle, &mut self.local.scratch.borrow_mut());
                }
            })
            .await;
        }
    }

    /// A session begins.
    pub fn enter(&self, session: &Rc<Session>) -> usize {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.is_empty() {
            self.entered.notify_one();
        }
        sessions.insert(session.clone())
    }

    /// A session has ended; its place is free, though its client may still be lingering.
    pub fn leave(&self, key: usize, policy: &Policy, reason: CloseReason) {
        self.sessions.borrow_mut().remove(key);
        policy.metrics.closed(reason).inc();
        self.local.left(policy);
    }

    /// Park, attach or refuse a client. Behind a queue everybody parks.
    pub fn admit(&self, waiting_since: Option<Moment>) -> Admission {
        let now = Moment::now();
        if self.stopping.get() {
            return Admission::Refuse;
        }
        match self.admission(waiting_since.unwrap_or(now), now) {
            Admission::Attach if self.may_connect(now) && self.parked_count.get() == 0 => Admission::Attach,
            Admission::Attach => Admission::Park,
            other => other,
        }
    }

    fn admission(&self, waiting_since: Moment, now: Moment) -> Admission {
        admission(&self.route.borrow(), self.link.suspected.load(Ordering::SeqCst), waiting_since, now)
    }

    fn may_connect(&self, now: Moment) -> bool {
        self.connecting.get() < CONNECTS_MAX && now >= self.reconnect_at.get()
    }

    /// Where to connect now.
    pub fn target(&self) -> Option<(Epoch, Endpoint)> {
        let route = self.route.borrow();
        route.primary.as_ref().ok().map(|primary| (route.epoch, primary.endpoint.clone()))
    }

    /// Runs a connect within the bound on simultaneous ones.
    pub async fn connect<F: Future<Output = io::Result<Stream>>>(&self, connect: impl FnOnce() -> F) -> io::Result<Stream> {
        self.connecting.set(self.connecting.get() + 1);
        let begun = Moment::now();
        let result = connect().await;
        self.connecting.set(self.connecting.get() - 1);
        if result.is_ok() {
            self.metrics.connect_duration.observe(Moment::now().since(begun).as_secs_f64());
        }
        self.pump();
        result
    }

    /// The elected primary could not be connected to: a hint, and another try soon.
    pub fn could_not_connect(&self, epoch: Epoch) {
        self.reconnect_at.set(Moment::now() + RECONNECT_AFTER);
        self.hint(epoch, Noticed::Unconnectable);
    }

    /// Tells control what traffic noticed, at most once in each `hint_interval`.
    pub fn hint(&self, epoch: Epoch, what: Noticed) {
        let now = Moment::now();
        let interval = self.route.borrow().hint_interval;
        // Connections that close all the time must not keep back the one reply that parks new sessions.
        let told = |(at, suspicious): (Moment, bool)| now.since(at) < interval && (suspicious || !what.is_suspicious());
        if !self.hinted_at.get().is_some_and(told) {
            self.hinted_at.set(Some((now, what.is_suspicious())));
            // Raised first: control lowers it again when it has looked, and may be quicker than this thread.
            self.link.suspected.fetch_or(what.is_suspicious(), Ordering::SeqCst);
            if self.link.hints.try_send(Hint { epoch, what }).is_err() {
                // A full inbox means that control has been told enough; it will not lower what it was not told of.
                self.link.suspected.store(false, Ordering::SeqCst);
            }
        }
    }

    /// A session joins the queue.
    pub fn park(&self, session: &Rc<Session>) {
        let mut parked = self.parked.borrow_mut();
        if parked.len() > 64 + 2 * self.parked_count.get() {
            // Those that left keep their place until it is their turn: not when most of them are gone.
            parked.retain(|session| session.parked_since().is_some());
        }
        parked.push_back(session.clone());
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
        let mut holders = parked.iter().filter(|session| session.parked_since().is_some() && session.holds_bytes());
        while held > room && self.target().is_none() {
            let Some(oldest) = holders.next() else { return };
            let freed = oldest.give_up_bytes() as u64;
            held = self.link.held_bytes.fetch_sub(freed, Ordering::Relaxed) - freed;
            oldest.decide(Verdict::Refuse(HoldOutcome::Full));
        }
    }

    /// Lets parked clients attach, first in first out.
    fn pump(&self) {
        let now = Moment::now();
        while self.may_connect_with_reserve(now) {
            let Some(session) = self.parked.borrow_mut().pop_front() else { return };
            let Some(since) = session.parked_since() else { continue };
            match self.admission(since, now) {
                Admission::Attach => session.decide(Verdict::Attach),
                Admission::Refuse => session.decide(Verdict::Refuse(HoldOutcome::Window)),
                Admission::Park => {
                    self.parked.borrow_mut().push_front(session);
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

    fn expire_parked(&self) {
        let now = Moment::now();
        self.parked.borrow_mut().retain(|session| {
            let Some(since) = session.parked_since() else { return false };
            let over = self.admission(since, now) == Admission::Refuse;
            if over {
                session.decide(Verdict::Refuse(HoldOutcome::Window));
            }
            !over
        });
    }

    /// mainstay is stopping: cuts every session.
    pub fn cut_all(&self) {
        self.stopping.set(true);
        for session in self.parked.borrow_mut().drain(..) {
            session.decide(Verdict::Refuse(HoldOutcome::Shutdown));
        }
        let sessions: Vec<Rc<Session>> = self.sessions.borrow().iter().map(|(_, session)| session.clone()).collect();
        for session in sessions {
            session.cut(CloseReason::Drain, &mut self.local.scratch.borrow_mut());
        }
    }

    /// Sessions must not be attached any more.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// The group was removed and has no sessions left: ends [`Lanes::run`].
    pub fn finish(&self) {
        self.stopping.set(true);
        self.finished.notify_one();
    }
}
