//! `mainstay backend`: take a backend out of service, or back in.

use clap::{Args, ValueEnum};
use mainstay::route::AdminState;

use super::api::{Api, block_on, encode};
use super::{AdminOptions, Failure, print};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the group
    pub group: String,
    /// The backend's address as configured
    pub backend: String,
    /// What it shall be
    pub state: State,
    /// Put even the only possible primary into maintenance
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub admin: AdminOptions,
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

impl From<State> for AdminState {
    fn from(state: State) -> Self {
        match state {
            State::Maintenance => Self::Maintenance,
            State::Drain => Self::Drain,
            State::Ready => Self::Ready,
        }
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let api = Api::new(&arguments.admin)?;
    let (group, backend) = (encode(&arguments.group), encode(&arguments.backend));
    let state = AdminState::from(arguments.state).as_str();
    let query = if arguments.force { "?force=true" } else { "" };
    let done = block_on(api.post(&format!("/api/v1/groups/{group}/backends/{backend}/{state}{query}"), None))?;
    print(&format!("{done}\n"))
}
