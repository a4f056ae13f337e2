//! What a check of a backend can end with, and the facts that an answer contains.

use std::fmt;
use std::sync::Arc;

use crate::resp::info;

/// A replication id (`master_replid`) or a process id of Redis' kind (`run_id`): 40 hexadecimal digits, compared as they are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Arc<str>);

impl Id {
    /// Absent for what servers write where they have none: nothing, `?`, or forty zeros.
    pub fn new(text: &str) -> Option<Self> {
        let none = text.is_empty() || text == "?" || text.bytes().all(|byte| byte == b'0');
        (!none).then(|| Self(text.into()))
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    /// The first eight digits: enough for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..8).unwrap_or(&self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a backend says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// `role:master`
    Master,
    /// `role:slave`
    Replica,
    /// Nothing, or a word that mainstay does not know: never a candidate.
    #[default]
    Unknown,
}

impl Role {
    /// The word that Redis uses.
    pub fn said(self) -> Option<&'static str> {
        match self {
            Self::Master => Some("master"),
            Self::Replica => Some("slave"),
            Self::Unknown => None,
        }
    }
}

/// The facts of one answer. A field that the server lacks is unknown, never an error (Redis from 4.0, Valkey, KeyDB, Dragonfly).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `run_id`: the process.
    pub run_id: Option<Id>,
    /// `role`
    pub role: Role,
    /// `loading` or `async_loading`
    pub loading: bool,
    /// `master_replid`: the history that this data belongs to.
    pub replid: Option<Id>,
    /// `master_replid2`: the history that it continues.
    pub replid2: Option<Id>,
    /// `master_repl_offset`, bytes.
    pub offset: Option<u64>,
    /// `second_repl_offset`: the first offset that is not of `replid2` any more, so the last common byte is one less.
    pub second_offset: Option<u64>,
    /// `total_net_repl_input_bytes`: what this process has ever received from a primary. Since Redis 7.
    pub repl_input_bytes: Option<u64>,
    /// `slave_priority`: 0 means never to be promoted. Only replicas tell.
    pub priority: Option<u32>,
    /// `master_host` and `master_port`: whom it was told to follow. Only replicas tell.
    pub follows: Option<(Box<str>, Box<str>)>,
    /// `master_link_status:up`. Only replicas tell.
    pub link_up: Option<bool>,
    /// `master_failover_state` other than `no-failover`.
    pub failover_in_progress: bool,
    /// Keys in all databases.
    pub keys: u64,
    /// `valkey_version` or `redis_version`
    pub version: Option<String>,
    /// `redis_mode`
    pub mode: Option<String>,
}

impl Facts {
    /// Reads an INFO text.
    pub fn parse(text: &str) -> Self {
        let mut facts = Self::default();
        let (mut host, mut port) = (None, None);
        for (key, value) in info::fields(text) {
            match key {
                "master_host" => host = Some(value.into()),
                "master_port" => port = Some(value.into()),
                "run_id" => facts.run_id = Id::new(value),
                "role" => {
                    facts.role = match value {
                        "master" => Role::Master,
                        "slave" => Role::Replica,
                        _ => Role::Unknown,
                    }
                }
                "loading" | "async_loading" => facts.loading |= value == "1",
                "master_replid" => facts.replid = Id::new(value),
                "master_replid2" => facts.replid2 = Id::new(value),
                "master_repl_offset" => facts.offset = value.parse().ok(),
                // -1 where there is none: unknown.
                "second_repl_offset" => facts.second_offset = value.parse().ok(),
                "total_net_repl_input_bytes" => facts.repl_input_bytes = value.parse().ok(),
                "slave_priority" => facts.priority = value.parse().ok(),
                "master_link_status" => facts.link_up = Some(value == "up"),
                "master_failover_state" => facts.failover_in_progress = value != "no-failover",
                "redis_version" if facts.version.is_none() => facts.version = Some(value.into()),
                "valkey_version" => facts.version = Some(value.into()),
                "redis_mode" => facts.mode = Some(value.into()),
                _ if key.starts_with("db") && key[2..].bytes().all(|byte| byte.is_ascii_digit()) => {
                    let keys = info::item(value, "keys").and_then(|keys| keys.parse().ok()).unwrap_or(0);
                    facts.keys = facts.keys.saturating_add(keys);
                }
                _ => {}
            }
        }
        facts.follows = host.zip(port);
        facts
    }

