//! From figures to tables.

use crate::options::{Kind, Way};
use crate::support::report::Report;
use crate::support::stats::{Spread, median_confidence, paired_ratios};
use crate::targets::{Target, pairs};
use crate::{Cell, Figures};

/// One figure of a round, by its name in the tables.
pub type Column = (&'static str, fn(&Figures) -> f64);

pub const PROXY_CPU: Column = ("proxy CPU/op", |figures| figures.proxy_cpu);
pub const REDIS_CPU: Column = ("Redis CPU/op", |figures| figures.redis_cpu);
pub const THROUGHPUT: Column = ("throughput", |figures| figures.throughput);
pub const P50: Column = ("p50", |figures| figures.p50);
pub const P99: Column = ("p99", |figures| figures.p99);
const P999: Column = ("p99.9", |figures| figures.p999);

/// What is compared; CPU weighs most, because it depends least on what else the machine does.
fn ratios_of(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Usual | Kind::Hints | Kind::Shared | Kind::TlsClients | Kind::TlsBackends => {
            &[PROXY_CPU, REDIS_CPU, THROUGHPUT, P50, P99]
        }
        // The rate is given, so throughput says nothing.
        Kind::Latency => &[P50, P99, P999, PROXY_CPU, REDIS_CPU],
    }
}

impl Cell {
    fn values(&self, target: usize, figure: fn(&Figures) -> f64) -> Vec<f64> {
        self.figures[target].iter().map(figure).collect()
    }

    /// Over the rounds; NaN where there are none.
    pub fn median(&self, target: usize, figure: fn(&Figures) -> f64) -> f64 {
        let mut measured = self.values(target, figure);
        measured.retain(|value| value.is_finite());
        Spread::of(&measured).map_or(f64::NAN, |spread| spread.median)
    }

    /// Round by round.
    pub fn ratios(&self, above: usize, below: usize, figure: fn(&Figures) -> f64) -> Vec<f64> {
        paired_ratios(&self.values(above, figure), &self.values(below, figure))
    }
}

/// One line while the benchmark runs: the CPU of proxy and Redis, and throughput or latency.
pub fn progress(kind: Kind, targets: &[Target], cell: &Cell) -> String {
    let target = |(place, target): (usize, &Target)| {
        let median = |column: Column| cell.median(place, column.1);
        let speed = match kind {
            Kind::Usual | Kind::Hints | Kind::Shared | Kind::TlsClients | Kind::TlsBackends => {
                format!("{:.0}/s", median(THROUGHPUT))
            }
            Kind::Latency => format!("{:.3}/{:.3} ms", median(P50), median(P99)),
        };
        format!("{} {:.2}+{:.2} µs {speed}", target.name, median(PROXY_CPU), median(REDIS_CPU))
    };
    let targets: Vec<String> = targets.iter().enumerate().map(target).collect();
    format!("{:<22} {}", cell.workload.label(), targets.join(" · "))
}

