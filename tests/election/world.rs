//! A made-up world: a few servers that replicate, are promoted, die and come back as Redis 7 does (`tests/facts/README.md`), and a
//! mainstay that hears of them only when a check ends. The world knows the truth that the decisions are held against.

use std::sync::Arc;

use mainstay::route::{AdminState, Moment};
use mainstay::topology::facts::Id;
use mainstay::topology::sentinel::{Named, Place, Word};
use mainstay::topology::{Facts, Group, Outcome, Role, Step};

use crate::replay::RULES;
use crate::truth::{Origin, Truth};

/// Servers in the world.
pub const SERVERS: usize = 3;

/// What may happen. Numbers name servers.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Check(usize),
    Write(usize, u64),
    Promote(usize),
    Follow(usize, usize),
    CutLink(usize),
    Stop(usize),
    Continue(usize),
    Kill(usize),
    StartAsMaster {
        server: usize,
        from_file: bool,
    },
    StartAsReplica {
        server: usize,
        of: usize,
        from_file: bool,
    },
    ChangeId(usize),
    Load(usize),
    Acknowledge,
    Stall,
    Hint,
    Elect(usize),
    Maintenance(usize),
    Ready(usize),
    Wait(u64),
    /// The Sentinels name a server at a config epoch, or have no word.
    Word(Option<(usize, u64)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Up,
    Stopped,
    Down,
}

#[derive(Clone, Debug)]
struct Server {
    reach: Reach,
    run: u32,
    /// Absent: a master.
    master: Option<usize>,
    link: bool,
    loading: bool,
    id: u32,
    id2: Option<u32>,
    second: Option<u64>,
    offset: u64,
    keys: u64,
    received: u64,
}

/// See the module.
pub struct World {
    servers: Vec<Server>,
    pub truth: Truth,
    fresh: u32,
    now: u64,
    pub group: Group,
    pub acknowledged: bool,
    /// Every step, with what is needed to judge it.
    pub story: Vec<String>,
    holder: Option<(Arc<str>, u64)>,
    /// The primary's process and id, or the last one's, as last heard while it was the primary.
    pub last: Option<(u32, u32)>,
    epoch: u64,
    heard_since_stall: Vec<bool>,
}

impl World {
    /// Server 0 is the master of the others; mainstay has heard of nobody.
    pub fn new() -> Self {
        let server = |number: usize| Server {
            reach: Reach::Up,
            run: number as u32 + 1,
            master: (number > 0).then_some(0),
            link: number > 0,
            loading: false,
            id: 1,
            id2: None,
            second: None,
            offset: 100,
            keys: 10,
            received: if number > 0 { 100 } else { 0 },
        };
        let names: Vec<Arc<str>> = (0..SERVERS).map(name).collect();
        Self {
            servers: (0..SERVERS).map(server).collect(),
            truth: Truth::default(),
            fresh: 100,
            now: 0,
            group: Group::new(RULES, &names, 0, Moment::default()),
            acknowledged: true,
            story: Vec::new(),
            holder: None,
            last: None,
            epoch: 0,
            heard_since_stall: vec![true; SERVERS],
        }
    }

    /// Lets one thing happen, and everything that mainstay decides upon it.
    pub fn happen(&mut self, event: Event) {
        let now = self.moment();
        match event {
            Event::Check(server) => self.check(server),
            Event::Write(server, bytes) => self.write(server, bytes),
            Event::Promote(server) => self.promote(server),
            Event::Follow(server, master) => self.follow(server, master),
            Event::CutLink(server) => self.servers[server].link = false,
            Event::Stop(server) if self.servers[server].reach == Reach::Up => self.servers[server].reach = Reach::Stopped,
            Event::Continue(server) if self.servers[server].reach == Reach::Stopped => self.servers[server].reach = Reach::Up,
            Event::Stop(_) | Event::Continue(_) => {}
            Event::Kill(server) => self.servers[server].reach = Reach::Down,
            Event::StartAsMaster { server, from_file } => self.start(server, None, from_file),
            Event::StartAsReplica { server, of, from_file } => self.start(server, Some(of), from_file),
            Event::ChangeId(server) => self.change_id(server),
            Event::Load(server) => self.servers[server].loading = !self.servers[server].loading,
            Event::Acknowledge => self.acknowledged = true,
            Event::Stall => {
                self.now += 60_000;
                self.group.stalled(self.moment());
                self.heard_since_stall = vec![false; SERVERS];
            }
            Event::Hint => self.group.hint(now),
            Event::Elect(server) => drop(self.group.elect(&name(server), now)),
            Event::Maintenance(server) => drop(self.group.set_admin(&name(server), AdminState::Maintenance, true, now)),
            Event::Ready(server) => drop(self.group.set_admin(&name(server), AdminState::Ready, false, now)),
            Event::Wait(millis) => self.now += millis,
            Event::Word(word) => self.group.set_word(word.map_or(Word::None("no Sentinel answers".into()), names), now),
        }
        self.replicate();
        self.settle();
    }

