//! The one owner of a group's state: reports, hints and commands come in, [`Group::step`] says what follows, and the two steps of a
//! change of primary are carried out in their order:
//!
//! 1. *withdraw*: raise the fence, publish a route without a primary, wait until every worker has acknowledged;
//! 2. *grant*: vouch for the epoch on the fence, publish the new primary.
//!
//! It also vouches for the fence while its facts are fresh, and notices when the process stood still: then nothing that it knew counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::asking::Told;
use super::connectors::Connectors;
use super::journal::Journal;
use super::naming::Watched;
use super::probe::{News, Pace, Report};
use super::readers::Readers;
use super::resolve::Names;
use super::roster::Roster;
use super::sentinel::{News as SentinelNews, Sentinels};
use crate::config;
use crate::route::{Action, Command, Departure, Endpoint, GroupLink, GroupStatus, Hint, Moment, Refusal, Route};
use crate::topology::{Cause, Group, Outcome, Rules, Step};

/// How long the fence is vouched for at a time. A process that stood still for longer finds it lapsed.
pub(super) const VOUCH_FOR: Duration = Duration::from_secs(1);
/// How often it is renewed. Waking up later than [`VOUCH_FOR`] after the last time is a stall.
const TICK: Duration = Duration::from_millis(100);
/// What comes in.
pub(super) struct Inbox {
    pub(super) reports: mpsc::Receiver<Report>,
    pub(super) news: mpsc::Receiver<SentinelNews>,
    pub(super) hints: mpsc::Receiver<Hint>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) changes: mpsc::Receiver<config::Group>,
}

/// See the module.
pub(super) struct Coordinator {
    pub(super) config: config::Group,
    pub(super) group: Group,
    pub(super) link: GroupLink,
    pub(super) route: watch::Sender<Arc<Route>>,
    pub(super) status: watch::Sender<Arc<GroupStatus>>,
    /// One for every backend of the group; a leaving one stands in the roster no more, but is watched until it is replaced.
    pub(super) probes: HashMap<Arc<str>, Watched>,
    /// Who belongs to the group.
    pub(super) roster: Roster,
    /// Where the names in it lead.
    pub(super) names: Names,
    pub(super) report_sender: mpsc::Sender<Report>,
    pub(super) pace: watch::Sender<Pace>,
    /// Where each backend last answered.
    pub(super) endpoints: HashMap<Arc<str>, Endpoint>,
    /// What their commands do, as they said.
    pub(super) told: Told,
    /// A hint is being looked into since then: until a check of the primary that began later has ended. Hints that come meanwhile do
    /// not move it: were a check to take longer than `fast_interval`, steady hints would keep new sessions parked for good.
    pub(super) suspect: Option<Moment>,
    /// When the last round was ordered; at most one in each `fast_interval`.
    pub(super) round_at: Moment,
    pub(super) round_due: Option<Moment>,
    /// When somebody last wanted a round.
    pub(super) round_asked: Moment,
    /// When the coordinator last ran.
    pub(super) awake: Moment,
    /// How the last primary left.
    pub(super) left: Departure,
    /// Who may be read.
    pub(super) readers: Readers,
    pub(super) sentinels: Sentinels,
    pub(super) journal: Journal,
    pub(super) connectors: Connectors,
}

