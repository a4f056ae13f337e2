//! `mainstay run`: serve.

use std::env::VarError;

use anyhow::anyhow;
use clap::Args;
use mainstay::config::secret::{Origin, Secret};
use mainstay::config::{Config, Mode};

use super::{ConfigFile, Failure};

#[derive(Debug, Args)]
#[command(after_help = "With --listen and --backend the password comes from $MAINSTAY_PASSWORD and the user from \
                        $MAINSTAY_USERNAME; every other key has its default.")]
pub struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Serve without a file: the address that clients connect to, as 127.0.0.1:6400 or unix:/path
    #[arg(long, value_name = "ADDR", requires = "backend", conflicts_with = "config")]
    listen: Option<String>,
    /// A server of the one group, as redis1:6379; repeat it for each
    #[arg(long, value_name = "ADDR", requires = "listen", conflicts_with = "config", num_args = 1..)]
    backend: Vec<String>,
    /// tcp: bytes pass untouched; redis: clients do not notice a planned failover [default: tcp]
    #[arg(long, value_name = "MODE", requires = "listen", conflicts_with = "config", value_parser = mode)]
    mode: Option<Mode>,
    /// Many clients over few connections to Redis; needs --mode redis
    #[arg(long, requires = "mode", conflicts_with = "config")]
    shared_connections: bool,
}

impl Arguments {
    /// The configuration that was asked for, by file or by addresses.
    fn configuration(&self) -> Result<Config, Failure> {
        let Some(listen) = &self.listen else { return Ok(self.file.load()?) };
        let password = variable("MAINSTAY_PASSWORD")?;
        let password = password.map(|value| Secret::from_origin(value, Origin::Env("MAINSTAY_PASSWORD".into())));
        let mode = self.mode.unwrap_or(Mode::Tcp);
        let shared = self.shared_connections;
        Ok(Config::quick(listen, &self.backend, (mode, shared), variable("MAINSTAY_USERNAME")?, password)?)
    }
}

/// A mode by its word.
fn mode(word: &str) -> Result<Mode, String> {
    let found = Mode::WORDS.iter().find(|(known, _)| *known == word);
    found.map(|(_, mode)| *mode).ok_or_else(|| "write tcp or redis".into())
}

/// An environment variable; an empty one counts as none.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(anyhow!("the environment variable {name} is not UTF-8; set it anew").into()),
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    // A reload reads the same file again; without a file there is nothing to reload.
    let file = arguments.listen.is_none().then(|| arguments.file.path());
    let config = arguments.configuration()?;
    Ok(mainstay::app::run(config, file)?)
}
