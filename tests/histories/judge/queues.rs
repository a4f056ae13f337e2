//! Queues that are pushed to at one end and popped from at the other: each element comes out once or is still there, and what went
//! in first comes out first.

use std::collections::{BTreeMap, HashMap};

use super::acts::Act;
use super::{Evidence, Kind, Verdict};
use crate::histories::history::*;
use crate::histories::wire::Value;

/// What happened to one queue.
#[derive(Default)]
struct Queue<'a> {
    pushed: Vec<(&'a str, &'a Act<'a>)>,
    popped: Vec<(&'a str, &'a Act<'a>)>,
    /// Pops whose reply never came: each may have taken one element along.
    unknown_pops: usize,
}

pub fn judge(evidence: &Evidence, acts: &[Act<'_>], verdict: &mut Verdict) {
    let mut queues = BTreeMap::<(usize, &str), Queue<'_>>::new();
    for act in acts {
        match (act.request, act.seen) {
            (Request::Push { queue, element }, _) => {
                queues.entry((act.db, queue)).or_default().pushed.push((element, act));
            }
            (Request::Pop { queue, .. }, Some(Value::Array(items))) => {
                if let [_, Value::Bulk(element)] = &items[..] {
                    queues.entry((act.db, queue)).or_default().popped.push((element, act));
                }
            }
            (Request::Pop { queue, .. }, None) => queues.entry((act.db, queue)).or_default().unknown_pops += 1,
            _ => {}
        }
    }
    let nothing = Vec::new();
    for ((db, name), queue) in queues {
        let there = evidence.lists.get(&(db, name.to_owned())).unwrap_or(&nothing);
        queue.judge(&format!("{name} (db {db})"), there, verdict);
    }
}

impl Queue<'_> {
    fn judge(&self, name: &str, there: &[String], verdict: &mut Verdict) {
        let pushed: HashMap<&str, &Act<'_>> = self.pushed.iter().copied().collect();
        let mut popped = HashMap::<&str, &Act<'_>>::new();
        for (element, act) in &self.popped {
            match pushed.get(element) {
                None => {
                    let what = format!("{name}: {} got {element}, which was never pushed here", act.told());
                    verdict.fault(Kind::Swapped, what);
                }
                Some(push) if push.sent > act.done => {
                    let what = format!("{name}: {} got {element} before {} asked for it", act.told(), push.told());
                    verdict.fault(Kind::Swapped, what);
                }
                Some(_) => {}
            }
            // A crash that forgets a pop brings its element back.
            match popped.get(element) {
                Some(other) if !other.at_risk && !act.at_risk => {
                    let what = format!("{name}: {element} was popped by {} and by {}", other.told(), act.told());
                    verdict.fault(Kind::Doubled, what);
                }
                Some(other) if !other.at_risk => {}
                _ => _ = popped.insert(element, act),
            }
        }
        let mut present = HashMap::<&str, usize>::new();
        for (place, element) in there.iter().enumerate() {
            if !pushed.contains_key(element.as_str()) {
                verdict.fault(Kind::Doubled, format!("{name}: {element} is there although its client was told otherwise"));
            }
            if present.insert(element, place).is_some() {
                verdict.fault(Kind::Doubled, format!("{name}: {element} is there twice"));
            }
            if let Some(act) = popped.get(element.as_str()).filter(|act| !act.at_risk) {
                verdict.fault(Kind::Doubled, format!("{name}: {element} is there although {} got it", act.told()));
            }
        }
        let gone = |(element, act): &&(&str, &Act<'_>)| {
            act.seen.is_some() && !act.at_risk && !popped.contains_key(element) && !present.contains_key(element)
        };
        let lost: Vec<&(&str, &Act<'_>)> = self.pushed.iter().filter(gone).collect();
        if lost.len() > self.unknown_pops {
            let which: Vec<String> = lost.iter().take(5).map(|(_, act)| act.told()).collect();
            let what = format!(
                "{name}: {} acknowledged elements are neither popped nor there, and only {} pops have an unknown fate: {which:?}",
                lost.len(),
                self.unknown_pops
            );
            (self.unknown_pops..lost.len()).for_each(|_| verdict.fault(Kind::Lost, what.clone()));
        }
        self.judge_order(name, &popped, &present, verdict);
    }

    /// Elements of one client come out in the order in which they went in, whoever gets them.
    fn judge_order(&self, name: &str, popped: &HashMap<&str, &Act<'_>>, present: &HashMap<&str, usize>, verdict: &mut Verdict) {
        let mut of_clients = BTreeMap::<usize, Vec<&str>>::new();
        for (element, act) in &self.pushed {
            of_clients.entry(act.client).or_default().push(element);
        }
        for elements in of_clients.values() {
            // From the last to the first: the earliest end of a pop of a later element, and the place of the next one still there.
            let (mut earliest, mut behind) = (None::<(&str, &Act<'_>)>, None::<(&str, usize)>);
            for element in elements.iter().rev() {
                if let Some(act) = popped.get(element).filter(|act| !act.at_risk) {
                    if let Some((later, other)) = earliest.filter(|(_, other)| other.done < act.sent) {
                        let what =
                            format!("{name}: {} got {element} after {} got {later}, pushed later", act.told(), other.told());
                        verdict.fault(Kind::Disorder, what);
                    }
                    if earliest.is_none_or(|(_, other)| act.done < other.done) {
                        earliest = Some((element, act));
                    }
                }
                if let Some(place) = present.get(element).copied() {
                    // The head is the newest.
                    if let Some((later, its)) = behind.filter(|(_, its)| *its > place) {
                        verdict.fault(Kind::Disorder, format!("{name}: {element} at {place} stands before {later} at {its}"));
                    }
                    behind = Some((element, place));
                }
            }
        }
    }
}
