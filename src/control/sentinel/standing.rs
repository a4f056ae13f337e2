//! How the Sentinels stand, as `status` shows it and the metrics count it.

use super::{Sentinels, Watched};
use crate::route::{SentinelStatus, SentinelWord};
use crate::topology::Group;
use crate::topology::sentinel::{Member, Odd, Word};

/// How one Sentinel stands: the word in `status`, in logs and in the label `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its answer counts.
    Answering,
    /// Not asked yet, or it does not answer.
    Silent,
    /// It watches no master of that name.
    UnknownMaster,
    /// It has not heard the news.
    Stale,
    /// It has news that a majority has not, or is wrong.
    Ahead,
    /// It stood still, and only watches for a while.
    Tilt,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Answering => "answering",
            Self::Silent => "silent",
            Self::UnknownMaster => "unknown_master",
            Self::Stale => "stale",
            Self::Ahead => "ahead",
            Self::Tilt => "tilt",
        }
    }
}

impl Watched {
    pub(super) fn state(&self, member: &Member) -> State {
        use crate::topology::sentinel::Silence;
        match (&member.silence, &member.said) {
            (Some(Silence::UnknownMaster), _) => State::UnknownMaster,
            (Some(Silence::Unasked | Silence::Failed(_)), _) | (None, None) => State::Silent,
            (None, Some((said, _))) if said.tilt => State::Tilt,
            (None, Some(_)) => match self.council.odd(member) {
                Some(Odd::Stale) => State::Stale,
                Some(Odd::Ahead) => State::Ahead,
                None => State::Answering,
            },
        }
    }

    /// What is to be said about it, for people, where there is something.
    pub(super) fn message(&self, member: &Member) -> Option<String> {
        let silence = member.silence.as_ref().map(|silence| Sentinels::explain(silence, &self.manner.sentinel.master_name));
        let epoch = member.said.as_ref().map_or(0, |(said, _)| said.config_epoch);
        match self.state(member) {
            State::Answering => None,
            State::Silent | State::UnknownMaster => silence,
            State::Stale => Some(format!("has old news: its config epoch {epoch} is behind that of a majority")),
            State::Ahead => Some(format!("is alone with its config epoch {epoch}: a majority does not know it")),
            State::Tilt => Some("stood still or its clock jumped: it is in TILT and only watches for 30 s".into()),
        }
    }
}

impl Sentinels {
    /// For `status`, one a Sentinel.
    pub(in crate::control) fn statuses(&self) -> Vec<SentinelStatus> {
        let Some(watched) = &self.watched else { return Vec::new() };
        let status = |member: &Member| {
            let said = member.said.as_ref().map(|(said, _)| said);
            SentinelStatus {
                address: member.address.to_string(),
                configured: member.is_configured,
                id: said.and_then(|said| said.id.as_ref()).map(|id| id.as_str().to_owned()),
                state: watched.state(member).as_str().into(),
                names: said.map(|said| said.master.to_string()),
                config_epoch: said.map(|said| said.config_epoch),
                message: watched.message(member),
            }
        };
        watched.council.members().iter().map(status).collect()
    }

    /// For `status`: what they say together.
    pub(in crate::control) fn word(&self, group: &Group) -> Option<SentinelWord> {
        let watched = self.watched.as_ref()?;
        let master_name = watched.manner.sentinel.master_name.clone();
        Some(match group.word() {
            Word::Names(named) => SentinelWord {
                master_name,
                names: Some(named.place.to_string()),
                backend: named.backend.as_ref().map(ToString::to_string),
                config_epoch: Some(named.config_epoch),
                votes: named.votes,
                known: named.known,
                message: named.to_string(),
            },
            other => SentinelWord { master_name, message: in_short(other), ..SentinelWord::default() },
        })
    }
}

/// A word that names nobody, for people.
pub(super) fn in_short(word: &Word) -> String {
    match word {
        Word::NotAsked => "no Sentinels are configured".into(),
        Word::Awaited => "not all Sentinels have been heard yet".into(),
        Word::None(why) | Word::Changing(why) => why.clone(),
        Word::Names(named) => named.to_string(),
    }
}
