//! The judge is judged: a faultless history, in which one thing after another is made wrong, and the judge has to notice.

use std::sync::OnceLock;

use super::history::*;
use super::judge::{Evidence, Kind, judge};
use super::wire::Value;
use super::workload::Manners;
use super::world::World;

/// What fifty clients saw of a server to which nothing happened.
fn faultless() -> Evidence {
    static RECORDED: OnceLock<Evidence> = OnceLock::new();
    let record = || {
        let world = World::direct(Manners { clients: 50, pause_ms: 10, seed: 7 });
        world.work(20_000);
        world.end()
    };
    RECORDED.get_or_init(record).clone()
}

/// The judge finds a fault of this kind once it is brought in, and none before.
#[track_caller]
fn notices(kind: Kind, bring_in: impl FnOnce(&mut Evidence)) {
    let mut evidence = faultless();
    let before = judge(&evidence);
    assert!(before.faults.is_empty(), "{}", before.told());
    bring_in(&mut evidence);
    let verdict = judge(&evidence);
    assert!(verdict.faults.iter().any(|fault| fault.kind == kind), "no {kind:?} among what was found: {}", verdict.told());
}

/// The judge finds no fault in this.
#[track_caller]
fn accepts(bring_in: impl FnOnce(&mut Evidence)) {
    let mut evidence = faultless();
    bring_in(&mut evidence);
    let verdict = judge(&evidence);
    assert!(verdict.faults.is_empty(), "{}", verdict.told());
}

/// The n-th event, counted through all clients, for which this holds: its client's place and its own.
#[track_caller]
fn find(evidence: &Evidence, nth: usize, is: impl Fn(&Request, &Value) -> bool) -> (usize, usize) {
    let places = evidence
        .histories
        .iter()
        .enumerate()
        .flat_map(|(client, history)| history.events.iter().enumerate().map(move |(place, event)| (client, place, event)));
    let mut fitting =
        places.filter(|(_, _, event)| matches!(&event.outcome, Outcome::Answered(reply) if is(&event.request, reply)));
    let (client, place, _) = fitting.nth(nth).expect("the recorded history has such an event");
    (client, place)
}

fn outcome(evidence: &mut Evidence, (client, place): (usize, usize)) -> &mut Outcome {
    &mut evidence.histories[client].events[place].outcome
}

fn answer(evidence: &mut Evidence, at: (usize, usize), reply: Value) {
    *outcome(evidence, at) = Outcome::Answered(reply);
}

fn exchange(evidence: &mut Evidence, one: (usize, usize), other: (usize, usize)) {
    let first = outcome(evidence, one).clone();
    let second = std::mem::replace(outcome(evidence, other), first);
    *outcome(evidence, one) = second;
}

fn string<'a>(evidence: &'a mut Evidence, key: &str) -> &'a mut Option<String> {
    evidence.strings.get_mut(&(0, key.to_owned())).expect("a key of this test")
}

fn list<'a>(evidence: &'a mut Evidence, key: &str) -> &'a mut Vec<String> {
    evidence.lists.get_mut(&(0, key.to_owned())).expect("a list of this test")
}

/// A crash in the middle: the new primary received everything that was acknowledged up to a third of the time.
fn crash(evidence: &mut Evidence) -> Failover {
    let end = evidence.histories[0].events.last().expect("events").done;
    let failover = Failover { begun: end / 2, over: end / 2 + end / 10, undone: Some((end / 3, end / 2)) };
    evidence.failovers.push(failover);
    failover
}

fn raised(key: &'static str) -> impl Fn(&Request, &Value) -> bool {
    move |request, _| *request == Request::Incr { key: key.into() }
}

fn raise(value: &mut Option<String>, by: i64) {
    let number: i64 = value.as_ref().expect("it was counted").parse().expect("a number");
    *value = Some((number + by).to_string());
}

#[test]
fn an_incr_that_was_executed_twice() {
    notices(Kind::Doubled, |evidence| raise(string(evidence, "n0"), 1));
    notices(Kind::Doubled, |evidence| {
        let at = find(evidence, 3, raised("c0:n"));
        for event in &mut evidence.histories[at.0].events[at.1..] {
            if let (Request::Incr { key }, Outcome::Answered(Value::Int(number))) = (&event.request, &mut event.outcome)
                && key == "c0:n"
            {
                *number += 1;
            }
        }
        raise(string(evidence, "c0:n"), 1);
    });
}

#[test]
fn an_incr_that_was_acknowledged_and_is_lost() {
    notices(Kind::Lost, |evidence| raise(string(evidence, "n1"), -1));
    notices(Kind::Lost, |evidence| raise(string(evidence, "c0:n"), -1));
}

#[test]
fn a_counter_that_gave_one_number_twice_or_went_back() {
    let first = |evidence: &Evidence, nth| find(evidence, nth, raised("n2"));
    notices(Kind::Lost, |evidence| {
        let (one, other) = (first(evidence, 5), first(evidence, 6));
        let reply = outcome(evidence, one).clone();
        *outcome(evidence, other) = reply;
    });
    notices(Kind::Disorder, |evidence| {
        let (one, other) = (first(evidence, 0), first(evidence, 1));
        exchange(evidence, one, other);
    });
}

