//! `mainstay elect`: an operator settles what the rules refuse to guess.

use clap::Args;

use super::{AdminUrl, Failure};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the group
    pub group: String,
    /// The backend's address as configured
    pub backend: String,
    #[command(flatten)]
    pub admin: AdminUrl,
}

pub fn run(_arguments: Arguments) -> Result<(), Failure> {
    Err(anyhow::anyhow!("elect is not built yet; use a later version").into())
}
