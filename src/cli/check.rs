//! `mainstay check`: validate, and print what is in force.

use clap::Args;

use super::{ConfigFile, Failure, print};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Print the effective configuration: every key with its value in force, secrets masked
    #[arg(long)]
    print: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.file.load()?;
    if arguments.print {
        return print(&config.to_toml());
    }
    let backends = config.groups.iter().map(|group| group.backends.len()).sum();
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (groups, listeners) = (counted(config.groups.len(), "group"), counted(config.listeners.len(), "listener"));
    let backends = counted(backends, "backend");
    print(&format!("{} is valid: {groups}, {backends}, {listeners}\n", arguments.file.path().display()))
}