#[test]
fn a_stale_get() {
    let set = |request: &Request, _: &Value| matches!(request, Request::Set { key, .. } if key == "c0:k1");
    let got =
        |request: &Request, reply: &Value| *request == Request::Get { key: "c0:k1".into() } && matches!(reply, Value::Bulk(_));
    notices(Kind::Stale, |evidence| {
        let (_, place) = find(evidence, 0, set);
        let Request::Set { value, .. } = evidence.histories[0].events[place].request.clone() else { unreachable!() };
        let last = evidence.histories[0].events.iter().rposition(|event| {
            matches!(&event.outcome, Outcome::Answered(reply) if got(&event.request, reply)) && *reply_text(event) != value
        });
        answer(evidence, (0, last.expect("a later one")), Value::Bulk(value));
    });
    notices(Kind::Stale, |evidence| {
        let at = find(evidence, 0, got);
        let resp3 = evidence.histories[at.0].resp3;
        answer(evidence, at, Value::Nil(if resp3 { b'_' } else { b'$' }));
    });
}

fn reply_text(event: &Event) -> &str {
    if let Outcome::Answered(Value::Bulk(text)) = &event.outcome { text } else { "" }
}

#[test]
fn replies_that_belong_to_other_requests() {
    let echo = |request: &Request, _: &Value| matches!(request, Request::Echo { .. });
    let got = |request: &Request, reply: &Value| matches!(request, Request::Get { .. }) && matches!(reply, Value::Bulk(_));
    let script = |request: &Request, _: &Value| matches!(request, Request::Script { .. });
    notices(Kind::Swapped, |evidence| {
        let (one, other) = (find(evidence, 0, echo), find(evidence, 1, echo));
        exchange(evidence, one, other);
    });
    notices(Kind::Swapped, |evidence| {
        let (one, other) = (find(evidence, 0, got), find(evidence, 900, got));
        assert_ne!(one.0, other.0);
        exchange(evidence, one, other);
    });
    notices(Kind::Swapped, |evidence| {
        let (one, other) = (find(evidence, 0, script), find(evidence, 1, script));
        exchange(evidence, one, other);
    });
    // All replies of a pipeline, one place further.
    notices(Kind::Swapped, |evidence| {
        let events = &mut evidence.histories[1].events;
        let start = events.windows(9).position(|some| some.iter().all(|event| event.batch == some[0].batch)).expect("a pipeline");
        for place in (start + 1..start + 9).rev() {
            events[place].outcome = events[place - 1].outcome.clone();
        }
    });
}

#[test]
fn a_reply_in_the_other_protocol() {
    let nothing = |request: &Request, reply: &Value| matches!((request, reply), (Request::Get { .. }, Value::Nil(b'_')));
    notices(Kind::Swapped, |evidence| {
        let at = find(evidence, 0, nothing);
        answer(evidence, at, Value::Nil(b'$'));
    });
    notices(Kind::Swapped, |evidence| {
        let at = find(evidence, 0, |request, reply| *request == Request::Hash && matches!(reply, Value::Map(_)));
        let Outcome::Answered(Value::Map(items)) = outcome(evidence, at).clone() else { unreachable!() };
        answer(evidence, at, Value::Array(items));
    });
}

fn popped(request: &Request, reply: &Value) -> bool {
    matches!((request, reply), (Request::Pop { queue, .. }, Value::Array(_)) if queue == "q0")
}

#[test]
fn an_element_that_is_lost_popped_twice_or_still_there() {
    notices(Kind::Lost, |evidence| {
        let at = find(evidence, 2, popped);
        let resp3 = evidence.histories[at.0].resp3;
        answer(evidence, at, Value::Nil(if resp3 { b'_' } else { b'*' }));
    });
    notices(Kind::Doubled, |evidence| {
        let (one, other) = (find(evidence, 0, popped), find(evidence, 1, popped));
        let reply = outcome(evidence, one).clone();
        *outcome(evidence, other) = reply;
    });
    notices(Kind::Doubled, |evidence| {
        let at = find(evidence, 0, popped);
        let Outcome::Answered(Value::Array(items)) = outcome(evidence, at).clone() else { unreachable!() };
        let Value::Bulk(element) = &items[1] else { unreachable!() };
        list(evidence, "q0").push(element.clone());
    });
}

