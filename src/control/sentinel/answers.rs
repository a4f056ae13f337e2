//! What a Sentinel answers, from bytes to [`Said`]. Whatever comes costs a bounded memory: each reply is cut off at [`REPLY_BYTES_MAX`], and
//! of what is in it only as much is kept as one group can use.
//!
//! `SENTINEL MASTER` alone does not do: while the leader of a failover has promoted a replica and not yet told the others to follow it,
//! it already gives the new config epoch there and still the old address. `GET-MASTER-ADDR-BY-NAME` gives the new one (measured on 7.0:
//! for half a second; sentinel.c, `sentinelGetCurrentMasterAddress`). It is asked after `MASTER`: were the change to come in between, a
//! new address would stand beside the old epoch, and that counts for nothing, while an old address beside the new epoch would count.

use std::collections::HashSet;

use bytes::Bytes;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

use crate::config::BackendAddress;
use crate::config::limits::BACKENDS_MAX;
use crate::control::wire::excerpt;
use crate::resp::info;
use crate::topology::facts::Id;
use crate::topology::sentinel::{Peer, Place, SENTINELS_MAX, Said, Silence};

/// 500 replicas, each with some 1,000 bytes of what Sentinel knows of it.
pub(super) const REPLY_BYTES_MAX: usize = 512 * 1024;
/// A `run_id` has 40.
const ID_BYTES_MAX: usize = 64;

/// How many commands are sent at once: as many as [`questions`] gives.
pub(super) const QUESTIONS: usize = 6;

/// What is asked, in this order.
pub(super) fn questions<'a>(name: &'a str, replicas: &'a str) -> [Vec<&'a str>; QUESTIONS] {
    [
        vec!["SENTINEL", "MYID"],
        vec!["SENTINEL", "MASTER", name],
        vec!["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name],
        vec!["SENTINEL", replicas, name],
        vec!["SENTINEL", "SENTINELS", name],
        vec!["INFO", "sentinel"],
    ]
}

/// What one Sentinel said, and which process it saw where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) said: Said,
    /// Announced addresses may be others than those that mainstay reaches the same servers by.
    pub(super) processes: Vec<(Place, Id)>,
}

/// Why the replies are no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It is from before 5.0 and says SLAVES.
    OldWord,
    /// It says nothing that can be used.
    Silence(Silence),
}

/// Reads the replies to [`questions`].
pub(super) fn read(replies: &[Bytes]) -> Result<Answer, NoAnswer> {
    let [my_id, master, address, replicas, sentinels, info] = replies else {
        return Err(failed("gives incomplete replies".into()));
    };
    // Before 6.2 it does not know its own name: an error is an answer as well.
    let id = match frame(my_id)? {
        OwnedFrame::BulkString(text) | OwnedFrame::SimpleString(text) => id(&text),
        _ => None,
    };
    let entry = frame(master)?;
    if let OwnedFrame::Error(text) = &entry {
        return Err(refused("MASTER", text));
    }
    let fields =
        Fields::of(&entry).ok_or_else(|| failed("answers SENTINEL MASTER with something else than a list of fields".into()))?;
    let named = match frame(address)? {
        OwnedFrame::Array(words) => match &words[..] {
            [host, port] => place(text(host), text(port)),
            _ => None,
        },
        OwnedFrame::Error(text) => return Err(refused("GET-MASTER-ADDR-BY-NAME", &text)),
        // It has forgotten the name just now.
        OwnedFrame::Null => return Err(NoAnswer::Silence(Silence::UnknownMaster)),
        OwnedFrame::SimpleString(_) | OwnedFrame::BulkString(_) | OwnedFrame::Integer(_) => None,
    };
    let master = named.ok_or_else(|| failed("names no address that can be connected to".into()))?;
    let seen = fields.place();
    let flags = |flag: &str| fields.get("flags").unwrap_or_default().split(',').any(|word| word == flag);
    let mut said = Said {
        id,
        // What it saw at the old address says nothing about the new one.
        master_run_id: fields.id("runid").filter(|_| seen.as_ref() == Some(&master)),
        config_epoch: fields.number("config-epoch").ok_or_else(|| failed("gives no config epoch".into()))?,
        quorum: fields.number("quorum").and_then(|quorum| u32::try_from(quorum).ok()).unwrap_or(0),
        replicas: Vec::new(),
        peers: Vec::new(),
        tilt: false,
        failover_in_progress: flags("failover_in_progress"),
        master,
    };
    let mut processes: Vec<(Place, Id)> = seen.zip(fields.id("runid")).into_iter().collect();
    let replicas = match frame(replicas)? {
        OwnedFrame::Error(text) if is_unknown_word(&text) => return Err(NoAnswer::OldWord),
        other => entries("REPLICAS", other)?,
    };
    let mut met = HashSet::new();
    for fields in replicas.iter().filter_map(Fields::of) {
        let Some(place) = fields.place().filter(|place| met.insert(place.clone())) else { continue };
        if said.replicas.len() == BACKENDS_MAX {
            break;
        }
        processes.extend(fields.id("runid").map(|id| (place.clone(), id)));
        said.replicas.push(place);
    }
    let sentinels = entries("SENTINELS", frame(sentinels)?)?;
    let peers = sentinels.iter().filter_map(Fields::of).filter_map(|fields| {
        let place = fields.place()?;
        Some(Peer { id: fields.id("runid"), place })
    });
    said.peers = peers.take(SENTINELS_MAX).collect();
    said.tilt = match frame(info)? {
        OwnedFrame::BulkString(text) | OwnedFrame::SimpleString(text) => {
            info::fields(&String::from_utf8_lossy(&text)).any(|(name, value)| name == "sentinel_tilt" && value == "1")
        }
        // Without the right to ask INFO the rest counts all the same.
        _ => false,
    };
    Ok(Answer { said, processes })
}