    /// The world comes to rest: everybody is up, `master` is the only master, the others follow it, and all are asked often.
    pub fn come_to_rest(&mut self, master: usize) {
        for server in 0..SERVERS {
            match self.servers[server].reach {
                Reach::Up => {}
                Reach::Stopped => self.happen(Event::Continue(server)),
                Reach::Down => self.happen(Event::StartAsMaster { server, from_file: true }),
            }
            self.servers[server].loading = false;
            self.happen(Event::Ready(server));
        }
        self.happen(Event::Promote(master));
        for server in (0..SERVERS).filter(|server| *server != master) {
            self.servers[server].master = None;
            self.happen(Event::Follow(server, master));
        }
        for _ in 0..2 * RULES.fall {
            for server in 0..SERVERS {
                self.happen(Event::Check(server));
            }
            self.happen(Event::Acknowledge);
        }
    }

    fn moment(&self) -> Moment {
        Moment::from_millis(self.now)
    }

    fn check(&mut self, place: usize) {
        let server = &self.servers[place];
        let outcome = match server.reach {
            Reach::Down => Outcome::Refused,
            Reach::Stopped => Outcome::Silent,
            Reach::Up if server.loading => Outcome::Loading,
            Reach::Up => Outcome::Facts(Box::new(facts(server))),
        };
        let started = self.moment();
        self.group.check_started(&name(place), started);
        self.now += 1;
        self.heard_since_stall[place] = true;
        self.group.check_ended(&name(place), started, &outcome, self.moment());
        let server = &self.servers[place];
        let holds = self.holder.as_ref().is_some_and(|(holder, _)| *holder == name(place));
        let same_process = self.last.is_some_and(|(run, _)| run == server.run);
        if holds && same_process && server.master.is_none() && matches!(outcome, Outcome::Facts(_)) {
            self.last = Some((server.run, server.id));
        }
    }

    fn write(&mut self, place: usize, bytes: u64) {
        let server = &mut self.servers[place];
        if server.reach == Reach::Up && server.master.is_none() {
            server.offset += bytes;
            server.keys += 1;
        }
    }

    fn promote(&mut self, place: usize) {
        let fresh = self.fresh_id();
        let server = &mut self.servers[place];
        if server.reach == Reach::Up && server.master.take().is_some() {
            self.truth.learn(fresh, Origin::True(server.id));
            server.id2 = Some(server.id);
            server.second = Some(server.offset + 1);
            server.id = fresh;
            server.link = false;
        }
    }

    fn follow(&mut self, place: usize, master: usize) {
        let mut at = Some(master);
        while let Some(next) = at {
            if next == place {
                return;
            }
            at = self.servers[next].master;
        }
        if self.servers[place].reach == Reach::Up {
            self.servers[place].master = Some(master);
            self.servers[place].link = true;
        }
    }

    fn start(&mut self, place: usize, of: Option<usize>, from_file: bool) {
        if self.servers[place].reach != Reach::Down {
            return;
        }
        let (fresh, run) = (self.fresh_id(), self.fresh_id());
        let server = &mut self.servers[place];
        let (id, offset) = (server.id, server.offset);
        *server = Server { run, received: 0, reach: Reach::Up, loading: false, link: false, master: None, ..server.clone() };
        if !from_file {
            *server = Server { id: fresh, id2: None, second: None, offset: 0, keys: 0, ..server.clone() };
        } else if of.is_none() {
            *server = Server { id: fresh, id2: Some(id), second: Some(offset + 1), ..server.clone() };
            self.truth.learn(fresh, Origin::File(id));
        }
        if let Some(master) = of {
            self.follow(place, master);
        }
    }

