//! Throughput, latency and CPU per operation: direct, through HAProxy, through mainstay in tcp mode and in redis mode.
//!
//! In each round every target runs the same workload for about a second, one right after the other, in an order that rotates
//! from round to round. Reported are the medians, and the ratios within a round (see `support/stats.rs` for why).

#[path = "../support/mod.rs"]
mod support;

mod load;
mod replies;
mod tables;

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use load::{Command, Workload};
use mainstay::config::Mode;
use support::proc;
use support::report::Report;
use support::servers::{ProxySetup, REDIS_MODE, Server, Workshop, mainstay_binary};

/// Compares mainstay with HAProxy and with no proxy at all.
#[derive(Parser)]
struct Options {
    /// Rounds of each workload.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Measured milliseconds of each target in each round; a quarter more is spent warming up.
    #[arg(long, default_value_t = 1000)]
    window_ms: u64,
    /// Data threads of mainstay, and threads of HAProxy.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Three short rounds of the small values only: a look, not a measurement.
    #[arg(long)]
    quick: bool,
    /// Only workloads whose label contains this, for example "50 GET 100 B ×1".
    #[arg(long)]
    only: Option<String>,
    /// Leave out mainstay (tcp mode), "redis mode", HAProxy or direct.
    #[arg(long)]
    without: Vec<String>,
    /// Instead: mainstay against itself built with the feature `no-hints`, in ten times as many rounds, a fifth as long.
    #[arg(long)]
    hints: bool,
    /// Another mainstay to measure beside the present one, for example of the last commit.
    #[arg(long)]
    other: Option<PathBuf>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A place to send requests to.
struct Target {
    name: &'static str,
    /// `None`: straight to Redis.
    proxy: Option<Server>,
}

/// What one target did in one round of one workload.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Operations per second.
    throughput: f64,
    /// Milliseconds.
    p50: f64,
    /// Milliseconds.
    p99: f64,
    /// CPU microseconds of the proxy per operation.
    proxy_cpu: f64,
    /// CPU microseconds of Redis per operation.
    redis_cpu: f64,
}

/// All rounds of one workload: for each target, in the order of the targets, its figures round by round.
pub struct Cell {
    label: String,
    figures: Vec<Vec<Figures>>,
}

fn main() -> Result<()> {
    if !support::was_asked_for() {
        return Ok(());
    }
    let mut options = Options::parse();
    if options.quick {
        (options.rounds, options.window_ms) = (options.rounds.min(3), options.window_ms.min(500));
    }
    if options.hints {
        // One in a hundred is looked for: many pairs, each so short that little changes within it.
        (options.rounds, options.window_ms) = (options.rounds * 10, options.window_ms / 5);
    }
    ensure!(options.rounds > 0, "--rounds must be at least 1");
    proc::allow_open_files(4096)?;

    let workshop = Workshop::open()?;
    let redis = workshop.redis(None, &["--maxmemory-clients", "0"])?;
    let targets = start_targets(&workshop, &redis, &options)?;
    let names: Vec<&str> = targets.iter().map(|target| target.name).collect();
    let workloads = workloads(&options);
    let seconds = workloads.len() * options.rounds * targets.len() * options.window_ms as usize * 5 / 4 / 1000;
    eprintln!(
        "{} workloads, {} rounds of {}: about {} minutes",
        workloads.len(),
        options.rounds,
        names.join(", "),
        seconds / 60 + 1
    );

    let mut cells = Vec::new();
    for workload in workloads {
        workload.fill(redis.address)?;
        cells.push(measure(workload, &targets, &redis, &options)?);
        eprintln!("{}", tables::progress(&names, &cells[cells.len() - 1]));
    }
    let (name, title) = match options.hints {
        true => ("hints", "What looking for hints costs"),
        false => ("throughput", "Throughput and CPU per operation"),
    };
    let mut report = Report::new(name, title);
    report.say(&format!(
        "{} data thread(s) in each proxy; {} rounds of {} ms for each target, interleaved.",
        options.workers, options.rounds, options.window_ms
    ));
    tables::write(&mut report, &names, &cells);
    report.finish()
}

/// The matrix, small values first.
fn workloads(options: &Options) -> Vec<Workload> {
    let mut workloads = Vec::new();
    for value_len in [100, 64 * 1024] {
        for clients in [50, 500] {
            for pipeline in [1, 16] {
                for command in [Command::Get, Command::Set] {
                    workloads.push(Workload { clients, pipeline, command, value_len });
                }
            }
        }
    }
    workloads.retain(|workload| !(options.quick || options.hints) || workload.value_len == 100);
    workloads.retain(|workload| !options.hints || workload.clients == 50);
    workloads.retain(|workload| options.only.as_ref().is_none_or(|only| workload.label().contains(only)));
    workloads
}

