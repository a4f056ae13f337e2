//! Throughput, latency and CPU per operation: direct, through mainstay in each of its modes, and through other proxies.
//!
//! In each round every target runs the same workload for about a second, one right after the other, in an order that rotates
//! from round to round. Reported are the medians, and the ratios within a round (see `support/stats.rs` for why).

#[path = "../support/mod.rs"]
mod support;

mod goals;
mod link;
mod load;
mod open_loop;
mod options;
mod replies;
mod schedule;
mod tables;
mod targets;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use load::{Measured, Workload};
use options::{Kind, Options, Plan, Way};
use support::report::Report;
use support::servers::{Server, Workshop};
use support::stats::{quantile, sorted};
use support::tls::Tls;
use support::{peers, proc};
use targets::Target;

/// What one target did in one round of one workload.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Operations per second.
    throughput: f64,
    /// Milliseconds.
    p50: f64,
    /// Milliseconds.
    p99: f64,
    /// Milliseconds.
    p999: f64,
    /// CPU microseconds of the proxy per operation.
    proxy_cpu: f64,
    /// CPU microseconds of Redis per operation.
    redis_cpu: f64,
    /// CPU microseconds of the load generator per operation.
    client_cpu: f64,
    /// How late all but a hundredth of the requests left at most, in milliseconds; 0 where they have no times of their own.
    late_p99: f64,
}

/// All rounds of one workload: for each target, in the order of the targets, its figures round by round.
pub struct Cell {
    workload: Workload,
    figures: Vec<Vec<Figures>>,
    /// A sentence for each target that failed; from then on its figures are [`Figures::NONE`].
    lost: Vec<String>,
}

fn main() -> Result<()> {
    if !support::was_asked_for() {
        return Ok(());
    }
    let options = Options::parse();
    let plan = Plan::of(&options)?;
    // Two for each session of a proxy that has an upstream for each.
    proc::allow_open_files(plan.clients_max() as u64 * 2 + 3500)?;

    let workshop = Workshop::open()?;
    let clients_max = (plan.clients_max() * 2).max(10_000).to_string();
    let arguments = ["--maxmemory-clients", "0", "--maxclients", &clients_max];
    let redis = if plan.kind.tls() == Tls::None {
        workshop.redis(None, &arguments)?
    } else {
        workshop.certificates()?;
        workshop.tls_redis(&arguments)?
    };
    let (targets, absent) = targets::start(&workshop, &redis, &plan, &options)?;
    for sentence in absent.iter().chain(&plan.left_out) {
        eprintln!("{sentence}");
    }
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    eprintln!(
        "{} workloads, {} rounds of {}: about {} minutes",
        plan.workloads.len(),
        plan.rounds,
        names.join(", "),
        plan.minutes()
    );

    let mut cells = Vec::new();
    for workload in &plan.workloads {
        workload.fill(redis.address)?;
        let cell = measure(*workload, &targets, &redis, &plan)?;
        eprintln!("{}", tables::progress(plan.kind, &targets, &cell));
        cells.push(cell);
    }
    write(&plan, &targets, &absent, &cells)
}

fn write(plan: &Plan, targets: &[Target], absent: &[String], cells: &[Cell]) -> Result<()> {
    let (name, title) = match plan.kind {
        Kind::Usual => ("throughput", "Throughput and CPU per operation"),
        Kind::Hints => ("hints", "What looking for hints costs"),
        Kind::Shared => ("shared", "Shared connections: throughput and CPU per operation"),
        Kind::TlsClients => ("tls-clients", "Clients speak TLS, Redis does not: throughput and CPU per operation"),
        Kind::TlsBackends => ("tls-backends", "Redis speaks TLS, clients do not: throughput and CPU per operation"),
        Kind::Latency => ("latency", "Latency at a tenth of the load that Redis can take"),
    };
    let mut report = Report::new(name, title);
    let threads = plan.targets.iter().map(|(_, workers)| *workers).max().unwrap_or(1);
    report.say(&format!(
        "{} in each proxy that can have several; {} rounds of {} ms for each target, interleaved.",
        if threads == 1 { "1 data thread".to_owned() } else { format!("Up to {threads} data threads (n)") },
        plan.rounds,
        plan.window.as_millis()
    ));
    if targets.iter().any(|target| matches!(target.way, Way::Twemproxy | Way::Envoy)) {
        report.say(&format!("Peers: {}; one connection to Redis from each of their threads.", peers::versions()));
    }
    for sentence in absent.iter().chain(&plan.left_out).chain(cells.iter().flat_map(|cell| &cell.lost)) {
        report.say(sentence);
    }
    goals::write(&mut report, plan.kind, targets, cells);
    tables::write(&mut report, plan.kind, targets, cells);
    report.finish()
}

