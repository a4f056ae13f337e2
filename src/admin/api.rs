//! The API: what is, and what may be asked for. See `events.rs` for what happens.

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::Body;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::answer::{self, Answer};
use super::guard::Refused;
use super::health;
use super::{Context, Limits};
use crate::route::{Action, Command, GroupEntry, GroupStatus, Moment, Refusal, Status, rfc3339};

/// `GET /api/v1/status`
pub(super) fn status(context: &Context) -> Status {
    let directory = context.directory.borrow().clone();
    let now = Moment::now();
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        started_at: rfc3339(context.started),
        // Not by the wall clock, which an operator may set.
        uptime_seconds: now.as_millis() / 1000,
        ready: health::is_ready(&directory, *context.listening.borrow()),
        workers: directory.workers,
        groups: directory.groups.iter().map(|group| group_now(group, now)).collect(),
        listeners: directory.listeners.iter().map(|listener| listener.status()).collect(),
    }
}

/// A group's newest snapshot, with its ages brought up to `now`.
pub(super) fn group_now(entry: &GroupEntry, now: Moment) -> GroupStatus {
    let mut status = GroupStatus::clone(&entry.status.borrow());
    status.held = entry.held.load(std::sync::atomic::Ordering::Relaxed);
    if let Some(taken_at) = status.taken_at {
        let aged_ms = now.since(taken_at).as_millis() as u64;
        status.for_ms = status.for_ms.saturating_add(aged_ms);
        for checked in status.backends.iter_mut().filter_map(|backend| backend.checked_ms_ago.as_mut()) {
            *checked = checked.saturating_add(aged_ms);
        }
    }
    status
}

/// `POST /api/v1/reload`
pub(super) async fn reload(context: &Context, limits: &Limits) -> Answer {
    let (reply, answer) = oneshot::channel();
    match ask(&context.reload, reply, answer, limits).await {
        Ok(Ok(changes)) => {
            let message = if changes.is_empty() { "nothing changed".into() } else { changes.join("; ") };
            answer::value(StatusCode::OK, &json!({ "message": message, "changes": changes }))
        }
        Ok(Err(faults)) => answer::error(StatusCode::UNPROCESSABLE_ENTITY, &faults),
        Err(silence) => answer::error(StatusCode::SERVICE_UNAVAILABLE, &format!("the reload {silence}")),
    }
}

/// The body of an election.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Election {
    backend: String,
}

/// Which backend to elect: named by the query or by the body, `{"backend": "..."}`.
pub(super) fn nominee(named: Option<&str>, body: &[u8]) -> Result<String, Refused> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    if body.iter().all(u8::is_ascii_whitespace) {
        return named
            .map(str::to_owned)
            .ok_or_else(|| bad(r#"which backend? Send {"backend": "ADDRESS"} or ?backend=ADDRESS"#.into()));
    }
    let wrong = |fault| bad(format!(r#"the body is not {{"backend": "ADDRESS"}}: {fault}"#));
    let Election { backend } = serde_json::from_slice(body).map_err(wrong)?;
    match named {
        Some(named) if named != backend => Err(bad(format!("the query names {named} and the body {backend}; send one of them"))),
        _ => Ok(backend),
    }
}

/// Has a group's coordinator carry out `action`, and says what came of it.
pub(super) async fn command(context: &Context, limits: &Limits, group: &str, action: Action) -> Answer {
    let directory = context.directory.borrow().clone();
    let Some(entry) = directory.groups.iter().find(|entry| &*entry.name == group) else {
        return answer::error(StatusCode::NOT_FOUND, &format!("there is no group {group}"));
    };
    let (reply, answer) = oneshot::channel();
    match ask(&entry.commands, Command { action, reply }, answer, limits).await {
        Ok(Ok(done)) => answer::message(&done),
        Ok(Err(Refusal::NotNow(why))) => answer::error(StatusCode::CONFLICT, &why),
        Ok(Err(Refusal::NoSuchBackend(why))) => {
            let status = entry.status.borrow();
            let known: Vec<&str> = status.backends.iter().map(|backend| backend.address.as_str()).collect();
            answer::error(StatusCode::NOT_FOUND, &format!("{why}; it has {}", known.join(", ")))
        }
        Err(silence) => answer::error(StatusCode::SERVICE_UNAVAILABLE, &format!("the command {silence}")),
    }
}

/// Hands `request` to its owner and waits for the reply, both in bounds. The error says what became of the request.
async fn ask<Q, A>(owner: &mpsc::Sender<Q>, request: Q, reply: oneshot::Receiver<A>, limits: &Limits) -> Result<A, &'static str> {
    let stopping = "was not carried out: mainstay is stopping";
    match timeout(limits.answer_timeout, owner.send(request)).await {
        Err(_) => return Err("was not carried out: too many are waiting; try again"),
        Ok(Err(_)) => return Err(stopping),
        Ok(Ok(())) => {}
    }
    match timeout(limits.answer_timeout, reply).await {
        Err(_) => Err("was handed over but not answered in time; look at the status to see whether it was carried out"),
        Ok(Err(_)) => Err("was dropped without an answer; look at the status to see whether it was carried out"),
        Ok(Ok(answer)) => Ok(answer),
    }
}

/// Reads a request body, bounded in size and time.
pub(super) async fn body<B>(body: B, limits: &Limits) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {} bytes", limits.body_bytes));
    // As announced by Content-Length: no need to read what will not be taken.
    if body.size_hint().lower() > limits.body_bytes as u64 {
        return Err(too_large());
    }
    match timeout(limits.body_timeout, Limited::new(body, limits.body_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(fault)) if fault.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(fault)) => Err((StatusCode::BAD_REQUEST, format!("the body cannot be read: {fault}"))),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {:?}", limits.body_timeout))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nominee_is_named_once_or_twice_alike() {
        let code = |named, body: &str| nominee(named, body.as_bytes()).map_err(|(code, _)| code.as_u16());
        assert_eq!(code(None, r#"{"backend": "b:1"}"#), Ok("b:1".into()));
        assert_eq!(code(Some("b:1"), " \n"), Ok("b:1".into()));
        assert_eq!(code(Some("b:1"), r#"{"backend": "b:1"}"#), Ok("b:1".into()));
        for (named, body) in [
            (None, ""),
            (None, "{}"),
            (None, "b:1"),
            (None, r#"{"backend": "b:1", "to": 1}"#),
            (Some("a"), r#"{"backend": "b"}"#),
        ] {
            assert_eq!(code(named, body), Err(400), "{named:?} {body}");
        }
    }
}
