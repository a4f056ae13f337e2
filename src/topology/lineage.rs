//! Who continues whose history: the memory behind *proof of succession* (rule 3a).
//!
//! A promoted server gets a new replication id, keeps the old one as `master_replid2`, and notes in `second_repl_offset` where the
//! new history begins. That alone proves nothing: since Redis 7 a server that merely started as master from its RDB file shows
//! the same (`loadDataFromDisk` in server.c). So an edge from an old id to a new one counts as proof only where
//!
//! - this very process was seen before as a replica that carried the old id, or
//! - this very process was seen before without the old id as its `replid2`, and has received replication traffic: a running process
//!   gets a `replid2` only from an id that it carried, so it was attached and promoted between two checks, or
//! - it was never seen before and has received replication traffic (`total_net_repl_input_bytes`, 0 after a start from a file), and
//! - it may be promoted at all (`slave_priority` is not 0), and
//! - what it misses of the old history is at most `max_succession_gap` (asked at the time of use).
//!
//! Edges join ids, never addresses. A process that changes its own id continues itself. Every memory here is bounded.

use std::collections::VecDeque;

use super::facts::{Facts, Id, Role};
use crate::route::Moment;

/// Processes remembered. A group has a handful; restarts make more.
const PROCESSES_MAX: usize = 64;
/// Ids remembered that one process carried as a replica.
const CARRIED_MAX: usize = 8;
/// Histories whose last offset is remembered.
const HEADS_MAX: usize = 64;
/// Edges remembered.
const EDGES_MAX: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    processes: VecDeque<Process>,
    heads: VecDeque<Head>,
    edges: VecDeque<Edge>,
}

#[derive(Clone, Debug)]
struct Process {
    run_id: Id,
    /// Ids it carried as a replica, the newest last.
    carried: VecDeque<Id>,
    /// The id it had when last seen as master, unless it was seen as a replica since.
    mastered: Option<Id>,
    priority: Option<u32>,
    /// What it continued when last seen.
    replid2: Option<Id>,
    /// `total_net_repl_input_bytes` when last seen.
    received: Option<u64>,
}

/// How far the master of a history was seen to have come.
#[derive(Clone, Debug)]
struct Head {
    id: Id,
    offset: u64,
    at: Moment,
}

/// `child` continues `parent`.
#[derive(Clone, Debug)]
struct Edge {
    parent: Id,
    child: Id,
    proven: bool,
    /// The first offset of the child's own history.
    begins: Option<u64>,
    gap: Option<Gap>,
}

/// What a successor misses of the history that it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Bytes of the replication stream.
    pub bytes: u64,
    /// When the old history's offset was read: what was written after that is not counted.
    pub as_of: Moment,
}

impl Lineage {
    /// Learns from one answer.
    pub fn observe(&mut self, facts: &Facts, now: Moment) {
        let known = self.process_position(facts.run_id.as_ref());
        match (facts.role, &facts.replid) {
            (Role::Master, Some(replid)) => {
                self.learn_edge(facts, replid, known);
                if let Some(offset) = facts.offset {
                    self.learn_head(replid, offset, now);
                }
            }
            // What a replica has of a history, its master had: it may tell more than the master's last answer before it died.
            (Role::Replica, Some(replid)) => {
                if let Some(offset) = facts.offset.filter(|offset| self.is_farther(replid, *offset)) {
                    self.learn_head(replid, offset, now);
                }
            }
            (Role::Master | Role::Replica | Role::Unknown, _) => {}
        }
        let Some(run_id) = &facts.run_id else { return };
        let position = known.unwrap_or_else(|| {
            bounded_push(
                &mut self.processes,
                PROCESSES_MAX,
                Process {
                    run_id: run_id.clone(),
                    carried: VecDeque::new(),
                    mastered: None,
                    priority: None,
                    replid2: None,
                    received: None,
                },
            );
            self.processes.len() - 1
        });
        let process = &mut self.processes[position];
        process.priority = facts.priority.or(process.priority);
        process.replid2 = facts.replid2.clone();
        process.received = facts.repl_input_bytes.or(process.received);
        match facts.role {
            Role::Master => process.mastered = facts.replid.clone(),
            Role::Replica => {
                process.mastered = None;
                if let Some(id) = facts.replid.as_ref().filter(|id| process.carried.back() != Some(*id)) {
                    bounded_push(&mut process.carried, CARRIED_MAX, id.clone());
                }
            }
            Role::Unknown => {}
        }
    }

    fn process_position(&self, run_id: Option<&Id>) -> Option<usize> {
        run_id.and_then(|run_id| self.processes.iter().position(|process| process.run_id == *run_id))
    }

