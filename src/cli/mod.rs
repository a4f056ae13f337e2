//! The command line: one file per subcommand.

mod api;
mod backend;
mod check;
mod elect;
mod import;
mod run;
mod status;
mod table;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use mainstay::config::{self, Config, Faults};

/// Takes Redis and Valkey clients to the server that is rightly the primary, and to no other.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Exit status: 0 done, 1 failed, 2 wrong usage, 78 bad configuration.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, as configured in a file or by --listen and --backend
    Run(run::Arguments),
    /// Validate a configuration and name every fault in it
    Check(check::Arguments),
    /// Turn another proxy's configuration into a mainstay.toml on stdout
    Import(import::Arguments),
    /// Show groups, backends, sessions and the last failovers of a running mainstay
    Status(status::Arguments),
    /// Make a backend the primary where mainstay rightly refuses to guess
    Elect(elect::Arguments),
    /// Take a backend out of service, or back in
    Backend(backend::Arguments),
}

/// Why a subcommand did not succeed; `main` maps it to an exit status.
#[derive(Debug)]
pub enum Failure {
    /// The configuration is at fault.
    Configuration(Faults),
    /// Anything else. One sentence that says what to do.
    Failed(anyhow::Error),
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Configuration(faults)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Run(arguments) => run::run(arguments),
            Command::Check(arguments) => check::run(&arguments),
            Command::Import(arguments) => import::run(&arguments),
            Command::Status(arguments) => status::run(arguments),
            Command::Elect(arguments) => elect::run(arguments),
            Command::Backend(arguments) => backend::run(arguments),
        }
    }
}

/// Which configuration file.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Configuration file [default: $MAINSTAY_CONFIG, then ./mainstay.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file that was meant. An empty variable counts as none.
    pub fn path(&self) -> PathBuf {
        // Read by hand: clap would count the variable as given, and `run --listen` would clash with it.
        let variable = || std::env::var_os("MAINSTAY_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.config.clone().or_else(variable).unwrap_or_else(|| "mainstay.toml".into())
    }

    /// Reads and validates it.
    pub fn load(&self) -> Result<Config, Faults> {
        config::load(&self.path())
    }
}

/// Which running mainstay, and what it asks for. Nothing of this is taken from a configuration file that happens to lie where the command
/// is typed: its token would go to whatever answers at --admin, and its [admin] need not be the one of the mainstay that runs.
#[derive(Clone, Debug, Args)]
pub struct AdminOptions {
    /// Address of the running mainstay's [admin] bind; https:// where it has [admin.tls]
    #[arg(long, value_name = "URL", env = "MAINSTAY_ADMIN", default_value = "http://127.0.0.1:9600")]
    pub admin: String,
    /// File that holds the token; the same as [admin] token_file
    #[arg(long, value_name = "FILE", env = "MAINSTAY_ADMIN_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// https: certificates to trust, PEM [default: those that the system trusts]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// https: certificate to show, PEM; instead of a token where [admin.tls] has a client_ca_file
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// https: the key of --cert-file, PEM
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
}

/// Writes `text` to stdout. A reader who has seen enough (`| head`) is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("cannot write to stdout: {error}; free some space or name another file").into())
        }
        _ => Ok(()),
    }
}
