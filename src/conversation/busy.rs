//! A server that is busy with a script refuses nearly everything, also SELECT, so that no connection can be told what it has to be told.
//! What waits for one hears the refusal in the server's own words. What ends the script ([`Kind::Oversight`]) needs to be told nothing but
//! who asks: it goes over a *bare* upstream, which is of no further use.

use super::course::Stop;
use super::request::{Request, Stage, What};
use super::{Conversation, Next};
use crate::resp::command::{Command, Fate, Kind};

impl Conversation {
    /// The first request is about what keeps the server busy, and nothing else is needed of its connection.
    pub(super) fn oversees(&self) -> bool {
        let oversight = |what| matches!(what, What::Client(Command { kind: Kind::Oversight, .. }));
        self.queue.get(0).is_some_and(|first| oversight(first.what)) && self.transaction.is_none() && !self.listens()
    }

    /// It needs an upstream also when nothing waits.
    pub(super) fn listens(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.subscribes() || state.tracks())
    }

    /// A new upstream refused a part of the replay because of that.
    pub(super) fn busy(&self, line: &[u8]) -> Stop {
        if self.listens() {
            // Not again and again at once.
            Stop::Next(Next::NotReady("BUSY"))
        } else {
            Stop::Busy(String::from_utf8_lossy(&line[1..]).into_owned())
        }
    }

    /// What it has in flight on its shared upstream changes nothing, and can be asked on another while this one says nothing.
    pub fn may_step_over(&self) -> bool {
        let reads = |request: &Request| {
            let kind = |kind| matches!(kind, Kind::Plain | Kind::Script(_) | Kind::Scan(_));
            matches!(request.what, What::Client(Command { fate: Fate::Read, kind: of }) if kind(of))
        };
        let may_be_repeated = |request: &Request| request.stage == Stage::Sent && request.whole && reads(request);
        self.shared && self.has_only_in_flight(|request| request.stage == Stage::Settled || may_be_repeated(request))
    }
}