fn failed(why: String) -> NoAnswer {
    NoAnswer::Silence(Silence::Failed(why))
}

/// An error in the place of an answer.
fn refused(what: &str, text: &str) -> NoAnswer {
    let why = match text.split(' ').next().unwrap_or_default() {
        _ if text.starts_with("ERR No such master") => return NoAnswer::Silence(Silence::UnknownMaster),
        "NOAUTH" => "wants a password: set group.sentinel.password_env or password_file".to_owned(),
        "NOPERM" => {
            format!("does not let its user ask: allow SENTINEL, INFO, PING and PSUBSCRIBE (it said \"{}\")", excerpt(text))
        }
        _ if text.starts_with("ERR unknown command") => "is no Sentinel: it knows no such command".to_owned(),
        _ => format!("answers SENTINEL {what} with an error: it said \"{}\"", excerpt(text)),
    };
    failed(why)
}

/// "Unknown sentinel subcommand 'REPLICAS'" (sentinel.c before 5.0), "unknown subcommand 'REPLICAS'" (the later ones).
fn is_unknown_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("unknown") && text.contains("subcommand")
}

fn frame(reply: &[u8]) -> Result<OwnedFrame, NoAnswer> {
    match decode(reply) {
        Ok(Some((frame, _))) => Ok(frame),
        Ok(None) | Err(_) => Err(failed("answers with something else than RESP2".into())),
    }
}

fn entries(what: &str, frame: OwnedFrame) -> Result<Vec<OwnedFrame>, NoAnswer> {
    match frame {
        OwnedFrame::Array(entries) => Ok(entries),
        OwnedFrame::Error(text) => Err(refused(what, &text)),
        OwnedFrame::SimpleString(_) | OwnedFrame::BulkString(_) | OwnedFrame::Integer(_) | OwnedFrame::Null => {
            Err(failed(format!("answers SENTINEL {what} with something else than a list")))
        }
    }
}

/// Names and values in turn, as Sentinel tells of an instance.
struct Fields<'a>(&'a [OwnedFrame]);

impl<'a> Fields<'a> {
    fn of(frame: &'a OwnedFrame) -> Option<Self> {
        match frame {
            OwnedFrame::Array(words) => Some(Self(words)),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.chunks_exact(2).find(|pair| text(&pair[0]) == name).map(|pair| text(&pair[1]))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    fn id(&self, name: &str) -> Option<Id> {
        id(self.get(name)?.as_bytes())
    }

    fn place(&self) -> Option<Place> {
        place(self.get("ip")?, self.get("port")?)
    }
}

fn text(frame: &OwnedFrame) -> &str {
    match frame {
        OwnedFrame::BulkString(text) | OwnedFrame::SimpleString(text) => std::str::from_utf8(text).unwrap_or_default(),
        OwnedFrame::Error(_) | OwnedFrame::Integer(_) | OwnedFrame::Null | OwnedFrame::Array(_) => "",
    }
}

fn id(text: &[u8]) -> Option<Id> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= ID_BYTES_MAX)?;
    text.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| Id::new(text))?
}

