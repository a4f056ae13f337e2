//! The effective configuration as TOML: every key, defaults filled in. [`super::parse`] reads it back to the same value. A
//! password is shown as the place it came from.

use std::fmt;

use super::secret::Origin;
use super::units::{print_duration, print_size};
use super::{Config, Credentials, Group, Listener, LogFormat};

/// A configuration as TOML text. See [`Config::to_toml`].
struct Toml<'a>(&'a Config);

impl Config {
    /// Every key with its value in force. Secrets are masked.
    pub fn to_toml(&self) -> String {
        Toml(self).to_string()
    }
}

impl fmt::Display for Toml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { log, admin, runtime, groups, listeners } = self.0;
        let format = match log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        writeln!(f, "[log]\nlevel = {}\nformat = \"{format}\"\n", text(&log.level))?;
        writeln!(f, "[admin]\nbind = \"{}\"\n", admin.bind)?;
        let drain = print_duration(runtime.drain_timeout);
        write!(f, "[runtime]\nworkers = {}\ndrain_timeout = \"{drain}\"\n", runtime.workers)?;
        groups.iter().try_for_each(|entry| group(f, entry))?;
        listeners.iter().try_for_each(|entry| listener(f, entry))
    }
}

fn group(f: &mut fmt::Formatter<'_>, group: &Group) -> fmt::Result {
    let Group { name, backends, credentials, resolve_interval, max_succession_gap, check, hold } = group;
    let backends: Vec<_> = backends.iter().map(text).collect();
    writeln!(f, "\n[[group]]\nname = {}\nbackends = [{}]", text(name), backends.join(", "))?;
    if let Some(Credentials { username, password }) = credentials {
        if let Some(username) = username {
            writeln!(f, "username = {}", text(username))?;
        }
        match password.origin() {
            Origin::Env(variable) => writeln!(f, "password_env = {} # {password}", text(variable))?,
            Origin::File(path) => writeln!(f, "password_file = {} # {password}", text(path.display()))?,
            Origin::Given => writeln!(f, "# password = \"{password}\"")?,
        }
    }
    writeln!(f, "resolve_interval = \"{}\"", print_duration(*resolve_interval))?;
    writeln!(f, "max_succession_gap = \"{}\"", print_size(*max_succession_gap))?;
    writeln!(f, "\n[group.check]\ninterval = \"{}\"", print_duration(check.interval))?;
    writeln!(f, "fast_interval = \"{}\"", print_duration(check.fast_interval))?;
    writeln!(f, "timeout = \"{}\"\nrise = {}\nfall = {}", print_duration(check.timeout), check.rise, check.fall)?;
    writeln!(f, "\n[group.hold]\nwindow = \"{}\"", print_duration(hold.window))?;
    writeln!(f, "max_bytes = \"{}\"", print_size(hold.max_bytes))
}

fn listener(f: &mut fmt::Formatter<'_>, listener: &Listener) -> fmt::Result {
    let Listener { name, bind, group, mode, max_connections, connect_timeout, idle_timeout, keepalive, .. } = listener;
    let Listener { shared_connections, verify_alignment, .. } = listener;
    writeln!(f, "\n[[listener]]\nname = {}\nbind = {}\ngroup = {}", text(name), text(bind), text(group))?;
    writeln!(f, "route = \"primary\"\nmode = \"{}\"\nshared_connections = {shared_connections}", mode.as_str())?;
    writeln!(f, "verify_alignment = {verify_alignment}\nmax_connections = {max_connections}")?;
    writeln!(f, "connect_timeout = \"{}\"", print_duration(*connect_timeout))?;
    writeln!(f, "idle_timeout = \"{}\"", print_duration(*idle_timeout))?;
    writeln!(f, "keepalive = \"{}\"", print_duration(*keepalive))
}

/// A TOML text, quoted and escaped.
fn text(value: impl fmt::Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}
