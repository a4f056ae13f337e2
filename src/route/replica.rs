//! A replica that may be read, and for how long: its *tenure* begins when it becomes usable and ends when it is not any more. The next
//! one is another tenure.
//!
//! A session's upstream belongs to an epoch or to a tenure. Both are known by a number, of spaces that do not meet: "is what I hold
//! still in force" is one question, and whoever does not care which of the two it is need not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use super::{Departure, Epoch, Login, Moment, Way};
use crate::resp::command::Commands;

/// Numbers from here on are those of tenures. No process lives to see so many epochs.
const TENURES: Epoch = 1 << 63;

/// Is this the number of a replica's tenure, and not an epoch?
#[inline]
pub fn is_tenure(number: Epoch) -> bool {
    number >= TENURES
}

/// A replica of the group's primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name everywhere.
    pub backend: Arc<str>,
    /// How to get to it.
    pub way: Way,
    /// False while an operator drains it, or its last check failed: present sessions go on, new ones go elsewhere.
    pub takes_new: bool,
    /// False while it is not known what it is: see [`Phase::Unsettled`].
    pub is_settled: bool,
    /// What its commands do.
    pub commands: Arc<Commands>,
    /// Who mainstay is to it.
    pub login: Option<Arc<Login>>,
    /// For how long.
    pub tenure: Arc<Tenure>,
}

/// What a group's route says to those who only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reads {
    /// Those in force.
    pub replicas: Arc<[Replica]>,
    /// Since when there are none; where there are, when that began to be so.
    pub since: Moment,
    /// Why there are none, for people.
    pub why: Arc<str>,
    /// The tenure that the primary had until it was promoted, if it had one.
    pub promoted: Option<Epoch>,
}

impl Reads {
    /// Nothing to be read yet.
    pub fn none(since: Moment) -> Self {
        Self { replicas: Arc::from([]), since, why: "not checked yet".into(), promoted: None }
    }

    /// The replica of a tenure.
    pub fn of_tenure(&self, number: Epoch) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.tenure.number == number)
    }
}

/// How it stands with a tenure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// In force.
    Usable,
    /// It says role:master while there is no primary, or follows somebody new: nothing is sent to it until it is known what that means.
    Unsettled,
    /// Over.
    Ended(Departure),
}

/// What control tells of a replica at any time, without another route. Compared by identity.
#[derive(Debug)]
pub struct Tenure {
    number: Epoch,
    phase: AtomicU8,
    lag: AtomicU64,
    looked: AtomicU64,
    sessions: AtomicUsize,
}

impl PartialEq for Tenure {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Tenure {}

impl Tenure {
    /// The tenure with this ordinal, counted from 0 within its group.
    pub fn new(ordinal: u64) -> Self {
        Self {
            number: TENURES | ordinal,
            phase: AtomicU8::new(0),
            lag: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            sessions: AtomicUsize::new(0),
        }
    }

    /// Its number, which no epoch has.
    pub fn number(&self) -> Epoch {
        self.number
    }

    /// Is it the one with this ordinal?
    pub fn is_the(&self, ordinal: u64) -> bool {
        self.number == TENURES | ordinal
    }

    /// How it stands.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Usable,
            1 => Phase::Unsettled,
            2 => Phase::Ended(Departure::Demoted),
            _ => Phase::Ended(Departure::Gone),
        }
    }

    /// Control side. It takes effect before the route that says so.
    pub fn set_phase(&self, phase: Phase) {
        let number = match phase {
            Phase::Usable => 0,
            Phase::Unsettled => 1,
            Phase::Ended(Departure::Demoted) => 2,
            Phase::Ended(Departure::Replaced | Departure::Gone) => 3,
        };
        self.phase.store(number, Ordering::SeqCst);
    }

    /// Bytes behind the primary, when last checked.
    pub fn lag(&self) -> u64 {
        self.lag.load(Ordering::Relaxed)
    }

    /// When the last check began that left it usable, in microseconds of [`Moment`].
    pub fn looked(&self) -> u64 {
        self.looked.load(Ordering::SeqCst)
    }

    /// Control side: a check that began then left it usable, with this lag.
    pub fn checked(&self, lag: u64, began: Moment) {
        self.lag.store(lag, Ordering::Relaxed);
        self.looked.fetch_max(began.as_micros(), Ordering::SeqCst);
    }

    /// Sessions of all workers that read here.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }
}

/// A session's place at a replica, given back when dropped.
#[derive(Debug)]
pub struct Berth(Arc<Tenure>);

impl Berth {
    /// Takes one.
    pub fn take(tenure: &Arc<Tenure>) -> Self {
        tenure.sessions.fetch_add(1, Ordering::Relaxed);
        Self(tenure.clone())
    }

    /// The number of its tenure.
    pub fn number(&self) -> Epoch {
        self.0.number
    }

    /// Is it at this replica?
    pub fn is_of(&self, tenure: &Arc<Tenure>) -> bool {
        Arc::ptr_eq(&self.0, tenure)
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
