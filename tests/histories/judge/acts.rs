//! What was or may have been executed: transactions taken apart, refusals left out.

use super::Evidence;
use crate::histories::history::*;
use crate::histories::wire::Value;

/// Something that was executed, or may have been.
#[derive(Debug)]
pub struct Act<'a> {
    pub client: usize,
    pub db: usize,
    pub request: &'a Request,
    /// Its reply; `None`: nobody knows whether it was executed.
    pub seen: Option<&'a Value>,
    pub sent: u64,
    pub done: u64,
    /// Acknowledged by a server that crashed, perhaps never received by its successor.
    pub at_risk: bool,
}

impl Act<'_> {
    /// Whose it was and when, for a fault's sentence.
    pub fn told(&self) -> String {
        let words = self.request.words(self.client);
        let words: Vec<String> = words.iter().map(|word| word.chars().take(60).collect()).collect();
        let (from, to) = (self.sent as f64 / 1e6, self.done as f64 / 1e6);
        format!("client {} (db {}), {words:?}, {from:.4}-{to:.4} s", self.client, self.db)
    }
}

/// Error codes of servers that executed nothing.
const REFUSALS: &[&str] = &["READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED", "NOSCRIPT", "EXECABORT"];

fn is_refusal(text: &str) -> bool {
    text.split(' ').next().is_some_and(|code| REFUSALS.contains(&code))
}

/// Of all clients; those of one client in its order.
pub fn of(evidence: &Evidence) -> Vec<Act<'_>> {
    let mut acts = Vec::new();
    for history in &evidence.histories {
        for event in &history.events {
            let at_risk = evidence.failovers.iter().any(|failover| failover.may_undo(event.done));
            let mut add = |request, seen| {
                let (client, db) = (history.client, history.db);
                acts.push(Act { client, db, request, seen, sent: event.sent, done: event.done, at_risk });
            };
            match (&event.request, &event.outcome) {
                (Request::Queued(_), _) => {}
                (Request::Exec { queued, .. }, Outcome::Answered(Value::Array(replies))) if replies.len() == queued.len() => {
                    queued
                        .iter()
                        .zip(replies)
                        .filter(|(_, reply)| !refused(reply))
                        .for_each(|(each, reply)| add(each, known(reply)));
                }
                (Request::Exec { .. }, Outcome::Answered(Value::Nil(_))) => {}
                (Request::Exec { .. }, Outcome::Answered(reply)) if refused(reply) => {}
                (Request::Exec { queued, .. }, _) => queued.iter().for_each(|each| add(each, None)),
                (_, Outcome::Answered(reply)) if refused(reply) => {}
                (request, Outcome::Answered(reply)) => add(request, known(reply)),
                (request, Outcome::Closed | Outcome::Silent) if request.writes() => add(request, None),
                (_, Outcome::Closed | Outcome::Silent) => {}
            }
        }
    }
    acts
}

fn refused(reply: &Value) -> bool {
    matches!(reply, Value::Error(text) if is_refusal(text))
}

/// An error of another kind proves nothing.
fn known(reply: &Value) -> Option<&Value> {
    (!matches!(reply, Value::Error(_))).then_some(reply)
}
