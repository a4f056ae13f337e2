//! Several clients whose conversations share made-up upstreams: the same servers, the same client, and what `src/proxy` does with trunks,
//! seats and spare connections, without sockets.

mod failing;
mod hearing;
mod party;
mod trunk;

use std::sync::Arc;
use std::time::Duration;

use super::asking::Ask;
use super::data::{Ledger, Server};
use super::server::Link;
use crate::conversation::Scripts;
use crate::resp::command::Commands;
use crate::route::Moment;
use party::{Party, Upstream};
use trunk::{Stage, Trunk};

/// Clients at the same time.
pub const CLIENTS: usize = 4;
/// Clients ever: who leaves is followed by somebody else.
const CLIENTS_EVER: usize = 16;
/// Connections that were given back and are kept.
const SPARES_MAX: usize = 2;

/// What can happen. A client, a trunk, is chosen by a number of any size.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Ask(usize, Ask, u8),
    /// A whole transaction, and something behind it.
    Unit(usize, u8),
    /// Reads, and nothing else, one after the other.
    Reads(usize, u8),
    /// So many bytes of the client arrive.
    Say(usize, usize),
    /// Its session has its turn.
    Attend(usize),
    /// The kernel takes so many bytes for its own upstream.
    Take(usize, usize),
    /// The server executes so many requests of it.
    Serve(usize, usize),
    /// So many bytes of it arrive.
    Hear(usize, usize),
    /// All of these.
    Run(usize),
    /// The flusher comes by a trunk, and the kernel takes so many bytes.
    Flush(usize, usize),
    TrunkServe(usize, usize),
    TrunkHear(usize, usize),
    TrunkRun(usize),
    /// What it is asked is answered, and comes in small pieces, so many of them.
    Trickle(usize, usize),
    /// Everything.
    RunAll,
    Wait(u64),
    Demote,
    Usurp(usize),
    Crash(usize),
    Withdraw(bool),
    Elect,
    /// A trunk is lost; so many requests are executed, so many bytes are still heard.
    CutTrunk(usize, usize, usize),
    Cut(usize, usize, usize),
    /// Replies of an epoch that has passed were awaited for long enough.
    Expire(usize),
    Stay(usize),
    Refuse(usize),
    Loading(bool),
    Lonely(bool),
    Unblock(usize),
    Noise,
    Touch,
    Push,
    Add(usize),
    Slow(usize),
    /// The client shuts down writing.
    End(usize),
    /// The client is gone.
    Leave(usize),
}

pub struct Town {
    commands: Arc<Commands>,
    scripts: Scripts,
    pub(super) ledger: Ledger,
    servers: Vec<Server>,
    parties: Vec<Party>,
    trunks: Vec<Option<Trunk>>,
    spares: Vec<(u64, Link)>,
    links: u64,
    route: Option<usize>,
    epoch: u64,
    now: Moment,
    rough: bool,
    lost: Vec<u32>,
    pushed: u32,
    /// How often something was handed over to a trunk, and how often a large reply was deferred.
    pub(super) shared: usize,
    pub(super) deferred: usize,
    /// Requests that were handed over and did not go out.
    pub(super) taken_back: usize,
}

impl Town {
    pub fn new() -> Self {
        Self {
            commands: Commands::shipped(),
            scripts: Scripts::default(),
            ledger: Ledger::default(),
            servers: vec![Server::default()],
            parties: (0..CLIENTS).map(Party::new).collect(),
            trunks: Vec::new(),
            spares: Vec::new(),
            links: 0,
            route: Some(0),
            epoch: 1,
            now: Moment::from_millis(1000),
            rough: false,
            lost: Vec::new(),
            pushed: 0,
            shared: 0,
            deferred: 0,
            taken_back: 0,
        }
    }

    fn primary(&mut self) -> &mut Server {
        self.servers.last_mut().expect("there is one")
    }

    /// Who takes part.
    fn who(&self, number: usize) -> Option<usize> {
        let there: Vec<usize> = (0..self.parties.len()).filter(|who| self.parties[*who].is_there()).collect();
        (!there.is_empty()).then(|| there[number % there.len()])
    }

    fn which(&self, number: usize) -> Option<usize> {
        let there: Vec<usize> = (0..self.trunks.len()).filter(|which| self.trunks[*which].is_some()).collect();
        (!there.is_empty()).then(|| there[number % there.len()])
    }

    fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        let own = self.parties.iter_mut().filter_map(|party| match &mut party.upstream {
            Upstream::Own { link, .. } => Some(&mut **link),
            Upstream::None | Upstream::Shared { .. } => None,
        });
        own.chain(self.trunks.iter_mut().flatten().map(|trunk| &mut trunk.link))
            .chain(self.spares.iter_mut().map(|(_, link)| link))
    }

    fn open(&mut self, server: usize) -> Link {
        self.links += 1;
        Link::new(self.links, server)
    }

    pub fn happen(&mut self, event: Event) {
        self.act(event);
        self.check();
        let there = self.parties.iter().filter(|party| party.is_there()).count();
        if there < CLIENTS && self.parties.len() < CLIENTS_EVER {
            self.parties.push(Party::new(self.parties.len()));
        }
    }

    fn act(&mut self, event: Event) {
        match event {
            Event::Ask(who, ask, variant) => self.ask(who, ask, variant),
            Event::Unit(who, variant) => {
                let all = [Ask::Multi, Ask::Set, Ask::Get, Ask::Exec, [Ask::Get, Ask::Incr, Ask::Eval][usize::from(variant) % 3]];
                all.into_iter().for_each(|ask| self.ask(who, ask, variant));
            }
            Event::Reads(who, variant) => {
                (0..3).for_each(|place| self.ask(who, Ask::Get, variant.wrapping_add(place)));
                self.on_party(who, |town, who| {
                    town.say(who, usize::MAX);
                    town.attend(who);
                });
            }
            Event::Wait(millis) => self.now = self.now + Duration::from_millis(millis),
            Event::RunAll => self.run_all(),
            Event::Demote => self.demote(),
            Event::Usurp(lose) => self.usurp(lose),
            Event::Crash(lose) => self.crash(lose),
            Event::Withdraw(sees) => self.withdraw(sees),
            Event::Elect => self.route = self.route.or(Some(self.servers.len() - 1)),
            Event::Loading(loading) => {
                self.ledger.overtaken |= self.primary().loading;
                self.primary().loading = loading;
            }
            Event::Lonely(lonely) => {
                self.ledger.overtaken |= self.primary().lonely;
                self.primary().lonely = lonely;
            }
            Event::Noise => self.links().for_each(Link::push),
            Event::Touch => self.links().for_each(Link::touch),
            Event::Push => {
                self.pushed += 1;
                let element = format!("other{}", self.pushed);
                self.primary().data.list.push_front(element);
            }
            Event::Add(stream) => self.servers.iter_mut().for_each(|server| server.data.streams[stream % 2] += 1),
            Event::Flush(which, most) => self.on_trunk(which, |town, which| {
                town.flush(which);
                town.take_of_trunk(which, most);
            }),
            Event::TrunkServe(which, most) => self.on_trunk(which, |town, which| town.serve_trunk(which, most)),
            Event::TrunkHear(which, most) => self.on_trunk(which, |town, which| town.hear_trunk(which, most)),
            Event::TrunkRun(which) => self.on_trunk(which, Self::run_trunk),
            Event::Trickle(which, pieces) => self.on_trunk(which, |town, which| {
                town.flush(which);
                town.take_of_trunk(which, usize::MAX);
                town.serve_trunk(which, usize::MAX);
                (0..pieces).for_each(|_| town.hear_trunk(which, 5));
            }),
            Event::CutTrunk(which, serve, hear) => self.on_trunk(which, |town, which| {
                town.serve_trunk(which, serve);
                town.hear_trunk(which, hear);
                town.end_trunk(which);
            }),
            Event::Say(who, most) => self.on_party(who, |town, who| town.say(who, most)),
            Event::Attend(who) => self.on_party(who, Self::attend),
            Event::Take(who, most) => self.on_party(who, |town, who| town.take(who, most)),
            Event::Serve(who, most) => self.on_party(who, |town, who| town.serve(who, most)),
            Event::Hear(who, most) => self.on_party(who, |town, who| town.hear(who, most)),
            Event::Run(who) => self.on_party(who, Self::run),
            Event::Cut(who, serve, hear) => self.on_party(who, |town, who| town.cut(who, serve, hear)),
            Event::Expire(who) => self.on_party(who, |town, who| {
                if town.parties[who].draining {
                    town.lose(who);
                }
            }),
            Event::Stay(who) => self.on_party(who, Self::stay),
            Event::Refuse(who) => self.on_party(who, Self::refuse),
            Event::Unblock(who) => self.on_party(who, Self::unblock),
            Event::Slow(who) => self.on_party(who, |town, who| town.parties[who].conversation.goes_alone()),
            Event::End(who) => self.on_party(who, |town, who| {
                let party = &mut town.parties[who];
                party.left |= party.client.end();
                party.ended = true;
                party.conversation.client_ended();
            }),
            Event::Leave(who) => self.on_party(who, |town, who| {
                town.give_up(who);
                town.parties[who].gone = true;
            }),
        }
    }

    fn ask(&mut self, who: usize, ask: Ask, variant: u8) {
        self.on_party(who, |town, who| {
            let Party { client, excuses, ended, .. } = &mut town.parties[who];
            if !*ended {
                client.ask(ask, variant, excuses);
            }
        });
    }

    fn on_party(&mut self, who: usize, act: impl FnOnce(&mut Self, usize)) {
        if let Some(who) = self.who(who) {
            act(self, who);
        }
    }

    fn on_trunk(&mut self, which: usize, act: impl FnOnce(&mut Self, usize)) {
        if let Some(which) = self.which(which) {
            act(self, which);
        }
    }

    fn run_all(&mut self) {
        for who in 0..self.parties.len() {
            if self.parties[who].is_there() {
                self.run(who);
            }
        }
        for which in 0..self.trunks.len() {
            if self.trunks[which].is_some() {
                self.run_trunk(which);
            }
        }
    }
}