/// The client that pushed what was popped.
fn producer_of(outcome: &Outcome) -> String {
    let Outcome::Answered(Value::Array(items)) = outcome else { return String::new() };
    let Some(Value::Bulk(element)) = items.get(1) else { return String::new() };
    element.split(':').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_queue_out_of_order() {
    notices(Kind::Disorder, |evidence| {
        // Two elements of one client, the second popped well after the first.
        let one = find(evidence, 0, popped);
        let (first, producer) = (evidence.histories[one.0].events[one.1].done, producer_of(outcome(evidence, one)));
        let places =
            evidence.histories.iter().enumerate().flat_map(|(client, history)| {
                history.events.iter().enumerate().map(move |(place, event)| (client, place, event))
            });
        let later = |event: &Event| {
            event.sent > first
                && matches!(&event.outcome, Outcome::Answered(reply) if popped(&event.request, reply))
                && producer_of(&event.outcome) == producer
        };
        let other = places.filter(|(.., event)| later(event)).map(|(client, place, _)| (client, place)).next();
        exchange(evidence, one, other.expect("another one"));
    });
}

#[test]
fn a_log_with_a_line_lost_doubled_or_moved() {
    notices(Kind::Lost, |evidence| _ = list(evidence, "c0:log").pop());
    notices(Kind::Doubled, |evidence| {
        let first = list(evidence, "c0:log")[0].clone();
        list(evidence, "c0:log").push(first);
    });
    notices(Kind::Disorder, |evidence| list(evidence, "c0:log").swap(0, 1));
}

#[test]
fn a_script_that_was_executed_twice() {
    notices(Kind::Doubled, |evidence| {
        let first = list(evidence, SCRIPTS)[0].clone();
        list(evidence, SCRIPTS).push(first);
        raise(string(evidence, SCRIPT_COUNT), 1);
    });
}

#[test]
fn a_transaction_in_part_or_although_it_was_refused() {
    notices(Kind::Torn, |evidence| _ = list(evidence, PAIRS).pop());
    notices(Kind::Torn, |evidence| list(evidence, PAIRS).swap(1, 2));
    let watched = |request: &Request, _: &Value| matches!(request, Request::Exec { watched: true, .. });
    for kind in [Kind::Swapped, Kind::Doubled] {
        notices(kind, |evidence| {
            let at = find(evidence, 0, watched);
            let resp3 = evidence.histories[at.0].resp3;
            answer(evidence, at, Value::Nil(if resp3 { b'_' } else { b'*' }));
        });
    }
}

#[test]
fn errors_and_what_nobody_asked_for() {
    notices(Kind::Error, |evidence| {
        let at = find(evidence, 0, popped);
        answer(evidence, at, Value::Error("READONLY You can't write against a read only replica.".into()));
    });
    notices(Kind::Odd, |evidence| evidence.histories[0].oddities.push((1, "came unasked: \"+OK\"".into())));
    notices(Kind::Closed, |evidence| evidence.histories[0].oddities.push((1, "closed although nothing was under way".into())));
    notices(Kind::Silent, |evidence| *outcome(evidence, (0, 5)) = Outcome::Silent);
}

#[test]
fn a_connection_that_ends_without_a_crash_or_without_a_write_under_way() {
    notices(Kind::Closed, |evidence| *outcome(evidence, (0, 20)) = Outcome::Closed);
    notices(Kind::Closed, |evidence| {
        let crash = crash(evidence);
        let reads = |event: &&mut Event| event.sent > crash.begun && matches!(event.request, Request::Get { .. });
        evidence.histories[0].events.iter_mut().find(reads).expect("one in time").outcome = Outcome::Closed;
    });
}

/// A line of the first client's log that was acknowledged before this moment.
fn appended_before(evidence: &Evidence, moment: u64) -> String {
    let found = evidence.histories[0].events.iter().find_map(|event| match &event.request {
        Request::Append { element, .. } if event.done < moment => Some(element.clone()),
        _ => None,
    });
    found.expect("one in time")
}

#[test]
fn what_was_acknowledged_before_the_last_marker_survives_a_crash() {
    notices(Kind::Lost, |evidence| {
        let (received, _) = crash(evidence).undone.expect("a crash");
        let element = appended_before(evidence, received);
        list(evidence, "c0:log").retain(|one| *one != element);
    });
}

#[test]
fn a_write_whose_reply_never_came_is_there_once_or_not_at_all() {
    let cut = |evidence: &mut Evidence| {
        // The tenth line of its log is under way in the crash, and nothing of this client comes afterwards.
        let append = |event: &Event| matches!(&event.request, Request::Append { .. });
        let tenth = evidence.histories[0].events.iter().enumerate().filter(|(_, event)| append(event)).nth(9);
        let (place, event) = tenth.map(|(place, event)| (place, event.clone())).expect("ten lines");
        let Request::Append { element, .. } = event.request else { unreachable!() };
        let failover = Failover { begun: event.sent, over: event.done, undone: Some((event.sent, event.sent)) };
        evidence.failovers.push(failover);
        evidence.histories.truncate(1);
        evidence.histories[0].events.truncate(place + 1);
        *outcome(evidence, (0, place)) = Outcome::Closed;
        // Only the log is looked at.
        evidence.histories[0].events.retain(|event| matches!(&event.request, Request::Append { list, .. } if list == "c0:log"));
        let known: Vec<String> = list(evidence, "c0:log").iter().take_while(|one| **one < element).cloned().collect();
        evidence.lists = [((0, "c0:log".to_owned()), known)].into();
        evidence.strings.clear();
        element
    };
    accepts(|evidence| _ = cut(evidence));
    accepts(|evidence| {
        let element = cut(evidence);
        list(evidence, "c0:log").push(element);
    });
    notices(Kind::Doubled, |evidence| {
        let element = cut(evidence);
        list(evidence, "c0:log").extend([element.clone(), element]);
    });
}
