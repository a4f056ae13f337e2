//! What is asked for, and what that comes to: targets, workloads, rounds.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use crate::load::{Command, Workload};
use crate::support::tls::Tls;

/// Compares mainstay with other proxies and with no proxy at all.
#[derive(Parser)]
pub struct Options {
    /// Many sessions over few connections: mainstay with shared connections, twemproxy, Envoy, HAProxy and direct, 1 and 2 threads, small
    /// values. Ends with the goals and whether they are met. Every other option can still be given.
    #[arg(long, conflicts_with_all = ["hints", "latency"])]
    shared: bool,
    /// Instead of throughput: latency at a tenth of what Redis can take, requests sent at their times whether or not replies came.
    #[arg(long, conflicts_with = "hints")]
    latency: bool,
    /// Instead: mainstay against itself built with the feature `no-hints`, in ten times as many rounds, a fifth as long.
    #[arg(long)]
    hints: bool,
    /// Instead: TLS between clients and proxy, or between proxy and Redis, against HAProxy with the same certificate and cipher.
    #[arg(long, value_enum, conflicts_with_all = ["shared", "latency", "hints"])]
    tls: Option<Side>,
    /// Rounds of each workload.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Measured milliseconds of each target in each round; a quarter more is spent warming up. 1000; 800 with --shared, 2000 with --latency.
    /// Longer where so many clients with so many requests do not come round often enough.
    #[arg(long)]
    window_ms: Option<u64>,
    /// Data threads of mainstay, and threads of HAProxy and Envoy; several as "1,2".
    #[arg(long, value_delimiter = ',')]
    workers: Vec<usize>,
    /// Numbers of clients: "1,50,500,4000".
    #[arg(long, value_delimiter = ',')]
    clients: Vec<usize>,
    /// Requests that a client sends at once: "1,16". Always 1 with --latency.
    #[arg(long, value_delimiter = ',')]
    pipelines: Vec<usize>,
    /// Lengths of values: "100,16KiB".
    #[arg(long, value_delimiter = ',', value_parser = length)]
    sizes: Vec<usize>,
    /// Only workloads whose label contains this, for example "50 GET 100 B ×1".
    #[arg(long)]
    only: Option<String>,
    /// Exactly these targets: "direct,twemproxy,shared".
    #[arg(long, value_delimiter = ',', ignore_case = true)]
    targets: Vec<Way>,
    /// Leave these out.
    #[arg(long, value_delimiter = ',', ignore_case = true)]
    without: Vec<Way>,
    /// Another mainstay to measure beside the present one, for example of the last commit: with shared connections where these are measured,
    /// else in tcp mode.
    #[arg(long)]
    pub other: Option<PathBuf>,
    /// With --latency: requests a second, instead of a tenth of what Redis takes directly.
    #[arg(long)]
    rate: Option<f64>,
    /// Three short rounds of the small values only: a look, not a measurement.
    #[arg(long)]
    quick: bool,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A way from the clients to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// No proxy.
    Direct,
    /// A connection of its own for each client, bytes untouched.
    #[value(name = "haproxy")]
    HaProxy,
    /// Many clients over one connection, and the same for Envoy.
    Twemproxy,
    /// See [`Way::Twemproxy`].
    Envoy,
    /// mainstay without looking for hints.
    #[value(skip)]
    NoHints,
    /// Another mainstay.
    #[value(skip)]
    Other,
    /// mainstay in tcp mode.
    #[value(name = "mainstay", alias = "tcp")]
    Tcp,
    /// mainstay in redis mode, an upstream for each session.
    #[value(name = "redis", alias = "redis mode")]
    RedisMode,
    /// mainstay in redis mode, many sessions on few upstreams.
    Shared,
}

