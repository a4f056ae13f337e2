//! `server` lines: an address and options.

use std::time::Duration;

use super::settings::{Set, duration};

/// A server as HAProxy knew it.
#[derive(Clone, Debug)]
pub struct Server {
    pub name: String,
    /// As written: it may lack a port.
    pub address: String,
    pub options: Options,
}

/// Options of `server` and `default-server`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub inter: Option<Set<Duration>>,
    pub fastinter: Option<Set<Duration>>,
    pub rise: Option<Set<u64>>,
    pub fall: Option<Set<u64>>,
    pub maxconn: Option<Set<u64>>,
    pub disabled: bool,
    /// What was not carried over, and why; for comments.
    pub notes: Vec<String>,
}

impl Server {
    /// None where the line lacks a name or an address.
    pub fn read(name: &str, address: &str, options: Option<&[String]>, defaults: &Options) -> Option<Self> {
        let there = !name.is_empty() && !address.is_empty();
        let options = || defaults.clone().read(options.unwrap_or_default());
        there.then(|| Self { name: name.to_owned(), address: address.to_owned(), options: options() })
    }
}

/// Options with a value behind them, besides those that are read.
const VALUED: &str = "addr agent-addr agent-inter agent-port agent-send alpn ca-file check-alpn check-proto check-sni ciphers \
    ciphersuites cookie crl-file crt downinter error-limit id init-addr interface log-proto max-reuse maxqueue minconn namespace npn \
    observe on-error on-marked-down on-marked-up pool-low-conn pool-max-conn pool-purge-delay port proto redir resolve-net \
    resolve-opts resolve-prefer resolvers slowstart sni socks4 source ssl-max-ver ssl-min-ver tcp-ut track usesrc verify verifyhost \
    weight ws";

impl Options {
    /// Reads `words` on top of what is set already.
    pub fn read(mut self, words: &[String]) -> Self {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let known = ["inter", "fastinter", "rise", "fall", "maxconn"].contains(&word.as_str());
            let valued = known || VALUED.split(' ').any(|valued| valued == word);
            let value = if valued { words.next().map_or("", String::as_str) } else { "" };
            let by = || format!("{word} {value}");
            let time = || duration(value).map(|value| Set { value, by: by() });
            let count = || value.parse().ok().filter(|count| *count > 0).map(|value| Set { value, by: by() });
            match word.as_str() {
                "inter" => self.inter = time(),
                "fastinter" => self.fastinter = time(),
                "rise" => self.rise = count(),
                "fall" => self.fall = count(),
                "maxconn" => self.maxconn = count(),
                "disabled" => self.disabled = true,
                "enabled" => self.disabled = false,
                _ => {
                    // A value is repeated only where it matters; another might be a secret.
                    let shown = if word.starts_with("on-marked-") { by() } else { word.clone() };
                    let note = why_not(word, value).map(|why| format!("{shown}: {why}"));
                    self.notes.extend(note.filter(|note| !self.notes.contains(note)));
                }
            }
        }
        self
    }
}

/// Why an option is not carried over. None: there is nothing to say about it.
fn why_not(option: &str, value: &str) -> Option<&'static str> {
    Some(match option {
        "check" | "no-check" | "no-backup" | "id" => return None,
        "on-marked-down" if value == "shutdown-sessions" => "what mainstay always does",
        "on-marked-up" => "what mainstay always does: sessions never stay with a server that is not the primary",
        "backup" => "not needed, the role decides and not a rank",
        "downinter" => "not needed, a group in doubt is checked at fast_interval",
        "port" | "addr" | "check-via-socks4" => "NOT carried over, mainstay checks where it sends traffic",
        "resolvers" | "init-addr" | "resolve-prefer" | "resolve-opts" | "resolve-net" => {
            "not needed, names are looked up every resolve_interval"
        }
        "ssl" | "check-ssl" | "verify" | "ca-file" | "crt" | "sni" | "check-sni" => {
            "NOT carried over, this version has no TLS to backends: name a port without it"
        }
        "send-proxy" | "send-proxy-v2" | "check-send-proxy" => "NOT carried over, mainstay sends no PROXY header",
        "weight" | "cookie" | "minconn" | "maxqueue" | "slowstart" => "not needed, all traffic goes to the one primary",
        _ => "NOT carried over, mainstay has no counterpart",
    })
}
