//! Reads what the clients saw and what is there in the end, and says what cannot have come about rightly.
//!
//! It knows nothing of mainstay. Its rules, over one primary at a time and, after a crash, the loss of what the new one never received:
//!
//! - Each reply belongs to its own request, in the protocol that the client speaks.
//! - A client reads what it wrote last. Counters count each acknowledged INCR once, in the order of time.
//! - An element that was acknowledged is there once, at the place that its reply named; one whose reply never came at most once.
//! - A pushed element is popped once or still there; a queue keeps its order.
//! - A transaction is there whole or not at all.
//! - A request whose reply never came and that writes may have been executed once. Everything else is asked again by mainstay, so
//!   that a connection may only end while a write is under way, and only in a crash.

mod acts;
mod lists;
mod numbers;
mod queues;
mod registers;
mod replies;

use std::collections::HashMap;

use super::history::*;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A reply is an error.
    Error,
    /// A connection ended when it must not.
    Closed,
    /// No reply came in any reasonable time.
    Silent,
    /// Something came that nobody asked for, or that is no RESP.
    Odd,
    /// A reply that does not belong to its request.
    Swapped,
    /// A client did not read what it wrote last.
    Stale,
    /// What was acknowledged is not there.
    Lost,
    /// Executed more often than it was asked, or although it was refused.
    Doubled,
    /// A part of a transaction.
    Torn,
    /// In another order than it was asked.
    Disorder,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// In a word.
    pub kind: Kind,
    /// In a sentence.
    pub what: String,
}

/// Everything there is to judge by.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What the clients saw.
    pub histories: Vec<History>,
    /// Changes of the primary, in order.
    pub failovers: Vec<Failover>,
    /// Strings at the end, by database and key.
    pub strings: HashMap<(usize, String), Option<String>>,
    /// Lists at the end, by database and key, head first.
    pub lists: HashMap<(usize, String), Vec<String>>,
}

/// What a judge found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong, in no particular order.
    pub faults: Vec<Fault>,
    /// Requests that were answered.
    pub answered: usize,
    /// Writes whose fate nobody knows.
    pub unknown: usize,
    /// Writes that were acknowledged shortly before a crash, too late to say whether the new primary had received them.
    pub at_risk: usize,
    /// Transactions that were answered nil because a WATCH does not outlive its primary.
    pub watches_lost: usize,
    /// Connections that ended while a write was under way in a crash.
    pub closed: usize,
    /// The first batch with a wrong reply in it, in full.
    pub batch: Option<String>,
}

impl Verdict {
    fn fault(&mut self, kind: Kind, what: impl Into<String>) {
        self.faults.push(Fault { kind, what: what.into() });
    }

    /// How many faults there are of each kind.
    pub fn kinds(&self) -> Vec<(Kind, usize)> {
        let mut counts = HashMap::<Kind, usize>::new();
        self.faults.iter().for_each(|fault| *counts.entry(fault.kind).or_default() += 1);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort();
        counts
    }

    /// For people: how many of what, and the first few of each kind.
    pub fn told(&self) -> String {
        let mut text = format!(
            "{} requests answered, {} writes of unknown fate, {} acknowledged too late to be sure of, \
             {} connections ended by a crash, {} watches lost",
            self.answered, self.unknown, self.at_risk, self.closed, self.watches_lost
        );
        for (kind, count) in self.kinds() {
            text += &format!("\n{kind:?}: {count}");
            for fault in self.faults.iter().filter(|fault| fault.kind == kind).take(8) {
                let what: String = fault.what.chars().take(600).collect();
                text += &format!("\n    {what}");
            }
        }
        if let Some(batch) = &self.batch {
            text += &format!("\nThe first batch with a wrong reply in it:{batch}");
        }
        text
    }
}

/// Judges.
pub fn judge(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    for history in &evidence.histories {
        replies::judge(evidence, history, &mut verdict);
    }
    let acts = acts::of(evidence);
    verdict.unknown = acts.iter().filter(|act| act.seen.is_none() && act.request.writes()).count();
    verdict.at_risk = acts.iter().filter(|act| act.at_risk && act.seen.is_some() && act.request.writes()).count();
    registers::judge(evidence, &acts, &mut verdict);
    numbers::judge(evidence, &acts, &mut verdict);
    lists::judge(evidence, &acts, &mut verdict);
    queues::judge(evidence, &acts, &mut verdict);
    verdict
}
