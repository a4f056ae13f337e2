//! The same failover watched through HAProxy and through mainstay, in tcp mode and in redis mode, at once: the same Redis servers,
//! three sets of writing clients.
//!
//! Every client appends numbers of its own to a list of its own, so that afterwards each acknowledged write can be looked for on
//! the server that stayed primary: there once, gone, or there twice.

#[path = "../support/mod.rs"]
mod support;

mod events;
mod tables;
mod verdict;
mod world;
mod writers;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use events::Event;
use support::report::Report;
use support::servers::REDIS_MODE;
use verdict::{Verdict, judge};
use world::World;
use writers::{Manners, Writers};

/// Compares what clients see of a failover through mainstay and through HAProxy.
#[derive(Parser)]
struct Options {
    /// Runs of `FAILOVER`.
    #[arg(long, default_value_t = 100)]
    planned: usize,
    /// Runs of kill -9 under Sentinels.
    #[arg(long, default_value_t = 20)]
    crash: usize,
    /// Runs of SIGSTOP.
    #[arg(long, default_value_t = 5)]
    stop: usize,
    /// Runs with a second master.
    #[arg(long, default_value_t = 5)]
    second_master: usize,
    /// Planned runs in which HAProxy's clients write too: HAProxy takes up to ten seconds to recover from each.
    #[arg(long, default_value_t = 20)]
    planned_through_haproxy: usize,
    /// Clients of each proxy.
    #[arg(long, default_value_t = 10)]
    clients: usize,
    /// Between two writes of a client.
    #[arg(long, default_value_t = 2)]
    pause_ms: u64,
    /// After an error.
    #[arg(long, default_value_t = 5)]
    pause_after_error_ms: u64,
    /// How long a client waits for a reply.
    #[arg(long, default_value_t = 3000)]
    timeout_ms: u64,
    /// Leave out mainstay (tcp mode), "redis mode" or HAProxy.
    #[arg(long)]
    without: Vec<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was seen through each proxy, run by run.
pub type Results = Vec<(&'static str, Vec<Verdict>)>;

/// In the order of the tables.
const PROXIES: [&str; 3] = [HAPROXY, "mainstay", REDIS_MODE];
const HAPROXY: &str = "HAProxy";

/// So many acknowledged writes of every client since its last error, and the event is over for them.
const CALM_WRITES: u64 = 100;
/// HAProxy's clients may never come to rest; they are watched for no longer than this.
const WATCHED_AT_MOST: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    if !support::was_asked_for() {
        return Ok(());
    }
    let options = Options::parse();
    let mut report =
        Report::new("failover", "Failover, the same event seen through HAProxy and mainstay (tcp mode, and redis mode)");
    report.say(&format!(
        "{} clients write through each proxy without end, {} ms between two writes, {} ms after an error; all proxies with their defaults \
         and the same three Redis servers behind them. Times in ms.",
        options.clients, options.pause_ms, options.pause_after_error_ms
    ));
    let runs = [
        (Event::Planned, options.planned),
        (Event::Crash, options.crash),
        (Event::Stop, options.stop),
        (Event::SecondMaster, options.second_master),
    ];
    for (event, runs) in runs {
        if runs > 0 {
            let results = watch(event, runs, &options).with_context(|| event.title())?;
            tables::write(&mut report, event, &results);
        }
    }
    tables::legend(&mut report);
    report.finish()
}

/// Makes an event happen `runs` times to the same world, so that mainstay must also digest its own past.
fn watch(event: Event, runs: usize, options: &Options) -> Result<Results> {
    let with = |name: &&str| !options.without.iter().any(|without| without.eq_ignore_ascii_case(name));
    let proxies: Vec<&'static str> = PROXIES.into_iter().filter(with).collect();
    let mut world = World::start(event.needs_sentinels(), &proxies)?;
    let mut results: Results = proxies.into_iter().map(|name| (name, Vec::new())).collect();
    for run in 0..runs {
        let through_haproxy = event != Event::Planned || run < options.planned_through_haproxy;
        world.reattach()?;
        world.redis[world.primary].ask(&["FLUSHALL"])?;
        world.wait_until_known(through_haproxy)?;
        if !one_run(event, run, through_haproxy, &mut world, options, &mut results)? {
            eprintln!("{event:?} {} of {runs}: left out, the Sentinels failed over twice", run + 1);
            continue;
        }
        eprintln!("{event:?} {} of {runs}", run + 1);
        for (name, verdicts) in results.iter().filter(|(name, _)| through_haproxy || *name != HAPROXY) {
            eprintln!("    {name:<10} {}", verdicts.last().map_or(String::new(), tables::progress));
        }
    }
    Ok(results)
}

/// `false`: the Sentinels failed over twice, which is another event, and nothing was recorded.
fn one_run(
    event: Event,
    run: usize,
    through_haproxy: bool,
    world: &mut World,
    options: &Options,
    results: &mut Results,
) -> Result<bool> {
    let manners = Manners {
        clients: options.clients,
        pause: Duration::from_millis(options.pause_ms),
        pause_after_error: Duration::from_millis(options.pause_after_error_ms),
        timeout: Duration::from_millis(options.timeout_ms),
    };
    let through = world.proxies.iter().filter(|(name, _)| through_haproxy || *name != HAPROXY);
    let writers: Vec<Writers> = through.map(|(name, proxy)| Writers::start(name, proxy.address, manners)).collect();
    // Events must fall anywhere between two checks; the golden ratio spreads them evenly.
    sleep(Duration::from_millis(1200) + Duration::from_secs(1).mul_f64((run as f64 * 0.618_034).fract()));

    let old = world.primary;
    let timeline = event.happen(world)?;
    writers.iter().for_each(Writers::forget_calm);
    let deadline = Instant::now() + WATCHED_AT_MOST;
    while !writers.iter().all(|writers| writers.all_calm(CALM_WRITES)) && Instant::now() < deadline {
        sleep(Duration::from_millis(10));
    }
    let mut noted = Vec::new();
    for writers in writers {
        noted.push((writers.name, writers.stop()?));
    }
    let last_primary = world.ask_sentinels()?;
    let once = last_primary == world.primary;
    world.primary = last_primary;
    event.repair(world, old)?;
    // Attaching the old primary to the new one throws away what only the old one had.
    world.reattach()?;
    if !once {
        return Ok(false);
    }
    for (name, attempts) in noted {
        let kept = world.values(name, options.clients)?;
        let verdict = judge(&attempts.into_iter().zip(kept).collect::<Vec<_>>(), timeline);
        results.iter_mut().filter(|(proxy, _)| *proxy == name).for_each(|(_, verdicts)| verdicts.push(verdict.clone()));
    }
    Ok(true)
}
