//! From verdicts to tables.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Results;
use crate::events::Event;
use crate::support::report::Report;
use crate::support::stats::{quantile, sorted};
use crate::verdict::Verdict;

/// One line while the benchmark runs.
pub fn progress(verdict: &Verdict) -> String {
    format!(
        "{} errors {:?}, served {}, lost {} before and {} after, {} doubled",
        verdict.error_count(),
        verdict.errors,
        verdict.served.map_or("–".into(), |served| format!("{:.1} ms", millis(served))),
        verdict.lost_before,
        verdict.lost_after,
        verdict.doubled
    )
}

/// One table an event.
pub fn write(report: &mut Report, event: Event, results: &Results) {
    report.say(&format!("**{}**", event.title()));
    let head = [
        "through",
        "runs",
        "errors a run",
        "of one client",
        "first error",
        "last error",
        "visible → served p50 / p99 / max",
        "lost before",
        "lost after",
        "last lost",
        "doubled",
        "errors by kind, all runs",
    ];
    let rows = results.iter().filter(|(_, verdicts)| !verdicts.is_empty());
    report.table(&head, &rows.map(|(name, verdicts)| row(name, verdicts)).collect::<Vec<_>>());
}

/// What the columns mean.
pub fn legend(report: &mut Report) {
    report.say(
        "Errors a run, and of the client that had most: median (max). First and last error: after the event, median (max). Visible → served: from a \
         poller with 1 ms pauses seeing the promotion to the first write that the new primary acknowledged to any client; not known where the old one acknowledged as well, and with the clients' own pauses after \
         errors in it. Lost: acknowledged, \
         and not on the final primary, all runs together; *before* the promotion was visible is what Redis had not replicated in time, \
         *after* is what the proxy sent to the loser, the last of it so long after the promotion was visible (max). Doubled: sent once, and on the final primary twice.",
    );
}

fn row(name: &str, verdicts: &[Verdict]) -> Vec<String> {
    let counts = |count: fn(&Verdict) -> usize| {
        let counts = sorted(&verdicts.iter().map(|verdict| count(verdict) as f64).collect::<Vec<_>>());
        middle_and_end(&counts)
    };
    let times =
        |time: fn(&Verdict) -> Option<Duration>| sorted(&verdicts.iter().filter_map(time).map(millis).collect::<Vec<_>>());
    let total = |count: fn(&Verdict) -> usize| verdicts.iter().map(count).sum::<usize>().to_string();
    let served = times(|verdict| verdict.served);
    let never = verdicts.len() - served.len();
    let mut served = [0.5, 0.99, 1.0].map(|q| quantile(&served, q).map_or("–".into(), |ms| format!("{ms:.1}"))).join(" / ");
    if never > 0 && never < verdicts.len() {
        served += &format!(", {never} × never");
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (kind, count) in verdicts.iter().flat_map(|verdict| &verdict.errors) {
        *kinds.entry(kind).or_default() += count;
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    vec![
        name.into(),
        verdicts.len().to_string(),
        counts(Verdict::error_count),
        counts(|verdict| verdict.errors_of_one_client),
        middle_and_end(&times(|verdict| verdict.first_error)),
        middle_and_end(&times(|verdict| verdict.last_error)),
        served,
        total(|verdict| verdict.lost_before),
        total(|verdict| verdict.lost_after),
        quantile(&times(|verdict| verdict.last_lost), 1.0).map_or("–".into(), |ms| format!("{ms:.0}")),
        total(|verdict| verdict.doubled),
        if kinds.is_empty() { "–".into() } else { kinds.join(", ") },
    ]
}

fn middle_and_end(sorted: &[f64]) -> String {
    match (quantile(sorted, 0.5), quantile(sorted, 1.0)) {
        (Some(median), Some(max)) => format!("{median:.0} ({max:.0})"),
        _ => "–".into(),
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
