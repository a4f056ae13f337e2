//! From figures to tables.

use crate::support::report::Report;
use crate::support::servers::REDIS_MODE;
use crate::support::stats::{Spread, median_confidence, paired_ratios};
use crate::{Cell, Figures};

/// One figure of a round, by its name in the tables.
type Column = (&'static str, fn(&Figures) -> f64);

const RATIOS: [Column; 5] = [
    ("throughput", |figures| figures.throughput),
    ("p50", |figures| figures.p50),
    ("p99", |figures| figures.p99),
    ("proxy CPU/op", |figures| figures.proxy_cpu),
    ("Redis CPU/op", |figures| figures.redis_cpu),
];

impl Cell {
    fn values(&self, target: usize, figure: fn(&Figures) -> f64) -> Vec<f64> {
        self.figures[target].iter().map(figure).collect()
    }

    fn median(&self, target: usize, figure: fn(&Figures) -> f64) -> f64 {
        Spread::of(&self.values(target, figure)).map_or(f64::NAN, |spread| spread.median)
    }

    fn ratios(&self, above: usize, below: usize, figure: fn(&Figures) -> f64) -> Vec<f64> {
        paired_ratios(&self.values(above, figure), &self.values(below, figure))
    }
}

/// One line while the benchmark runs: throughput and the proxy's CPU.
pub fn progress(names: &[&str], cell: &Cell) -> String {
    let target = |(index, name): (usize, &&str)| {
        let (throughput, cpu) =
            (cell.median(index, |figures| figures.throughput), cell.median(index, |figures| figures.proxy_cpu));
        format!("{name} {throughput:.0}/s {cpu:.2} µs")
    };
    let targets: Vec<String> = names.iter().enumerate().map(target).collect();
    format!("{:<22} {}", cell.label, targets.join(" · "))
}

/// Which targets are compared: mainstay with everything before it, redis mode with what stands right before it.
fn pairs(names: &[&str]) -> Vec<(usize, usize)> {
    let Some(last) = names.len().checked_sub(1) else { return Vec::new() };
    let redis_mode = (names[last] == REDIS_MODE && last > 0).then(|| (last, last - 1));
    let subject = if redis_mode.is_some() { last - 1 } else { last };
    redis_mode.into_iter().chain((0..subject).rev().map(|other| (subject, other))).collect()
}

/// Ratios first, then what they were made of.
pub fn write(report: &mut Report, names: &[&str], cells: &[Cell]) {
    for (subject, other) in pairs(names) {
        let name = names[other];
        report.say(&format!(
            "**{} / {name}**, paired ratios within a round: median (min–max). Clients, command, value ×pipeline.",
            names[subject]
        ));
        // No proxy, no ratio of its CPU.
        let known = |figure| cells.iter().any(|cell| !cell.ratios(subject, other, figure).is_empty());
        let columns: Vec<Column> = RATIOS.into_iter().filter(|(_, figure)| known(*figure)).collect();
        let mut head = vec!["workload"];
        head.extend(columns.iter().map(|(name, _)| *name));
        let ratio = |ratios: &[f64]| Spread::of(ratios).map_or("–".into(), |spread| spread.to_string());
        let mut rows: Vec<Vec<String>> = Vec::new();
        for cell in cells {
            let figures = columns.iter().map(|(_, figure)| ratio(&cell.ratios(subject, other, *figure)));
            rows.push(std::iter::once(cell.label.clone()).chain(figures).collect());
        }
        let all = columns.iter().map(|(_, figure)| {
            let ratios: Vec<f64> = cells.iter().flat_map(|cell| cell.ratios(subject, other, *figure)).collect();
            format!("**{}**", ratio(&ratios))
        });
        rows.push(std::iter::once("**all**".to_owned()).chain(all).collect());
        report.table(&head, &rows);
        let cpu: Vec<f64> = cells.iter().flat_map(|cell| cell.ratios(subject, other, |figures| figures.proxy_cpu)).collect();
        // Only for two builds of one program: HAProxy's ratio differs between workloads, and an interval over all would depend on their mix.
        if let Some((low, high)) = median_confidence(&cpu).filter(|_| name == "no hints") {
            report.say(&format!(
                "All rounds: the median ratio of proxy CPU/op lies between {low:.3} and {high:.3} with 95 % confidence."
            ));
        }
    }
    absolute(report, names, cells);
}

fn absolute(report: &mut Report, names: &[&str], cells: &[Cell]) {
    report.say("What the ratios were made of, medians over the rounds: thousand operations a second · p50 / p99 in ms · CPU µs per operation of the proxy + of Redis.");
    let mut head = vec!["workload"];
    head.extend(names);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for cell in cells {
        let figures = (0..names.len()).map(|target| {
            let [throughput, p50, p99, proxy, redis] = RATIOS.map(|(_, figure)| cell.median(target, figure));
            format!("{:.1} · {p50:.2} / {p99:.2} · {proxy:.2} + {redis:.2}", throughput / 1e3)
        });
        rows.push(std::iter::once(cell.label.clone()).chain(figures).collect());
    }
    report.table(&head, &rows);
}
