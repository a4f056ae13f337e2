//! A client and its session: what `proxy/redis_mode` does.

use super::super::client::{Client, Excuses};
use super::super::server::Link;
use super::*;
use crate::conversation::tests::Heard;
use crate::conversation::{Close, Conversation, Fault, Need, Next, Turn};

/// See the module.
pub struct Party {
    pub conversation: Conversation,
    heard: Heard,
    pub client: Client,
    pub excuses: Excuses,
    pub upstream: Upstream,
    /// The epoch of its upstream has passed.
    pub draining: bool,
    pub losses: u32,
    pub closed: Option<Close>,
    pub ended: bool,
    /// It ended in the middle of a request: it wants no answers.
    pub left: bool,
    /// It was gone at once.
    pub gone: bool,
    /// Its session has something to do.
    pub awake: bool,
}

/// What it has upstream.
pub enum Upstream {
    None,
    Own {
        link: Box<Link>,
        epoch: u64,
    },
    /// A seat of this number on a trunk of this one.
    Shared {
        trunk: u64,
        seat: u64,
    },
}

impl Party {
    pub fn new(place: usize) -> Self {
        Self {
            conversation: Conversation::sharing(),
            heard: Heard::default(),
            client: Client::one_of_many(u32::try_from(place).expect("few")),
            excuses: Excuses::default(),
            upstream: Upstream::None,
            draining: false,
            losses: 0,
            closed: None,
            ended: false,
            left: false,
            gone: false,
            awake: false,
        }
    }

    pub fn is_there(&self) -> bool {
        !self.gone && self.closed.is_none() && !self.conversation.is_over()
    }

    pub fn sits_on(&self, of: u64) -> bool {
        matches!(self.upstream, Upstream::Shared { seat, .. } if seat == of)
    }
}