/// Only what could stand in a configuration: nothing else is connected to, logged or shown.
fn place(host: &str, port: &str) -> Option<Place> {
    let written = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    match written.parse() {
        Ok(BackendAddress::Tcp { host, port }) => Some(Place { host, port }),
        Ok(BackendAddress::Unix(_) | BackendAddress::Service(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulks(words: &[&str]) -> String {
        let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        words
    }

    fn array(words: &[&str]) -> String {
        format!("*{}\r\n{}", words.len(), bulks(words))
    }

    fn list(entries: &[&[&str]]) -> String {
        let entries_as_text: String = entries.iter().map(|entry| array(entry)).collect();
        format!("*{}\r\n{entries_as_text}", entries.len())
    }

    /// What a Sentinel of 7.0 answers in calm.
    fn calm() -> [String; QUESTIONS] {
        let master = [
            "name",
            "jobs",
            "ip",
            "10.0.0.1",
            "port",
            "6379",
            "runid",
            "aaaa",
            "flags",
            "master",
            "config-epoch",
            "7",
            "quorum",
            "2",
        ];
        [
            bulks(&["1111"]),
            array(&master),
            array(&["10.0.0.1", "6379"]),
            list(&[&["name", "10.0.0.2:6379", "ip", "10.0.0.2", "port", "6379", "runid", "bbbb", "flags", "slave"]]),
            list(&[&["name", "2222", "ip", "sentinel2", "port", "26379", "runid", "2222", "flags", "sentinel"]]),
            bulks(&["# Sentinel\r\nsentinel_masters:1\r\nsentinel_tilt:0\r\n"]),
        ]
    }

    fn read(replies: &[String]) -> Result<Answer, NoAnswer> {
        let replies: Vec<Bytes> = replies.iter().map(|reply| Bytes::copy_from_slice(reply.as_bytes())).collect();
        super::read(&replies)
    }

    fn at(host: &str, port: u16) -> Place {
        Place { host: host.into(), port }
    }

    #[test]
    fn a_calm_sentinel_is_understood() {
        let answer = read(&calm()).unwrap();
        let expected = Said {
            id: Id::new("1111"),
            master: at("10.0.0.1", 6379),
            master_run_id: Id::new("aaaa"),
            config_epoch: 7,
            quorum: 2,
            replicas: vec![at("10.0.0.2", 6379)],
            peers: vec![Peer { id: Id::new("2222"), place: at("sentinel2", 26379) }],
            tilt: false,
            failover_in_progress: false,
        };
        assert_eq!(answer.said, expected);
        assert_eq!(answer.processes.len(), 2);
    }

    #[test]
    fn in_the_middle_of_a_failover_the_address_counts_that_it_gives_to_clients() {
        let mut replies = calm();
        replies[1] = replies[1].replace("$6\r\nmaster\r\n", "$27\r\nmaster,failover_in_progress\r\n");
        replies[2] = array(&["10.0.0.2", "6379"]);
        let said = read(&replies).unwrap().said;
        assert_eq!((said.master, said.master_run_id), (at("10.0.0.2", 6379), None));
        assert!(said.failover_in_progress);
    }

    #[test]
    fn each_reason_for_no_answer_is_told_apart() {
        let with = |place: usize, reply: &str| {
            let mut replies = calm();
            replies[place] = reply.to_owned();
            read(&replies)
        };
        let unknown = Err(NoAnswer::Silence(Silence::UnknownMaster));
        assert_eq!(with(1, "-ERR No such master with that name\r\n"), unknown);
        assert_eq!(with(2, "*-1\r\n"), unknown);
        assert_eq!(with(3, "-ERR Unknown sentinel subcommand 'REPLICAS'\r\n"), Err(NoAnswer::OldWord));
        let why = |place, reply| match with(place, reply) {
            Err(NoAnswer::Silence(Silence::Failed(why))) => why,
            other => panic!("{other:?}"),
        };
        for (place, reply, part) in [
            (1, "-NOAUTH Authentication required.\r\n", "password"),
            (1, "-NOPERM this user has no permissions\r\n", "does not let its user"),
            (1, "-ERR unknown command 'SENTINEL'\r\n", "no Sentinel"),
            (1, ":1\r\n", "than a list"),
            (1, "*2\r\n$4\r\nname\r\n$4\r\njobs\r\n", "config epoch"),
            (2, "*2\r\n$1\r\n?\r\n$1\r\n0\r\n", "no address"),
            (3, "+OK\r\n", "than a list"),
            (4, ":3\r\n", "than a list"),
        ] {
            assert!(why(place, reply).contains(part), "{reply}: {}", why(place, reply));
        }
        assert!(with(0, "-ERR Unknown sentinel subcommand 'MYID'\r\n").is_ok_and(|answer| answer.said.id.is_none()));
        assert!(with(5, "-NOPERM no\r\n").is_ok());
        assert!(with(5, &bulks(&["sentinel_tilt:1\r\n"])).is_ok_and(|answer| answer.said.tilt));
    }

    #[test]
    fn of_a_multitude_only_what_a_group_can_hold_is_kept() {
        let mut replies = calm();
        let ports: Vec<String> = (1..=10_000).map(|port| port.to_string()).collect();
        let entries: Vec<[&str; 4]> = ports.iter().map(|port| ["ip", "10.0.0.9", "port", port.as_str()]).collect();
        let entries: Vec<&[&str]> = entries.iter().map(|entry| entry.as_slice()).collect();
        (replies[3], replies[4]) = (list(&entries), list(&entries));
        let said = read(&replies).unwrap().said;
        assert_eq!((said.replicas.len(), said.peers.len()), (BACKENDS_MAX, SENTINELS_MAX));
    }

    #[test]
    fn what_could_not_stand_in_a_configuration_is_no_address() {
        for (host, port) in
            [("", "1"), ("?", "1"), ("a b", "1"), ("a\r\nb", "1"), ("10.0.0.1", "0"), ("unix:/x", "1"), ("_a._tcp.b", "x")]
        {
            assert_eq!(place(host, port), None, "{host}:{port}");
        }
        assert_eq!(place("::1", "6379"), Some(at("::1", 6379)));
        assert_eq!(id(b"two words"), None);
        assert_eq!(id(&[b'a'; 65]), None);
    }
}
