//! What becomes of servers, what control makes of it, what is true after every event, and how everything comes to rest.

use std::collections::BTreeSet;

use super::super::check::check_bounds;
use super::super::data::Fate;
use super::super::server::{UNBLOCKED, UNBLOCKED_BY_CLIENT};
use super::*;
use crate::conversation::{Conversation, Need, Withdrawn};
use crate::route::Departure;

const FAILOVERS_MAX: usize = 6;

impl Town {
    fn may_fail_over(&mut self) -> bool {
        self.servers.len() <= FAILOVERS_MAX && self.route == Some(self.servers.len() - 1)
    }

    pub fn demote(&mut self) {
        if self.may_fail_over() {
            let next = self.primary().successor(0);
            let here = self.servers.len() - 1;
            self.ledger.overtaken |= self.primary().lonely || self.primary().loading;
            self.primary().replica = true;
            (self.primary().lonely, self.primary().loading) = (false, false);
            self.servers.push(next);
            self.links().filter(|link| link.server == here).for_each(|link| link.end_blocked(UNBLOCKED, true));
        }
    }

    pub fn usurp(&mut self, lose: usize) {
        if self.may_fail_over() {
            let next = self.primary().successor(lose);
            self.primary().usurped = true;
            self.servers.push(next);
            self.ledger.lossy = true;
        }
    }

    pub fn crash(&mut self, lose: usize) {
        if !self.may_fail_over() {
            return;
        }
        let next = self.primary().successor(lose);
        self.primary().dead = true;
        self.servers.push(next);
        self.ledger.lossy |= lose > 0;
        self.forgive(self.servers.len() - 2);
        self.spares.clear();
        for which in 0..self.trunks.len() {
            self.end_trunk(which);
        }
        for who in 0..self.parties.len() {
            if self.parties[who].is_there() && matches!(self.parties[who].upstream, Upstream::Own { .. }) {
                self.lose(who);
            }
        }
    }

    /// What `server` executed and said to be, and its successor has not, is lost.
    fn forgive(&mut self, server: usize) {
        let [old, new, ..] = &self.servers[server..] else { return };
        let gone: Vec<u32> = old.data.log.iter().filter(|number| !new.data.log.contains(number)).copied().collect();
        for number in gone {
            let begun = self.parties.iter().any(|party| {
                party.client.acknowledged.contains(&number)
                    || party.client.is_in_frame() && party.client.asked.front().and_then(|asked| asked.number) == Some(number)
            });
            if begun || self.ledger.fates.get(&number) == Some(&Fate::Executed) {
                self.lost.push(number);
            }
        }
    }

    pub fn withdraw(&mut self, sees: bool) {
        let Some(server) = self.route.take() else { return };
        self.epoch += 1;
        self.parties.iter_mut().for_each(|party| party.excuses.moved = true);
        let there = &self.servers[server];
        let left = match (there.replica, there.usurped) {
            (true, _) if sees => Departure::Demoted,
            (true, _) | (_, true) => Departure::Replaced,
            (false, false) => Departure::Gone,
        };
        self.rough |= left != Departure::Demoted;
        if there.usurped {
            self.forgive(server);
        }
        self.spares.clear();
        // As the pool does: what had been said by now is heard first.
        for which in 0..self.trunks.len() {
            if self.trunks[which].as_ref().is_some_and(|trunk| trunk.epoch < self.epoch) {
                self.hear_trunk(which, usize::MAX);
            }
        }
        for which in 0..self.trunks.len() {
            if self.trunks[which].as_ref().is_some_and(|trunk| trunk.epoch < self.epoch && trunk.stage != Stage::Retiring) {
                self.take_back(which);
            }
        }
        let mut cut = Vec::new();
        for (which, trunk) in self.trunks.iter_mut().enumerate() {
            let Some(trunk) = trunk.as_mut().filter(|trunk| trunk.epoch < self.epoch) else { continue };
            if trunk.stage == Stage::Retiring {
                continue;
            }
            let ends = left == Departure::Gone || trunk.in_flight.is_empty() || trunk.stage == Stage::Opening;
            trunk.stage = if ends { Stage::Over } else { Stage::Retiring };
            trunk.speakers.clear();
            cut.extend(Some(which).filter(|_| ends));
        }
        for who in 0..self.parties.len() {
            if self.parties[who].is_there() && !self.parties[who].draining {
                self.follow(who, left);
            }
        }
        if self.servers[server].usurped {
            self.forgive(server);
        }
        // Their tasks come to it later.
        cut.into_iter().for_each(|which| self.end_trunk(which));
        for which in 0..self.trunks.len() {
            let nothing = |trunk: &Trunk| trunk.stage == Stage::Retiring && trunk.in_flight.is_empty();
            if self.trunks[which].as_ref().is_some_and(nothing) {
                self.end_trunk(which);
            }
        }
    }

    fn follow(&mut self, who: usize, left: Departure) {
        self.parties[who].awake = true;
        match self.parties[who].upstream {
            Upstream::None => return,
            Upstream::Own { .. } => self.hear(who, usize::MAX),
            Upstream::Shared { trunk, .. } if self.stage_of(trunk) == Stage::Over => return self.lose(who),
            Upstream::Shared { .. } => {}
        }
        let party = &mut self.parties[who];
        if !party.is_there() || matches!(party.upstream, Upstream::None) {
            return;
        }
        party.losses += u32::from(left == Departure::Gone);
        match self.turn(who, |conversation, turn| conversation.withdraw(left, turn)) {
            Ok(Withdrawn::Drop) => self.give_up(who),
            Ok(Withdrawn::Drain) => self.parties[who].draining = true,
            Err(close) => {
                let party = &self.parties[who];
                let planned = left == Departure::Demoted && !party.excuses.big && !party.client.is_in_frame();
                assert!(!planned, "closed by a planned failover: {close:?}");
                self.close(who, close);
            }
        }
    }

