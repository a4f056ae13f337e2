//! `mainstay status`: what a running mainstay knows.

use clap::Args;

use super::{AdminUrl, Failure};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub admin: AdminUrl,
    /// The answer of GET /api/v1/status as it is
    #[arg(long)]
    pub json: bool,
    /// Show it again every second, until interrupted
    #[arg(long)]
    pub watch: bool,
}

pub fn run(_arguments: Arguments) -> Result<(), Failure> {
    Err(anyhow::anyhow!("status is not built yet; use a later version").into())
}