impl Way {
    /// What the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::HaProxy => "HAProxy",
            Self::Twemproxy => "twemproxy",
            Self::Envoy => "Envoy",
            Self::NoHints => "no hints",
            Self::Other => "other",
            Self::Tcp => "mainstay",
            Self::RedisMode => "redis mode",
            Self::Shared => "shared",
        }
    }

    /// Whether the number of its threads can be chosen.
    pub fn has_threads(self) -> bool {
        !matches!(self, Self::Direct | Self::Twemproxy)
    }

    /// What it is measured against, what matters most first.
    pub fn compared_with(self) -> &'static [Way] {
        match self {
            Self::Direct | Self::HaProxy | Self::Twemproxy | Self::Envoy | Self::NoHints | Self::Other => &[],
            Self::Tcp => &[Self::NoHints, Self::Other, Self::HaProxy, Self::Direct],
            Self::RedisMode => &[Self::Tcp],
            Self::Shared => &[Self::Other, Self::Twemproxy, Self::HaProxy, Self::Direct, Self::Envoy, Self::RedisMode],
        }
    }
}

/// Which of the benchmarks this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// mainstay with an upstream for each session.
    Usual,
    /// With `--hints`.
    Hints,
    /// With `--shared`.
    Shared,
    /// With `--tls clients`.
    TlsClients,
    /// With `--tls backends`.
    TlsBackends,
    /// With `--latency`.
    Latency,
}

impl Kind {
    /// Which side of the proxies speaks TLS.
    pub fn tls(self) -> Tls {
        match self {
            Self::TlsClients => Tls::Clients,
            Self::TlsBackends => Tls::Backends,
            Self::Usual | Self::Hints | Self::Shared | Self::Latency => Tls::None,
        }
    }
}

/// Who speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    /// The clients.
    Clients,
    /// Redis.
    Backends,
}

/// What is to be done.
pub struct Plan {
    pub kind: Kind,
    pub rounds: usize,
    /// Measured of each target in each round.
    pub window: Duration,
    /// Every way with its number of threads, in the order of the tables.
    pub targets: Vec<(Way, usize)>,
    /// Small values and few clients first.
    pub workloads: Vec<Workload>,
    /// A sentence for each workload that would be too much.
    pub left_out: Vec<String>,
    /// Requests a second, where they were given.
    pub rate: Option<f64>,
}

/// Bytes of all requests or replies under way at once, at most. With more than that Redis is so long in one turn of its loop that its
/// health checks fail, and each measurement takes minutes.
const UNDER_WAY_MAX: usize = 600 << 20;

impl Plan {
    /// What the options come to.
    pub fn of(options: &Options) -> Result<Self> {
        let kind = match options {
            Options { hints: true, .. } => Kind::Hints,
            Options { latency: true, .. } => Kind::Latency,
            Options { shared: true, .. } => Kind::Shared,
            Options { tls: Some(Side::Clients), .. } => Kind::TlsClients,
            Options { tls: Some(Side::Backends), .. } => Kind::TlsBackends,
            _ => Kind::Usual,
        };
        let window_ms = options.window_ms.unwrap_or(match kind {
            Kind::Usual | Kind::Hints | Kind::TlsClients | Kind::TlsBackends => 1000,
            // Twice as many targets; still done in ten minutes.
            Kind::Shared => 800,
            // A thousandth of its few requests must still be some.
            Kind::Latency => 2000,
        });
        let (rounds, window_ms) = match kind {
            // One in a hundred is looked for: many pairs, each so short that little changes within it.
            Kind::Hints => (options.rounds * 10, window_ms / 5),
            _ if options.quick => (options.rounds.min(3), window_ms.min(500)),
            _ => (options.rounds, window_ms),
        };
        let (workloads, too_much): (Vec<Workload>, Vec<Workload>) =
            workloads(kind, options).into_iter().partition(|workload| under_way(workload) <= UNDER_WAY_MAX);
        let left_out = |workload: &Workload| {
            format!("Left out: {}, which would have {} MiB under way at once.", workload.label(), under_way(workload) >> 20)
        };
        let plan = Self {
            kind,
            rounds,
            window: Duration::from_millis(window_ms),
            targets: targets(kind, options),
            left_out: too_much.iter().map(left_out).collect(),
            workloads,
            rate: options.rate,
        };
        let at_least_one = plan.workloads.iter().all(|workload| workload.clients.min(workload.pipeline) > 0);
        ensure!(rounds > 0 && window_ms > 0 && at_least_one, "rounds, windows, clients and pipelines must be at least 1");
        ensure!(plan.targets.iter().all(|(_, workers)| *workers > 0), "--workers must be at least 1");
        ensure!(
            !plan.targets.is_empty() && !plan.workloads.is_empty(),
            "nothing is left to measure: see --only, --targets, --without"
        );
        Ok(plan)
    }

