//! What a client does next, as chance decides. Every value is unique and says whose it is.

use super::history::*;
use crate::harness::Chance;

/// Queues that all clients of a database push to and pop from.
pub const QUEUES: u64 = 4;
/// Counters that all clients of a database raise.
pub const COUNTERS: u64 = 3;
/// Keys that each client sets and gets for itself.
pub const OWN_KEYS: u64 = 4;

/// Thinks up what one client does.
pub struct Author {
    client: usize,
    written: u64,
    /// Its chance; also decides its pauses.
    pub chance: Chance,
}

impl Author {
    /// For one client.
    pub fn new(client: usize, seed: u64) -> Self {
        Self { client, written: 0, chance: Chance::new(seed ^ (client as u64 + 1) << 20) }
    }

    /// The next thing it does: batches, each sent in one piece, the next one after all replies to the one before.
    pub fn next(&mut self) -> Vec<Vec<Request>> {
        match self.chance.below(100) {
            0..35 => vec![vec![self.simple()]],
            35..60 => vec![self.pipeline()],
            60..75 => vec![vec![self.pop(1500)]],
            75..85 => self.transaction().into_iter().map(|request| vec![request]).collect(),
            85..95 => vec![self.transaction()],
            _ => {
                let mut all = self.pipeline();
                all.extend(self.transaction());
                all.extend(self.pipeline());
                vec![all]
            }
        }
    }

    fn pipeline(&mut self) -> Vec<Request> {
        let longest = [4, 4, 16, 100][self.chance.below(4) as usize];
        let length = 2 + self.chance.below(longest - 1);
        let mut all: Vec<Request> = (0..length).map(|_| self.simple()).collect();
        if self.chance.below(4) == 0 {
            let place = self.chance.below(length) as usize;
            all.insert(place, self.pop(50));
        }
        all
    }

    /// One that needs no others.
    fn simple(&mut self) -> Request {
        // About as many pushes as pops, so that many a pop blocks.
        match self.chance.below(20) {
            0..4 => self.set(),
            4..9 => Request::Get { key: self.own_key() },
            9..11 => Request::Incr { key: own(self.client, "n") },
            11..13 => Request::Incr { key: format!("n{}", self.chance.below(COUNTERS)) },
            13 => Request::Push { queue: self.queue(), element: self.unique("e") },
            14..16 => self.append(),
            16 => Request::Script { element: self.unique("s"), by_digest: self.chance.below(2) == 0 },
            17 => Request::Echo { word: self.unique("echo") },
            18 => Request::GetName,
            _ => Request::Hash,
        }
    }

    /// `[WATCH] MULTI … EXEC`
    fn transaction(&mut self) -> Vec<Request> {
        let watched = self.chance.below(3) == 0;
        let pair = self.unique("t");
        let append = |half: &str| Request::Append { list: PAIRS.into(), element: format!("{pair}:{half}") };
        let mut queued = vec![append("a")];
        for _ in 0..self.chance.below(4) {
            queued.push(self.simple());
        }
        queued.push(append("b"));
        let mut all = Vec::new();
        if watched {
            all.push(Request::Watch { key: self.own_key() });
        }
        all.push(Request::Multi);
        all.extend(queued.iter().cloned().map(|request| Request::Queued(Box::new(request))));
        all.push(Request::Exec { queued, watched });
        all
    }

    fn set(&mut self) -> Request {
        // Now and then longer than one read of a proxy.
        let padding = if self.chance.below(50) == 0 { 20_000 } else { self.chance.below(200) as usize };
        Request::Set { key: self.own_key(), value: self.unique("v") + ":" + &"x".repeat(padding) }
    }

    fn append(&mut self) -> Request {
        Request::Append { list: own(self.client, "log"), element: self.unique("l") }
    }

    fn pop(&mut self, timeout_ms: u32) -> Request {
        Request::Pop { queue: self.queue(), timeout_ms }
    }

    fn own_key(&mut self) -> String {
        own(self.client, &format!("k{}", self.chance.below(OWN_KEYS)))
    }

    fn queue(&mut self) -> String {
        format!("q{}", self.chance.below(QUEUES))
    }

    /// A word that nobody else writes, and that grows with time: `kind:client:number`.
    fn unique(&mut self, kind: &str) -> String {
        self.written += 1;
        format!("{kind}:{}:{:08}", self.client, self.written)
    }
}