    pub fn cut(&mut self, who: usize, serve: usize, hear: usize) {
        if let Upstream::Own { .. } = self.parties[who].upstream {
            self.serve(who, serve);
            self.hear(who, hear);
        }
        if let (Upstream::Own { .. }, true) = (&self.parties[who].upstream, self.parties[who].is_there()) {
            self.lose(who);
        }
    }

    pub fn stay(&mut self, who: usize) {
        if self.parties[who].conversation.doubts() {
            self.parties[who].excuses.stays = true;
            let next = self.turn(who, Conversation::primary_stays);
            self.heed(who, next);
            self.parties[who].awake = true;
        }
    }

    pub fn refuse(&mut self, who: usize) {
        if self.route.is_none() && matches!(self.parties[who].upstream, Upstream::None) {
            (self.parties[who].excuses.refused, self.ledger.refused) = (true, true);
            self.turn(who, |conversation, turn| conversation.refuse("no primary", turn));
        }
    }

    pub fn unblock(&mut self, who: usize) {
        let party = &mut self.parties[who];
        let id = party.conversation.blocked_as();
        if let (Upstream::Own { link, .. }, true) = (&mut party.upstream, party.draining && id.is_some()) {
            assert_eq!(id, Some(link.id));
            link.end_blocked(UNBLOCKED_BY_CLIENT, false);
        }
    }

    pub fn check(&mut self) {
        self.parties.iter().for_each(|party| check_bounds(&party.conversation));
        // Control has not seen yet that another one was promoted.
        self.route.filter(|server| self.servers[*server].usurped).into_iter().for_each(|server| self.forgive(server));
        let log = &self.servers.last().expect("there is one").data.log;
        let executed: BTreeSet<u32> = log.iter().copied().collect();
        let once = |number: &&u32| !self.ledger.may_be_repeated(**number);
        assert_eq!(executed.iter().filter(once).count(), log.iter().filter(once).count(), "a write was executed twice: {log:?}");
        let doubled = self.ledger.effects.iter().find(|(number, times)| **times > 1 && once(number));
        assert_eq!(doubled, None, "executed several times");
        for party in &self.parties {
            let excused = |number: &&u32| self.lost.contains(number) || self.rough && !once(number);
            let missing = party.client.acknowledged.iter().find(|number| !executed.contains(number) && !excused(number));
            assert_eq!(missing, None, "acknowledged, and not in the data: {log:?}");
            let denied = party.client.denied.iter().find(|number| executed.contains(number) && (once(number) || !self.rough));
            assert_eq!(denied, None, "the client was told that it was not executed: {log:?}");
        }
    }

    /// No failures any more: everything comes to its end.
    pub fn come_to_rest(&mut self) {
        self.happen(Event::Loading(false));
        self.happen(Event::Lonely(false));
        for round in 0..300 {
            if self.route.is_none() {
                self.happen(Event::Elect);
            } else if self.route != Some(self.servers.len() - 1) {
                self.happen(Event::Withdraw(true));
            }
            if self.route == Some(self.servers.len() - 1) {
                // The lanes say when there is a primary again.
                self.parties
                    .iter_mut()
                    .filter(|party| matches!(party.upstream, Upstream::None))
                    .for_each(|party| party.awake = true);
            }
            self.happen(Event::RunAll);
            for who in 0..self.parties.len() {
                if self.parties[who].is_there() && self.route == Some(self.servers.len() - 1) {
                    self.stay(who);
                    self.unblock(who);
                }
                let blocked = matches!(&self.parties[who].upstream, Upstream::Own { link, .. } if link.is_blocked());
                if blocked && self.parties[who].draining {
                    self.cut(who, 0, 0);
                }
            }
            if self.links().any(|link| link.is_blocked()) {
                self.happen([Event::Push, Event::Add(0), Event::Add(1)][round % 3]);
            }
            if (0..self.parties.len()).all(|who| self.is_at_rest(who)) {
                return self.check_the_end();
            }
        }
        for party in self.parties.iter().filter(|party| party.is_there()) {
            let shared = party.conversation.is_shared();
            eprintln!("{:?} needs {:?}, shares {shared}, awake {}", party.client.asked, party.conversation.need(), party.awake);
        }
        panic!("not everything was answered");
    }

    fn is_at_rest(&self, who: usize) -> bool {
        let party = &self.parties[who];
        let conversation = &party.conversation;
        !party.is_there()
            || party.client.is_answered()
                && party.client.outbox.is_empty()
                && conversation.need() == Need::Nothing
                && !conversation.doubts()
                && conversation.caught_up()
                && !party.draining
    }

    fn check_the_end(&mut self) {
        self.check();
        for party in self.parties.iter().filter(|party| !party.gone && party.closed.is_none() && !party.left) {
            assert!(party.client.is_answered(), "unanswered: {:?}", party.client.asked);
            assert!(party.ended || !party.client.is_in_frame(), "it ends in the middle of a frame");
        }
        assert!(self.trunks.iter().flatten().all(|trunk| trunk.in_flight.iter().all(|place| place.owner.is_some())));
    }
}