    /// A master's id is `child`: does it continue another one?
    fn learn_edge(&mut self, facts: &Facts, child: &Id, known: Option<usize>) {
        if self.edges.iter().any(|edge| edge.child == *child) {
            return;
        }
        let process = known.map(|position| &self.processes[position]);
        // The same process changed its own id: backlog expiry and DEBUG CHANGE-REPL-ID clear replid2, an aborted FAILOVER sets it.
        // Not where it has received something since: between two checks it was a replica, and its data are another's.
        let stayed = |process: &&Process| match (process.received, facts.repl_input_bytes) {
            (Some(before), Some(now)) => before == now,
            _ => true,
        };
        let own = process.filter(stayed).and_then(|process| process.mastered.as_ref());
        if let Some(parent) = own.filter(|own| *own != child && facts.replid2.as_ref().is_none_or(|id2| id2 == *own)) {
            let edge = Edge { parent: parent.clone(), child: child.clone(), proven: true, begins: None, gap: None };
            bounded_push(&mut self.edges, EDGES_MAX, edge);
            return;
        }
        let Some(parent) = &facts.replid2 else { return };
        if parent == child {
            return;
        }
        let received = match process {
            Some(process) => {
                let attached_since = process.replid2.as_ref() != Some(parent) && facts.repl_input_bytes != Some(0);
                process.carried.contains(parent) || attached_since
            }
            None => facts.run_id.is_some() && facts.repl_input_bytes.is_some_and(|bytes| bytes > 0),
        };
        let may_be_promoted = facts.priority.or(process.and_then(|process| process.priority)) != Some(0);
        let begins = facts.second_offset;
        let head = self.heads.iter().find(|head| head.id == *parent);
        let gap = head.and_then(|head| gap(head, begins));
        let edge = Edge { parent: parent.clone(), child: child.clone(), proven: received && may_be_promoted, begins, gap };
        bounded_push(&mut self.edges, EDGES_MAX, edge);
    }

    /// `offset` is beyond what is known of a history. A history that no master was seen with stays unknown.
    fn is_farther(&self, id: &Id, offset: u64) -> bool {
        self.heads.iter().any(|head| head.id == *id && head.offset < offset)
    }

    fn learn_head(&mut self, id: &Id, offset: u64, at: Moment) {
        let head = Head { id: id.clone(), offset, at };
        // Seen the successor first, the old master only now: the offset may count what came after the promotion, never less.
        for edge in self.edges.iter_mut().filter(|edge| edge.parent == *id && edge.gap.is_none()) {
            edge.gap = gap(&head, edge.begins);
        }
        match self.heads.iter_mut().find(|known| known.id == *id) {
            Some(known) => *known = head,
            None => bounded_push(&mut self.heads, HEADS_MAX, head),
        }
    }

    /// Proof of succession: a chain of proven edges leads from `ancestor` to `id`, none of which misses more than `max_gap` bytes.
    pub fn follows(&self, id: &Id, ancestor: &Id, max_gap: u64) -> bool {
        id != ancestor
            && self.climb(id, |edge| edge.proven && edge.gap.is_none_or(|gap| gap.bytes <= max_gap), ancestor).is_some()
    }

    /// `id` is a history that `descendant` came from, as far as `descendant` itself and its ancestors said, proven or not.
    pub fn is_ancestor(&self, id: &Id, descendant: &Id) -> bool {
        id != descendant && self.climb(descendant, |_| true, id).is_some()
    }

    /// What `id` misses of `ancestor`, along the chain; absent where no chain is known or an offset on it is not.
    pub fn gap(&self, id: &Id, ancestor: &Id) -> Option<Gap> {
        let first = self.climb(id, |_| true, ancestor)?;
        // The edge that leaves the ancestor tells what was lost of it; later edges lost what the ancestor never had.
        first.gap
    }

    /// Walks from `id` towards its ancestors over edges that `passable` allows; the edge that arrives at `goal`.
    fn climb(&self, id: &Id, passable: impl Fn(&Edge) -> bool, goal: &Id) -> Option<&Edge> {
        let mut at = id;
        // A child has one edge, so the walk is a line; the bound ends it should hostile ids form a ring.
        for _ in 0..=EDGES_MAX {
            let edge = self.edges.iter().find(|edge| edge.child == *at && passable(edge))?;
            if edge.parent == *goal {
                return Some(edge);
            }
            at = &edge.parent;
        }
        None
    }
}

fn gap(head: &Head, begins: Option<u64>) -> Option<Gap> {
    let common = begins?.saturating_sub(1);
    Some(Gap { bytes: head.offset.saturating_sub(common), as_of: head.at })
}

