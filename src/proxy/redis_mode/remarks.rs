//! What is said in the log of sessions that end badly. In one failover a thousand may end for the same reason: the first is told, the
//! others are counted.

use std::cell::Cell;
use std::time::Duration;

use tracing::{info, warn};

use crate::conversation::{Close, Fault};
use crate::proxy::trunk::Trunk;
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
    locked_out: Remark,
    wrong_password: Remark,
    /// While a lost trunk tells its sessions: how many that has ended so far, for a write and for anything else.
    gathered: Cell<Option<(usize, usize)>>,
}

#[derive(Default)]
struct Remark {
    said: Cell<Option<Moment>>,
    /// Of the same kind, not told since.
    more: Cell<u64>,
}

impl Remark {
    /// What to add about those that were not told before this one, if this one is to be told.
    fn say(&self, now: Moment) -> Option<String> {
        if self.said.get().is_some_and(|said| now.since(said) < SAY_EVERY) {
            self.more.set(self.more.get() + 1);
            return None;
        }
        self.said.set(Some(now));
        Some(match self.more.take() {
            0 => String::new(),
            more => format!(" (and {more} more like it before)"),
        })
    }
}

impl Remarks {
    /// A session ends.
    pub fn closed(&self, group: &GroupLink, listener: &ListenerEntry, close: &Close, now: Moment) {
        let (group, listener, why) = (&*group.name, &*listener.name, &*close.why);
        if let Some((writers, others)) = self.gathered.get() {
            let for_write = close.fault == Fault::Write;
            self.gathered.set(Some((writers + usize::from(for_write), others + usize::from(!for_write))));
            if for_write {
                return;
            }
        }
        match close.fault {
            Fault::Client => {
                if let Some(more) = self.client.say(now) {
                    info!(group, listener, "session closed: {why}{more}");
                }
            }
            Fault::Write | Fault::Upstream => {
                if let Some(more) = self.upstream.say(now) {
                    info!(group, listener, "session closed: {why}{more}");
                }
            }
            // It will happen to every client of that kind, until somebody makes the servers alike.
            Fault::Replay => {
                if let Some(more) = self.replay.say(now) {
                    warn!(group, listener, "session closed: {why}{more}");
                }
            }
        }
    }

    /// A trunk has ended, and `tell` tells its sessions: what becomes of them all is one line. `concerned` had something on its way.
    pub fn trunk_lost(&self, group: &GroupLink, trunk: &Trunk, concerned: usize, tell: impl FnOnce()) {
        self.gathered.set(Some((0, 0)));
        tell();
        let (writers, others) = self.gathered.take().unwrap_or_default();
        if concerned.max(writers) == 0 {
            return;
        }
        let (group, listener, epoch) = (&*group.name, &*trunk.policy.listener.name, trunk.epoch);
        let (endpoint, go_on) = (&trunk.way, concerned.saturating_sub(writers + others));
        if writers == 0 {
            info!(
                group,
                listener, epoch, "shared connection to {endpoint} lost: {go_on} sessions had something on its way, and go on"
            );
        } else {
            warn!(
                group,
                listener,
                epoch,
                "shared connection to {endpoint} lost: {writers} sessions had a write on its way and were closed, {go_on} others go on"
            );
        }
    }

    /// The primary does not let mainstay itself in, on behalf of its own users: no client can mend that.
    pub fn locked_out(&self, group: &GroupLink, listener: &ListenerEntry, words: &str, now: Moment) {
        if let Some(more) = self.locked_out.say(now) {
            warn!(
                group = &*group.name,
                listener = &*listener.name,
                "the primary refuses the login that [listener.auth] has for it (username, password_env or password_file), so that clients are \
                 answered with errors: {words}{more}"
            );
        }
    }

    /// A client did not know a password. Which name it gave is not told: some give the password there.
    pub fn wrong_password(&self, group: &GroupLink, listener: &ListenerEntry, now: Moment) {
        if let Some(more) = self.wrong_password.say(now) {
            info!(
                group = &*group.name,
                listener = &*listener.name,
                "a client gave a user name and a password that do not fit{more}"
            );
        }
    }

    /// A session goes on, but not with its upstream.
    pub fn dropped(&self, group: &GroupLink, listener: &ListenerEntry, why: &str, now: Moment) {
        if let Some(more) = self.dropped.say(now) {
            info!(group = &*group.name, listener = &*listener.name, "connection to the primary given up: {why}{more}");
        }
    }
}
