//! What is said in the log of sessions that end badly. In one failover a thousand may end for the same reason: the first is told, the
//! others are counted.

use std::cell::Cell;
use std::time::Duration;

use tracing::{info, warn};

use crate::conversation::{Close, Fault};
use crate::route::{GroupLink, ListenerEntry, Moment};

/// The same kind is told at most this often, by each worker for each group.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Default)]
pub struct Remarks {
    client: Remark,
    upstream: Remark,
    replay: Remark,
    dropped: Remark,
}

#[derive(Default)]
struct Remark {
    said: Cell<Option<Moment>>,
    /// Not told since.
    more: Cell<u64>,
}

impl Remark {
    /// How many were not told before this one, if this one is to be told.
    fn say(&self, now: Moment) -> Option<u64> {
        if self.said.get().is_some_and(|said| now.since(said) < SAY_EVERY) {
            self.more.set(self.more.get() + 1);
            return None;
        }
        self.said.set(Some(now));
        Some(self.more.take())
    }
}

impl Remarks {
    /// A session ends.
    pub fn closed(&self, group: &GroupLink, listener: &ListenerEntry, close: &Close, now: Moment) {
        let (group, listener, why) = (&*group.name, &*listener.name, &*close.why);
        match close.fault {
            Fault::Client => {
                if let Some(unsaid) = self.client.say(now) {
                    info!(group, listener, unsaid, "session closed: {why}");
                }
            }
            Fault::Upstream => {
                if let Some(unsaid) = self.upstream.say(now) {
                    info!(group, listener, unsaid, "session closed: {why}");
                }
            }
            // It will happen to every client of that kind, until somebody makes the servers alike.
            Fault::Replay => {
                if let Some(unsaid) = self.replay.say(now) {
                    warn!(group, listener, unsaid, "session closed: {why}");
                }
            }
        }
    }

    /// A session goes on, but not with its upstream.
    pub fn dropped(&self, group: &GroupLink, listener: &ListenerEntry, why: &str, now: Moment) {
        if let Some(unsaid) = self.dropped.say(now) {
            info!(group = &*group.name, listener = &*listener.name, unsaid, "connection to the primary given up: {why}");
        }
    }
}
