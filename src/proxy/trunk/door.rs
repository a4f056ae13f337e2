//! Who may share without having logged in?
//!
//! A server asks for a password when a connection is new, and a trunk was new long ago: since then a password may have been set. So a
//! session that has not logged in begins on an upstream of its own, and the first reply there that is no error lets it in. Where that
//! happened to another a moment ago, it counts for those who come now: a crowd does not open a connection each.
//!
//! Who logs in is asked by the server itself each time, as AUTH never goes over a trunk.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::proxy::session::Session;
use crate::route::Moment;

/// That somebody was let in counts for so long.
const COUNTS_FOR: Duration = Duration::from_secs(1);
/// One newcomer at a time is sent ahead; if nothing is heard of it for so long, another.
const AHEAD_FOR: Duration = Duration::from_millis(250);

/// What a newcomer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Shares.
    Open,
    /// Goes ahead, on an upstream of its own.
    Ahead,
    /// Waits for the one that went ahead. It is woken.
    Wait,
}

/// See the module.
#[derive(Default)]
pub struct Door {
    let_in: Cell<Option<Moment>>,
    ahead: Cell<Option<Moment>>,
    waiting: RefCell<Vec<Rc<Session>>>,
}

impl Door {
    /// A newcomer stands before it.
    pub fn entry(&self, now: Moment) -> Entry {
        let recent = |at: &Cell<Option<Moment>>, bound| at.get().is_some_and(|at| now < at + bound);
        if recent(&self.let_in, COUNTS_FOR) {
            Entry::Open
        } else if recent(&self.ahead, AHEAD_FOR) {
            Entry::Wait
        } else {
            self.ahead.set(Some(now));
            Entry::Ahead
        }
    }

    /// It waits.
    pub fn wait(&self, session: &Rc<Session>) {
        self.waiting.borrow_mut().push(session.clone());
    }

    /// The one that went ahead was let in, or not.
    pub fn answered(&self, let_in: bool, now: Moment) {
        if let_in {
            self.let_in.set(Some(now));
        }
        self.ahead.set(None);
        self.waiting.take().iter().for_each(|session| session.reminded());
    }

    /// Another primary: nothing is known of it.
    pub fn forget(&self) {
        self.let_in.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_ahead_and_the_others_wait_until_it_was_let_in_and_that_counts_for_a_second() {
        let (door, at) = (Door::default(), Moment::from_millis);
        assert_eq!(door.entry(at(1000)), Entry::Ahead);
        assert_eq!(door.entry(at(1001)), Entry::Wait);
        door.answered(true, at(1010));
        assert_eq!((door.entry(at(1011)), door.entry(at(2009))), (Entry::Open, Entry::Open));
        assert_eq!((door.entry(at(2010)), door.entry(at(2011))), (Entry::Ahead, Entry::Wait));
        assert_eq!(door.entry(at(2260)), Entry::Ahead, "nothing was heard of it");
        door.answered(false, at(2300));
        assert_eq!(door.entry(at(2301)), Entry::Ahead);
        door.answered(true, at(2400));
        door.forget();
        assert_eq!(door.entry(at(2401)), Entry::Ahead);
    }
}
