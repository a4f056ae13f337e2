//! What shared connections are meant to reach, beside what was measured.

use crate::Cell;
use crate::load::Workload;
use crate::options::{Kind, Way};
use crate::support::report::Report;
use crate::support::stats::Spread;
use crate::tables::{Column, P50, P99, PROXY_CPU, REDIS_CPU, THROUGHPUT};
use crate::targets::{Target, against};

/// One promise, for some of the workloads: a figure of mainstay with shared connections, divided by that of another way.
struct Goal {
    figure: Column,
    against: Way,
    bound: Bound,
    concerns: fn(&Workload) -> bool,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(&self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= *bound,
            Self::AtMost(bound) => value <= *bound,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound}"),
            Self::AtMost(bound) => format!("≤ {bound}"),
        }
    }
}

const fn goal(figure: Column, against: Way, bound: Bound, concerns: fn(&Workload) -> bool) -> Goal {
    Goal { figure, against, bound, concerns }
}

fn goals(kind: Kind) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};
    let usual = |workload: &Workload| workload.pipeline == 1 && [50, 500].contains(&workload.clients);
    let crowd = |workload: &Workload| workload.pipeline == 1 && workload.clients == 500;
    let batches = |workload: &Workload| workload.pipeline == 16 && [50, 500].contains(&workload.clients);
    match kind {
        Kind::Usual | Kind::Hints | Kind::TlsClients | Kind::TlsBackends => Vec::new(),
        Kind::Shared => vec![
            goal(PROXY_CPU, Way::Twemproxy, AtMost(0.85), usual),
            goal(REDIS_CPU, Way::Direct, AtMost(0.25), crowd),
            goal(THROUGHPUT, Way::Twemproxy, AtLeast(1.1), usual),
            goal(THROUGHPUT, Way::Direct, AtLeast(1.2), crowd),
            goal(THROUGHPUT, Way::HaProxy, AtLeast(1.2), batches),
        ],
        Kind::Latency => vec![goal(P50, Way::RedisMode, AtMost(1.3), usual), goal(P99, Way::RedisMode, AtMost(1.3), usual)],
    }
}

/// All but a hundredth of the requests must have left within so many milliseconds of their times, or latencies say nothing.
const LATE_MS_MAX: f64 = 0.25;

/// Whether the machine was too busy to send requests at their times, and so to see replies when they came: then a latency is the
/// generator's, and no goal can be met or missed by it.
fn was_late(cell: &Cell, targets: &[Target]) -> bool {
    (0..targets.len()).any(|target| cell.median(target, |figures| figures.late_p99) > LATE_MS_MAX)
}

/// A table of the goals for each target with shared connections; nothing where there is none.
pub fn write(report: &mut Report, kind: Kind, targets: &[Target], cells: &[Cell]) {
    let subjects: Vec<usize> = (0..targets.len()).filter(|place| targets[*place].way == Way::Shared).collect();
    let mut rows = Vec::new();
    for goal in goals(kind) {
        for cell in cells.iter().filter(|cell| cell.workload.value_len == 100 && (goal.concerns)(&cell.workload)) {
            let measured = subjects.iter().map(|&subject| {
                let ratios = against(targets, subject, goal.against).map(|other| cell.ratios(subject, other, goal.figure.1));
                let ratios = ratios.unwrap_or_default();
                match Spread::of(&ratios) {
                    None => "–".to_owned(),
                    Some(spread) if was_late(cell, targets) => format!("{spread} void: the generator was late"),
                    // One of the two failed on the way.
                    Some(spread) if ratios.len() < cell.figures[subject].len() => format!("{spread} in {} rounds", ratios.len()),
                    Some(spread) if goal.bound.holds(spread.median) => format!("{spread} met"),
                    Some(spread) => format!("{spread} **missed**"),
                }
            });
            let head = [format!("{} / {}", goal.figure.0, goal.against.name()), cell.workload.label(), goal.bound.text()];
            rows.push(head.into_iter().chain(measured).collect());
        }
    }
    if rows.is_empty() || subjects.is_empty() {
        return;
    }
    report.say("**The goals of shared connections**: ratios within a round, median (min–max); the median counts.");
    let names = subjects.iter().map(|subject| targets[*subject].name.as_str());
    report.table(&["figure / against", "workload", "goal"].into_iter().chain(names).collect::<Vec<_>>(), &rows);
}
