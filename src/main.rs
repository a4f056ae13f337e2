//! Arguments, a subcommand, an exit status.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// `EX_CONFIG` of sysexits.h.
const BAD_CONFIGURATION: u8 = 78;

/// Wrong usage ends in `parse`, with status 2. Every other end is mapped here.
fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(cli::Failure::Configuration(faults)) => {
            eprintln!("{faults}");
            ExitCode::from(BAD_CONFIGURATION)
        }
        Err(cli::Failure::Failed(error)) => {
            eprintln!("mainstay: {error:#}");
            ExitCode::FAILURE
        }
    }
}