    /// The most clients of any workload.
    pub fn clients_max(&self) -> usize {
        self.workloads.iter().map(|workload| workload.clients).max().unwrap_or(0)
    }

    /// What a way with so many threads is called: the number is told where there are several.
    pub fn name(&self, way: Way, workers: usize) -> String {
        let several = self.targets.iter().any(|(other, count)| *other == way && *count != workers);
        if several { format!("{} ({workers})", way.name()) } else { way.name().to_owned() }
    }

    /// How long the measuring takes, without connecting.
    pub fn minutes(&self) -> u64 {
        let turns = self.workloads.len() * self.rounds * self.targets.len();
        (self.window * 5 / 4).as_millis() as u64 * turns as u64 / 60_000 + 1
    }
}

fn targets(kind: Kind, options: &Options) -> Vec<(Way, usize)> {
    let ways: &[Way] = match kind {
        Kind::Usual => &[Way::Direct, Way::HaProxy, Way::Other, Way::Tcp, Way::RedisMode],
        Kind::Hints => &[Way::NoHints, Way::Tcp],
        Kind::TlsClients | Kind::TlsBackends => &[Way::HaProxy, Way::Other, Way::Tcp, Way::RedisMode],
        Kind::Shared => &[Way::Direct, Way::HaProxy, Way::Envoy, Way::Twemproxy, Way::Other, Way::Shared],
        Kind::Latency => &[Way::Direct, Way::HaProxy, Way::Twemproxy, Way::RedisMode, Way::Other, Way::Shared],
    };
    let order = [ways, Way::value_variants()].concat();
    let wanted = |way: &Way| match way {
        Way::Other => options.other.is_some(),
        way if options.targets.is_empty() => ways.contains(way),
        way => options.targets.contains(way),
    };
    let mut kept: Vec<Way> = Vec::new();
    for way in order.into_iter().filter(wanted).filter(|way| !options.without.contains(way)) {
        if !kept.contains(&way) {
            kept.push(way);
        }
    }
    let usual: &[usize] = if kind == Kind::Shared { &[1, 2] } else { &[1] };
    let workers = or(&options.workers, usual);
    let with_threads = |way: Way| workers.iter().take(if way.has_threads() { workers.len() } else { 1 }).map(move |n| (way, *n));
    kept.into_iter().flat_map(with_threads).collect()
}

fn workloads(kind: Kind, options: &Options) -> Vec<Workload> {
    let large = matches!(kind, Kind::Usual | Kind::TlsClients | Kind::TlsBackends);
    let sizes: &[usize] = if large && !options.quick { &[100, 64 * 1024] } else { &[100] };
    let clients: &[usize] = if kind == Kind::Hints { &[50] } else { &[50, 500] };
    // What is sent at its time is not sent in batches.
    let pipelines = if kind == Kind::Latency { &[1] } else { or(&options.pipelines, &[1, 16]) };
    let mut workloads = Vec::new();
    for &value_len in or(&options.sizes, sizes) {
        for &clients in or(&options.clients, clients) {
            for &pipeline in pipelines {
                for command in [Command::Get, Command::Set] {
                    workloads.push(Workload { clients, pipeline, command, value_len });
                }
            }
        }
    }
    workloads.retain(|workload| options.only.as_ref().is_none_or(|only| workload.label().contains(only)));
    workloads
}

fn under_way(workload: &Workload) -> usize {
    workload.clients * workload.pipeline * workload.value_len
}

/// What was given, or else what is usual.
fn or<'a>(given: &'a [usize], usual: &'a [usize]) -> &'a [usize] {
    if given.is_empty() { usual } else { given }
}

/// `100` or `16KiB`.
fn length(text: &str) -> Result<usize, String> {
    let (number, unit) = text.strip_suffix("KiB").map_or((text, 1), |number| (number, 1024));
    number.trim().parse::<usize>().map(|number| number * unit).map_err(|_| format!("not a length: {text:?}; write 100 or 16KiB"))
}
