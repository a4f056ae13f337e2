//! Failovers that happened, with their timelines.

use std::collections::VecDeque;
use std::sync::Arc;

use super::election::Rule;
use super::lineage::Gap;
use super::loss::Cause;
use crate::route::{Epoch, Moment};

/// Failovers remembered.
const FAILOVERS_MAX: usize = 32;

/// One change of primary, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// The epoch that the loss began.
    pub epoch: Epoch,
    /// Why the old primary was withdrawn.
    pub cause: Cause,
    /// The same as a sentence.
    pub why: String,
    /// The primary that was lost.
    pub from: Arc<str>,
    /// When.
    pub lost: Moment,
    /// The one elected.
    pub to: Option<Arc<str>>,
    /// By which rule.
    pub rule: Option<Rule>,
    /// The new one was first seen saying role:master.
    pub first_seen: Option<Moment>,
    /// The new one was granted the traffic.
    pub elected: Option<Moment>,
    /// The first byte of a client went to it.
    pub first_byte: Option<Moment>,
    /// An estimate of what the new one misses.
    pub gap: Option<Gap>,
}

/// The newest last.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<Failover>);

impl History {
    /// A primary was lost.
    pub fn begin(&mut self, failover: Failover) {
        if self.0.len() >= FAILOVERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(failover);
    }

    /// The newest failover, to be completed.
    pub fn newest(&mut self) -> Option<&mut Failover> {
        self.0.back_mut()
    }

    /// The newest last.
    pub fn iter(&self) -> impl Iterator<Item = &Failover> {
        self.0.iter()
    }
}
