//! What a client asked, in which order, and what became of it.

use super::wire::Value;

/// One request. What is unique in it makes its reply recognisable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `HELLO 3`; clients that stay with RESP2 do not send it.
    Hello,
    /// `CLIENT SETNAME`
    SetName(String),
    /// `SELECT`
    Select(usize),
    /// `SCRIPT LOAD` of [`SCRIPT`].
    LoadScript,
    /// `SET`
    Set { key: String, value: String },
    /// `GET`
    Get { key: String },
    /// `INCR`
    Incr { key: String },
    /// `LPUSH`: at the head of a queue.
    Push { queue: String, element: String },
    /// `BRPOP`: from its tail.
    Pop { queue: String, timeout_ms: u32 },
    /// `RPUSH`: at the end of a list from which nothing is ever taken.
    Append { list: String, element: String },
    /// [`SCRIPT`] by its body or its digest.
    Script { element: String, by_digest: bool },
    /// `ECHO`
    Echo { word: String },
    /// `CLIENT GETNAME`
    GetName,
    /// `HGETALL` of a hash that never changes: RESP3 shows it as a map.
    Hash,
    /// `WATCH`
    Watch { key: String },
    /// `MULTI`
    Multi,
    /// A request between MULTI and EXEC.
    Queued(Box<Request>),
    /// `EXEC`, with what was queued.
    Exec { queued: Vec<Request>, watched: bool },
}

/// Appends and counts in one: both numbers are the same, always.
pub const SCRIPT: &str = "local n = redis.call('RPUSH', KEYS[1], ARGV[1]) \
                          local m = redis.call('INCR', KEYS[2]) return {ARGV[1], n, m}";
/// SHA1 of [`SCRIPT`], as SCRIPT LOAD answers.
pub const DIGEST: &str = "60e882df39134be74caf25d5f8fea32b0a1d75de";
/// The list that scripts append to.
pub const SCRIPTS: &str = "scripts";
/// The counter that scripts raise.
pub const SCRIPT_COUNT: &str = "scripts:n";
/// The list that transactions append two neighbours to.
pub const PAIRS: &str = "pairs";

/// The keys that belong to one client.
pub fn own(client: usize, what: &str) -> String {
    format!("c{client}:{what}")
}

impl Request {
    /// What is sent.
    pub fn words(&self, client: usize) -> Vec<String> {
        let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Hello => all(&["HELLO", "3"]),
            Self::SetName(name) => all(&["CLIENT", "SETNAME", name]),
            Self::Select(db) => all(&["SELECT", &db.to_string()]),
            Self::LoadScript => all(&["SCRIPT", "LOAD", SCRIPT]),
            Self::Set { key, value } => all(&["SET", key, value]),
            Self::Get { key } => all(&["GET", key]),
            Self::Incr { key } => all(&["INCR", key]),
            Self::Push { queue, element } => all(&["LPUSH", queue, element]),
            Self::Pop { queue, timeout_ms } => all(&["BRPOP", queue, &format!("{}", f64::from(*timeout_ms) / 1000.0)]),
            Self::Append { list, element } => all(&["RPUSH", list, element]),
            Self::Script { element, by_digest: false } => all(&["EVAL", SCRIPT, "2", SCRIPTS, SCRIPT_COUNT, element]),
            Self::Script { element, by_digest: true } => all(&["EVALSHA", DIGEST, "2", SCRIPTS, SCRIPT_COUNT, element]),
            Self::Echo { word } => all(&["ECHO", word]),
            Self::GetName => all(&["CLIENT", "GETNAME"]),
            Self::Hash => all(&["HGETALL", &own(client, "hash")]),
            Self::Watch { key } => all(&["WATCH", key]),
            Self::Multi => all(&["MULTI"]),
            Self::Queued(request) => request.words(client),
            Self::Exec { .. } => all(&["EXEC"]),
        }
    }

    /// May it have changed data when its reply never came?
    pub fn writes(&self) -> bool {
        match self {
            Self::Set { .. } | Self::Incr { .. } | Self::Push { .. } | Self::Pop { .. } | Self::Append { .. } => true,
            Self::Script { .. } | Self::Exec { .. } => true,
            Self::Hello | Self::SetName(_) | Self::Select(_) | Self::LoadScript | Self::Get { .. } | Self::Echo { .. } => false,
            Self::GetName | Self::Hash | Self::Watch { .. } | Self::Multi | Self::Queued(_) => false,
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its reply came.
    Answered(Value),
    /// The connection ended first.
    Closed,
    /// Nothing came, for so long that no client waits.
    Silent,
}

/// One request and what became of it. Times are microseconds since the test began.
#[derive(Clone, Debug)]
pub struct Event {
    /// Requests with the same number went out in one piece.
    pub batch: u64,
    /// When it was sent.
    pub sent: u64,
    /// When it was known what became of it.
    pub done: u64,
    /// What was asked.
    pub request: Request,
    /// What became of it.
    pub outcome: Outcome,
}

/// All that one client saw.
#[derive(Clone, Debug)]
pub struct History {
    /// Its number.
    pub client: usize,
    /// Its database.
    pub db: usize,
    /// Does it speak RESP3?
    pub resp3: bool,
    /// In the order in which they were sent.
    pub events: Vec<Event>,
    /// What came unasked, or could not be read, and when: (time, what it was).
    pub oddities: Vec<(u64, String)>,
}

/// A change of the primary.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    /// Just before anything happened to the old primary.
    pub begun: u64,
    /// The new one served.
    pub over: u64,
    /// A crash: what was acknowledged between these moments, the last up to which the new primary is known to have received
    /// everything and the last at which the dead one can have been heard, may be missing. `None`: planned, nothing may be missing.
    pub undone: Option<(u64, u64)>,
}

impl Failover {
    /// Did it go on while this request was under way?
    pub fn overlaps(&self, sent: u64, done: u64) -> bool {
        sent <= self.over && done >= self.begun
    }

    /// Acknowledged by the old primary, perhaps never received by the new one.
    pub fn may_undo(&self, done: u64) -> bool {
        self.undone.is_some_and(|(from, to)| (from..=to).contains(&done))
    }
}
