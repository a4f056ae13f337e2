//! Logs: to stderr, for people or for machines, at a level that a reload can change.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// Changes the level of a running log.
pub struct Handle(reload::Handle<EnvFilter, Registry>);

/// Starts the log. `RUST_LOG` goes before the configured level.
pub fn init(log: &Log) -> anyhow::Result<Handle> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(level) if !level.is_empty() => filter(&level),
        _ => filter(&log.level),
    };
    let (filter, handle) = reload::Layer::new(filter.map_err(anyhow::Error::msg)?);
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))?;
    Ok(Handle(handle))
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
