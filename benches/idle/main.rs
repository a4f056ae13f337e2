//! Memory of an idle session: private-dirty at many sessions less that at few, divided by the difference.
//!
//! Every session sent one PING before. What the kernel keeps for sockets is the same for every proxy and not counted.

#[path = "../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mainstay::config::Mode;
use support::proc::{allow_open_files, private_dirty};
use support::report::Report;
use support::servers::{ProxySetup, REDIS_MODE, Server, Workshop, mainstay_binary};
use support::stats::Spread;
use support::tls::Tls;

/// Compares the memory of idle sessions in mainstay and HAProxy.
#[derive(Parser)]
struct Options {
    /// Sessions at the first reading.
    #[arg(long, default_value_t = 200)]
    few: usize,
    /// Sessions at the second reading.
    #[arg(long, default_value_t = 8000)]
    many: usize,
    /// Fresh processes of each proxy.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Data threads of mainstay, and threads of HAProxy.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Leave out mainstay (tcp mode), "redis mode" or HAProxy.
    #[arg(long)]
    without: Vec<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Bytes a session.
struct Reading {
    /// Each session sent its PING when it had been opened.
    one_by_one: f64,
    /// The same sessions, after all of them had sent another PING at once.
    after_a_burst: f64,
}

fn main() -> Result<()> {
    if !support::was_asked_for() {
        return Ok(());
    }
    let options = Options::parse();
    ensure!(options.few < options.many, "--few must be less than --many");
    // The proxy holds two descriptors a session, and some of its own.
    allow_open_files(2 * options.many as u64 + 200)?;

    let mut rows = Vec::new();
    for name in ["HAProxy", "mainstay", REDIS_MODE] {
        if options.without.iter().any(|without| without.eq_ignore_ascii_case(name)) {
            continue;
        }
        let readings: Vec<Reading> = (0..options.runs).map(|_| run(name, &options)).collect::<Result<_>>().context(name)?;
        let spread = |figure: fn(&Reading) -> f64| {
            let values: Vec<f64> = readings.iter().map(|reading| figure(reading) / 1024.0).collect();
            Spread::of(&values).map_or("–".into(), |spread| spread.to_string())
        };
        rows.push(vec![name.to_owned(), spread(|reading| reading.one_by_one), spread(|reading| reading.after_a_burst)]);
        eprintln!("{}", rows[rows.len() - 1].join(" · "));
    }
    let mut report = Report::new("idle", "Memory of an idle session");
    report.say(&format!(
        "Private-dirty memory of the proxy at {} sessions less that at {}, divided; KiB a session, median (min–max) of {} processes; \
         {} data thread(s).",
        options.many, options.few, options.runs, options.workers
    ));
    report.table(&["proxy", "after one PING each", "after another PING, all at once"], &rows);
    report.finish()
}

fn run(proxy: &str, options: &Options) -> Result<Reading> {
    let workshop = Workshop::open()?;
    let redis = workshop.redis(None, &["--maxclients", &(options.many + 100).to_string()])?;
    let setup =
        ProxySetup { backends: &[redis.address], workers: options.workers, max_connections: options.many + 100, tls: Tls::None };
    let proxy = match proxy {
        "HAProxy" => workshop.haproxy(&setup)?,
        REDIS_MODE => workshop.mainstay(mainstay_binary(), Mode::Redis, &setup)?,
        _ => workshop.mainstay(mainstay_binary(), Mode::Tcp, &setup)?,
    };
    let mut sessions = Vec::with_capacity(options.many);
    open_until(options.few, &mut sessions, &proxy)?;
    let at_few = settled_memory(&proxy)?;
    open_until(options.many, &mut sessions, &proxy)?;
    let at_many = settled_memory(&proxy)?;
    sessions.iter_mut().try_for_each(|session| session.write_all(b"PING\r\n"))?;
    sessions.iter_mut().try_for_each(pong)?;
    let after_burst = settled_memory(&proxy)?;
    let each = |bytes: u64| (bytes as f64 - at_few as f64) / (options.many - options.few) as f64;
    Ok(Reading { one_by_one: each(at_many), after_a_burst: each(after_burst) })
}

/// Opens sessions, each with one PING answered, until there are `count`.
fn open_until(count: usize, sessions: &mut Vec<TcpStream>, proxy: &Server) -> Result<()> {
    while sessions.len() < count {
        let session = || -> Result<TcpStream> {
            let mut session = TcpStream::connect(proxy.address)?;
            session.set_read_timeout(Some(Duration::from_secs(10)))?;
            session.write_all(b"PING\r\n")?;
            pong(&mut session)?;
            Ok(session)
        };
        let number = sessions.len() + 1;
        sessions
            .push(session().with_context(|| format!("session {number} of {count}: too few open files or connections allowed?"))?);
    }
    Ok(())
}

fn pong(session: &mut TcpStream) -> Result<()> {
    let mut reply = [0; 7];
    session.read_exact(&mut reply).context("no reply to PING")?;
    ensure!(&reply == b"+PONG\r\n", "PING was answered with {:?}", String::from_utf8_lossy(&reply));
    Ok(())
}

/// The memory once it has stayed the same for half a second.
fn settled_memory(proxy: &Server) -> Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut last, mut since) = (private_dirty(proxy.pid())?, Instant::now());
    while since.elapsed() < Duration::from_millis(500) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        let now = private_dirty(proxy.pid())?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}
