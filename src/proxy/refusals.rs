//! What is said of clients that do not get in. A flood of them is one line a while, and a number.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::policy::Policy;
use crate::metrics::ArrivalRefusal;

/// The same of one listener is told at most this often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// See the module. As many entries as there are listeners and reasons.
#[derive(Default)]
pub struct Refusals(RefCell<HashMap<(Arc<str>, ArrivalRefusal), Told>>);

struct Told {
    at: Instant,
    /// Of the same kind, not told since.
    more: u64,
}

impl Refusals {
    /// `peer` does not get in; `text` goes on from it.
    pub fn note(&self, policy: &Policy, peer: &str, why: ArrivalRefusal, text: impl FnOnce() -> String) {
        if let Some(entrance) = &policy.entrance {
            entrance.refused[why as usize].inc();
        }
        let Some(more) = self.told(policy, why) else { return };
        let (listener, text) = (&*policy.listener.name, text());
        match why {
            // Health checks do so all the time.
            ArrivalRefusal::Left => debug!(listener, "closed before it was a session: {peer} {text}{more}"),
            ArrivalRefusal::Time => info!(listener, "closed before it was a session: {peer} {text}{more}"),
            ArrivalRefusal::Network | ArrivalRefusal::Header | ArrivalRefusal::Handshake | ArrivalRefusal::Crowd => {
                warn!(listener, "refused: {peer} {text}{more}");
            }
        }
    }

    /// What to add about those that were not told, if this one is to be told.
    fn told(&self, policy: &Policy, why: ArrivalRefusal) -> Option<String> {
        let (mut all, now) = (self.0.borrow_mut(), Instant::now());
        let told = all.get_mut(&(policy.listener.name.clone(), why));
        let more = match told {
            Some(told) if now.duration_since(told.at) < SAY_EVERY => {
                told.more += 1;
                return None;
            }
            Some(told) => std::mem::replace(told, Told { at: now, more: 0 }).more,
            None => {
                all.insert((policy.listener.name.clone(), why), Told { at: now, more: 0 });
                0
            }
        };
        Some(if more == 0 { String::new() } else { format!(" (and {more} more like it before)") })
    }
}
