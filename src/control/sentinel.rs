//! The Sentinels of a group, where it has some: all of them are asked, all their events are followed, and what they say together is one
//! more thing that the election hears (rule 3b, `topology/word.rs`). What one of them says alone changes nothing.
//!
//! ```text
//!   asker    ──answer──▶ Coordinator::heard_sentinel ──▶ Council ──word──▶ Group::set_word ──▶ the next step
//!   listener ──event───▶ a hint: one check round, one question to each Sentinel, at most once in each fast_interval
//! ```
//!
//! Who is asked comes from the configuration and from the Sentinels themselves; so does who belongs to the group, unless `backends` says
//! it. The answer of none is trusted in its size: see `answers.rs`.

mod answers;
mod asker;
mod events;
mod found;
mod link;
mod remarks;
mod standing;
mod wiring;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};

use self::answers::Answer;
use self::asker::Asker;
use self::events::Listener;
use self::found::Found;
use self::link::{Link, Manner};
use self::remarks::Remarks;
use super::connectors::Connectors;
use super::coordinator::AbortOnDrop;
use super::probe::Pace;
use crate::config;
use crate::route::Moment;
use crate::topology::sentinel::{Council, Silence};

/// What the tasks tell the coordinator.
#[derive(Debug)]
pub(super) struct News {
    /// The configuration that the task was started for.
    term: u64,
    /// Where the Sentinel is asked.
    from: Arc<str>,
    what: What,
}

/// See [`News`].
#[derive(Debug)]
enum What {
    /// It was asked at that moment, and answered or did not.
    Answered { asked: Moment, answer: Result<Answer, Silence> },
    /// It told of an event of this name that concerns the group.
    Happened(String),
    /// Its events are followed.
    Hears,
    /// Its events cannot be followed: why.
    Deaf(String),
}

/// What a coordinator holds of its Sentinels.
pub(super) struct Sentinels {
    watched: Option<Watched>,
    news: mpsc::Sender<News>,
    /// Grows with each configuration.
    term: u64,
    remarks: Remarks,
}

/// Where there are Sentinels.
struct Watched {
    manner: Arc<Manner>,
    council: Council,
    /// Two for each Sentinel.
    tasks: HashMap<Arc<str>, [AbortOnDrop; 2]>,
    found: Found,
    connectors: Connectors,
    /// Answers to questions from before this do not count: mainstay stood still.
    counts_from: Option<Moment>,
    /// Each has been heard once; from then on this stays true.
    first_round_done: bool,
}

impl Sentinels {
    /// Not configured yet.
    pub(super) fn new(news: mpsc::Sender<News>) -> Self {
        Self { watched: None, news, term: 0, remarks: Remarks::default() }
    }

    /// Applies a configuration. Where nothing changes for the Sentinels they notice nothing.
    fn configure(&mut self, group: &config::Group) {
        let manner = group.sentinel.clone().map(|sentinel| Manner {
            sentinel,
            check: group.check,
            resolve_interval: group.resolve_interval,
        });
        if manner.as_ref() == self.watched.as_ref().map(|watched| &*watched.manner) {
            return;
        }
        self.term += 1;
        self.remarks = Remarks::default();
        // Until the new ones have said who belongs to the group, it is as it was.
        let before = self.watched.take();
        let (found, first_round_done, before) = before
            .map(|watched| (watched.found.known_only(), watched.first_round_done, Some((watched.manner, watched.council))))
            .unwrap_or_default();
        let council_of = |manner: &Manner| {
            let mut council = council(manner);
            let same = before.as_ref().filter(|(before, _)| before.sentinel.master_name == manner.sentinel.master_name);
            same.into_iter().for_each(|(_, before)| council.follows(before));
            council
        };
        self.watched = manner.map(|manner| Watched {
            council: council_of(&manner),
            connectors: connectors(&manner),
            manner: Arc::new(manner),
            tasks: HashMap::new(),
            found,
            counts_from: None,
            first_round_done,
        });
    }

    /// Two tasks for each Sentinel, and for no other.
    fn start_tasks(&mut self, pace: &watch::Sender<Pace>) {
        let Some(watched) = &mut self.watched else { return };
        let members = watched.council.members();
        let is_member = |address: &Arc<str>| members.iter().any(|member| member.address == *address);
        watched.tasks.retain(|address, _| {
            let stays = is_member(address);
            if !stays {
                watched.connectors.forget(address);
            }
            stays
        });
        watched.found.forget_others(is_member);
        self.remarks.forget_others(is_member);
        for member in members {
            if watched.tasks.contains_key(&member.address) {
                continue;
            }
            // Configured ones were read by the same rules, and of the others only what could stand there was taken.
            let Ok(address) = member.address.parse::<config::BackendAddress>() else { continue };
            let security = watched.connectors.to(&member.address, certified_host(&address));
            let (event, news, term) = (Arc::new(Notify::new()), self.news.clone(), self.term);
            let listener = Listener {
                address: member.address.clone(),
                link: Link::new(address.clone(), security.clone(), &watched.manner),
                manner: watched.manner.clone(),
                event: event.clone(),
                news: news.clone(),
                term,
            };
            let asker = Asker {
                address: member.address.clone(),
                link: Link::new(address, security, &watched.manner),
                manner: watched.manner.clone(),
                pace: pace.subscribe(),
                event,
                news,
                term,
            };
            let tasks = [AbortOnDrop(tokio::spawn(asker.run())), AbortOnDrop(tokio::spawn(listener.run()))];
            watched.tasks.insert(member.address.clone(), tasks);
        }
    }

    /// mainstay itself stood still: what was said before does not count.
    pub(super) fn stalled(&mut self, now: Moment) {
        if let Some(watched) = &mut self.watched {
            watched.council.stalled();
            watched.counts_from = Some(now);
        }
    }
}

/// What the certificate of a Sentinel is to be for; empty where nothing tells, and then `server_name` has to.
fn certified_host(address: &config::BackendAddress) -> &str {
    match address {
        config::BackendAddress::Tcp { host, .. } => host,
        config::BackendAddress::Service(name) => name,
        config::BackendAddress::Unix(_) => "",
    }
}

fn connectors(manner: &Manner) -> Connectors {
    let mut connectors = Connectors::default();
    connectors.configure(manner.sentinel.tls.as_ref());
    connectors
}

/// An answer counts until the next two are overdue.
fn council(manner: &Manner) -> Council {
    let configured: Vec<Arc<str>> = manner.sentinel.addresses.iter().map(|address| address.to_string().into()).collect();
    Council::new(&configured, 2 * manner.check.interval + manner.check.timeout)
}
