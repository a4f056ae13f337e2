//! A client, a conversation and servers, and everything that can happen to them.

use std::sync::Arc;
use std::time::Duration;

use super::asking::Ask;
use super::client::{Client, Excuses};
use super::data::{Ledger, Server};
use super::server::{Link, UNBLOCKED_BY_CLIENT};
use crate::conversation::tests::Heard;
use crate::conversation::{Close, Conversation, Fault, Next, Scripts, Turn};
use crate::resp::command::Commands;
use crate::route::Moment;

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The client asks; what it says is under way.
    Ask(Ask, u8),
    /// So many bytes of the client arrive.
    Say(usize),
    /// The kernel takes so many bytes.
    Take(usize),
    /// The server executes so many requests.
    Serve(usize),
    /// So many bytes of the server arrive.
    Hear(usize),
    /// All of these, so many times.
    Run(u8),
    Attach,
    Wait(u64),
    /// A planned failover: the primary becomes a replica of the next one.
    Demote,
    /// The next one is promoted, and the old one does not know. Without its last writes.
    Usurp(usize),
    /// The primary dies; so many requests are executed before, and so many of the last writes are lost.
    Crash {
        serve: usize,
        lose: usize,
    },
    /// Control sees what has become of the primary. `sees`: and how it left.
    Withdraw {
        sees: bool,
    },
    Elect,
    /// The connection is lost; so many requests are executed, so many bytes are still heard.
    Cut {
        serve: usize,
        hear: usize,
    },
    /// Control has looked, and the primary stays.
    Stay,
    Refuse,
    Loading(bool),
    Lonely(bool),
    /// Control ends what is blocked on a server that it has withdrawn.
    Unblock,
    Message(u8),
    Noise,
    Touch,
    /// Others push elements and add entries.
    Push,
    Add(usize),
    End,
}

pub struct World {
    pub conversation: Conversation,
    commands: Arc<Commands>,
    scripts: Scripts,
    heard: Heard,
    pub client: Client,
    pub excuses: Excuses,
    pub ledger: Ledger,
    pub servers: Vec<Server>,
    pub link: Option<Link>,
    links: u64,
    /// Where traffic goes.
    pub route: Option<usize>,
    pub epoch: u64,
    pub draining: bool,
    pub losses: u32,
    now: Moment,
    pub closed: Option<Close>,
    /// Acknowledged writes that a failover nobody planned has lost.
    pub lost: Vec<u32>,
    pushed: u32,
    pub ended: bool,
    /// Something else than planned failovers has happened: what a blocked pop was given may be lost.
    pub rough: bool,
    /// It ended in the middle of a request: it wants no answers.
    pub left: bool,
}

impl World {
    pub fn new() -> Self {
        Self {
            conversation: Conversation::default(),
            commands: Commands::shipped(),
            scripts: Scripts::default(),
            heard: Heard::default(),
            client: Client::default(),
            excuses: Excuses::default(),
            ledger: Ledger::default(),
            servers: vec![Server::default()],
            link: None,
            links: 0,
            route: Some(0),
            epoch: 1,
            draining: false,
            losses: 0,
            now: Moment::from_millis(1000),
            closed: None,
            lost: Vec::new(),
            pushed: 0,
            ended: false,
            rough: false,
            left: false,
        }
    }