impl Workload {
    /// For example `50 GET 100 B ×16`.
    fn label(&self) -> String {
        let command = match self.command {
            Command::Get => "GET",
            Command::Set => "SET",
        };
        let value =
            if self.value_len < 1024 { format!("{} B", self.value_len) } else { format!("{} KiB", self.value_len / 1024) };
        format!("{} {command} {value} ×{}", self.clients, self.pipeline)
    }
}

fn start_targets(workshop: &Workshop, redis: &Server, options: &Options) -> Result<Vec<Target>> {
    let setup = ProxySetup { backends: &[redis.address], workers: options.workers, max_connections: 2000 };
    let mainstay = |binary: &Path, mode| workshop.mainstay(binary, mode, &setup).map(Some);
    if options.hints {
        let without = build_without_hints()?;
        return Ok(vec![
            Target { name: "no hints", proxy: mainstay(&without, Mode::Tcp)? },
            Target { name: "mainstay", proxy: mainstay(mainstay_binary(), Mode::Tcp)? },
        ]);
    }
    let wanted = |name: &str| !options.without.iter().any(|without| without.eq_ignore_ascii_case(name));
    let mut targets = Vec::new();
    if wanted("direct") {
        targets.push(Target { name: "direct", proxy: None });
    }
    if wanted("HAProxy") {
        targets.push(Target { name: "HAProxy", proxy: Some(workshop.haproxy(&setup)?) });
    }
    if let Some(binary) = &options.other {
        targets.push(Target { name: "other", proxy: mainstay(binary, Mode::Tcp)? });
    }
    if wanted("mainstay") {
        targets.push(Target { name: "mainstay", proxy: mainstay(mainstay_binary(), Mode::Tcp)? });
    }
    if wanted(REDIS_MODE) {
        targets.push(Target { name: REDIS_MODE, proxy: mainstay(mainstay_binary(), Mode::Redis)? });
    }
    Ok(targets)
}

/// A second binary in a target folder of its own: one that never looks at what the backend says.
fn build_without_hints() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("no-hints");
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let status = Process::new(cargo)
        .args(["build", "--release", "--bin", "mainstay", "--features", "no-hints", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cannot build mainstay with the feature no-hints");
    Ok(target.join("release").join("mainstay"))
}

fn measure(workload: Workload, targets: &[Target], redis: &Server, options: &Options) -> Result<Cell> {
    let mut figures = vec![Vec::new(); targets.len()];
    for round in 0..options.rounds {
        for turn in 0..targets.len() {
            let index = (round + turn) % targets.len();
            let measured = one_round(workload, &targets[index], redis, Duration::from_millis(options.window_ms));
            figures[index].push(measured.with_context(|| format!("{} through {}", workload.label(), targets[index].name))?);
        }
    }
    Ok(Cell { label: workload.label(), figures })
}

fn one_round(workload: Workload, target: &Target, redis: &Server, window: Duration) -> Result<Figures> {
    let address = target.proxy.as_ref().map_or(redis.address, |proxy| proxy.address);
    let cpu = || {
        let proxy = target.proxy.as_ref().map_or(Ok(Duration::ZERO), |proxy| proc::cpu_time(proxy.pid()))?;
        Ok((proxy, proc::cpu_time(redis.pid())?))
    };
    let measured = load::run(address, workload, window / 4, window, cpu)?;
    let ((proxy_before, redis_before), (proxy_after, redis_after)) = measured.probed;
    ensure!(measured.operations > 0, "not one reply in {window:?}");
    let operations = measured.operations as f64;
    let per_operation = |cpu: Duration| cpu.as_secs_f64() * 1e6 / operations;
    let latency = |q: f64| {
        let last = measured.latencies_micros.len().saturating_sub(1);
        let micros = measured.latencies_micros.get((last as f64 * q).round() as usize).copied().unwrap_or(0);
        f64::from(micros) / 1e3
    };
    Ok(Figures {
        throughput: operations / measured.elapsed.as_secs_f64(),
        p50: latency(0.5),
        p99: latency(0.99),
        proxy_cpu: per_operation(proxy_after.saturating_sub(proxy_before)),
        redis_cpu: per_operation(redis_after.saturating_sub(redis_before)),
    })
}