impl Town {
    pub fn turn<T>(&mut self, who: usize, act: impl FnOnce(&mut Conversation, &mut Turn<'_>) -> T) -> T {
        let Party { conversation, heard, client, excuses, .. } = &mut self.parties[who];
        let mut turn = Turn { now: self.now, commands: &self.commands, access: None, scripts: &mut self.scripts, outlet: heard };
        let result = act(conversation, &mut turn);
        let bytes = std::mem::take(&mut heard.text);
        excuses.script_refused = self.ledger.script_refused;
        client.hear(&bytes, *excuses, &self.ledger);
        result
    }

    pub fn run(&mut self, who: usize) {
        self.say(who, usize::MAX);
        self.attend(who);
        self.take(who, usize::MAX);
        self.serve(who, usize::MAX);
        self.hear(who, usize::MAX);
    }

    pub fn say(&mut self, who: usize, most: usize) {
        let data = &self.servers.last().expect("there is one").data;
        let party = &mut self.parties[who];
        if party.is_there() && party.conversation.accepts() {
            let bytes = party.client.say(most.min(64 * 1024), self.now, data, &mut self.ledger);
            party.awake |= !bytes.is_empty();
            let said = self.turn(who, |conversation, turn| conversation.client_said(&bytes, turn));
            said.unwrap_or_else(|close| panic!("the client broke no rule: {close:?}"));
        }
    }

    /// Its session has its turn, if something woke it.
    pub fn attend(&mut self, who: usize) {
        while self.parties[who].is_there() && self.parties[who].awake {
            if !self.attend_once(who) {
                self.parties[who].awake = false;
            }
        }
    }

    /// True where it goes on.
    fn attend_once(&mut self, who: usize) -> bool {
        let draining = self.parties[who].draining;
        let party = &mut self.parties[who];
        match &party.upstream {
            Upstream::None => {
                let need = party.conversation.need();
                need != Need::Nothing && self.seek(who, need)
            }
            _ if draining => false,
            Upstream::Own { .. } => {
                let gives_back = party.conversation.may_leave();
                if gives_back {
                    self.give_back(who);
                }
                gives_back
            }
            Upstream::Shared { trunk, seat } => {
                let (trunk, seat) = (*trunk, *seat);
                if self.stage_of(trunk) == Stage::Over {
                    self.lose(who);
                    return true;
                }
                let conversation = &mut self.parties[who].conversation;
                if conversation.must_leave() {
                    self.get_off(who);
                    return true;
                }
                if conversation.has_unsent() {
                    self.speak(trunk, who, seat);
                }
                false
            }
        }
    }

    /// True where one was found.
    fn seek(&mut self, who: usize, need: Need) -> bool {
        let Some(server) = self.route.filter(|server| !self.servers[*server].dead) else { return false };
        let epoch = self.epoch;
        if need == Need::Shared {
            let key = self.parties[who].conversation.connection_key();
            if let Some(trunk) = self.trunk_for(key, server) {
                self.links += 1;
                self.parties[who].upstream = Upstream::Shared { trunk, seat: self.links };
                self.turn(who, |conversation, turn| conversation.attach_shared(epoch, turn));
                return true;
            }
            self.parties[who].conversation.goes_alone();
        }
        let spare = self.take_spare();
        let link = spare.unwrap_or_else(|| self.open(server));
        self.parties[who].upstream = Upstream::Own { link: Box::new(link), epoch };
        self.turn(who, |conversation, turn| conversation.attach(epoch, turn));
        true
    }

    /// One that was wiped, and has said so and nothing else.
    fn take_spare(&mut self) -> Option<Link> {
        while let Some((epoch, mut link)) = self.spares.pop() {
            while link.serve(&mut self.servers[link.server], &mut self.ledger, self.now) {}
            let said = link.take(usize::MAX);
            link.settle_told(&mut self.ledger);
            if epoch == self.epoch && said == b"+RESET\r\n" && !link.closing {
                return Some(link);
            }
        }
        None
    }

    fn give_back(&mut self, who: usize) {
        let may_be_used = self.turn(who, Conversation::leave);
        let upstream = std::mem::replace(&mut self.parties[who].upstream, Upstream::None);
        let Upstream::Own { link, epoch } = upstream else { unreachable!("it has one") };
        assert!(!link.is_blocked() && !link.owes(), "something is left of what it asked");
        if may_be_used && epoch == self.epoch && self.spares.len() < SPARES_MAX {
            let mut link = *link;
            link.receive(b"*1\r\n$5\r\nRESET\r\n");
            self.spares.push((epoch, link));
        }
    }

    /// Leaves its seat; nothing of it is in flight.
    fn get_off(&mut self, who: usize) {
        let Upstream::Shared { seat, .. } = self.parties[who].upstream else { unreachable!("it has one") };
        let owed = self.trunks.iter().flatten().flat_map(|trunk| &trunk.in_flight).any(|place| place.is_of(seat));
        assert!(!owed, "it leaves with requests in flight");
        self.turn(who, Conversation::leave);
        self.parties[who].upstream = Upstream::None;
    }

    pub fn take(&mut self, who: usize, most: usize) {
        let epoch_now = self.epoch;
        let party = &mut self.parties[who];
        let pending = if party.conversation.is_shared() { &[] } else { party.conversation.pending() };
        let bytes = pending[..most.min(pending.len())].to_vec();
        if bytes.is_empty() || party.conversation.is_over() {
            return;
        }
        let Upstream::Own { link, epoch } = &mut party.upstream else { panic!("it writes to nobody") };
        assert!(*epoch == epoch_now && !party.draining, "S2: it writes to an older one");
        link.receive(&bytes);
        party.conversation.wrote(bytes.len());
    }

    pub fn serve(&mut self, who: usize, most: usize) {
        let Upstream::Own { link, .. } = &mut self.parties[who].upstream else { return };
        for _ in 0..most {
            if !link.serve(&mut self.servers[link.server], &mut self.ledger, self.now) {
                break;
            }
        }
    }

    pub fn hear(&mut self, who: usize, most: usize) {
        let Upstream::Own { link, .. } = &mut self.parties[who].upstream else { return };
        let bytes = link.take(most);
        link.settle_told(&mut self.ledger);
        let ends = link.closing && !link.has_output();
        self.parties[who].awake = true;
        if !bytes.is_empty() {
            let next = self.turn(who, |conversation, turn| conversation.upstream_said(&bytes, turn));
            if !self.heed(who, next) {
                return;
            }
        }
        if ends {
            self.lose(who);
        }
    }

    /// What follows from what its upstream said. False where it has none any more.
    pub fn heed(&mut self, who: usize, next: Result<Next, Close>) -> bool {
        match next {
            Ok(Next::Continue) => return true,
            Ok(Next::DropUpstream(why)) => {
                assert!(why.is_none(), "dropped: {why:?}");
                self.give_up(who);
            }
            Ok(Next::NotReady(_) | Next::Discard | Next::LockedOut(_)) => self.give_up(who),
            Err(close) => self.close(who, close),
        }
        self.parties[who].awake = true;
        false
    }

    /// Without an upstream from here on. What the kernel has of it may still be executed.
    pub fn give_up(&mut self, who: usize) {
        self.serve(who, usize::MAX);
        self.parties[who].draining = false;
        if let Upstream::Own { link, .. } = std::mem::replace(&mut self.parties[who].upstream, Upstream::None) {
            link.bury(&mut self.ledger);
        }
    }

    pub fn lose(&mut self, who: usize) {
        let party = &mut self.parties[who];
        party.losses += u32::from(!party.conversation.is_blocked());
        party.awake = true;
        self.rough |= match &party.upstream {
            Upstream::Own { link, .. } => !link.closing || link.has_output(),
            Upstream::None | Upstream::Shared { .. } => true,
        };
        match self.turn(who, Conversation::upstream_lost) {
            Ok(()) => self.give_up(who),
            Err(close) => self.close(who, close),
        }
    }

    /// The session ends. Panics where it has no reason to.
    pub fn close(&mut self, who: usize, close: Close) {
        let unknown = self.may_have_executed(who);
        let party = &mut self.parties[who];
        let why = &*close.why;
        let excused = if why.contains("nobody can know whether") {
            unknown
        } else if why.contains("in the middle of a reply") {
            party.client.is_in_frame()
        } else if why.contains("too large") {
            party.excuses.big
        } else if why.contains("over the same requests") {
            party.losses > 3
        } else if why.contains("a transaction behind a refused command") {
            true
        } else {
            why.contains("which may be lost") && self.rough
        };
        assert!(excused && matches!(close.fault, Fault::Upstream | Fault::Write), "there was no reason to close: {close:?}");
        party.closed = Some(close);
        self.give_up(who);
    }
}
