//! Health and readiness. A proxy that holds its clients is ready: taken out of service it could not hold them.

use hyper::StatusCode;

use super::Context;
use super::answer::{self, Answer};
use super::place::switch;
use crate::route::Directory;

/// `GET /healthz`: this runtime turns, so the process lives.
pub(super) fn alive() -> Answer {
    answer::text(StatusCode::OK, "ok\n")
}

/// `GET /readyz[?primary[&group=NAME]]`. The error says what is wrong with the question.
pub(super) fn ready(context: &Context, parameters: &[(String, String)]) -> Result<Answer, String> {
    let directory = context.directory.borrow().clone();
    let group = parameters.iter().find(|(key, _)| key == "group").map(|(_, name)| name.as_str());
    let primary = switch(parameters, "primary")?;
    if group.is_some() && !primary {
        return Err("group only means something together with primary: /readyz?primary&group=NAME".into());
    }
    if let Some(name) = group
        && !directory.groups.iter().any(|entry| &*entry.name == name)
    {
        return Ok(answer::text(StatusCode::NOT_FOUND, format!("there is no group {name}\n")));
    }
    let mut missing = missing(&directory, *context.listening.borrow());
    if primary {
        missing.extend(unled(&directory, group));
    }
    Ok(match missing.as_slice() {
        [] => answer::text(StatusCode::OK, "ready\n"),
        missing => answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", missing.join("\n"))),
    })
}

/// Listening, and the first check round of every group is done.
pub(super) fn is_ready(directory: &Directory, listening: bool) -> bool {
    missing(directory, listening).is_empty()
}

/// What readiness lacks, one line each.
fn missing(directory: &Directory, listening: bool) -> Vec<String> {
    let unasked = directory.groups.iter().filter(|group| !group.status.borrow().first_round_done);
    let unasked = unasked.map(|group| format!("group {}: its backends have not all been checked yet", group.name));
    (!listening).then(|| "not listening yet".into()).into_iter().chain(unasked).collect()
}

/// The groups without a primary, one line each; only the one asked for, if one was.
fn unled(directory: &Directory, only: Option<&str>) -> Vec<String> {
    let asked = directory.groups.iter().filter(|group| only.is_none_or(|name| &*group.name == name));
    let without = asked.filter_map(|group| {
        let status = group.status.borrow();
        status.primary.is_none().then(|| format!("group {}: no primary: {}", group.name, status.why))
    });
    without.collect()
}
