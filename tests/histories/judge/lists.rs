//! Lists from which nothing is taken: the clients' logs, the pairs of transactions, what scripts append. Each acknowledged element
//! stands where its reply said, and nothing stands there that nobody asked for.

use std::collections::{BTreeMap, HashMap};

use super::acts::Act;
use super::registers::number;
use super::{Evidence, Kind, Verdict};
use crate::histories::history::*;
use crate::histories::wire::Value;

pub fn judge(evidence: &Evidence, acts: &[Act<'_>], verdict: &mut Verdict) {
    let mut lists = BTreeMap::<(usize, &str), Vec<(&Act<'_>, &str)>>::new();
    for act in acts {
        match act.request {
            Request::Append { list, element } => lists.entry((act.db, list)).or_default().push((act, element)),
            Request::Script { element, .. } => lists.entry((act.db, SCRIPTS)).or_default().push((act, element)),
            _ => {}
        }
    }
    let nothing = Vec::new();
    for ((db, list), appended) in lists {
        let there = evidence.lists.get(&(db, list.to_owned())).unwrap_or(&nothing);
        judge_list(&format!("{list} (db {db})"), there, &appended, verdict);
        if list == PAIRS {
            judge_pairs(db, there, verdict);
        }
        if list == SCRIPTS && number(evidence, db, SCRIPT_COUNT) != there.len() as i64 {
            let count = number(evidence, db, SCRIPT_COUNT);
            verdict.fault(Kind::Torn, format!("scripts (db {db}) appended {} elements and counted {count}", there.len()));
        }
    }
}

/// The length that the reply names.
fn length(act: &Act<'_>) -> Option<usize> {
    let number = match act.seen? {
        Value::Int(number) => number,
        Value::Array(items) => match items.get(1)? {
            Value::Int(number) => number,
            _ => return None,
        },
        _ => return None,
    };
    usize::try_from(*number).ok()
}

fn judge_list(name: &str, there: &[String], appended: &[(&Act<'_>, &str)], verdict: &mut Verdict) {
    let asked: HashMap<&str, &Act<'_>> = appended.iter().map(|(act, element)| (*element, *act)).collect();
    let mut places = HashMap::<&str, usize>::new();
    for (place, element) in there.iter().enumerate() {
        if let Some(first) = places.insert(element, place) {
            verdict.fault(Kind::Doubled, format!("{name}: {element} stands at {first} and at {place}"));
        }
        if !asked.contains_key(element.as_str()) {
            verdict.fault(
                Kind::Doubled,
                format!("{name}: {element} is there although its client was told that it was not executed"),
            );
        }
    }
    for (act, element) in appended {
        let (Some(length), false) = (length(act), act.at_risk) else { continue };
        match places.get(element) {
            None => verdict.fault(Kind::Lost, format!("{name}: {element} is not there; {} was answered {length}", act.told())),
            Some(place) if place + 1 != length => {
                let what = format!("{name}: {element} is the {}. element; {} was answered {length}", place + 1, act.told());
                verdict.fault(Kind::Disorder, what);
            }
            Some(_) => {}
        }
    }
}

/// The two halves of a transaction are neighbours.
fn judge_pairs(db: usize, there: &[String], verdict: &mut Verdict) {
    let mut at = 0;
    while at < there.len() {
        let (first, second) = (&there[at], there.get(at + 1).map_or("", String::as_str));
        let whole = first.strip_suffix(":a").is_some_and(|pair| second.strip_suffix(":b") == Some(pair));
        if !whole {
            verdict.fault(Kind::Torn, format!("pairs (db {db}): {first:?} is followed by {second:?}"));
        }
        at += if whole { 2 } else { 1 };
    }
}
