//! What the lines of one proxy section set, with those of its `defaults` section underneath.

use std::time::Duration;

use super::haproxy::{Line, Section};
use super::server::{Options, Server};

/// A value, and the words that set it, for the comment beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<T> {
    pub value: T,
    pub by: String,
}

/// Who the checks of HAProxy logged in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub username: Option<String>,
    /// Compared with those of other sections, never printed.
    pub password: String,
}

#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub http: bool,
    pub disabled: bool,
    /// The checks speak to Redis.
    pub speaks_redis: bool,
    /// The checks look for replicas.
    pub wants_replicas: bool,
    /// The checks speak to a Sentinel.
    pub wants_sentinel: bool,
    pub login: Option<Login>,
    pub maxconn: Option<Set<u64>>,
    pub timeout_check: Option<Set<Duration>>,
    pub timeout_connect: Option<Set<Duration>>,
    pub timeout_client: Option<Set<Duration>>,
    pub timeout_server: Option<Set<Duration>>,
    pub timeout_tunnel: Option<Set<Duration>>,
    pub keepalive: Option<Set<Duration>>,
    pub server_defaults: Options,
    pub servers: Vec<Server>,
    /// Addresses and the options behind them.
    pub binds: Vec<(String, Vec<String>)>,
    /// Where a frontend leads: the backend's name, and whether always.
    pub targets: Vec<(String, bool)>,
    /// What was not carried over, and why; for comments.
    pub notes: Vec<String>,
}

impl Settings {
    /// The settings of `section`, which starts from `defaults`.
    pub fn of(section: &Section, defaults: Option<&Section>) -> Self {
        let mut settings = Self::default();
        defaults.into_iter().flat_map(|defaults| &defaults.lines).for_each(|line| settings.read(line));
        // Every section would repeat them.
        settings.notes.clear();
        section.lines.iter().for_each(|line| settings.read(line));
        settings
    }

    fn read(&mut self, line: &Line) {
        let by = || format!("{} {} {}", line.word(0), line.word(1), line.word(2)).trim_end().to_owned();
        let time = |at: usize| duration(line.word(at)).map(|value| Set { value, by: by() });
        match (line.word(0), line.word(1)) {
            ("mode", mode) => self.http = mode == "http",
            ("disabled", _) => self.disabled = true,
            ("enabled", _) => self.disabled = false,
            ("maxconn", count) => self.maxconn = count.parse().ok().filter(|n| *n > 0).map(|value| Set { value, by: by() }),
            ("timeout", "check") => self.timeout_check = time(2),
            ("timeout", "connect") => self.timeout_connect = time(2),
            ("timeout", "client") => self.timeout_client = time(2),
            ("timeout", "server") => self.timeout_server = time(2),
            ("timeout", "tunnel") => self.timeout_tunnel = time(2),
            ("clitcpka-idle" | "srvtcpka-idle", _) => self.keepalive = time(1),
            ("bind", _) => {
                let options = line.words.get(2..).unwrap_or_default();
                self.binds.extend(line.word(1).split(',').map(|address| (address.to_owned(), options.to_vec())));
            }
            ("default_backend", name) => self.targets.push((name.to_owned(), true)),
            ("use_backend", name) => self.targets.push((name.to_owned(), line.words.len() == 2)),
            ("default-server", _) => {
                let options = self.server_defaults.clone().read(line.words.get(1..).unwrap_or_default());
                self.server_defaults = options;
            }
            ("server", _) => {
                self.servers.extend(Server::read(line.word(1), line.word(2), line.words.get(3..), &self.server_defaults))
            }
            ("server-template", _) => {
                self.servers.extend(Server::read(line.word(1), line.word(3), line.words.get(4..), &self.server_defaults));
            }
            ("option", "redis-check") => self.speaks_redis = true,
            ("tcp-check", _) => self.tcp_check(line),
            _ => (),
        }
        if let Some(why) = why_not(line) {
            self.note(line, why);
        }
    }