/// A task that ends with its owner.
pub(super) struct AbortOnDrop(pub(super) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Coordinator {
    /// Until its task is aborted.
    pub(super) async fn run(mut self, mut inbox: Inbox) {
        self.configure_sentinels();
        self.settle(Moment::now());
        let named = self.names.told();
        loop {
            let wake = self.next_wake();
            let acknowledged = self.link.acknowledged.clone();
            enum Woken {
                Report(Report),
                Sentinel(SentinelNews),
                Hint(Hint),
                Command(Command),
                Change(Box<config::Group>),
                Named,
                Time,
            }
            let woken = tokio::select! {
                Some(report) = inbox.reports.recv() => Woken::Report(report),
                Some(news) = inbox.news.recv() => Woken::Sentinel(news),
                Some(hint) = inbox.hints.recv() => Woken::Hint(hint),
                Some(command) = inbox.commands.recv() => Woken::Command(command),
                Some(change) = inbox.changes.recv() => Woken::Change(Box::new(change)),
                () = named.notified() => Woken::Named,
                () = acknowledged.notified() => Woken::Time,
                () = sleep_until(wake) => Woken::Time,
            };
            let now = Moment::now();
            self.notice_stall(now);
            match woken {
                Woken::Report(report) => self.report(report, now),
                Woken::Sentinel(news) => self.heard_sentinel(news, now),
                Woken::Hint(hint) => self.hint(&hint, now),
                Woken::Command(command) => self.command(command, now),
                Woken::Change(change) => self.change(*change, now),
                Woken::Named => self.settle(now),
                Woken::Time => self.group.refresh(now),
            }
            self.carry_out(now);
            // Who waits is told why, as it stands now; who reads, where.
            self.publish();
            self.order_due_round(now);
            self.set_pace(now);
            self.vouch(now);
            self.show(now);
        }
    }

    fn next_wake(&self) -> Instant {
        let now = Moment::now();
        let dues = [self.group.doubts_at().filter(|at| *at > now), self.round_due];
        let nearest = dues.into_iter().flatten().map(|due| due.since(now)).min().unwrap_or(TICK);
        Instant::now() + nearest.min(TICK)
    }

    fn notice_stall(&mut self, now: Moment) {
        let stood = now.since(self.awake);
        self.awake = now;
        if stood > VOUCH_FOR {
            self.journal.stalled(stood);
            self.group.stalled(now);
            self.sentinels.stalled(now);
            self.order_round(now);
        }
    }

    fn report(&mut self, report: Report, now: Moment) {
        let Some(watched) = self.probes.get(&report.backend) else {
            // It left the group while its report waited.
            return;
        };
        match report.news {
            News::Started(at) | News::Ended { started: at, .. } if at < watched.since => {}
            News::Started(at) => {
                self.group.check_started(&report.backend, at);
                let answers = self.round_due.is_some() && at >= self.round_asked;
                if answers && self.group.primary() == Some(&report.backend) {
                    // A check that was due anyway does for the round: steady hints would otherwise double the checks.
                    self.round_due = None;
                    self.round_at = at;
                }
            }
            News::Failed(error) => {
                self.journal.own_fault(&report.backend, &error, now);
                // The round is over and has told nothing: new sessions do not wait for the next one.
                if self.group.primary() == Some(&report.backend) {
                    self.clear_suspicion();
                }
            }
            News::Commands { process, commands } => {
                self.journal.commands(&report.backend, commands.as_ref().err().map(String::as_str));
                if let Ok(commands) = commands {
                    self.told.answer(&report.backend, process, commands);
                }
                if self.group.primary() == Some(&report.backend) {
                    self.publish();
                }
            }
            News::Ended { started, outcome, took, endpoint } => {
                self.journal.check(&report.backend, &outcome, took);
                // Only where facts came from: a name may stand for several addresses, and one that was merely tried, or that did not
                // answer as a data server, must not receive the primary's clients.
                if let Some(endpoint) = endpoint.filter(|_| matches!(outcome, Outcome::Facts(_))) {
                    self.endpoints.insert(report.backend.clone(), endpoint);
                }
                self.group.check_ended(&report.backend, started, &outcome, now);
                self.ask_again(&report.backend, outcome.is_failure());
                self.adopt();
                // First, as a suspicion that is lowered under the same epoch says that the primary is still the primary.
                self.carry_out(now);
                if self.group.primary() == Some(&report.backend) {
                    self.looked(started);
                    self.publish();
                }
            }
        }
    }

    /// One check of every backend at once, at most once in each `fast_interval`.
    pub(super) fn order_round(&mut self, now: Moment) {
        self.round_asked = now;
        let earliest = self.round_at + self.config.check.fast_interval;
        self.round_due = Some(self.round_due.unwrap_or(earliest).min(earliest).max(now));
    }

    fn order_due_round(&mut self, now: Moment) {
        if self.round_due.is_some_and(|due| due <= now) {
            self.round_due = None;
            self.round_at = now;
            self.pace.send_modify(|pace| pace.round += 1);
        }
    }

    fn set_pace(&mut self, now: Moment) {
        let every = self.group.pace(now);
        self.pace.send_if_modified(|pace| {
            let changed = pace.every != every;
            pace.every = every;
            changed
        });
    }

    fn command(&mut self, command: Command, now: Moment) {
        let known = |name: &str| self.group.backends().iter().any(|backend| &*backend.name == name);
        let (Action::Elect { backend } | Action::Backend { backend, .. }) = &command.action;
        let result = if known(backend) {
            let result = match &command.action {
                Action::Elect { backend } => self.group.elect(backend, now),
                Action::Backend { backend, state, force } => self.group.set_admin(backend, *state, *force, now),
            };
            result.map_err(Refusal::NotNow)
        } else {
            Err(Refusal::NoSuchBackend(format!("group {} has no backend {backend}", self.config.name)))
        };
        self.journal.command(&command.action, &result);
        self.carry_out(now);
        self.publish();
        self.show(now);
        // Who asked may have gone: nothing to do.
        let _ = command.reply.send(result);
    }

    fn change(&mut self, config: config::Group, now: Moment) {
        if config == self.config {
            return;
        }
        self.roster.configure(&config.backends);
        self.names.set_pace(config.resolve_interval, config.check.fast_interval);
        let asked_differently =
            config.check != self.config.check || config.credentials != self.config.credentials || config.tls != self.config.tls;
        if config.tls != self.config.tls {
            self.connectors.configure(config.tls.as_ref());
        }
        self.config = config;
        self.configure_sentinels();
        if asked_differently {
            self.probes.clear();
        }
        self.settle(now);
    }

    /// Carries out every step that is due.
    fn carry_out(&mut self, now: Moment) {
        self.weigh_sentinels(now);
        while let Some(step) = self.group.step(now, self.link.fence.all_acknowledged()) {
            match &step {
                Step::Withdraw { epoch, cause, .. } => {
                    self.left = departure(*cause);
                    let raised = self.link.fence.raise();
                    debug_assert_eq!(raised, *epoch, "the fence and the group count the same withdrawals");
                    self.clear_suspicion();
                    self.publish();
                }
                Step::Grant { .. } => {
                    self.link.first_byte.arm();
                    self.vouch(now);
                    self.publish();
                    self.watch_members();
                }
            }
            self.journal.step(&step, &self.group);
        }
        if let Some(micros) = self.link.first_byte.at_micros() {
            self.group.first_byte(Moment::from_micros(micros));
        }
    }
}

/// How a primary left that was withdrawn for this.
fn departure(cause: Cause) -> Departure {
    match cause {
        Cause::Demoted => Departure::Demoted,
        Cause::Succeeded | Cause::Sentinel | Cause::Operator | Cause::Maintenance => Departure::Replaced,
        Cause::Loading | Cause::Restarted | Cause::Down => Departure::Gone,
    }
}

/// The numbers of a configuration.
pub(super) fn rules(config: &config::Group) -> Rules {
    Rules {
        rise: config.check.rise,
        fall: config.check.fall,
        interval: config.check.interval,
        fast_interval: config.check.fast_interval,
        max_succession_gap: config.max_succession_gap,
        hold_window: config.hold.window,
    }
}
