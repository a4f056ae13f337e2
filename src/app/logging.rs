//! Logs: to stderr, for people or for machines, at a level that a reload can change.
//!
//! A thread of its own writes them. Whoever reads stderr (a terminal stopped with Ctrl-S, a pipe, a supervisor) may stop reading, and
//! a write that waits for him would keep the control side from vouching for the fence: all traffic would wait with it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// Lines that may wait for the reader of stderr; more are lost, and counted.
const LINES_MAX: usize = 4096;
/// How long the end of the process waits for the last lines.
const FLUSH_FOR: Duration = Duration::from_secs(1);

/// Changes the level of a running log.
pub struct Handle(reload::Handle<EnvFilter, Registry>);

/// Has the last lines written when dropped.
pub struct Flush(Lines);

/// Starts the log. `RUST_LOG` goes before the configured level.
pub fn init(log: &Log) -> anyhow::Result<(Handle, Flush)> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(level) if !level.is_empty() => filter(&level),
        _ => filter(&log.level),
    };
    let (filter, handle) = reload::Layer::new(filter.map_err(anyhow::Error::msg)?);
    let writer = Lines::start().context("cannot start the thread that writes the log")?;
    let lines = fmt::layer().with_writer(writer.clone()).with_target(false);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))?;
    Ok((Handle(handle), Flush(writer)))
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| format!("log level \"{level}\" is not in RUST_LOG syntax: {error}"))
}

impl Handle {
    /// Applies another level. The error says what is wrong with it.
    pub fn set_level(&self, level: &str) -> Result<(), String> {
        self.0.reload(filter(level)?).map_err(|error| format!("cannot change the log level: {error}"))
    }
}

/// What the writing thread is sent.
enum Message {
    Line(Vec<u8>),
    /// Answered once everything before it is written.
    Flush(SyncSender<()>),
}

/// The way to the writing thread.
#[derive(Clone)]
struct Lines {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Lines {
    fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = lost.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || write(&receiver, &counted))?;
        Ok(Self { sender, lost })
    }
}

fn write(messages: &Receiver<Message>, lost: &AtomicU64) {
    let mut stderr = io::stderr();
    while let Ok(message) = messages.recv() {
        // A stderr that is closed or full is no reason to end: there is nowhere to say so.
        let _ = match message {
            Message::Line(line) => stderr.write_all(&line),
            Message::Flush(done) => done.try_send(()).map_err(io::Error::other),
        };
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lines => drop(writeln!(stderr, "{lines} lines of the log were lost: whoever reads it was too slow")),
        }
    }
}

/// One line on its way; sent when it is whole.
struct Line<'a>(Vec<u8>, &'a Lines);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let Self(line, lines) = self;
        if !line.is_empty() && lines.sender.try_send(Message::Line(std::mem::take(line))).is_err() {
            lines.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(Vec::new(), self)
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        if self.0.sender.try_send(Message::Flush(done)).is_ok() {
            // Who does not read does not keep the process.
            let _ = written.recv_timeout(FLUSH_FOR);
        }
    }
}