fn bounded_push<T>(queue: &mut VecDeque<T>, max: usize, item: T) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(5);

    fn id(text: &str) -> Id {
        Id::new(text).expect("a test's id")
    }

    fn master(run: &str, replid: &str, replid2: &str, offset: u64, second: Option<u64>) -> Facts {
        Facts {
            run_id: Id::new(run),
            role: Role::Master,
            replid: Id::new(replid),
            replid2: Id::new(replid2),
            offset: Some(offset),
            second_offset: second,
            repl_input_bytes: Some(0),
            ..Facts::default()
        }
    }

    fn replica(run: &str, replid: &str) -> Facts {
        Facts { role: Role::Replica, priority: Some(100), ..master(run, replid, "", 0, None) }
    }

    #[test]
    fn a_replica_seen_before_its_promotion_is_proof_and_a_start_from_a_file_is_none() {
        let mut lineage = Lineage::default();
        lineage.observe(&master("a", "x", "", 100, None), NOW);
        lineage.observe(&replica("b", "x"), NOW);
        lineage.observe(&master("b", "y", "x", 90, Some(91)), NOW);
        lineage.observe(&master("c", "z", "x", 90, Some(91)), NOW);
        assert!(lineage.follows(&id("y"), &id("x"), 10));
        assert!(!lineage.follows(&id("y"), &id("x"), 9), "10 bytes are missing");
        assert!(!lineage.follows(&id("z"), &id("x"), 1000));
        assert!(!lineage.follows(&id("y"), &id("z"), 1000), "siblings");
        assert_eq!(lineage.gap(&id("y"), &id("x")), Some(Gap { bytes: 10, as_of: NOW }));
        assert!(lineage.is_ancestor(&id("x"), &id("z")));
    }

    #[test]
    fn what_another_replica_received_counts_as_written() {
        let mut lineage = Lineage::default();
        lineage.observe(&master("a", "x", "", 100, None), NOW);
        lineage.observe(&Facts { offset: Some(130), ..replica("c", "x") }, NOW);
        lineage.observe(&Facts { offset: Some(110), ..replica("b", "x") }, NOW);
        lineage.observe(&master("b", "y", "x", 110, Some(111)), NOW);
        assert_eq!(lineage.gap(&id("y"), &id("x")), Some(Gap { bytes: 20, as_of: NOW }));
    }

    #[test]
    fn an_unseen_process_needs_replication_input_and_chains_hold() {
        let mut lineage = Lineage::default();
        for (run, replid, replid2) in [("b", "y", "x"), ("c", "z", "y")] {
            lineage.observe(&Facts { repl_input_bytes: Some(1), ..master(run, replid, replid2, 9, Some(10)) }, NOW);
        }
        assert!(lineage.follows(&id("z"), &id("x"), 0));
        assert!(!lineage.follows(&id("x"), &id("z"), 0));
    }

    #[test]
    fn a_process_that_was_attached_and_promoted_between_two_checks_proves_it_by_having_had_no_such_id2_before() {
        let promoted = Facts { repl_input_bytes: Some(7), ..master("c", "z", "y", 9, Some(10)) };
        let mut lineage = Lineage::default();
        lineage.observe(&replica("c", "x"), NOW);
        lineage.observe(&promoted, NOW);
        assert!(lineage.follows(&id("z"), &id("y"), 0));
        // Had it been started from a file with that id, it would have shown it from the first check on.
        let mut lineage = Lineage::default();
        lineage.observe(&Facts { role: Role::Replica, ..promoted.clone() }, NOW);
        lineage.observe(&promoted, NOW);
        assert!(!lineage.follows(&id("z"), &id("y"), 0), "its id2 is older than what was seen of it");
    }

    #[test]
    fn a_replica_of_priority_0_proves_nothing() {
        let mut lineage = Lineage::default();
        lineage.observe(&Facts { priority: Some(0), ..replica("b", "x") }, NOW);
        lineage.observe(&master("b", "y", "x", 9, Some(9)), NOW);
        assert!(!lineage.follows(&id("y"), &id("x"), 0));
    }

    #[test]
    fn a_process_that_changes_its_id_continues_itself_unless_it_was_a_replica_meanwhile() {
        let mut lineage = Lineage::default();
        lineage.observe(&master("a", "x", "", 9, None), NOW);
        lineage.observe(&master("a", "y", "", 9, None), NOW);
        assert!(lineage.follows(&id("y"), &id("x"), 0));
        lineage.observe(&replica("a", "s"), NOW);
        lineage.observe(&master("a", "z", "", 9, None), NOW);
        assert!(!lineage.follows(&id("z"), &id("y"), 0));
        // Also where nobody saw it as one.
        lineage.observe(&Facts { repl_input_bytes: Some(14), ..master("a", "w", "", 9, None) }, NOW);
        assert!(!lineage.follows(&id("w"), &id("z"), 0));
    }

    #[test]
    fn memory_is_bounded_and_rings_end() {
        let mut lineage = Lineage::default();
        for n in 1..1000 {
            lineage.observe(&replica(&format!("p{n}"), &format!("i{}", n - 1)), NOW);
            lineage.observe(&master(&format!("p{n}"), &format!("i{n}"), &format!("i{}", n - 1), 1, Some(1)), NOW);
        }
        assert!(lineage.processes.len() <= PROCESSES_MAX && lineage.heads.len() <= HEADS_MAX && lineage.edges.len() <= EDGES_MAX);
        let mut ring = Lineage::default();
        ring.observe(&Facts { repl_input_bytes: Some(1), ..master("p", "x", "y", 1, Some(1)) }, NOW);
        ring.observe(&Facts { repl_input_bytes: Some(1), ..master("q", "y", "x", 1, Some(1)) }, NOW);
        assert!(!ring.follows(&id("x"), &id("w"), 9));
    }
}
