//! `mainstay import`: another proxy's configuration as a mainstay.toml.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Failure;

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

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let From::Haproxy { file } = &arguments.from;
    Err(anyhow::anyhow!("{}: import is not built yet", file.display()).into())
}
