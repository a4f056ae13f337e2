//! Counters that all clients of a database raise: every acknowledged INCR counts once, and the replies come in the order of time.

use std::collections::{BTreeMap, HashMap};

use super::acts::Act;
use super::registers::number;
use super::{Evidence, Kind, Verdict};
use crate::histories::history::*;
use crate::histories::wire::Value;

pub fn judge(evidence: &Evidence, acts: &[Act<'_>], verdict: &mut Verdict) {
    let mut counters = BTreeMap::<(usize, &str), Vec<&Act<'_>>>::new();
    for act in acts {
        match act.request {
            Request::Incr { key } if *key != own(act.client, "n") => counters.entry((act.db, key)).or_default().push(act),
            _ => {}
        }
    }
    for ((db, key), raised) in counters {
        let sure = raised.iter().filter(|act| act.seen.is_some() && !act.at_risk).count();
        let last = usize::try_from(number(evidence, db, key)).unwrap_or(0);
        if last < sure {
            verdict.fault(Kind::Lost, format!("{key} (db {db}) is {last} in the end, {sure} were acknowledged"));
        }
        if last > raised.len() {
            verdict.fault(Kind::Doubled, format!("{key} (db {db}) is {last} in the end, only {} were ever asked", raised.len()));
        }
        given_once(&raised, verdict);
        in_order_of_time(&raised, verdict);
        if let Some(act) = raised.iter().find(|act| !act.at_risk && seen(act).is_some_and(|number| number > last as i64)) {
            verdict.fault(Kind::Lost, format!("{key} (db {db}) is {last} in the end, but {} was answered more", act.told()));
        }
    }
}

fn seen(act: &Act<'_>) -> Option<i64> {
    if let Some(Value::Int(number)) = act.seen { Some(*number) } else { None }
}

/// A number is given twice only where a crash took the first one back.
fn given_once(raised: &[&Act<'_>], verdict: &mut Verdict) {
    let mut given = HashMap::<i64, &Act<'_>>::new();
    for act in raised.iter().filter(|act| !act.at_risk) {
        let Some(number) = seen(act) else { continue };
        if let Some(other) = given.insert(number, act) {
            let what = format!("{number} was given twice: to {} and to {}", other.told(), act.told());
            verdict.fault(Kind::Lost, what);
        }
    }
}

/// What was asked after another had been answered has the larger number.
fn in_order_of_time(raised: &[&Act<'_>], verdict: &mut Verdict) {
    let mut by_sent: Vec<(&Act<'_>, i64)> =
        raised.iter().filter(|act| !act.at_risk).filter_map(|act| Some((*act, seen(act)?))).collect();
    let mut by_done = by_sent.clone();
    by_sent.sort_by_key(|(act, _)| act.sent);
    by_done.sort_by_key(|(act, _)| act.done);
    let (mut done, mut largest) = (by_done.into_iter().peekable(), None::<(i64, &Act<'_>)>);
    for (act, number) in by_sent {
        while let Some((earlier, its)) = done.next_if(|(earlier, _)| earlier.done < act.sent) {
            if largest.is_none_or(|(most, _)| its > most) {
                largest = Some((its, earlier));
            }
        }
        if let Some((most, earlier)) = largest.filter(|(most, _)| *most >= number) {
            let what = format!("{} was answered {number}, after {} had been answered {most}", act.told(), earlier.told());
            verdict.fault(Kind::Disorder, what);
        }
    }
}