    /// Says role:master and has its data.
    pub fn claims(&self) -> bool {
        self.role == Role::Master && !self.loading
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Facts(Box<Facts>),
    /// Alive, its data set not yet in memory.
    Loading,
    /// Alive, in a long script: no fact, no failure.
    Busy,
    /// Alive, but the credentials are wrong, missing or needless.
    AuthRefused(String),
    /// Alive, but the user may not run INFO.
    NotPermitted(String),
    /// Nobody listens at that address.
    Refused,
    /// No answer in time.
    Silent,
    /// The connection was closed or reset.
    Closed,
    /// Alive, no place for another connection.
    MaxClients,
    /// Alive, protected mode refuses mainstay's address.
    ProtectedMode,
    /// Something else answers there.
    NotRedis(String),
    /// The two do not come together by TLS: one of them does not speak it, or does not trust the other. How, in words.
    TlsMismatch(String),
    /// The host name has never been resolved.
    NameNotResolved(String),
}

impl Outcome {
    /// How a check ends that was answered with this INFO text.
    pub fn of_info(text: &str) -> Self {
        let facts = Facts::parse(text);
        if facts.mode.as_deref() == Some("sentinel") {
            Self::NotRedis("it is a Sentinel, not a data server".into())
        } else if facts.loading {
            Self::Loading
        } else if !text.contains("role:") {
            Self::NotRedis("its INFO names no role".into())
        } else {
            Self::Facts(Box::new(facts))
        }
    }

    /// The label of `mainstay_checks_total`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Facts(_) => "facts",
            Self::Loading => "loading",
            Self::Busy => "busy",
            Self::AuthRefused(_) => "auth_refused",
            Self::NotPermitted(_) => "not_permitted",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::MaxClients => "max_clients",
            Self::ProtectedMode => "protected_mode",
            Self::NotRedis(_) => "not_redis",
            Self::TlsMismatch(_) => "tls_mismatch",
            Self::NameNotResolved(_) => "name_not_resolved",
        }
    }

    /// What it means and what to do about it, where there is something to say.
    pub fn message(&self) -> Option<String> {
        let text = match self {
            Self::Facts(_) => return None,
            Self::Loading => "is loading its data set".into(),
            Self::Busy => "is busy with a long script or module command; alive".into(),
            Self::AuthRefused(said) if said.starts_with("NOAUTH") => {
                "wants a password; set password_env or password_file in its group".into()
            }
            Self::AuthRefused(said) => format!("refuses the group's username or password: {said}"),
            Self::NotPermitted(said) => format!("does not let the group's user run INFO: {said}; grant it +info"),
            Self::Refused => "refuses connections; is it running there?".into(),
            Self::Silent => "did not answer in time".into(),
            Self::Closed => "closed the connection of the check".into(),
            Self::MaxClients => "has no place for another client; raise its maxclients".into(),
            Self::ProtectedMode => "runs in protected mode; set a password or `protected-mode no` there".into(),
            Self::NotRedis(said) => format!("does not answer like Redis or Valkey: {said}"),
            Self::TlsMismatch(why) => why.clone(),
            Self::NameNotResolved(said) => format!("has a host name that cannot be resolved: {said}"),
        };
        Some(text)
    }

    /// Counts towards `fall`. What is alive but tells nothing does not: sessions on it work, and a failover would only cut them.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Facts(_) | Self::Loading | Self::Busy | Self::AuthRefused(_) | Self::NotPermitted(_) | Self::MaxClients => {
                false
            }
            Self::Refused
            | Self::Silent
            | Self::Closed
            | Self::ProtectedMode
            | Self::NotRedis(_)
            | Self::TlsMismatch(_)
            | Self::NameNotResolved(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_the_text_of_redis_7() {
        let text = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:3b81\r\n# Persistence\r\nloading:0\r\n\
            async_loading:0\r\n# Stats\r\ntotal_net_repl_input_bytes:77\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\
            master_failover_state:no-failover\r\nmaster_replid:aa\r\nmaster_replid2:bb\r\nmaster_repl_offset:120\r\n\
            second_repl_offset:101\r\n# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\ndb9:keys=2,expires=0,avg_ttl=0\r\n";
        let facts = Facts::parse(text);
        assert!(facts.claims());
        assert_eq!((facts.replid, facts.replid2), (Id::new("aa"), Id::new("bb")));
        assert_eq!((facts.offset, facts.second_offset, facts.repl_input_bytes, facts.keys), (Some(120), Some(101), Some(77), 5));
        assert!(!facts.failover_in_progress);
    }

    #[test]
    fn absent_and_meaningless_fields_are_unknown() {
        let facts = Facts::parse(
            "role:active-replica\r\nmaster_replid2:0000000000000000000000000000000000000000\r\nsecond_repl_offset:-1\r\n",
        );
        assert_eq!(facts.role, Role::Unknown);
        assert_eq!((facts.replid2, facts.second_offset, facts.run_id), (None, None, None));
    }
}