/// Ratios first, then what they were made of.
pub fn write(report: &mut Report, kind: Kind, targets: &[Target], cells: &[Cell]) {
    for (subject, other) in pairs(targets) {
        report.say(&format!(
            "**{} / {}**, paired ratios within a round: median (min–max). Clients, command, value ×pipeline.",
            targets[subject].name, targets[other].name
        ));
        // No proxy, no ratio of its CPU.
        let known = |figure| cells.iter().any(|cell| !cell.ratios(subject, other, figure).is_empty());
        let columns: Vec<Column> = ratios_of(kind).iter().copied().filter(|(_, figure)| known(*figure)).collect();
        let mut head = vec!["workload"];
        head.extend(columns.iter().map(|(name, _)| *name));
        let ratio = |ratios: &[f64]| Spread::of(ratios).map_or("–".into(), |spread| spread.to_string());
        let mut rows: Vec<Vec<String>> = Vec::new();
        for cell in cells {
            let figures = columns.iter().map(|(_, figure)| ratio(&cell.ratios(subject, other, *figure)));
            rows.push(std::iter::once(cell.workload.label()).chain(figures).collect());
        }
        let all = columns.iter().map(|(_, figure)| {
            let ratios: Vec<f64> = cells.iter().flat_map(|cell| cell.ratios(subject, other, *figure)).collect();
            format!("**{}**", ratio(&ratios))
        });
        rows.push(std::iter::once("**all**".to_owned()).chain(all).collect());
        report.table(&head, &rows);
        let cpu: Vec<f64> = cells.iter().flat_map(|cell| cell.ratios(subject, other, PROXY_CPU.1)).collect();
        // Only for two builds of one program: HAProxy's ratio differs between workloads, and an interval over all would depend on their mix.
        if let Some((low, high)) = median_confidence(&cpu).filter(|_| targets[other].way == Way::NoHints) {
            report.say(&format!(
                "All rounds: the median ratio of proxy CPU/op lies between {low:.3} and {high:.3} with 95 % confidence."
            ));
        }
    }
    absolute(report, kind, targets, cells);
}

fn absolute(report: &mut Report, kind: Kind, targets: &[Target], cells: &[Cell]) {
    report.say(match kind {
        Kind::Usual | Kind::Hints | Kind::Shared | Kind::TlsClients | Kind::TlsBackends => {
            "What the ratios were made of, medians over the rounds: CPU µs per operation of the proxy + of Redis · thousand \
             operations a second · p50 / p99 in ms."
        }
        Kind::Latency => {
            "What the ratios were made of, medians over the rounds: p50 / p99 / p99.9 in ms · CPU µs per operation of the proxy + of Redis."
        }
    });
    let mut head = vec!["workload"];
    head.extend(targets.iter().map(|target| target.name.as_str()));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for cell in cells {
        let figures = (0..targets.len()).map(|target| {
            let median = |column: Column| cell.median(target, column.1);
            let cpu = format!("{:.2} + {:.2}", median(PROXY_CPU), median(REDIS_CPU));
            match kind {
                Kind::Usual | Kind::Hints | Kind::Shared | Kind::TlsClients | Kind::TlsBackends => {
                    format!("{cpu} · {:.1} · {:.2} / {:.2}", median(THROUGHPUT) / 1e3, median(P50), median(P99))
                }
                Kind::Latency => format!("{:.3} / {:.3} / {:.3} · {cpu}", median(P50), median(P99), median(P999)),
            }
        });
        rows.push(std::iter::once(cell.workload.label()).chain(figures).collect());
    }
    report.table(&head, &rows);
    generator(report, kind, targets, cells);
}

/// What the load generator itself did, so that a reader can judge whether it stood in the way.
fn generator(report: &mut Report, kind: Kind, targets: &[Target], cells: &[Cell]) {
    let medians = |figure: fn(&Figures) -> f64| {
        let all: Vec<f64> =
            cells.iter().flat_map(|cell| (0..targets.len()).map(move |target| cell.median(target, figure))).collect();
        Spread::of(&all).unwrap_or(Spread { median: f64::NAN, min: f64::NAN, max: f64::NAN })
    };
    let (cpu, share) = (medians(|figures| figures.client_cpu), medians(|figures| figures.client_cpu * figures.throughput / 1e4));
    let late = medians(|figures| figures.late_p99);
    report.say(&match kind {
        Kind::Usual | Kind::Hints | Kind::Shared | Kind::TlsClients | Kind::TlsBackends => format!(
            "The load generator's own CPU: {:.1}–{:.1} µs per operation, {:.0}–{:.0} % of one core.",
            cpu.min, cpu.max, share.min, share.max
        ),
        Kind::Latency => format!(
            "The load generator sent 99 % of the requests within {:.3}–{:.3} ms of their times. Latencies count from when a request left.",
            late.min, late.max
        ),
    });
}
