//! What belongs to one client alone: it reads what it wrote last, its counter and the length of its log grow by one at a time.
//!
//! A register holds the set of values that are possible. An acknowledged write leaves one; a write of unknown fate adds one; a crash
//! adds those that it may have brought back.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;

use super::acts::Act;
use super::{Evidence, Kind, Verdict};
use crate::histories::history::*;
use crate::histories::wire::Value;

/// The possible values of something that one client alone changes.
struct Register<T> {
    now: BTreeSet<T>,
    /// What a crash may bring back: values before a write that the successor may not have received.
    before: BTreeSet<T>,
}

impl<T: Ord + Clone> Register<T> {
    fn new(value: T) -> Self {
        Self { now: [value].into(), before: BTreeSet::new() }
    }

    /// What it may hold when this is executed.
    fn possible(&self) -> BTreeSet<T> {
        self.now.union(&self.before).cloned().collect()
    }

    /// A change from one value to the `next`. `seen`: the value afterwards, as the reply says; an error tells what was possible.
    fn change(&mut self, act: &Act<'_>, next: impl Fn(&T) -> T, seen: Option<T>) -> Result<(), BTreeSet<T>> {
        let possible = self.possible();
        let after: BTreeSet<T> = possible.iter().map(next).collect();
        let Some(seen) = seen else {
            self.now = possible.union(&after).cloned().collect();
            self.keep(act, possible);
            return Ok(());
        };
        let fits = after.contains(&seen);
        self.now = [seen].into();
        self.keep(act, possible);
        if fits { Ok(()) } else { Err(after) }
    }

    fn read(&mut self, act: &Act<'_>, seen: T) -> Result<(), BTreeSet<T>> {
        let possible = self.possible();
        let fits = possible.contains(&seen);
        self.now = [seen].into();
        self.keep(act, possible.clone());
        if fits { Ok(()) } else { Err(possible) }
    }

    /// What this leaves behind can be undone, or it cannot any more.
    fn keep(&mut self, act: &Act<'_>, possible: BTreeSet<T>) {
        if act.at_risk {
            self.before.extend(possible);
        } else {
            self.before.clear();
        }
    }
}

pub fn judge(evidence: &Evidence, acts: &[Act<'_>], verdict: &mut Verdict) {
    let mut keys = HashMap::<(usize, String), (usize, Register<Option<String>>)>::new();
    let mut counts = HashMap::<(usize, String), (usize, Register<i64>)>::new();
    for act in acts {
        let at = |key: &str| (act.db, key.to_owned());
        match (act.request, act.seen) {
            (Request::Set { key, value }, seen) => {
                let (_, register) = keys.entry(at(key)).or_insert((act.client, Register::new(None)));
                let _ = register.change(act, |_| Some(value.clone()), seen.map(|_| Some(value.clone())));
            }
            (Request::Get { key }, Some(seen)) => {
                let (_, register) = keys.entry(at(key)).or_insert((act.client, Register::new(None)));
                let seen = if let Value::Bulk(text) = seen { Some(text.clone()) } else { None };
                let own_value = seen.as_ref().is_none_or(|text| text.starts_with(&format!("v:{}:", act.client)));
                if let Err(possible) = register.read(act, seen.clone()) {
                    let kind = if own_value { Kind::Stale } else { Kind::Swapped };
                    verdict.fault(kind, wrong(act, &seen, &possible));
                }
            }
            (Request::Incr { key }, seen) if *key == own(act.client, "n") => {
                let (_, register) = counts.entry(at(key)).or_insert((act.client, Register::new(0)));
                count(act, register, seen, verdict);
            }
            (Request::Append { list, .. }, seen) if *list == own(act.client, "log") => {
                let (_, register) = counts.entry(at(list)).or_insert((act.client, Register::new(0)));
                count(act, register, seen, verdict);
            }
            _ => {}
        }
    }
    for ((db, key), (client, register)) in keys {
        let last = evidence.strings.get(&(db, key.clone())).cloned().flatten();
        if !register.possible().contains(&last) {
            verdict.fault(
                Kind::Lost,
                format!("in the end {key} (db {db}, client {client}) is {}", short(&last, &register.possible())),
            );
        }
    }
    for ((db, key), (client, register)) in counts {
        let last = match evidence.lists.get(&(db, key.clone())) {
            Some(list) => i64::try_from(list.len()).unwrap_or(i64::MAX),
            None => number(evidence, db, &key),
        };
        let possible = register.possible();
        if !possible.contains(&last) {
            let kind = if possible.last().is_some_and(|most| last > *most) { Kind::Doubled } else { Kind::Lost };
            verdict.fault(kind, format!("in the end {key} (db {db}, client {client}) counts {}", short(&last, &possible)));
        }
    }
}

/// A counter at the end.
pub fn number(evidence: &Evidence, db: usize, key: &str) -> i64 {
    let text = evidence.strings.get(&(db, key.to_owned())).cloned().flatten();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn count(act: &Act<'_>, register: &mut Register<i64>, seen: Option<&Value>, verdict: &mut Verdict) {
    let seen = seen.map(|seen| if let Value::Int(number) = seen { *number } else { -1 });
    if let Err(possible) = register.change(act, |number| number + 1, seen) {
        let seen = seen.unwrap_or(-1);
        let kind = if possible.last().is_some_and(|most| seen > *most) { Kind::Doubled } else { Kind::Lost };
        verdict.fault(kind, wrong(act, &seen, &possible));
    }
}

fn wrong(act: &Act<'_>, seen: &impl Debug, possible: &BTreeSet<impl Debug>) -> String {
    format!("{} was answered {}", act.told(), short(seen, possible))
}

fn short(seen: &impl Debug, possible: &BTreeSet<impl Debug>) -> String {
    let cut = |text: String| text.chars().take(80).collect::<String>();
    let possible: Vec<String> = possible.iter().take(6).map(|one| cut(format!("{one:?}"))).collect();
    format!("{}, but possible is only {}", cut(format!("{seen:?}")), possible.join(" or "))
}