fn measure(workload: Workload, targets: &[Target], redis: &Server, plan: &Plan) -> Result<Cell> {
    let rate = match (plan.kind, plan.rate) {
        (Kind::Latency, Some(rate)) => Some(rate),
        (Kind::Latency, None) => Some(tenth_of_the_most(workload, redis)?),
        (Kind::Usual | Kind::Hints | Kind::Shared | Kind::TlsClients | Kind::TlsBackends, _) => None,
    };
    let (mut figures, mut lost) = (vec![Vec::new(); targets.len()], vec![None; targets.len()]);
    for round in 0..plan.rounds {
        for turn in 0..targets.len() {
            let place = (round + turn) % targets.len();
            let target = &targets[place];
            if lost[place].is_none() {
                match one_round(workload, rate.map(|rate| (rate, round as u64)), target, redis, plan.window) {
                    Ok(measured) => {
                        figures[place].push(measured);
                        continue;
                    }
                    // The other cells are worth having.
                    Err(why) => lost[place] = Some(lost_target(workload, target, &why)),
                }
            }
            figures[place].push(Figures::NONE);
        }
    }
    Ok(Cell { workload, figures, lost: lost.into_iter().flatten().collect() })
}

/// Says why a target has no more figures of a workload, and waits until it serves again.
fn lost_target(workload: Workload, target: &Target, why: &anyhow::Error) -> String {
    let sentence = format!("{} through {}: given up, {why:#}.", workload.label(), target.name);
    eprintln!("{sentence}");
    if let Some(proxy) = &target.proxy {
        eprintln!("{} said at last:\n{}", target.name, proxy.last_words());
        if !proxy.serves_again() {
            eprintln!("{} does not answer any more", target.name);
        }
    }
    sentence
}

/// The rate of the latency table: the same for every target.
fn tenth_of_the_most(workload: Workload, redis: &Server) -> Result<f64> {
    let window = Duration::from_millis(500);
    let most = (0..3).map(|_| {
        let measured = load::run((redis.address, None), workload, window / 4, window, || Ok(()))?;
        Ok(measured.operations as f64 / measured.elapsed.as_secs_f64())
    });
    let rate = quantile(&sorted(&most.collect::<Result<Vec<f64>>>()?), 0.5).context("nothing was measured")? / 10.0;
    eprintln!("{:<22} {rate:.0} requests a second", workload.label());
    Ok(rate)
}

/// CPU time so far.
struct Cpu {
    proxy: Duration,
    redis: Duration,
    client: Duration,
}

/// `rate`: for requests sent at their times, how many a second and the seed of these times.
fn one_round(workload: Workload, rate: Option<(f64, u64)>, target: &Target, redis: &Server, window: Duration) -> Result<Figures> {
    let tls = target.proxy.as_ref().and_then(|proxy| proxy.tls).zip(target.client.as_ref());
    let plain = target.proxy.as_ref().map_or(redis.address, |proxy| proxy.address);
    let address = tls.map_or((plain, None), |(address, client)| (address, Some(client)));
    let cpu = || {
        Ok(Cpu {
            proxy: target.proxy.as_ref().map_or(Ok(Duration::ZERO), |proxy| proc::cpu_time(proxy.pid()))?,
            redis: proc::cpu_time(redis.pid())?,
            client: proc::cpu_time(std::process::id())?,
        })
    };
    let (measured, late_micros) = match rate {
        Some(rate) => open_loop::run(address, workload, rate, window / 4, window, cpu)?,
        None => (load::run(address, workload, window / 4, window, cpu)?, Vec::new()),
    };
    ensure!(measured.operations > 0, "not one reply in {window:?}");
    Ok(Figures::of(&measured, &late_micros))
}

impl Figures {
    /// Nothing was measured.
    const NONE: Self = Self {
        throughput: f64::NAN,
        p50: f64::NAN,
        p99: f64::NAN,
        p999: f64::NAN,
        proxy_cpu: f64::NAN,
        redis_cpu: f64::NAN,
        client_cpu: f64::NAN,
        late_p99: f64::NAN,
    };

    fn of(measured: &Measured<Cpu>, late_micros: &[u32]) -> Self {
        let (before, after) = &measured.probed;
        let operations = measured.operations as f64;
        let per_operation = |cpu: fn(&Cpu) -> Duration| cpu(after).saturating_sub(cpu(before)).as_secs_f64() * 1e6 / operations;
        let latencies = &measured.latencies_micros;
        Self {
            throughput: operations / measured.elapsed.as_secs_f64(),
            p50: at(latencies, 0.5),
            p99: at(latencies, 0.99),
            p999: at(latencies, 0.999),
            proxy_cpu: per_operation(|cpu| cpu.proxy),
            redis_cpu: per_operation(|cpu| cpu.redis),
            client_cpu: per_operation(|cpu| cpu.client),
            late_p99: at(late_micros, 0.99),
        }
    }
}

/// Milliseconds below which a share `q` of the ascending microseconds lies.
fn at(micros: &[u32], q: f64) -> f64 {
    let last = micros.len().saturating_sub(1);
    f64::from(micros.get((last as f64 * q).round() as usize).copied().unwrap_or(0)) / 1e3
}