    fn change_id(&mut self, place: usize) {
        let fresh = self.fresh_id();
        let server = &mut self.servers[place];
        if server.reach == Reach::Up && server.master.is_none() {
            self.truth.learn(fresh, Origin::True(server.id));
            *server = Server { id: fresh, id2: None, second: None, ..server.clone() };
        }
    }

    /// Replicas whose link works are in step at once, those behind replicas too.
    fn replicate(&mut self) {
        for _ in 0..SERVERS {
            for place in 0..SERVERS {
                let Some(master) = self.servers[place].master.map(|master| self.servers[master].clone()) else { continue };
                let server = &mut self.servers[place];
                if server.reach != Reach::Up {
                    continue;
                }
                server.link &= master.reach == Reach::Up && !master.loading;
                if server.link && (server.id, server.offset) != (master.id, master.offset) {
                    let Server { id, id2, second, offset, keys, .. } = master;
                    *server = Server { id, id2, second, offset, keys, received: server.received + 14, ..server.clone() };
                }
            }
        }
    }

    fn fresh_id(&mut self) -> u32 {
        self.fresh += 1;
        self.fresh
    }

    /// Carries out what is due, and holds each step against what must never happen.
    fn settle(&mut self) {
        while let Some(step) = self.group.step(self.moment(), self.acknowledged) {
            match &step {
                Step::Withdraw { epoch, from, cause, .. } => {
                    let held = self.holder.take().expect("only what was granted can be withdrawn");
                    assert_eq!((&held.0, held.1 + 1), (from, *epoch), "S3: the epoch grows by one with each withdrawal");
                    self.acknowledged = false;
                    if cause.as_str() == "succeeded" {
                        assert!(self.somebody_succeeds(), "S4: {from} was withdrawn, and nobody continues its history");
                    }
                }
                Step::Grant { epoch, to, rule, .. } => {
                    assert!(self.holder.is_none(), "S1: {to} was granted the traffic beside {:?}", self.holder);
                    assert!(self.acknowledged, "S1: {to} was granted the traffic before all workers had acknowledged");
                    assert_eq!(*epoch, self.epoch, "an election fills the epoch in force");
                    self.judge_grant(to, *rule);
                    self.holder = Some((to.clone(), *epoch));
                    self.last =
                        Some((self.heard(to, |facts| facts.run_id.as_ref()), self.heard(to, |facts| facts.replid.as_ref())));
                }
            }
            assert!(self.group.epoch() >= self.epoch, "S3: the epoch shrank");
            self.epoch = self.group.epoch();
            self.story.push(format!("{step:?}"));
        }
        assert_eq!(self.holder.as_ref().map(|held| &held.0), self.group.primary(), "what was granted is what is shown");
        if self.group.vouches() {
            let primary = self.group.primary().expect("nobody vouches for an empty seat");
            let place = (0..SERVERS).find(|place| name(*place) == *primary).expect("a server");
            assert!(self.heard_since_stall[place], "the fence was renewed on facts from before a stall");
        }
    }

    pub fn heard_id(&self, name: &str) -> u32 {
        self.heard(name, |facts| facts.replid.as_ref())
    }

    /// A number that a backend was heard to say.
    fn heard(&self, name: &str, field: impl Fn(&Facts) -> Option<&Id>) -> u32 {
        let backend = self.group.backends().iter().find(|backend| &*backend.name == name).expect("a server");
        let facts = backend.health.facts().expect("it was heard");
        field(facts).expect("every server of this world says it").as_str().parse().expect("a number")
    }
}

fn names((place, config_epoch): (usize, u64)) -> Word {
    let place = Place { host: name(place).to_string(), port: 6379 };
    Word::Names(Named { backend: Some(place.host.as_str().into()), place, config_epoch, votes: 2, known: 3 })
}

fn name(place: usize) -> Arc<str> {
    ["a", "b", "c"][place].into()
}

fn facts(server: &Server) -> Facts {
    let id = |number: u32| Id::new(&number.to_string());
    let replica = server.master.is_some();
    Facts {
        run_id: id(server.run),
        role: if replica { Role::Replica } else { Role::Master },
        replid: id(server.id),
        replid2: server.id2.and_then(id),
        offset: Some(server.offset),
        second_offset: server.second,
        repl_input_bytes: Some(server.received),
        priority: replica.then_some(100),
        link_up: replica.then_some(server.link),
        keys: server.keys,
        ..Facts::default()
    }
}
