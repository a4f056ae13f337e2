//! `mainstay import`: another proxy's configuration as a mainstay.toml.
//!
//! Three steps, each in its file: `haproxy` reads words and sections, `meaning` decides what they are in mainstay's terms, and
//! `write` sets that down as TOML with comments.

mod haproxy;
mod meaning;
mod server;
mod settings;
mod write;

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use mainstay::config;

use super::{Failure, print};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// The Redis sections of an haproxy.cfg
    Haproxy {
        /// The haproxy.cfg
        file: PathBuf,
    },
}

/// A larger file is no haproxy.cfg.
const FILE_BYTES_MAX: u64 = 16 << 20;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let From::Haproxy { file } = &arguments.from;
    let text = read(file)?;
    let plan = meaning::plan(&haproxy::sections(&text));
    for remark in &plan.remarks {
        eprintln!("{}: {remark}", file.display());
    }
    if plan.groups.is_empty() {
        return Err(anyhow::anyhow!("{}: no section leads to a Redis primary; nothing was imported", file.display()).into());
    }
    let toml = write::toml(&plan, &file.display().to_string());
    // What is printed must be valid, but for passwords, which the reader has yet to put in place.
    if let Err(faults) = config::parse_with(&toml, "the imported configuration", &|_| Some("set later".into())) {
        eprintln!("{faults}\nThe file is printed all the same; put this right in it.");
    }
    print(&toml)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let opened =
        std::fs::File::open(file).with_context(|| format!("{}: cannot be opened; name an haproxy.cfg", file.display()))?;
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("{}: cannot be read; name an haproxy.cfg", file.display()))?;
    ensure!(bytes.len() as u64 <= FILE_BYTES_MAX, "{}: larger than 16 MiB; name an haproxy.cfg", file.display());
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => bail!("{}: not UTF-8; name an haproxy.cfg", file.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines as they occur, and some that are a little off.
    const LINES: [&str; 36] = [
        "defaults",
        "defaults base",
        "frontend web",
        "frontend a b from base",
        "backend redis",
        "backend r\u{e9}dis \\\" x",
        "listen cache",
        "listen",
        "mode tcp",
        "bind 127.0.0.1:9600",
        "bind :6400,*:6401,/tmp/x,localhost",
        "bind abns@x ssl crt x",
        "bind",
        "default_backend redis",
        "use_backend cache if x",
        "server a redis1:6379 check inter 1s fastinter 2s rise 0 fall 99999 maxconn 99999999",
        "server a redis1 maxconn",
        "server \"a\\nb\" [::1]:6379 on-marked-down \"x\\ny\"",
        "server c 999.1.1.1:+5 disabled",
        "server",
        "server-template r 3 redis.local:6379 check",
        "default-server inter 0 fastinter 1d maxconn 5",
        "option tcp-check",
        "option redis-check",
        "option \"x\\n[[group]]\"",
        "tcp-check send AUTH\\ hunter2\\r\\n",
        "tcp-check send AUTH\\ $hunter2\\r\\n",
        "tcp-check send \"auth me 'hunter2\\\"\\r\\nPING\\r\\n\"",
        "tcp-check send *2\\r\\n$4\\r\\nAUTH\\r\\n$7\\r\\nhunter2\\r\\n",
        "tcp-check send \"AUTH ${REDIS}\\r\\n\"",
        "tcp-check expect string role:master",
        "timeout connect 1ms",
        "timeout client 99999d",
        "timeout tunnel x",
        "srvtcpka-idle 1500",
        "stats auth admin:hunter2",
    ];

    proptest! {
        #[test]
        fn whatever_is_imported_is_valid_and_shows_no_password(lines in prop::collection::vec(prop::sample::select(&LINES[..]), 0..30)) {
            let plan = meaning::plan(&haproxy::sections(&lines.join("\n")));
            let toml = write::toml(&plan, "haproxy.cfg");
            prop_assert!(!toml.contains("hunter2"), "{}", toml);
            if !plan.groups.is_empty() {
                let read = config::parse_with(&toml, "x", &|_| Some("set later".into()));
                prop_assert!(read.is_ok(), "{}\n{}", read.err().map(|faults| faults.to_string()).unwrap_or_default(), toml);
            }
        }
    }
}
