//! A server refused a request as one does that is no primary any more. Is it one? Control is asked, and until it has looked the refusal is
//! withheld: either the epoch passes, and the request is asked again, or nothing changes, and the refusal is passed on.
//!
//! One look settles every doubt that is older, of whatever session: a thousand sessions may doubt at once.

use crate::proxy::lanes::Lanes;
use crate::route::{Epoch, Moment, Noticed};

/// Since when, and whether control was told.
pub struct Doubt {
    code: &'static str,
    since: Moment,
    told: bool,
}

impl Doubt {
    /// The refusal's error code.
    pub fn new(code: &'static str, since: Moment) -> Self {
        Self { code, since, told: false }
    }

    /// Is it settled that the primary stays? Never longer in doubt than a client may be held.
    pub fn is_settled(&mut self, lanes: &Lanes, epoch: Epoch, now: Moment) -> bool {
        // In this order: control says that it has looked after it has let the epoch pass.
        let looked = lanes.looked(epoch);
        if !lanes.still_grants(epoch) {
            // It passed; the lanes are about to say so.
            return false;
        }
        // A check that began before the refusal proves nothing.
        if looked > self.since.as_micros() || now >= self.since + lanes.hold_window() {
            return true;
        }
        // Where it was told of something else just before: again on the next tick.
        self.told = self.told || lanes.hint(epoch, Noticed::Error(self.code));
        false
    }
}
