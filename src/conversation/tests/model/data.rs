//! What the made-up servers store, and what is true of each write whoever knows of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::route::Moment;

/// The stream `t` begins here, so that positions in the two streams cannot be taken for each other.
pub const SECOND_STREAM_AT: u32 = 1000;

/// A data set. Every write stands in it by its number.
#[derive(Clone, Debug)]
pub struct Data {
    pub log: Vec<u32>,
    /// The number of the last SET.
    pub keys: BTreeMap<(String, String), u32>,
    pub counters: BTreeMap<(String, String), u32>,
    pub list: VecDeque<String>,
    /// The last entry of the streams `s` and `t`.
    pub streams: [u32; 2],
}

impl Default for Data {
    fn default() -> Self {
        Self {
            log: Vec::new(),
            keys: BTreeMap::new(),
            counters: BTreeMap::new(),
            list: VecDeque::new(),
            streams: [0, SECOND_STREAM_AT],
        }
    }
}

/// One server process.
#[derive(Debug, Default)]
pub struct Server {
    pub data: Data,
    /// The data set before each of the last writes.
    pub past: Vec<Data>,
    pub replica: bool,
    /// Another one was promoted, and this one does not know.
    pub usurped: bool,
    pub dead: bool,
    pub loading: bool,
    /// Too few replicas for writes.
    pub lonely: bool,
    pub scripts: BTreeSet<String>,
    pub cursors: BTreeSet<String>,
}

impl Server {
    /// A write is about to be executed.
    pub fn writes(&mut self, number: u32) {
        self.past.push(self.data.clone());
        self.data.log.push(number);
    }

    /// Its successor, with the last `lost` writes missing.
    pub fn successor(&self, lost: usize) -> Self {
        let data = match lost {
            0 => self.data.clone(),
            _ => self.past.get(self.past.len().saturating_sub(lost)).unwrap_or(&self.data).clone(),
        };
        Self { data, scripts: BTreeSet::new(), ..Self::default() }
    }
}

/// What may be known of a write by who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its server had it, and did not say what became of it.
    Unknown,
    /// It was said to be executed.
    Executed,
}

/// The truth, across all servers.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Writes that must not be sent any more.
    pub fates: BTreeMap<u32, Fate>,
    /// How often a message was published, or what leaves no trace in the data was done.
    pub effects: BTreeMap<u32, u32>,
    /// The connection on which a transaction was executed, by the number of its EXEC.
    pub executed_on: BTreeMap<u32, u64>,
    /// The server that executed a write.
    pub written_at: BTreeMap<u32, usize>,
    /// How many writes its server had executed then.
    pub place: BTreeMap<u32, usize>,
    /// How many of them a WAIT was about.
    pub waited: BTreeMap<u32, usize>,
    /// When a blocked request has to end, by the client's own words; None is never.
    pub ends: BTreeMap<u32, Option<Moment>>,
    /// Of these those that write what they popped into another list.
    pub moves: BTreeSet<u32>,
    /// Where a stream stood when it was first read from its end.
    pub read_from: BTreeMap<u32, u32>,
    /// It was asked where a stream stood, and refused.
    pub end_refused: bool,
    /// A script was to be loaded, and that was refused: a primary that loads is not elected.
    pub script_refused: bool,
    /// Where it stood when the client had asked.
    pub asked_from: BTreeMap<u32, u32>,
    /// Requests were refused that a server may have executed already, behind another one.
    pub refused: bool,
    /// A server that refused takes writes again: behind a refused request others may be executed before it is asked again.
    pub overtaken: bool,
    /// Data may have been lost: what is old or missing is no fault any more.
    pub lossy: bool,
}

impl Ledger {
    /// It pops, and who gets another element than the one that was lost has lost nothing more.
    pub fn may_be_repeated(&self, number: u32) -> bool {
        self.ends.contains_key(&number) && !self.moves.contains(&number)
    }
}
