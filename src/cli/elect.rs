//! `mainstay elect`: an operator settles what the rules refuse to guess.

use clap::Args;
use serde_json::json;

use super::api::{Api, block_on, encode};
use super::{AdminOptions, Failure, print};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the group
    pub group: String,
    /// The backend's address as configured
    pub backend: String,
    #[command(flatten)]
    pub admin: AdminOptions,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let api = Api::new(&arguments.admin)?;
    let path = format!("/api/v1/groups/{}/elect", encode(&arguments.group));
    let done = block_on(api.post(&path, Some(&json!({ "backend": arguments.backend }))))?;
    print(&format!("{done}\n"))
}
