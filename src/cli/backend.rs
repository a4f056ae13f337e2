//! `mainstay backend`: take a backend out of service, or back in.

use clap::{Args, ValueEnum};

use super::{AdminUrl, Failure};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the group
    pub group: String,
    /// The backend's address as configured
    pub backend: String,
    /// What it shall be
    pub state: State,
    /// Take even the only possible primary away
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub admin: AdminUrl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Not a candidate, its sessions are cut
    Maintenance,
    /// No new sessions, the present ones go on
    Drain,
    /// Takes part in everything
    Ready,
}

pub fn run(_arguments: Arguments) -> Result<(), Failure> {
    Err(anyhow::anyhow!("backend is not built yet; use a later version").into())
}
