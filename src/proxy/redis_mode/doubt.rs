//! A server refused a request as one does that is no primary any more. Is it one? Control is asked, and until it has looked the refusal is
//! withheld: either the epoch passes, and the request is asked again, or nothing changes, and the refusal is passed on.

use crate::proxy::lanes::Lanes;
use crate::route::{Epoch, Moment, Noticed};

/// Since when, and what control knows of it.
pub struct Doubt {
    code: &'static str,
    since: Moment,
    told: Told,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It was told of something else just before: told on the next tick.
    NotYet,
    /// It looks into it. A check that ended well clears the suspicion.
    Looks,
    /// It was looking into something already, with a check that may have begun before the refusal: that proves nothing, it must look
    /// again.
    LooksAlready,
}

impl Doubt {
    /// The refusal's error code.
    pub fn new(code: &'static str, since: Moment) -> Self {
        Self { code, since, told: Told::NotYet }
    }

    /// Is it settled that the primary stays? Never longer in doubt than a client may be held.
    pub fn is_settled(&mut self, lanes: &Lanes, epoch: Epoch, now: Moment) -> bool {
        // In this order: control lowers a suspicion after it has let the epoch pass.
        let suspected = lanes.is_suspected();
        if lanes.link.fence.epoch() != epoch {
            // It passed; the lanes are about to say so.
            return false;
        }
        if now >= self.since + lanes.hold_window() {
            return true;
        }
        if self.told != Told::NotYet && !suspected {
            if self.told == Told::Looks {
                return true;
            }
            self.told = Told::NotYet;
        }
        if self.told == Told::NotYet && lanes.hint(epoch, Noticed::Error(self.code)) {
            self.told = if suspected { Told::LooksAlready } else { Told::Looks };
        }
        false
    }
}