    pub(super) fn turn<T>(&mut self, act: impl FnOnce(&mut Conversation, &mut Turn<'_>) -> T) -> T {
        let mut turn =
            Turn { now: self.now, commands: &self.commands, access: None, scripts: &mut self.scripts, outlet: &mut self.heard };
        let result = act(&mut self.conversation, &mut turn);
        let bytes = std::mem::take(&mut self.heard.text);
        self.client.hear(&bytes, self.excuses, &self.ledger);
        result
    }

    /// The true primary.
    pub fn primary(&mut self) -> &mut Server {
        self.servers.last_mut().expect("there is one")
    }

    pub fn happen(&mut self, event: Event) {
        if self.closed.is_some() || self.conversation.is_over() {
            return;
        }
        match event {
            Event::Ask(ask, variant) => {
                if !self.ended {
                    self.client.ask(ask, variant, &mut self.excuses);
                }
            }
            Event::Say(most) => self.say(most),
            Event::Take(most) => self.take(most),
            Event::Serve(most) => self.serve(most),
            Event::Hear(most) => self.hear(most),
            Event::Run(times) => (0..times).for_each(|_| self.run()),
            Event::Attach => self.attach(),
            Event::Wait(millis) => self.now = self.now + Duration::from_millis(millis),
            Event::Demote => self.demote(),
            Event::Usurp(lose) => self.usurp(lose),
            Event::Crash { serve, lose } => self.crash(serve, lose),
            Event::Withdraw { sees } => self.withdraw(sees),
            Event::Elect => self.elect(),
            Event::Cut { serve, hear } => self.cut(serve, hear),
            Event::Stay => self.stay(),
            Event::Refuse => {
                if self.route.is_none() && self.link.is_none() {
                    (self.excuses.refused, self.ledger.refused) = (true, true);
                    self.turn(|conversation, turn| conversation.refuse("no primary", turn));
                }
            }
            Event::Loading(loading) => {
                self.ledger.overtaken |= self.link.is_some() && self.primary().loading;
                self.primary().loading = loading;
            }
            Event::Lonely(lonely) => {
                self.ledger.overtaken |= self.link.is_some() && self.primary().lonely;
                self.primary().lonely = lonely;
            }
            Event::Unblock => {
                let id = self.conversation.blocked_as();
                if let (Some(link), true) = (&mut self.link, self.draining && id.is_some()) {
                    assert_eq!(id, Some(link.id));
                    link.end_blocked(UNBLOCKED_BY_CLIENT, false);
                }
            }
            Event::Message(channel) => {
                let channel = ["c", "d", "e"][usize::from(channel) % 3];
                self.link.iter_mut().for_each(|link| link.publish(channel));
            }
            Event::Noise => self.link.iter_mut().for_each(Link::push),
            Event::Touch => self.link.iter_mut().for_each(Link::touch),
            Event::Push => {
                self.pushed += 1;
                let element = format!("other{}", self.pushed);
                self.primary().data.list.push_front(element);
            }
            // Replicas follow.
            Event::Add(stream) => self.servers.iter_mut().for_each(|server| server.data.streams[stream % 2] += 1),
            Event::End => {
                self.left |= self.client.end();
                self.ended = true;
                self.conversation.client_ended();
            }
        }
        self.check();
    }

    fn run(&mut self) {
        self.say(usize::MAX);
        self.attach();
        self.take(usize::MAX);
        self.serve(usize::MAX);
        self.hear(usize::MAX);
    }

    fn say(&mut self, most: usize) {
        if self.conversation.accepts() && self.closed.is_none() {
            // As much as one read takes.
            let data = &self.servers.last().expect("there is one").data;
            let bytes = self.client.say(most.min(64 * 1024), self.now, data, &mut self.ledger);
            let said = self.turn(|conversation, turn| conversation.client_said(&bytes, turn));
            said.unwrap_or_else(|close| panic!("the client broke no rule: {close:?}"));
        }
    }

    fn attach(&mut self) {
        if let (true, None, Some(server), None) = (self.conversation.wants_upstream(), &self.link, self.route, &self.closed) {
            if self.servers[server].dead {
                return;
            }
            self.links += 1;
            self.link = Some(Link::new(self.links, server));
            let epoch = self.epoch;
            self.turn(|conversation, turn| conversation.attach(epoch, turn));
        }
    }

    fn take(&mut self, most: usize) {
        let pending = self.conversation.pending();
        assert!(pending.is_empty() || self.link.is_some() && !self.draining, "S2: it writes to nobody");
        let bytes = pending[..most.min(pending.len())].to_vec();
        if let (Some(link), false) = (&mut self.link, bytes.is_empty()) {
            link.receive(&bytes);
            self.conversation.wrote(bytes.len());
        }
    }

    pub(super) fn serve(&mut self, most: usize) {
        let Some(link) = &mut self.link else { return };
        for _ in 0..most {
            if !link.serve(&mut self.servers[link.server], &mut self.ledger, self.now) {
                break;
            }
        }
    }

    pub(super) fn hear(&mut self, most: usize) {
        let Some(link) = &mut self.link else { return };
        let bytes = link.take(most);
        link.settle_told(&mut self.ledger);
        let ends = link.closing && !link.has_output();
        if !bytes.is_empty() {
            let next = self.turn(|conversation, turn| conversation.upstream_said(&bytes, turn));
            match next {
                Ok(Next::Continue) => {}
                Ok(Next::DropUpstream(why)) => {
                    assert!(why.is_none(), "dropped: {why:?}");
                    return self.drop_link();
                }
                Ok(Next::NotReady(_) | Next::Discard | Next::LockedOut(_)) => return self.drop_link(),
                Err(close) => return self.close(close),
            }
        }
        if ends {
            self.lose();
        }
    }

    pub(super) fn drop_link(&mut self) {
        self.draining = false;
        // What the kernel has of it may still be executed.
        self.serve(usize::MAX);
        if let Some(link) = self.link.take() {
            link.bury(&mut self.ledger);
        }
    }

    /// The conversation ends. Panics where it has no reason to.
    pub(super) fn close(&mut self, close: Close) {
        let in_frame = self.client.is_in_frame();
        self.draining = false;
        let unknown = self.link.take().is_some_and(|link| {
            let burial = link.bury(&mut self.ledger);
            burial.is_unclear || !burial.unknown.is_empty()
        });
        let why = &*close.why;
        let excused = if why.contains("nobody can know whether") {
            unknown
        } else if why.contains("in the middle of a reply") {
            in_frame
        } else if why.contains("too large") {
            self.excuses.big
        } else if why.contains("over the same requests") {
            self.losses > 3
        } else if why.contains("a transaction behind a refused command") {
            // It read beside what may write, behind a write that was refused.
            true
        } else {
            why.contains("which may be lost") && self.rough
        };
        assert!(excused && matches!(close.fault, Fault::Upstream | Fault::Write), "there was no reason to close: {close:?}");
        self.closed = Some(close);
    }

    pub(super) fn lose(&mut self) {
        self.losses += u32::from(!self.conversation.is_blocked());
        // A server that was demoted has answered, before it closes.
        self.rough |= self.link.as_ref().is_some_and(|link| !link.closing || link.has_output());
        match self.turn(Conversation::upstream_lost) {
            Ok(()) => self.drop_link(),
            Err(close) => self.close(close),
        }
    }

    fn cut(&mut self, serve: usize, hear: usize) {
        if self.link.is_some() {
            self.serve(serve);
            self.hear(hear);
        }
        if self.link.is_some() && self.closed.is_none() {
            self.lose();
        }
    }
}
