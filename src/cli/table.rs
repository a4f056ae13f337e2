//! A status as text, for somebody who was woken up: the first line says whether anything needs them, `!!` marks what does.

mod sentinels;

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use mainstay::route::{AdminState, BackendStatus, FailoverRecord, GroupStatus, ListenerStatus, Status, rfc3339};

/// Older ones stand in `--json`.
const FAILOVERS_SHOWN: usize = 5;

/// The whole page. `now` is the wall clock of who reads.
pub fn render(status: &Status, now: SystemTime) -> String {
    let mut page = String::new();
    let concerns = concerns(status);
    if concerns.is_empty() {
        page += "All well: every group has its primary, every backend is up.\n";
    }
    for concern in concerns {
        line(&mut page, format_args!("!! {concern}"));
    }
    let Status { version, pid, uptime_seconds, workers, started_at, .. } = status;
    let up = span(uptime_seconds.saturating_mul(1000));
    line(&mut page, format_args!("mainstay {version}, process {pid}, {workers} workers, up {up} since {started_at}"));
    for group in &status.groups {
        page += "\n";
        let is_read = status.listeners.iter().any(|listener| listener.route == "replica" && listener.group == group.name);
        render_group(&mut page, group, is_read, now);
    }
    page += "\nLISTENERS\n";
    let heads = ["NAME", "BIND", "GROUP", "MODE", "SESSIONS", ""];
    columns(&mut page, &heads, status.listeners.iter().map(listener_cells).collect());
    page
}

/// What needs a person, the worst first.
fn concerns(status: &Status) -> Vec<String> {
    let mut concerns = Vec::new();
    for group in &status.groups {
        let name = &group.name;
        if group.conflict {
            let (say, them) = if group.rivals.len() == 1 { ("says", "it a replica") } else { ("say", "them replicas") };
            let rivals = group.rivals.join(" and ");
            let settle = match &group.primary {
                Some(primary) => format!("make {them} of {primary}, or settle it"),
                None => "settle it".into(),
            };
            // Sentinel reconfigures what it does not name, ten seconds after a failover.
            let sentinel = group.sentinel.as_ref().and_then(|word| word.backend.as_ref());
            let todo = match sentinel {
                Some(named) if group.primary.as_ref() == Some(named) => {
                    format!("Sentinel makes {them} within seconds, if it is the one before {named}; if it lasts, {settle}")
                }
                _ => settle,
            };
            concerns.push(format!(
                "CONFLICT in {name}: {rivals} {say} role:master without proof; {todo}: mainstay elect {name} BACKEND"
            ));
        }
        if group.primary.is_none() {
            concerns.push(format!("NO PRIMARY in {name} for {}, {} clients held: {}", span(group.for_ms), group.held, group.why));
        }
    }
    for group in &status.groups {
        for backend in group.backends.iter().filter(|backend| backend.last_check.is_some()) {
            let (address, name) = (&backend.address, &group.name);
            let reason = backend.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            if !backend.up {
                concerns.push(format!("DOWN: {address} in {name}{reason}"));
            } else if backend.state == "primary" && backend.admin_state == AdminState::Drain {
                concerns.push(format!("DRAINING: {address} is the primary of {name}; new clients wait until there is another"));
            } else if backend.failed_running > 0 || backend.message.is_some() {
                concerns.push(format!("TROUBLE: {address} in {name}{}{reason}", failed_running(backend, " failed checks")));
            }
        }
    }
    concerns.extend(status.groups.iter().flat_map(sentinels::concerns));
    for listener in status.listeners.iter().filter(|listener| listener.sessions >= listener.max_connections) {
        concerns.push(format!("FULL: listener {} has its {} sessions", listener.name, listener.max_connections));
    }
    if !status.ready {
        concerns.push("NOT READY: still binding listeners, or checking backends for the first time".into());
    }
    concerns
}

/// `is_read`: a listener leads to its replicas.
fn render_group(page: &mut String, group: &GroupStatus, is_read: bool, now: SystemTime) {
    let GroupStatus { name, epoch, why, rule, held, .. } = group;
    let primary = match &group.primary {
        Some(primary) => format!("primary {primary}"),
        None => "NO PRIMARY".into(),
    };
    line(page, format_args!("GROUP {name}: {primary}"));
    let since = now.checked_sub(Duration::from_millis(group.for_ms)).map(rfc3339).unwrap_or_default();
    let doubt = if group.doubt { ", in doubt: checked at fast_interval" } else { "" };
    line(page, format_args!("  for {}, since {since}, epoch {epoch}, {held} clients held{doubt}", span(group.for_ms)));
    line(page, format_args!("  why: {why} (rule: {rule})"));
    page.push('\n');
    let mut heads = vec!["BACKEND", "STATE", "SAYS", "BEHIND", "LAST CHECK", "MESSAGE"];
    let mut rows: Vec<Vec<String>> = group.backends.iter().map(backend_cells).collect();
    if is_read {
        heads.insert(4, "READERS");
        rows.iter_mut().zip(&group.backends).for_each(|(row, backend)| add_readers(row, backend));
    }
    columns(page, &heads, rows);
    sentinels::render(page, group);
    if group.failovers.is_empty() {
        return;
    }
    page.push_str("\n  LAST FAILOVERS, the newest first\n");
    for failover in group.failovers.iter().rev().take(FAILOVERS_SHOWN) {
        render_failover(page, failover);
    }
    let older = group.failovers.len().saturating_sub(FAILOVERS_SHOWN);
    if older > 0 {
        line(page, format_args!("  and {older} older, see --json"));
    }
}

