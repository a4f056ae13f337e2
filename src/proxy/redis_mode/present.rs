//! What the present moment offers to a session: its group, and one reading of the clock.

use std::cell::Cell;
use std::rc::Rc;

use crate::conversation::Access;
use crate::proxy::lanes::Lanes;
use crate::proxy::session::Session;
use crate::route::Moment;

/// See the module.
pub struct Present<'a> {
    /// The session's group in this worker.
    pub lanes: &'a Rc<Lanes>,
    /// What the session shares with it.
    pub session: &'a Rc<Session>,
    now: Cell<Option<Moment>>,
    moved: Cell<bool>,
}

impl<'a> Present<'a> {
    /// Begins now.
    pub fn new(lanes: &'a Rc<Lanes>, session: &'a Rc<Session>) -> Self {
        Self { lanes, session, now: Cell::new(None), moved: Cell::new(false) }
    }

    /// It is `now`.
    pub fn at(lanes: &'a Rc<Lanes>, session: &'a Rc<Session>, now: Moment) -> Self {
        Self { lanes, session, now: Cell::new(Some(now)), moved: Cell::new(false) }
    }

    /// What the session's client may say, where that is not everything.
    pub fn access(&self) -> Option<&'a Access> {
        self.session.policy.access.as_ref()
    }

    /// The clock, read once between two calls to the kernel: what is written was asked of the fence just before.
    pub fn now(&self) -> Moment {
        self.now.get().unwrap_or_else(|| {
            let now = Moment::now();
            self.now.set(Some(now));
            now
        })
    }

    /// Bytes were read or written: time went on.
    pub fn moves(&self) {
        self.moved.set(true);
        self.now.set(None);
    }

    /// Was anything read or written?
    pub fn has_moved(&self) -> bool {
        self.moved.get()
    }
}
