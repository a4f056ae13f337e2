//! What a group's coordinator tells the others: the route, the deadline on the fence, the status.

use std::collections::HashMap;
use std::sync::Arc;

use super::connectors::Connectors;
use super::coordinator::{Coordinator, VOUCH_FOR};
use super::login;
use super::snapshot;
use crate::resp::command::Commands;
use crate::route::{Endpoint, Moment, Primary, Route, Vacancy, Way};

impl Coordinator {
    /// Vouches for the epoch in force, and for the replicas, while the facts are fresh. Sessions that found it lapsed are woken by a new route.
    pub(super) fn vouch(&mut self, now: Moment) {
        let readers_wait = self.vouch_for_readers(now);
        let waits = || self.link.fence.renew((now + VOUCH_FOR).as_micros()) < Moment::now().as_micros();
        if self.group.vouches() && waits() || readers_wait {
            self.route.send_modify(|_| {});
        }
    }

    pub(super) fn publish(&mut self) {
        self.judge_readers();
        let (since, _, why) = self.group.standing();
        let primary = match self.group.primary().and_then(|name| Some((name, self.way_to(name)?))) {
            Some((name, way)) => {
                let backend = self.group.backends().iter().find(|backend| backend.name == *name);
                let drained = backend.is_some_and(|backend| backend.admin == crate::route::AdminState::Drain);
                let takes_new = !drained && !self.roster.has_vanished(name);
                let commands = backend.map_or_else(Commands::shipped, |backend| self.told.commands_of(backend));
                let login = self.config.credentials.as_ref().map(login::of);
                Ok(Primary { backend: name.clone(), way, takes_new, commands, login })
            }
            None => Err(Vacancy { since, why: why.to_owned(), left: self.left }),
        };
        let route = Route {
            epoch: self.group.epoch(),
            primary,
            reads: self.reads(),
            hold_window: self.config.hold.window,
            hold_max_bytes: self.config.hold.max_bytes,
            hint_interval: self.config.check.fast_interval,
        };
        self.route.send_if_modified(|present| {
            let changed = **present != route;
            if changed {
                *present = Arc::new(route);
            }
            changed
        });
    }

    /// How to get to a backend, once a check has found it.
    pub(super) fn way_to(&self, name: &str) -> Option<Way> {
        way(&self.endpoints, &self.connectors, name)
    }

    pub(super) fn show(&mut self, now: Moment) {
        self.journal.watch(&self.group);
        self.sentinels.watch(&self.group, &self.journal, now);
        let mut status = snapshot::of(&self.config.name, &self.group, &self.readers, &self.endpoints, now);
        self.annotate(&mut status);
        // Once done it stays so, also where a reload brings Sentinels.
        status.first_round_done = self.first_round_done() || self.status.borrow().first_round_done;
        (status.sentinel, status.sentinels) = (self.sentinels.word(&self.group), self.sentinels.statuses());
        self.journal.measure(&status);
        self.status.send_replace(Arc::new(status));
    }
}

/// See [`Coordinator::way_to`].
pub(super) fn way(endpoints: &HashMap<Arc<str>, Endpoint>, connectors: &Connectors, name: &str) -> Option<Way> {
    let endpoint = endpoints.get(name)?.clone();
    let tls = connectors.known(name)?.ok()?;
    Some(Way { endpoint, tls })
}
