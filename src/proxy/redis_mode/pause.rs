//! Upstreams that end soon after what waited for them was answered, one after the other: a server may take a connection, confirm a
//! subscription and close, every time. One session must not connect to it without end. The others have nothing to do with that: it is the
//! session that pauses, and not its group.

use std::time::Duration;

use crate::route::{Epoch, Moment};

/// An upstream that lived so long was worth its connection.
const BRIEF: Duration = Duration::from_secs(1);
/// The first is replaced at once; after that the session pauses so long, and twice as long each time.
const FIRST: Duration = Duration::from_millis(100);
/// Doubled so often at most: 800 ms.
const DOUBLED_MAX: u32 = 3;

/// See the module.
#[derive(Debug, Default)]
pub struct Pause {
    brief: u8,
    until: Option<(Epoch, Moment)>,
}

impl Pause {
    /// An upstream of this epoch, connected at `since`, has ended, and another one is wanted.
    pub fn after(&mut self, epoch: Epoch, since: Moment, now: Moment) {
        self.brief = if now < since + BRIEF { self.brief.saturating_add(1) } else { 0 };
        let pause = self.brief.checked_sub(2).map(|before| FIRST * (1 << u32::from(before).min(DOUBLED_MAX)));
        self.until = pause.map(|pause| (epoch, now + pause));
    }

    /// Has the session to wait before it connects? Not to another primary.
    pub fn holds(&mut self, epoch: Option<Epoch>, now: Moment) -> bool {
        let holds = self.until.is_some_and(|(of, until)| epoch == Some(of) && now < until);
        if !holds {
            self.until = None;
        }
        holds
    }

    /// There is an end to wait for.
    pub fn is_on(&self) -> bool {
        self.until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_pauses_longer_and_longer_until_an_upstream_lives_or_the_primary_changes() {
        let (mut pause, mut now) = (Pause::default(), Moment::from_millis(1000));
        let mut waits = Vec::new();
        for _ in 0..7 {
            let ended = now + Duration::from_millis(1);
            pause.after(3, now, ended);
            now = ended;
            while pause.holds(Some(3), now) {
                assert!(pause.is_on());
                now = now + Duration::from_millis(10);
            }
            waits.push(now.since(ended).as_millis());
        }
        assert_eq!(waits, [0, 100, 200, 400, 800, 800, 800]);
        pause.after(3, now, now);
        assert!(!pause.holds(Some(4), now) && !pause.holds(Some(3), now), "another primary is another matter");
        pause.after(4, now, now + BRIEF);
        assert!(!pause.holds(Some(4), now + BRIEF));
        pause.after(4, now, now);
        assert!(!pause.holds(Some(4), now), "the first one again");
    }
}
