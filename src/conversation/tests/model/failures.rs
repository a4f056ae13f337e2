//! What becomes of servers, what control makes of it, and how everything comes to rest.

use super::data::Fate;
use super::server::{Link, UNBLOCKED};
use super::world::{Event, World};
use crate::conversation::{Conversation, Next, Withdrawn};
use crate::route::Departure;

const FAILOVERS_MAX: usize = 6;

impl World {
    pub(super) fn may_fail_over(&mut self) -> bool {
        self.servers.len() <= FAILOVERS_MAX && self.route == Some(self.servers.len() - 1)
    }

    pub(super) fn demote(&mut self) {
        if self.may_fail_over() {
            let next = self.primary().successor(0);
            let here = self.servers.len() - 1;
            self.ledger.overtaken |= self.link.is_some() && (self.primary().lonely || self.primary().loading);
            self.primary().replica = true;
            (self.primary().lonely, self.primary().loading) = (false, false);
            self.servers.push(next);
            if let Some(link) = self.link.as_mut().filter(|link| link.server == here) {
                link.end_blocked(UNBLOCKED, true);
            }
        }
    }

    pub(super) fn usurp(&mut self, lose: usize) {
        if self.may_fail_over() {
            let next = self.primary().successor(lose);
            self.primary().usurped = true;
            self.servers.push(next);
            self.ledger.lossy = true;
        }
    }

    pub(super) fn crash(&mut self, serve: usize, lose: usize) {
        if !self.may_fail_over() {
            return;
        }
        self.serve(serve);
        let next = self.primary().successor(lose);
        self.primary().dead = true;
        self.servers.push(next);
        self.ledger.lossy |= lose > 0;
        self.forgive(self.servers.len() - 2);
        if self.link.is_some() {
            self.lose();
        }
    }

    /// What `server` executed and said to be, and its successor has not, is lost.
    pub(super) fn forgive(&mut self, server: usize) {
        if let [_, new, ..] = &self.servers[server..] {
            let gone = self.servers[server].data.log.iter().filter(|number| !new.data.log.contains(number));
            // Its reply had begun to come.
            let begun = self.client.asked.front().filter(|_| self.client.is_in_frame()).and_then(|asked| asked.number);
            let was_said = |number: &&u32| {
                begun == Some(**number)
                    || self.client.acknowledged.contains(number)
                    || self.ledger.fates.get(number) == Some(&Fate::Executed)
            };
            self.lost.extend(gone.filter(was_said));
        }
    }

    pub(super) fn withdraw(&mut self, sees: bool) {
        let Some(server) = self.route.take() else { return };
        (self.epoch, self.excuses.moved) = (self.epoch + 1, true);
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
        // What drains belongs to an epoch before.
        if self.link.is_none() || self.draining {
            return;
        }
        let big = self.excuses.big;
        self.losses += u32::from(left == Departure::Gone);
        match self.turn(|conversation, turn| conversation.withdraw(left, turn)) {
            Ok(Withdrawn::Drop) => self.drop_link(),
            Ok(Withdrawn::Drain) => self.draining = true,
            Err(close) => {
                let planned = left == Departure::Demoted && !big && !self.client.is_in_frame();
                assert!(!planned, "closed by a planned failover: {close:?}");
                self.close(close);
            }
        }
    }

    pub(super) fn elect(&mut self) {
        if self.route.is_none() {
            self.route = Some(self.servers.len() - 1);
        }
    }

    pub(super) fn stay(&mut self) {
        if self.conversation.doubts() {
            self.excuses.stays = true;
            match self.turn(Conversation::primary_stays) {
                Ok(Next::Continue) => {}
                Ok(Next::DropUpstream(None)) => self.drop_link(),
                other => panic!("the primary stays: {other:?}"),
            }
        }
    }

    /// No failures any more: everything comes to its end.
    pub fn come_to_rest(&mut self) {
        self.happen(Event::Loading(false));
        self.happen(Event::Lonely(false));
        for round in 0..200 {
            if self.closed.is_some() || self.conversation.is_over() {
                return;
            }
            if self.route.is_none() {
                self.happen(Event::Elect);
            } else if self.route != Some(self.servers.len() - 1) {
                self.happen(Event::Withdraw { sees: true });
            }
            self.happen(Event::Run(1));
            if self.conversation.doubts() && self.route == Some(self.servers.len() - 1) {
                self.happen(Event::Stay);
            }
            if self.link.as_ref().is_some_and(Link::is_blocked) {
                let event = [Event::Push, Event::Add(0), Event::Add(1)][round % 3];
                self.happen(event);
            }
            if self.draining && self.link.as_ref().is_some_and(Link::is_blocked) {
                self.happen(Event::Unblock);
                if self.link.as_ref().is_some_and(Link::is_blocked) {
                    self.happen(Event::Cut { serve: 0, hear: 0 });
                }
            }
            if self.is_at_rest() {
                return;
            }
        }
        panic!("not everything was answered: {:?}, upstream wanted: {}", self.client.asked, self.conversation.wants_upstream());
    }

    pub(super) fn is_at_rest(&self) -> bool {
        let conversation = &self.conversation;
        self.client.is_answered()
            && self.client.outbox.is_empty()
            && !conversation.wants_upstream()
            && !conversation.doubts()
            && conversation.caught_up()
            && conversation.held_bytes() == 0
            && !self.draining
    }
}
