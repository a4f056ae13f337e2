//! What blocks on a made-up server, and how it ends.

use std::time::Duration;

use super::data::{Ledger, SECOND_STREAM_AT, Server};
use super::server::{Link, bulk, number_of};
use crate::route::Moment;

#[derive(Clone, Debug)]
pub(super) enum Blocked {
    Pop { number: u32, until: Option<Moment> },
    Read { number: u32, stream: usize, from: u32, until: Option<Moment> },
}

fn after(timeout: f64, now: Moment) -> Option<Moment> {
    (timeout > 0.0).then(|| now + Duration::from_secs_f64(timeout))
}

impl Link {
    pub(super) fn unblock(&mut self, server: &mut Server, ledger: &mut Ledger, now: Moment) -> bool {
        let due = |until: &Option<Moment>| until.is_some_and(|until| now >= until);
        match self.blocked.take() {
            Some(Blocked::Pop { number, .. }) if !server.data.list.is_empty() => {
                let reply = self.pop(number, server, ledger);
                self.out(&reply);
                self.outcome(vec![number], true);
            }
            Some(Blocked::Read { number, stream, from, .. }) if server.data.streams[stream] > from => {
                let reply = self.entry(number, stream, from + 1);
                self.out(&reply);
            }
            Some(Blocked::Pop { number, until } | Blocked::Read { number, until, .. }) if due(&until) => {
                let ends = ledger.ends.get(&number).copied().flatten();
                assert!(ends.is_some_and(|ends| now + Duration::from_millis(2) >= ends), "#{number} ended too early: {ends:?}");
                self.out(if self.state.proto == 3 { "_\r\n" } else { "*-1\r\n" });
                self.outcome(vec![number], false);
            }
            still => {
                self.blocked = still;
                return false;
            }
        }
        true
    }

    /// The server ends what is blocked.
    pub fn end_blocked(&mut self, why: &str, closes: bool) {
        if let Some(Blocked::Pop { number, .. } | Blocked::Read { number, .. }) = self.blocked.take() {
            self.out(&format!("-{why}\r\n"));
            self.outcome(vec![number], false);
            self.closing |= closes;
        }
    }

    pub(super) fn block(&mut self, words: &[String], server: &mut Server, ledger: &mut Ledger, now: Moment) {
        let number = number_of(words).expect("numbered");
        let pops = words[0] != "XREAD";
        let place = if pops { words.len() - 1 } else { 4 };
        let timeout: f64 = words[place].parse().expect("a number");
        let until = after(if pops { timeout } else { timeout / 1000.0 }, now);
        let ends = ledger.ends.get(&number).copied().flatten();
        assert_eq!(until.is_some(), ends.is_some(), "{words:?}");
        let early = until.zip(ends).is_some_and(|(until, ends)| until + Duration::from_millis(2) < ends);
        assert!(!early, "{words:?} at {now:?} would end at {until:?}, the client wants {ends:?}");
        if pops {
            self.blocked = Some(Blocked::Pop { number, until });
        } else {
            let stream = usize::from(words[6] == "t");
            let end = server.data.streams[stream];
            let from = match words[7].split_once('-') {
                None => end,
                Some(("0", _)) => 0,
                Some((id, _)) => id.parse().expect("an id"),
            };
            let first = ledger.read_from.get(&number).copied().unwrap_or(u32::MAX);
            self.reads_from(number, from);
            let asked = ledger.asked_from.get(&number).copied().unwrap_or_default();
            let excused = ledger.lossy || ledger.end_refused;
            assert!(excused || from <= first && from >= asked, "{words:?}: first read from {first}, asked at {asked}");
            self.blocked = Some(Blocked::Read { number, stream, from, until });
        }
        self.unblock(server, ledger, now);
    }

    fn pop(&mut self, number: u32, server: &mut Server, ledger: &mut Ledger) -> String {
        self.writes(number, server, ledger);
        let element = server.data.list.pop_back().unwrap_or_default();
        bulk(&self.state.says(number, &element))
    }

    fn entry(&self, number: u32, stream: usize, id: u32) -> String {
        let base = if stream == 1 { SECOND_STREAM_AT } else { 0 };
        assert!(id > base, "an entry that is not in the stream");
        bulk(&self.state.says(number, &format!("{stream}:{id}")))
    }
}
