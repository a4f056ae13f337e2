//! A large reply that nobody takes: its owner has left, or asks for it again on an upstream of its own. The primary goes on sending it, and
//! all who asked something behind it would have to wait for the end. Where what they have asked changes nothing they go to another trunk, and
//! this one ends.

use std::rc::Rc;

use super::seat::{Place, Seat};
use super::{Trunk, Wire};

/// So much is read for nobody before that.
const FOR_NOBODY_BYTES: usize = 1024 * 1024;

impl Trunk {
    /// Is it read on for nobody, and nobody needs it? Then whoever waits here has been sent elsewhere.
    pub(super) fn is_useless(self: &Rc<Self>) -> bool {
        let Some(behind) = self.behind_what_nobody_takes(&self.wire.borrow()) else { return false };
        let sessions = || behind.iter().filter_map(|seat| Some((seat, seat.session()?)));
        let all_may_go = sessions().all(|(seat, session)| session.may_step_over(&self.lanes, seat));
        if all_may_go {
            sessions().for_each(|(seat, session)| session.step_over(&self.lanes, seat, None));
        }
        all_may_go
    }

    /// Those who wait behind such a reply.
    fn behind_what_nobody_takes(&self, wire: &Wire) -> Option<Vec<Rc<Seat>>> {
        if !self.congested.get() || wire.reading.passed() < FOR_NOBODY_BYTES {
            return None;
        }
        let mut places = wire.in_flight.iter();
        let owner = places.next()?.seat()?;
        let nobody = owner.session().is_none_or(|session| session.defers(&self.lanes));
        nobody.then(|| places.filter_map(Place::seat).filter(|seat| !Rc::ptr_eq(seat, owner)).cloned().collect())
    }
}
