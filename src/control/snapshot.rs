//! What `status` shows of a group, taken from its state.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::readers::Readers;
use crate::route::{BackendStatus, Endpoint, FailoverRecord, GroupStatus, Moment, rfc3339};
use crate::topology::election::{Backend, Bar};
use crate::topology::facts::Id;
use crate::topology::history::Failover;
use crate::topology::{Facts, Group, Role};

/// The snapshot at `now`.
pub(super) fn of(
    name: &str,
    group: &Group,
    readers: &Readers,
    endpoints: &HashMap<Arc<str>, Endpoint>,
    now: Moment,
) -> GroupStatus {
    let (since, rule, why) = group.standing();
    let rivals: Vec<String> = group.rivals().map(|name| name.to_string()).collect();
    let primary = group.primary();
    let primary_facts = primary
        .and_then(|name| group.backends().iter().find(|backend| backend.name == *name))
        .and_then(|backend| backend.health.facts());
    let primary_offset = primary_facts.and_then(|facts| facts.offset);
    let primary_id = primary_facts.and_then(|facts| facts.replid.as_ref());
    let backends = group.backends().iter().map(|backend| {
        let is_primary = primary == Some(&backend.name);
        let rival = rivals.iter().any(|name| *name == *backend.name);
        let status = backend_status(backend, is_primary, rival, primary_id, primary_offset, endpoints.get(&backend.name), now);
        let (reads, read_sessions) =
            readers.view(&backend.name).map_or((None, 0), |(reader, sessions)| (Some(reader.word()), sessions));
        BackendStatus { reads, read_sessions, ..status }
    });
    GroupStatus {
        name: name.to_owned(),
        epoch: group.epoch(),
        primary: primary.map(|name| name.to_string()),
        rule: rule.to_owned(),
        why: why.to_owned(),
        conflict: !rivals.is_empty(),
        doubt: group.doubts(),
        first_round_done: group.first_round_done(),
        for_ms: millis(now.since(since)),
        held: 0,
        taken_at: Some(now),
        backends: backends.collect(),
        failovers: group.history().iter().map(record).collect(),
        rivals,
        // The coordinator knows them.
        sentinel: None,
        sentinels: Vec::new(),
    }
}

fn backend_status(
    backend: &Backend,
    is_primary: bool,
    rival: bool,
    primary_id: Option<&Id>,
    primary_offset: Option<u64>,
    endpoint: Option<&Endpoint>,
    now: Moment,
) -> BackendStatus {
    let health = &backend.health;
    let facts = health.facts();
    let last = health.last.as_ref();
    let answered = last.is_some_and(|(outcome, _)| outcome.as_str() == "facts");
    let state = match (facts, last) {
        _ if is_primary => "primary",
        _ if rival => "rival",
        (_, Some((outcome, _))) if !answered => outcome.as_str(),
        (_, None) => "unchecked",
        (Some(facts), _) => match facts.role {
            Role::Master if backend.bar.is_some() => "barred",
            Role::Master => "master",
            Role::Replica => "replica",
            Role::Unknown => "unknown",
        },
        (None, Some(_)) => "unknown",
    };
    let bar = backend.bar.map(|bar| match bar {
        Bar::Rival => "said role:master beside a living primary; becomes eligible once it replicates from the group again",
        Bar::Outvoted => "succeeds the primary, but the Sentinels name another one; becomes eligible once they name it, or it replicates from the group again",
        Bar::Overruled => "was overruled by an operator; becomes eligible once it replicates from the group again",
    });
    // Offsets of different histories, or of a link that is down, say nothing about a lag.
    let of_primary =
        |facts: &&Facts| facts.role == Role::Replica && facts.link_up == Some(true) && facts.replid.as_ref() == primary_id;
    let replica_offset = facts.filter(of_primary).and_then(|facts| facts.offset);
    BackendStatus {
        address: backend.name.to_string(),
        endpoint: endpoint.map(Endpoint::to_string),
        up: health.up,
        state: state.into(),
        role: facts.and_then(|facts| facts.role.said()).map(str::to_owned),
        last_check: last.map(|(outcome, _)| outcome.as_str().to_owned()),
        message: last.and_then(|(outcome, _)| outcome.message()).or(bar.map(str::to_owned)),
        checked_ms_ago: last.map(|(_, at)| millis(now.since(*at))),
        failed_running: health.failed_running,
        admin_state: backend.admin,
        version: facts.and_then(|facts| facts.version.clone()),
        run_id: facts.and_then(|facts| facts.run_id.as_ref()).map(|id| id.as_str().to_owned()),
        replid: facts.and_then(|facts| facts.replid.as_ref()).map(|id| id.as_str().to_owned()),
        offset: facts.and_then(|facts| facts.offset),
        lag_bytes: primary_offset.zip(replica_offset).map(|(primary, replica)| primary.saturating_sub(replica)),
        link_up: facts.and_then(|facts| facts.link_up),
        leaving: backend.leaving,
        ..BackendStatus::default()
    }
}

fn record(failover: &Failover) -> FailoverRecord {
    FailoverRecord {
        epoch: failover.epoch,
        at: rfc3339(failover.lost.wall()),
        cause: failover.cause.as_str().into(),
        why: failover.why.clone(),
        from: failover.from.to_string(),
        to: failover.to.as_ref().map(|name| name.to_string()),
        rule: failover.rule.map(|rule| rule.as_str().into()),
        lost_ms: failover.lost.as_millis(),
        first_seen_ms: failover.first_seen.map(Moment::as_millis),
        elected_ms: failover.elected.map(Moment::as_millis),
        first_byte_ms: failover.first_byte.map(Moment::as_millis),
        lost_bytes: failover.gap.map(|gap| gap.bytes),
        lost_bytes_age_ms: failover.gap.map(|gap| millis(failover.lost.since(gap.as_of))),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
