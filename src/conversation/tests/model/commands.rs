//! What the commands of a made-up server do, blocking ones apart.

use super::data::{Ledger, Server};
use super::server::{Link, NOREPLICAS, NOSCRIPT, READONLY, State, bulk, number_of};

/// A script that writes, and then says that it could not.
pub const LYING_SCRIPT: &str = "lie";

pub fn digest(body: &str) -> String {
    sha1_smol::Sha1::from(body).digest().to_string()
}

impl Link {
    /// The reply, and whether the command was executed.
    pub(super) fn execute(&mut self, words: &[String], server: &mut Server, ledger: &mut Ledger) -> (String, bool) {
        let number = number_of(words).unwrap_or_default();
        let key = |state: &State| (state.db.clone(), words[1].clone());
        let reply = match (&*words[0], words.get(1).map_or("", String::as_str)) {
            ("GET", _) => {
                let value = server.data.keys.get(&key(&self.state)).map(u32::to_string);
                bulk(&self.state.says(number, &value.unwrap_or_default()))
            }
            ("SET", _) => {
                self.writes(number, server, ledger);
                server.data.keys.insert(key(&self.state), number);
                format!("+{}\r\n", self.state.says(number, ""))
            }
            ("INCR", _) => {
                self.writes(number, server, ledger);
                let counter = server.data.counters.entry(key(&self.state)).or_default();
                *counter += 1;
                let said = self.state.says(number, &counter.to_string());
                if self.state.proto == 3 { format!("={}\r\ntxt:{said}\r\n", said.len() + 4) } else { bulk(&said) }
            }
            ("LPUSH", _) => {
                self.writes(number, server, ledger);
                server.data.list.push_front(format!("#{number}"));
                format!("*2\r\n{}:{}\r\n", bulk(&self.state.says(number, "")), server.data.list.len())
            }
            // How mainstay makes WAIT count what was written over other connections.
            ("PUBLISH", "mainstay:wait") => {
                self.written = server.data.log.len();
                ":0\r\n".into()
            }
            ("PUBLISH", _) => {
                self.written = server.data.log.len();
                *ledger.effects.entry(number).or_default() += 1;
                bulk(&self.state.says(number, ""))
            }
            ("FOO.BAR", _) if server.replica => return (format!("-{READONLY}\r\n"), false),
            ("FOO.BAR", _) => {
                self.writes(number, server, ledger);
                bulk(&self.state.says(number, ""))
            }
            ("EVALSHA", digest) if !server.scripts.contains(digest) => return (format!("-{NOSCRIPT}\r\n"), false),
            ("EVAL" | "EVALSHA", body) => return self.script(body, number, server, ledger),
            ("SCRIPT", _) => {
                server.scripts.insert(digest(&words[2]));
                bulk(&digest(&words[2]))
            }
            ("HELLO", version) => {
                self.state.proto = version.parse().expect("a version");
                if let Some(at) = words.iter().position(|word| word == "SETNAME") {
                    self.state.name.clone_from(&words[at + 1]);
                }
                let header = if self.state.proto == 3 { "%1" } else { "*2" };
                format!("{header}\r\n{}{}", bulk("proto"), bulk(&self.state.says(number, "")))
            }
            ("AUTH", user) => {
                user.clone_into(&mut self.state.login);
                format!("+{}\r\n", self.state.says(number, ""))
            }
            ("SELECT", "99") => "-ERR DB index is out of range\r\n".into(),
            ("SELECT", database) => {
                database.clone_into(&mut self.state.db);
                "+OK\r\n".into()
            }
            ("CLIENT", "ID") => format!(":{}\r\n", self.id),
            ("CLIENT", "SETNAME") => {
                self.state.name.clone_from(&words[2]);
                "+OK\r\n".into()
            }
            ("PING", _) if self.state.proto == 2 && !self.subscriptions.is_empty() => {
                format!("*2\r\n{}{}", bulk("pong"), bulk(&self.state.says(number, "")))
            }
            ("PING", _) => bulk(&self.state.says(number, "")),
            ("SCAN", cursor) => {
                assert!(cursor == "0" || server.cursors.contains(cursor), "cursor {cursor} is of another server");
                let next = format!("{}{:03}", self.server + 1, server.cursors.len());
                server.cursors.insert(next.clone());
                format!("*2\r\n{}*1\r\n{}", bulk(&next), bulk(&self.state.says(number, &next)))
            }
            ("WAIT", _) if server.replica => return ("-ERR WAIT cannot be used with replica instances.\r\n".into(), false),
            ("WAIT", _) => {
                ledger.waited.insert(number, self.written);
                format!("*1\r\n{}", bulk(&self.state.says(number, &self.server.to_string())))
            }
            ("XREVRANGE", stream) => {
                let end = server.data.streams[usize::from(stream == "t")];
                if end == 0 { "*0\r\n".into() } else { format!("*1\r\n*2\r\n{}*0\r\n", bulk(&format!("{end}-1"))) }
            }
            ("WATCH", _) => {
                self.watch();
                format!("+OK on {}\r\n", self.id)
            }
            ("UNWATCH", _) => {
                self.unwatch();
                "+OK\r\n".into()
            }
            ("MULTI", _) if self.begin_multi() => "+OK\r\n".into(),
            ("MULTI", _) => "-ERR MULTI calls can not be nested\r\n".into(),
            ("DISCARD", _) if self.discard() => "+OK\r\n".into(),
            ("DISCARD", _) => "-ERR DISCARD without MULTI\r\n".into(),
            ("RESET", _) => {
                self.reset();
                "+RESET\r\n".into()
            }
            (name, _) => panic!("{name} was never asked"),
        };
        (reply, true)
    }

    pub(super) fn writes(&mut self, number: u32, server: &mut Server, ledger: &mut Ledger) {
        server.writes(number);
        self.written = server.data.log.len();
        ledger.written_at.insert(number, self.server);
        ledger.place.insert(number, self.written);
        *ledger.effects.entry(number).or_default() += 1;
    }

    fn script(&mut self, body: &str, number: u32, server: &mut Server, ledger: &mut Ledger) -> (String, bool) {
        let name = if server.scripts.contains(body) { body.to_owned() } else { digest(body) };
        server.scripts.insert(name.clone());
        for (refuses, why) in [(server.lonely, NOREPLICAS), (server.replica, READONLY)] {
            if refuses {
                return (format!("-{why} script: {name}, on @user_script:1.\r\n"), false);
            }
        }
        self.writes(number, server, ledger);
        if name == digest(LYING_SCRIPT) {
            return (format!("-READONLY #{number} made up after a write\r\n"), true);
        }
        (bulk(&self.state.says(number, "")), true)
    }
}
