//! What this process may use: cores and descriptors.

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::config::Config;

/// Descriptors beside those of sessions: standard streams, admin connections, clients being refused or let go, resolver.
const RESERVE: usize = 160;
/// Of a small limit at most this part is kept back.
const RESERVE_SHARE: usize = 4;

/// The cores this process may use: affinity and cgroup quota counted (the standard library reads both).
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Raises the soft limit of open files to the hard one and says how many sessions fit, two descriptors each. A configuration that wants
/// more is reported; sessions beyond are refused like those beyond `max_connections`, so that checks always have descriptors.
pub fn sessions_max(config: &Config, workers: usize) -> anyhow::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")?;
    let Some(descriptors) = limit.maximum.and_then(|descriptors| usize::try_from(descriptors).ok()) else {
        return Ok(usize::MAX);
    };
    let backends: usize = config.groups.iter().map(|group| group.backends.len()).sum();
    let fixed = 2 * config.listeners.len() + 2 * backends + 4 * (workers + 2);
    let reserve = fixed + RESERVE.min(descriptors / RESERVE_SHARE);
    let fit = descriptors.saturating_sub(reserve) / 2;
    let wanted: usize = config.listeners.iter().map(|listener| listener.max_connections).sum();
    if wanted > fit {
        warn!(
            "max_connections of all listeners add up to {wanted}, but {descriptors} open files allow {fit} sessions; raise the limit \
             (LimitNOFILE={} in a systemd unit, or ulimit -Hn) or lower max_connections",
            2 * wanted + reserve
        );
    }
    anyhow::ensure!(
        fit > 0,
        "{descriptors} open files leave no room for a single session; raise the limit to at least {}",
        reserve + 2
    );
    Ok(fit)
}
