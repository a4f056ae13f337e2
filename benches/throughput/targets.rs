//! The servers that requests are sent to, all of them running at the same time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use mainstay::config::Mode;

use crate::options::{Kind, Options, Plan, Way};
use crate::support::servers::{ProxySetup, Server, Workshop, mainstay_binary};
use crate::support::tls::Tls;

/// A place to send requests to.
pub struct Target {
    pub way: Way,
    /// Threads; 1 where they cannot be chosen.
    pub workers: usize,
    /// What the tables call it.
    pub name: String,
    /// `None`: straight to Redis.
    pub proxy: Option<Server>,
    /// What clients go by where they speak TLS.
    pub client: Option<Arc<rustls::ClientConfig>>,
}

/// Starts what the plan wants, and returns a sentence for each peer that cannot be had here.
pub fn start(workshop: &Workshop, redis: &Server, plan: &Plan, options: &Options) -> Result<(Vec<Target>, Vec<String>)> {
    let (mut targets, mut absent): (Vec<Target>, Vec<String>) = (Vec::new(), Vec::new());
    for &(way, workers) in &plan.targets {
        let tls = plan.kind.tls();
        let backend = redis.tls.filter(|_| tls == Tls::Backends).unwrap_or(redis.address);
        let setup = ProxySetup { backends: &[backend], workers, max_connections: plan.clients_max() + 1500, tls };
        let client = (tls == Tls::Clients).then(|| workshop.tls_client()).transpose()?;
        let name = plan.name(way, workers);
        let mainstay = |binary: &Path, mode| workshop.mainstay(binary, mode, &setup);
        let proxy = match way {
            Way::Direct => None,
            Way::HaProxy => Some(workshop.haproxy(&setup)?),
            Way::Twemproxy | Way::Envoy => {
                let started = if way == Way::Envoy { workshop.envoy(&setup) } else { workshop.twemproxy(&setup) };
                match started {
                    Ok(proxy) => Some(proxy),
                    Err(why) => {
                        absent.push(format!("No figures for {name}: {why:#}."));
                        continue;
                    }
                }
            }
            Way::NoHints => Some(mainstay(&build_without_hints()?, Mode::Tcp)?),
            Way::Tcp => Some(mainstay(mainstay_binary(), Mode::Tcp)?),
            Way::RedisMode => Some(mainstay(mainstay_binary(), Mode::Redis)?),
            Way::Shared => Some(workshop.shared_mainstay(mainstay_binary(), &setup)?),
            Way::Other => {
                let other = options.other.as_deref().context("--other names no binary")?;
                let shared = matches!(plan.kind, Kind::Shared | Kind::Latency);
                Some(if shared { workshop.shared_mainstay(other, &setup)? } else { mainstay(other, Mode::Tcp)? })
            }
        };
        targets.push(Target { way, workers, name, proxy, client });
    }
    ensure!(!targets.is_empty(), "nothing to measure: {}", absent.join(" "));
    Ok((targets, absent))
}

/// Which targets are compared, as pairs of their places: each with what its way is measured against, at the same number of threads
/// where that has a number. What stands last in the tables comes first.
pub fn pairs(targets: &[Target]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (subject, target) in targets.iter().enumerate().rev() {
        for way in target.way.compared_with() {
            pairs.extend(against(targets, subject, *way).map(|other| (subject, other)));
        }
    }
    pairs
}

/// The place of the target of `way` that `subject` is compared with.
pub fn against(targets: &[Target], subject: usize, way: Way) -> Option<usize> {
    let comparable = |target: &Target| target.way == way && (!way.has_threads() || target.workers == targets[subject].workers);
    targets.iter().position(comparable)
}

/// A second binary in a target folder of its own: one that never looks at what the backend says.
fn build_without_hints() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("no-hints");
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--bin", "mainstay", "--features", "no-hints", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cannot build mainstay with the feature no-hints");
    Ok(target.join("release").join("mainstay"))
}
