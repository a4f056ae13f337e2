//! Who is owed what comes over a trunk.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use crate::proxy::session::Session;

/// Requests of one session in flight, at most: the others' come in between.
const WINDOW_MAX: usize = 128;
/// A session that nothing is known of begins with so many.
const WINDOW_FIRST: usize = 8;
/// Replies that a session may have coming, in bytes, as far as those before tell.
const COMING_BYTES_MAX: usize = 256 * 1024;

/// A session's place on a trunk. It is left when the session has ended or gone elsewhere; what is still to come for it is dropped.
pub struct Seat {
    session: Weak<Session>,
    left: Cell<bool>,
    /// Requests without a reply.
    pub in_flight: Cell<usize>,
    /// Requests that may be in flight.
    window: Cell<usize>,
    /// Bytes of a reply, as those before were.
    typical: Cell<usize>,
    /// It is on the list of those who have something to say.
    pub speaks: Cell<bool>,
    /// What it has to say was kept waiting because the fence had lapsed.
    pub waited: Cell<bool>,
}

impl Seat {
    /// Taken by this session.
    pub fn new(session: &Rc<Session>) -> Rc<Self> {
        let session = Rc::downgrade(session);
        let (left, speaks, waited, in_flight, typical) = Default::default();
        Rc::new(Self { session, left, in_flight, window: Cell::new(WINDOW_FIRST), typical, speaks, waited })
    }

    /// Nobody's: what comes for it is dropped.
    pub fn vacant() -> Rc<Self> {
        let (waited, speaks, in_flight, typical) = Default::default();
        let (left, window) = (Cell::new(true), Cell::new(WINDOW_FIRST));
        Rc::new(Self { session: Weak::new(), left, in_flight, window, typical, waited, speaks })
    }

    /// Who sits here.
    #[inline]
    pub fn session(&self) -> Option<Rc<Session>> {
        if self.left.get() { None } else { self.session.upgrade() }
    }

    /// So many requests more may be handed over now.
    pub fn room(&self) -> usize {
        self.window.get().saturating_sub(self.in_flight.get())
    }

    /// So many replies came for it, of so many bytes together. Small ones widen the window, large ones narrow it.
    #[inline]
    pub fn was_given(&self, replies: usize, bytes: usize) {
        self.in_flight.set(self.in_flight.get().saturating_sub(replies));
        let before = self.typical.get();
        self.typical.set((bytes / replies.max(1)).max(before - before / 8));
        let most = (COMING_BYTES_MAX / self.typical.get().max(1)).clamp(1, WINDOW_MAX);
        self.window.set((self.window.get() + replies).min(most));
    }

    /// Nobody sits here any more.
    pub fn leave(&self) {
        self.left.set(true);
    }
}

/// Requests that follow one another on a trunk and have one owner.
pub struct Place {
    pub owner: Owner,
    /// Replies still to come.
    pub replies: usize,
}

/// See [`Place`].
pub enum Owner {
    /// A session, or what it has left.
    Seat(Rc<Seat>),
    /// The trunk, which was opened.
    Opening,
    /// The trunk, which wants to hear this nonce.
    Check(u64),
}

impl Place {
    /// Of so many requests of a session.
    pub fn of(seat: Rc<Seat>, replies: usize) -> Self {
        Self { owner: Owner::Seat(seat), replies }
    }

    /// Of a step that opens the trunk.
    pub fn opening() -> Self {
        Self { owner: Owner::Opening, replies: 1 }
    }

    /// Of a check of the alignment.
    pub fn check(nonce: u64) -> Self {
        Self { owner: Owner::Check(nonce), replies: 1 }
    }

    /// The same without taking it.
    pub fn seat(&self) -> Option<&Rc<Seat>> {
        match &self.owner {
            Owner::Seat(seat) => Some(seat),
            Owner::Opening | Owner::Check(_) => None,
        }
    }

    /// Whose it is, if it is a session's.
    pub fn into_seat(self) -> Option<Rc<Seat>> {
        match self.owner {
            Owner::Seat(seat) => Some(seat),
            Owner::Opening | Owner::Check(_) => None,
        }
    }
}
