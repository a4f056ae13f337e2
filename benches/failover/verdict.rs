//! From what the clients saw to what is reported. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// One write, from sending it to knowing what became of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Unique for the client.
    pub value: u64,
    /// Just before it was sent, or before connecting where that failed.
    pub sent: Instant,
    /// When the client knew.
    pub done: Instant,
    /// `None`: acknowledged. Otherwise the kind of error: a code that Redis sent, `closed`, `refused`, `timeout`.
    pub error: Option<String>,
}

/// When things happened on the side of the servers.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    /// The command or the signal was sent.
    pub event: Instant,
    /// From here on the old primary acknowledges nothing; absent where it lives on as a second master.
    pub old_is_mute: Option<Instant>,
    /// Until here; absent where it stays so.
    pub old_speaks_again: Option<Instant>,
    /// The poller saw the new primary say role:master.
    pub visible: Instant,
}

/// What one set of clients made of one event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Errors by kind.
    pub errors: BTreeMap<String, usize>,
    /// Of the client that had most.
    pub errors_of_one_client: usize,
    /// After the event.
    pub first_error: Option<Duration>,
    /// After the event.
    pub last_error: Option<Duration>,
    /// From the promotion being visible to the first write that the new primary acknowledged.
    pub served: Option<Duration>,
    /// Acknowledged, not on the final primary, sent before the promotion was visible: what Redis had not replicated in time.
    pub lost_before: usize,
    /// Acknowledged, not on the final primary, sent after the promotion was visible: these went to the loser.
    pub lost_after: usize,
    /// How long after the promotion was visible the last of them was sent.
    pub last_lost: Option<Duration>,
    /// Sent once, and more than once on the final primary.
    pub doubled: usize,
}

/// The values that the final primary has of a client, each with how often it is there.
pub type Kept = HashMap<u64, usize>;

/// `clients` holds each client's attempts and what became of them.
pub fn judge(clients: &[(Vec<Attempt>, Kept)], timeline: Timeline) -> Verdict {
    let mut verdict = Verdict::default();
    for (attempts, kept) in clients {
        let mut errors = 0;
        for attempt in attempts {
            match &attempt.error {
                Some(kind) => {
                    errors += 1;
                    *verdict.errors.entry(kind.clone()).or_default() += 1;
                    let after = attempt.done.saturating_duration_since(timeline.event);
                    verdict.first_error = Some(verdict.first_error.map_or(after, |first| first.min(after)));
                    verdict.last_error = verdict.last_error.max(Some(after));
                }
                None => verdict.acknowledged(attempt, kept.contains_key(&attempt.value), timeline),
            }
        }
        verdict.doubled += kept.values().filter(|count| **count > 1).count();
        verdict.errors_of_one_client = verdict.errors_of_one_client.max(errors);
    }
    verdict
}

impl Verdict {
    /// All kinds together.
    pub fn error_count(&self) -> usize {
        self.errors.values().sum()
    }

    fn acknowledged(&mut self, attempt: &Attempt, kept: bool, timeline: Timeline) {
        // Sent after the old primary fell silent, and acknowledged: that was the new one. It may have been held on the way.
        if timeline.old_is_mute.is_some_and(|mute| attempt.sent > mute)
            && timeline.old_speaks_again.is_none_or(|again| attempt.done < again)
        {
            let served = attempt.done.saturating_duration_since(timeline.visible);
            self.served = Some(self.served.map_or(served, |first| first.min(served)));
        }
        if kept {
            return;
        }
        if attempt.sent < timeline.visible {
            self.lost_before += 1;
        } else {
            self.lost_after += 1;
            self.last_lost = self.last_lost.max(Some(attempt.sent - timeline.visible));
        }
    }
}