fn backend_cells(backend: &BackendStatus) -> Vec<String> {
    let mut state = match (&backend.last_check, backend.up) {
        (None, _) => "not checked yet".into(),
        (Some(_), true) => backend.state.clone(),
        (Some(_), false) => format!("DOWN {}", backend.state),
    };
    if backend.admin_state != AdminState::Ready {
        let _ = write!(state, ", {}", backend.admin_state.as_str());
    }
    if backend.leaving {
        state += ", leaving";
    }
    let link = if backend.link_up == Some(false) { ", link down" } else { "" };
    let role = backend.role.as_ref().map(|role| format!("{role}{link}"));
    let check = backend.last_check.as_ref().map(|outcome| {
        let ago = backend.checked_ms_ago.map(|ms| format!(" {} ago", span(ms))).unwrap_or_default();
        let failed =
            if backend.failed_running > 0 { format!(", {} failed running", backend.failed_running) } else { String::new() };
        format!("{outcome}{ago}{failed}")
    });
    let known = |cell: Option<String>| cell.unwrap_or_else(|| "-".into());
    let message = backend.message.clone().unwrap_or_default();
    vec![backend.address.clone(), state, known(role), known(backend.lag_bytes.map(size)), known(check), message]
}

/// How many read there, or that nobody may, and why.
fn add_readers(row: &mut Vec<String>, backend: &BackendStatus) {
    let usable = backend.reads.as_deref() == Some("usable");
    let readers = match &backend.reads {
        Some(why) if !usable => {
            if let Some(message) = row.last_mut().filter(|message| message.is_empty()) {
                *message = format!("not read: {why}");
            }
            "not read".into()
        }
        Some(_) => backend.read_sessions.to_string(),
        None => "-".into(),
    };
    row.insert(4, readers);
}

/// `, 3 failed running`, or nothing.
fn failed_running(backend: &BackendStatus, what: &str) -> String {
    if backend.failed_running > 0 { format!(", {}{what} running", backend.failed_running) } else { String::new() }
}

fn listener_cells(listener: &ListenerStatus) -> Vec<String> {
    let sessions = format!("{}/{}", listener.sessions, listener.max_connections);
    let draining = if listener.draining { "draining" } else { "" };
    let [name, bind, group] = [&listener.name, &listener.bind, &listener.group].map(String::clone);
    let shared = if listener.shared_connections { ", shared" } else { "" };
    let replicas = if listener.route == "replica" { ", replicas" } else { "" };
    vec![name, bind, group, format!("{}{shared}{replicas}", listener.mode), sessions, draining.into()]
}

fn render_failover(page: &mut String, failover: &FailoverRecord) {
    let FailoverRecord { at, epoch, cause, why, from, lost_ms, .. } = failover;
    let to = failover.to.as_deref().unwrap_or("nobody yet");
    let after = |ms: Option<u64>| ms.map(|ms| span(ms.saturating_sub(*lost_ms)));
    let mut story = match after(failover.elected_ms) {
        Some(elected) => format!("elected after {elected}"),
        None => "nobody elected yet".into(),
    };
    if let Some(first_byte) = after(failover.first_byte_ms) {
        let _ = write!(story, ", first byte after {first_byte}");
    }
    let age = failover.lost_bytes_age_ms.map(|ms| format!(", by a check {} before the loss", span(ms))).unwrap_or_default();
    match failover.lost_bytes {
        Some(bytes) => drop(write!(story, ", lost writes: about {}{age}", size(bytes))),
        None => story += ", lost writes: unknown",
    }
    line(page, format_args!("  {at}  epoch {epoch}  {from} -> {to}  {cause}"));
    line(page, format_args!("    {story}"));
    line(page, format_args!("    {why}"));
}

fn line(page: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{line}");
}

/// Rows under their heads, each column as wide as its widest cell, indented by two.
fn columns(page: &mut String, heads: &[&str], rows: Vec<Vec<String>>) {
    let heads: Vec<String> = heads.iter().map(|head| (*head).into()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("  {cell:<width$}", width = width(column)));
        let text: String = cells.collect();
        line(page, format_args!("{}", text.trim_end()));
    }
}

/// A duration in its two largest units.
fn span(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..10 => format!("{s}.{} s", ms / 100 % 10),
        10..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

/// Bytes in a unit that keeps the number short.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut number, mut unit) = (bytes as f64 / 1024.0, 0);
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        (number, unit) = (number / 1024.0, unit + 1);
    }
    format!("{number:.1} {}", UNITS[unit])
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
