//! Conversations without sockets.

mod access;
mod edges;
mod model;
mod refusals;
mod requests;
mod sharing;
mod state;
mod subscriptions;

use super::*;
use crate::resp::command::Commands;
use crate::route::{Departure, Moment};
use std::sync::Arc;

/// What a client heard and how often something was asked again.
#[derive(Default)]
struct Heard {
    text: Vec<u8>,
    answered: usize,
    retried: Vec<&'static str>,
}

impl Outlet for Heard {
    fn pass(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        self.text.extend_from_slice(bytes);
    }

    fn answered(&mut self, _: Moment) {
        self.answered += 1;
    }

    fn retried(&mut self, why: Retry) {
        self.retried.push(why.as_str());
    }
}

/// A conversation, and both ends of it.
struct Talk {
    conversation: Conversation,
    commands: Arc<Commands>,
    access: Option<Arc<Access>>,
    scripts: Scripts,
    heard: Heard,
    now: Moment,
    epoch: u64,
}

impl Talk {
    fn new() -> Self {
        let (conversation, commands) = (Conversation::default(), Commands::shipped());
        let (scripts, heard, now) = (Scripts::default(), Heard::default(), Moment::from_millis(1000));
        Self { conversation, commands, access: None, scripts, heard, now, epoch: 1 }
    }

    /// Its session may share upstreams.
    fn sharing() -> Self {
        Self { conversation: Conversation::sharing(), ..Self::new() }
    }

    /// On a shared upstream.
    fn aboard() -> Self {
        let mut talk = Self::sharing();
        talk.board();
        talk
    }

    fn board(&mut self) {
        let epoch = self.epoch;
        self.turn(|conversation, turn| conversation.attach_shared(epoch, turn));
    }

    /// Attached to a primary.
    fn attached() -> Self {
        let mut talk = Self::new();
        talk.attach();
        talk
    }

    fn turn<T>(&mut self, act: impl FnOnce(&mut Conversation, &mut Turn<'_>) -> T) -> T {
        let access = self.access.as_deref();
        let mut turn =
            Turn { now: self.now, commands: &self.commands, access, scripts: &mut self.scripts, outlet: &mut self.heard };
        act(&mut self.conversation, &mut turn)
    }

    fn attach(&mut self) {
        let epoch = self.epoch;
        self.turn(|conversation, turn| conversation.attach(epoch, turn));
    }

    /// To the primary of the next epoch.
    fn move_on(&mut self) {
        self.epoch += 1;
        assert!(self.conversation.wants_upstream(), "nothing waits");
        self.attach();
    }

    /// The client sends commands, separated by `;`.
    fn say(&mut self, commands: &str) {
        for command in commands.split("; ") {
            let bytes = remembered::request(command.split(' '));
            self.turn(|conversation, turn| conversation.client_said(&bytes, turn)).expect("the session goes on");
        }
    }

    /// What goes to the upstream now, as commands separated by `;`.
    fn sends(&mut self) -> String {
        let mut sent = Vec::new();
        loop {
            let pending = self.conversation.pending().to_vec();
            if pending.is_empty() {
                break;
            }
            // In two pieces, as a kernel may.
            let part = pending.len().div_ceil(2);
            sent.extend_from_slice(&pending[..part]);
            self.conversation.wrote(part);
        }
        commands_in(&sent).join("; ")
    }

    /// What it hands over to a shared upstream, so many requests at most.
    fn hands_over(&mut self, most: usize) -> String {
        let mut out = Vec::new();
        let handed = self.conversation.hand_over(most, &mut out);
        let commands = commands_in(&out);
        assert_eq!(handed, commands.len(), "{commands:?}");
        commands.join("; ")
    }

    /// The shared upstream answers, frame by frame.
    fn replies(&mut self, frames: &[&str]) -> Next {
        let mut last = Next::Continue;
        for frame in frames {
            assert_eq!(last, Next::Continue, "{frame:?}");
            last = self.turn(|conversation, turn| conversation.upstream_replied(frame.as_bytes(), turn)).expect("it goes on");
        }
        last
    }

    /// Gives up an upstream on which nothing is in flight.
    fn leaves(&mut self) {
        self.turn(Conversation::leave);
    }

    /// The upstream answers, byte by byte.
    fn answers(&mut self, reply: &str) -> Next {
        let mut last = Next::Continue;
        for byte in reply.as_bytes() {
            assert_eq!(last, Next::Continue, "{reply:?}");
            last = self.turn(|conversation, turn| conversation.upstream_said(&[*byte], turn)).expect("the session goes on");
        }
        last
    }

    /// What the client has heard since it was last asked.
    fn hears(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.heard.text)).expect("text")
    }

    fn withdraw(&mut self, left: Departure) -> Result<Withdrawn, Close> {
        self.turn(|conversation, turn| conversation.withdraw(left, turn))
    }

    fn lost(&mut self) -> Result<(), Close> {
        self.turn(|conversation, turn| conversation.upstream_lost(turn))
    }
}

/// Whole requests, as words.
fn commands_in(bytes: &[u8]) -> Vec<String> {
    let (mut scanner, mut rest, mut commands) = (RequestScanner::default(), bytes, Vec::new());
    while !rest.is_empty() {
        let end = scanner.scan(rest).expect("requests").expect("whole requests");
        let words = crate::resp::frames::arguments(&rest[..end]);
        commands.push(words.map(|word| String::from_utf8_lossy(&word[..]).into_owned()).collect::<Vec<_>>().join(" "));
        rest = &rest[end..];
    }
    commands
}

const READONLY: &str = "-READONLY You can't write against a read only replica.\r\n";