    /// Notes no more than the keyword: the rest of a line may hold a password.
    fn note(&mut self, line: &Line, why: &str) {
        let words = match line.word(0) {
            "option" | "no" | "timeout" | "tcp-request" | "stats" => 2,
            _ => 1,
        };
        let note = format!("{}: {why}", line.words[..words.min(line.words.len())].join(" "));
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn tcp_check(&mut self, line: &Line) {
        let end = line.words.iter().position(|word| word == "comment").unwrap_or(line.words.len());
        let said = line.words.get(2..end).unwrap_or_default().join(" ");
        let said = if line.word(1).starts_with("send-binary") { hex(&said) } else { said };
        let lower = said.to_ascii_lowercase();
        let has = |what: &[&str]| what.iter().any(|what| lower.contains(what));
        self.speaks_redis |= has(&["role:", "auth", "ping", "pong", "info", "hello", "master_", "loading:"]);
        self.wants_replicas |= has(&["role:slave", "role:replica"]);
        self.wants_sentinel |= has(&["sentinel"]);
        if line.word(1).starts_with("send") {
            self.login = login(&said).or(self.login.take());
        }
    }
}

/// Why a line is not carried over. None: it is, or there is nothing to say about it.
fn why_not(line: &Line) -> Option<&'static str> {
    const LOGS: &str = "mainstay writes a line for each event, and none for each request";
    const BALANCE: &str = "not needed, all traffic goes to the one primary";
    const CHECKS: &str = "not needed, mainstay asks every backend for its role, lineage and state";
    const MISSING: &str = "NOT carried over, mainstay has no counterpart";
    Some(match (line.word(0), line.word(1)) {
        ("mode" | "maxconn" | "bind" | "default_backend" | "default-server" | "server" | "description" | "id", _) => return None,
        ("timeout", "check" | "connect" | "client" | "server" | "tunnel") | ("option", "tcp-check") => return None,
        ("clitcpka-idle" | "srvtcpka-idle" | "enabled" | "disabled", _) => return None,
        ("server-template", _) => "mainstay looks the name up by itself and takes every address it stands for",
        ("balance" | "hash-type" | "stick-table" | "stick" | "cookie" | "fullconn", _) => BALANCE,
        ("tcp-check" | "external-check", _) | ("option", "redis-check" | "external-check") => CHECKS,
        ("option", "tcpka" | "clitcpka" | "srvtcpka") => "what mainstay always does, on both sides",
        ("option", "tcplog" | "dontlognull" | "dontlog-normal" | "log-health-checks" | "logasap" | "log-separate-errors") => LOGS,
        ("log" | "log-format" | "log-tag" | "error-log-format", _) | ("no", "log") => LOGS,
        ("option", "redispatch") | ("retries" | "retry-on", _) | ("timeout", "queue") => {
            "not needed, clients are held and tried again within [group.hold] window"
        }
        ("option", option) if option.starts_with("splice-") || option.starts_with("tcp-smart-") => {
            "not needed, a matter of HAProxy's own"
        }
        ("option", "http-server-close" | "httplog" | "http-keep-alive" | "forwardfor") => "not needed, Redis speaks no HTTP",
        ("timeout", _) => "not needed, mainstay has no such wait",
        ("stats", _) => "see `mainstay status` and GET /metrics of [admin] bind",
        ("use_backend", _) if line.words.len() == 2 => return None,
        ("use_backend" | "acl", _) => "NOT carried over, a listener leads to one group",
        ("clitcpka-cnt" | "clitcpka-intvl" | "srvtcpka-cnt" | "srvtcpka-intvl", _) => "not needed, see keepalive",
        _ => MISSING,
    })
}

/// `AUTH password` or `AUTH user password`, as typed or as RESP sends it. In doubt everything is password: a user is printed.
fn login(said: &str) -> Option<Login> {
    let header =
        |word: &&str| word.len() > 1 && word.starts_with(['*', '$']) && word[1..].bytes().all(|byte| byte.is_ascii_digit());
    let (command, limit) = match said.strip_prefix('*') {
        Some(resp) => (said, resp.lines().next()?.parse().ok()?),
        None => (said.lines().find(|line| line.to_ascii_lowercase().starts_with("auth "))?, usize::MAX),
    };
    let words = command.split_ascii_whitespace().filter(|word| limit == usize::MAX || !header(word)).take(limit);
    let words: Vec<_> = words.collect();
    let (username, password) = match words[..] {
        [auth, ..] if !auth.eq_ignore_ascii_case("auth") => return None,
        [_, user, password] if !command.contains(['"', '\'']) => (Some(user.to_owned()), password.to_owned()),
        [_, _, ..] => (None, words[1..].join(" ")),
        _ => return None,
    };
    Some(Login { username: username.filter(|name| name != "default"), password })
}

fn hex(text: &str) -> String {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| char::from(pair[0] * 16 + pair[1])).collect()
}

/// HAProxy's own: a number and a unit, milliseconds where none is named.
pub fn duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let micros = match &text[end..] {
        "us" => 1,
        "" | "ms" => 1000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.checked_mul(micros).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_as_typed_and_as_resp() {
        let found = |said: &str| login(said).map(|login| (login.username.unwrap_or_default(), login.password));
        let expect = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(found("AUTH geheim\r\n"), expect("", "geheim"));
        assert_eq!(found("auth me geheim\r\nPING\r\n"), expect("me", "geheim"));
        assert_eq!(found("*2\r\n$4\r\nAUTH\r\n$6\r\ngeheim\r\n"), expect("", "geheim"));
        assert_eq!(found(&hex("2a330d0a24340d0a415554480d0a24320d0a6d650d0a24360d0a67656865696d0d0a")), expect("me", "geheim"));
        assert_eq!(found("AUTH default geheim"), expect("", "geheim"));
        assert_eq!(found("*2\r\n$4\r\nAUTH\r\n$6\r\ngeheim\r\n*1\r\n$4\r\nPING\r\n"), expect("", "geheim"));
        assert_eq!(found("AUTH \"ge heim\""), expect("", "\"ge heim\""));
        assert_eq!(found("PING\r\n"), None);
        assert_eq!(found("AUTH"), None);
    }

    #[test]
    fn a_bare_number_is_milliseconds_in_haproxy() {
        for (text, micros) in [("1500", 1_500_000), ("2s", 2_000_000), ("500us", 500), ("1d", 86_400_000_000)] {
            assert_eq!(duration(text), Some(Duration::from_micros(micros)), "{text}");
        }
        assert_eq!((duration("1w"), duration("")), (None, None));
    }
}
