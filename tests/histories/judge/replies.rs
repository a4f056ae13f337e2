//! Each reply is one that its request can have, and a connection ends only when it may.

use super::{Evidence, Kind, Verdict};
use crate::histories::history::*;
use crate::histories::wire::Value;

pub fn judge(evidence: &Evidence, history: &History, verdict: &mut Verdict) {
    let who = format!("client {} (RESP{}, db {})", history.client, if history.resp3 { 3 } else { 2 }, history.db);
    for (at, what) in &history.oddities {
        let kind = if what.starts_with("closed") { Kind::Closed } else { Kind::Odd };
        verdict.fault(kind, format!("{who} at {:.4} s: {what}", *at as f64 / 1e6));
    }
    for event in &history.events {
        let Outcome::Answered(reply) = &event.outcome else { continue };
        verdict.answered += 1;
        let during = evidence.failovers.iter().any(|failover| failover.overlaps(event.sent, event.done));
        if matches!((&event.request, reply), (Request::Exec { watched: true, .. }, Value::Nil(_))) {
            verdict.watches_lost += 1;
        }
        let told = |what: &str| {
            let words: Vec<String> =
                event.request.words(history.client).iter().map(|word| word.chars().take(60).collect()).collect();
            let reply: String = format!("{reply:?}").chars().take(300).collect();
            let (from, to) = (event.sent as f64 / 1e6, event.done as f64 / 1e6);
            format!("{who}, {from:.4}-{to:.4} s, batch {}: {words:?} {what} {reply}", event.batch)
        };
        let fault = match errors(reply) {
            Some(_) => Some((Kind::Error, told("was answered"))),
            None => {
                let fits = fits(history, &event.request, reply, during || watch_is_old(evidence, history, event));
                (!fits).then(|| (Kind::Swapped, told("cannot be answered")))
            }
        };
        if let Some((kind, what)) = fault {
            verdict.fault(kind, what);
            verdict.batch.get_or_insert_with(|| batch(history, event.batch));
        }
    }
    ends(evidence, history, &who, verdict);
}

/// All of a batch, for people: what went wrong is often seen from what stands around it.
fn batch(history: &History, number: u64) -> String {
    let short = |text: &str, length| text.chars().take(length).collect::<String>();
    let lines = history.events.iter().filter(|event| event.batch == number).map(|event| {
        let words: Vec<String> = event.request.words(history.client).iter().map(|word| short(word, 40)).collect();
        format!("\n    {:.4} s {words:?} -> {}", event.done as f64 / 1e6, short(&format!("{:?}", event.outcome), 120))
    });
    lines.collect()
}

/// The WATCH went out before a failover that was over when EXEC was sent.
fn watch_is_old(evidence: &Evidence, history: &History, exec: &Event) -> bool {
    let Request::Exec { watched: true, .. } = exec.request else { return false };
    let before = |event: &&Event| event.sent <= exec.sent && matches!(event.request, Request::Watch { .. });
    let watch = history.events.iter().rfind(before);
    watch.is_some_and(|watch| evidence.failovers.iter().any(|failover| failover.overlaps(watch.sent, exec.done)))
}

/// An error, also inside what EXEC answers.
fn errors(reply: &Value) -> Option<&str> {
    match reply {
        Value::Error(text) => Some(text),
        Value::Array(items) => items.iter().find_map(errors),
        _ => None,
    }
}

fn fits(history: &History, request: &Request, reply: &Value, in_failover: bool) -> bool {
    let nil = |plain: u8| *reply == Value::Nil(if history.resp3 { b'_' } else { plain });
    let is_ok = |word: &str| *reply == Value::Status(word.into());
    let is_bulk = |text: &str| *reply == Value::Bulk(text.into());
    let bulk = |text: &str| Value::Bulk(text.to_owned());
    match request {
        Request::Hello => match reply {
            Value::Map(items) => items.chunks_exact(2).any(|pair| pair == [bulk("proto"), Value::Int(3)]),
            _ => false,
        },
        Request::SetName(_) | Request::Select(_) | Request::Set { .. } | Request::Watch { .. } | Request::Multi => is_ok("OK"),
        Request::LoadScript => is_bulk(DIGEST),
        Request::Get { .. } => nil(b'$') || matches!(reply, Value::Bulk(_)),
        Request::Incr { .. } | Request::Push { .. } | Request::Append { .. } => matches!(reply, Value::Int(1..)),
        Request::Pop { queue, .. } => {
            nil(b'*') || matches!(reply, Value::Array(items) if items.len() == 2 && items[0] == bulk(queue))
        }
        Request::Script { element, .. } => {
            matches!(reply, Value::Array(items) if items.len() == 3 && items[0] == bulk(element) && items[1] == items[2])
        }
        Request::Echo { word } => is_bulk(word),
        Request::GetName => is_bulk(&own(history.client, "name")),
        Request::Hash => {
            let fields = vec![bulk("whose"), bulk(&history.client.to_string())];
            *reply == if history.resp3 { Value::Map(fields) } else { Value::Array(fields) }
        }
        Request::Queued(_) => is_ok("QUEUED"),
        Request::Exec { queued, watched } => match reply {
            Value::Array(items) => {
                let each = |(request, item): (&Request, &Value)| fits(history, request, item, in_failover);
                items.len() == queued.len() && queued.iter().zip(items).all(each)
            }
            _ => *watched && in_failover && nil(b'*'),
        },
    }
}

/// A connection may end only in a crash, with a write under way.
fn ends(evidence: &Evidence, history: &History, who: &str, verdict: &mut Verdict) {
    for batch in history.events.chunk_by(|one, next| one.batch == next.batch) {
        let open: Vec<&Event> = batch.iter().filter(|event| !matches!(event.outcome, Outcome::Answered(_))).collect();
        let Some(first) = open.first() else { continue };
        let words: Vec<String> = first.request.words(history.client).iter().map(|word| word.chars().take(60).collect()).collect();
        let (from, to) = (first.sent as f64 / 1e6, first.done as f64 / 1e6);
        let told = |what: &str| {
            format!("{who}, {from:.4}-{to:.4} s, batch {}: {what}; {} unanswered, the first: {words:?}", first.batch, open.len())
        };
        let crash = |failover: &&Failover| failover.undone.is_some() && failover.overlaps(first.sent, first.done);
        let writes = open.iter().any(|event| event.request.writes());
        match first.outcome {
            Outcome::Silent => verdict.fault(Kind::Silent, told("no reply came")),
            _ if evidence.failovers.iter().find(crash).is_none() => verdict.fault(Kind::Closed, told("closed without a crash")),
            _ if !writes => verdict.fault(Kind::Closed, told("closed in a crash with no write under way")),
            _ => verdict.closed += 1,
        }
    }
}
