//! What one worker has of one group: its copy of the route, its sessions, its parked queue.
//!
//! One task owns the order of events here. When the route changes it first aborts every session of an older epoch, in slices, and
//! acknowledges on the fence; only then does it let parked clients attach, first in first out, a bounded number at a time, so that a
//! new primary is not flattened by a thousand connects at once.

mod queue;
mod reads;
#[cfg(test)]
mod tests;

pub use queue::Slot;
pub use reads::{Fate, Target};

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval};

use super::local::{Local, TICK};
use super::policy::{Admission, Policy};
use super::redis_mode::Remarks;
use super::session::{Session, Verdict};
use super::transport::Stream;
use super::trunk::Pool;
use super::unblock::Unblock;
use super::upstream;
use crate::config::ListenerRoute;
use crate::conversation::Scripts;
use crate::metrics::{CloseReason, HoldMetrics, HoldOutcome};
use crate::resp::command::Commands;
use crate::route::{Epoch, GroupLink, Hint, Moment, Noticed, Route, Tenure, Way, is_tenure};

/// A place in the queue: a session that left it and comes again has another one.
pub type Ticket = u32;

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
    parked: RefCell<VecDeque<(Ticket, Rc<Session>)>>,
    /// The newest.
    ticket: Cell<Ticket>,
    parked_count: Cell<usize>,
    connecting: Cell<usize>,
    reconnect_at: Cell<Moment>,
    /// When control was last told of something, and whether that was suspicious.
    hinted_at: Cell<Option<(Moment, bool)>>,
    read_hint_at: Cell<Option<Moment>>,
    /// Redis mode: what commands do, as the last primary said.
    pub commands: RefCell<Arc<Commands>>,
    /// Redis mode: the scripts that sessions sent.
    pub scripts: RefCell<Scripts>,
    /// Redis mode: shared upstreams, and own ones that were given back.
    pub pool: Pool,
    /// Redis mode: what is said of sessions in the log.
    pub remarks: Remarks,
    /// Sessions that are blocked at the primary that is being left, by CLIENT ID, and how one of them was connected.
    blocked: RefCell<Option<(Arc<Policy>, Vec<u64>)>>,
    /// Listeners that only read have lanes of their own, by their names: other queues, other upstreams. They follow the route with these:
    /// what is acknowledged is acknowledged for all.
    annexes: RefCell<HashMap<Arc<str>, Rc<Self>>>,
    is_annex: bool,
    /// The smallest `max_lag` of those who came.
    strictest: Cell<u64>,
    /// Whose turn it is among equals.
    turn: Cell<usize>,
    /// The replica that could not be connected to, and until when another is preferred.
    avoided: RefCell<Vec<(Epoch, Moment)>>,
    /// Tenures that are over.
    ended: RefCell<VecDeque<Arc<Tenure>>>,
    /// Those that want to be polled on the next tick.
    reminders: RefCell<Vec<Rc<Session>>>,
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
            local: local.clone(),
            route,
            sessions: RefCell::default(),
            parked: RefCell::default(),
            ticket: Cell::new(0),
            parked_count: Cell::new(0),
            connecting: Cell::new(0),
            reconnect_at: Cell::new(Moment::default()),
            hinted_at: Cell::new(None),
            read_hint_at: Cell::new(None),
            commands: RefCell::new(Commands::shipped()),
            scripts: RefCell::default(),
            pool: Pool::default(),
            remarks: Remarks::default(),
            blocked: RefCell::default(),
            annexes: RefCell::default(),
            is_annex: false,
            strictest: Cell::new(u64::MAX),
            turn: Cell::new(local.random()),
            avoided: RefCell::default(),
            ended: RefCell::default(),
            reminders: RefCell::default(),
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
            let busy = !self.sessions.borrow().is_empty() || !self.pool.is_empty();
            tokio::select! {
                changed = route.changed(), if !self.is_annex => {
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

    async fn follow(self: &Rc<Self>, route: Arc<Route>) {
        let epoch = route.epoch;
        let annexes: Vec<Rc<Self>> = self.annexes.borrow().values().cloned().collect();
        let all: Vec<&Rc<Self>> = [self].into_iter().chain(&annexes).collect();
        let mut before = Vec::with_capacity(all.len());
        for lanes in &all {
            before.push(lanes.turn_to(route.clone()).await);
        }
        self.link.fence.acknowledge(self.local.index, epoch);
        self.link.acknowledged.notify_one();
        for (lanes, before) in all.into_iter().zip(before) {
            lanes.go_on(&before);
        }
    }

    /// What the new route puts out of force is cut or withdrawn when this returns. Returns the route of before.
    async fn turn_to(self: &Rc<Self>, route: Arc<Route>) -> Arc<Route> {
        let nearest = route.reads.replicas.first().filter(|_| self.is_annex).map(|replica| &replica.commands);
        if let Some(commands) = nearest.or(route.primary.as_ref().ok().map(|primary| &primary.commands)) {
            *self.commands.borrow_mut() = commands.clone();
        }
        let before = self.route.replace(route);
        self.note_ended(&before);
        self.pool.retire(self);
        self.pool.push_on();
        self.each(|session| session.follow(self)).await;
        before
    }

    fn go_on(self: &Rc<Self>, before: &Route) {
        self.pump();
        if let (Some((policy, ids)), Ok(primary)) = (self.blocked.take(), &before.primary) {
            let (group, way, login) = (self.link.name.clone(), primary.way.clone(), primary.login.clone());
            spawn_local(Unblock { group, way, login, policy, ids }.run());
        }
    }

    /// A session is blocked at the primary that is being left: it is ended there when all have been asked.
    pub fn unblock(&self, id: u64, policy: &Arc<Policy>) {
        let mut blocked = self.blocked.borrow_mut();
        blocked.get_or_insert_with(|| (policy.clone(), Vec::new())).1.push(id);
    }

    /// Walks the slab in slices. Sessions that enter meanwhile belong to the present route already.
    async fn each(&self, mut visit: impl FnMut(&Rc<Session>)) {
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

    async fn tick(self: &Rc<Self>) {
        let tick = self.local.turn_tick();
        let due = std::mem::take(&mut *self.reminders.borrow_mut());
        due.iter().for_each(|session| session.reminded());
        self.expire_parked();
        if self.is_annex && self.someone_lags() {
            self.pool.retire(self);
            self.each(|session| session.follow(self)).await;
        }
        self.pump();
        self.pool.watch(self, tick);
        self.pool.expire();
        if tick.is_multiple_of(IDLE_EVERY) {
            self.pool.tidy(tick);
            if self.is_annex && self.replicas_have_settled() {
                self.each(|session| session.goes_back(self)).await;
            }
            self.each(|session| {
                // The walk pauses and time goes on: a session that was just active must not be ahead of the tick it is held against.
                let tick = self.local.tick.get();
                let ticks_max = session.policy.idle_timeout.as_millis().div_ceil(TICK.as_millis());
                if session.is_idle(tick, u32::try_from(ticks_max).unwrap_or(u32::MAX / 2)) {
                    session.cut(CloseReason::Idle, self);
                } else if session.is_overdue(tick) {
                    session.cut(CloseReason::Refused, self);
                }
            })
            .await;
        }
    }

    /// A session begins.
    pub fn enter(&self, session: &Rc<Session>) -> usize {
        self.strictest.set(self.strictest.get().min(session.policy.max_lag()));
        let mut sessions = self.sessions.borrow_mut();
        if sessions.is_empty() {
            self.local.wakes_up();
            self.entered.notify_one();
        }
        sessions.insert(session.clone())
    }

    /// A session has ended; its place is free, though its client may still be lingering.
    pub fn leave(&self, key: usize, policy: &Policy, reason: CloseReason) {
        let mut sessions = self.sessions.borrow_mut();
        sessions.remove(key);
        if sessions.is_empty() {
            // Nothing ticks any more.
            self.reminders.borrow_mut().clear();
        }
        drop(sessions);
        policy.metrics.closed(reason).inc();
        self.local.left(policy);
    }

    /// Park, attach or refuse a client. Behind a queue everybody parks.
    pub fn admit(&self, wanted: ListenerRoute, waiting_since: Option<Moment>) -> Admission {
        let now = Moment::now();
        if self.stopping.get() {
            return Admission::Refuse;
        }
        match self.admission(wanted, waiting_since.unwrap_or(now), now) {
            Admission::Attach if self.may_connect(now) && self.parked_count.get() == 0 => Admission::Attach,
            Admission::Attach => Admission::Park,
            other => other,
        }
    }

    /// A session that was attached in the present epoch may have another upstream at once. Not where the primary cannot be connected to
    /// just now, or too many are connecting.
    pub fn readmits(&self, policy: &Policy) -> bool {
        !self.stopping.get() && self.has_target(policy) && self.may_connect(Moment::now())
    }

    /// Is there a primary?
    pub fn has_primary(&self) -> bool {
        self.route.borrow().primary.is_ok()
    }

    /// How long a client may be held.
    pub fn hold_window(&self) -> Duration {
        self.route.borrow().hold_window
    }

    /// Polls the session on the next tick.
    pub fn remind(&self, session: Rc<Session>) {
        self.reminders.borrow_mut().push(session);
    }

    /// Connects for a session. Its place among the bounded number of connects is free again when the slot is dropped.
    pub async fn connect(self: Rc<Self>, way: Way, policy: Arc<Policy>) -> io::Result<(Stream, Slot)> {
        let slot = Slot::new(self);
        let begun = Moment::now();
        let stream = upstream::connect(&way, &policy).await?;
        slot.lanes().metrics.connect_duration.observe(Moment::now().since(begun).as_secs_f64());
        Ok((stream, slot))
    }

    /// The elected primary could not be connected to: a hint, and another try soon.
    pub fn could_not_connect(&self, epoch: Epoch) {
        let now = Moment::now();
        if !(is_tenure(epoch) && self.avoid(epoch, now)) {
            self.reconnect_at.set(now + RECONNECT_AFTER);
        }
        self.hint(epoch, Noticed::Unconnectable);
    }

    /// Tells control what traffic noticed, at most once in each `hint_interval`. Was it told?
    pub fn hint(&self, epoch: Epoch, what: Noticed) -> bool {
        if is_tenure(epoch) {
            return self.hint_of_reader(epoch, what);
        }
        let now = Moment::now();
        let interval = self.route.borrow().hint_interval;
        // Connections that close all the time must not keep back the one reply that parks new sessions.
        let told = |(at, suspicious): (Moment, bool)| now.since(at) < interval && (suspicious || !what.is_suspicious());
        if self.hinted_at.get().is_some_and(told) {
            return false;
        }
        self.hinted_at.set(Some((now, what.is_suspicious())));
        // Raised first: control lowers it again when it has looked, and may be quicker than this thread.
        self.link.suspected.fetch_or(what.is_suspicious(), Ordering::SeqCst);
        let sent = self.link.hints.try_send(Hint { epoch, what }).is_ok();
        if !sent {
            // A full inbox means that control has been told enough; it will not lower what it was not told of.
            self.link.suspected.store(false, Ordering::SeqCst);
        }
        sent
    }

    /// Traffic hinted at a change that control has not yet looked into.
    pub fn is_suspected(&self) -> bool {
        self.link.suspected.load(Ordering::SeqCst)
    }

    /// mainstay is stopping: cuts every session.
    pub fn cut_all(self: &Rc<Self>) {
        self.annexes.borrow().values().for_each(|annex| annex.cut_all());
        self.stopping.set(true);
        let parked = std::mem::take(&mut *self.parked.borrow_mut());
        for (_, session) in parked.into_iter().filter(|(ticket, session)| session.waits_as(*ticket)) {
            session.decide(Verdict::Refuse(HoldOutcome::Shutdown));
        }
        self.pool.hear_out();
        let sessions: Vec<Rc<Session>> = self.sessions.borrow().iter().map(|(_, session)| session.clone()).collect();
        for session in sessions {
            session.cut(CloseReason::Drain, self);
        }
        self.pool.close();
    }

    /// Sessions must not be attached any more.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// The group was removed and has no sessions left: ends [`Lanes::run`].
    pub fn finish(&self) {
        self.annexes.borrow().values().for_each(|annex| annex.finish());
        self.stopping.set(true);
        self.pool.close();
        self.finished.notify_one();
    }
}
