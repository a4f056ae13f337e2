//! The effective configuration as TOML: every key, defaults filled in. [`super::parse`] reads it back to the same value. A
//! password is shown as the place it came from.

use std::fmt;

use super::secret::{Origin, Secret};
use super::units::{print_duration, print_size};
use super::{
    ClientTls, Config, Credentials, Group, Identity, Listener, ListenerAuth, ListenerRoute, LogFormat, Sentinel, ServerTls,
};

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
        writeln!(f, "[admin]\nbind = \"{}\"", admin.bind)?;
        if let Some(token) = &admin.token {
            secret(f, "token", token)?;
        }
        if let Some(tls) = &admin.tls {
            server_tls(f, "admin", tls)?;
        }
        writeln!(f)?;
        let drain = print_duration(runtime.drain_timeout);
        write!(f, "[runtime]\nworkers = {}\ndrain_timeout = \"{drain}\"\n", runtime.workers)?;
        groups.iter().try_for_each(|entry| group(f, entry))?;
        listeners.iter().try_for_each(|entry| listener(f, entry))
    }
}

fn group(f: &mut fmt::Formatter<'_>, group: &Group) -> fmt::Result {
    let Group { name, backends, credentials, resolve_interval, max_succession_gap, check, hold, tls, sentinel } = group;
    writeln!(f, "\n[[group]]\nname = {}", text(name))?;
    if !backends.is_empty() {
        writeln!(f, "backends = {}", list(backends))?;
    }
    print_credentials(f, credentials.as_ref())?;
    writeln!(f, "resolve_interval = \"{}\"", print_duration(*resolve_interval))?;
    writeln!(f, "max_succession_gap = \"{}\"", print_size(*max_succession_gap))?;
    writeln!(f, "\n[group.check]\ninterval = \"{}\"", print_duration(check.interval))?;
    writeln!(f, "fast_interval = \"{}\"", print_duration(check.fast_interval))?;
    writeln!(f, "timeout = \"{}\"\nrise = {}\nfall = {}", print_duration(check.timeout), check.rise, check.fall)?;
    writeln!(f, "\n[group.hold]\nwindow = \"{}\"", print_duration(hold.window))?;
    writeln!(f, "max_bytes = \"{}\"", print_size(hold.max_bytes))?;
    if let Some(tls) = tls {
        client_tls(f, "group", tls)?;
    }
    if let Some(Sentinel { master_name, addresses, credentials, tls }) = sentinel {
        writeln!(f, "\n[group.sentinel]\nmaster_name = {}\naddresses = {}", text(master_name), list(addresses))?;
        print_credentials(f, credentials.as_ref())?;
        if let Some(tls) = tls {
            client_tls(f, "group.sentinel", tls)?;
        }
    }
    Ok(())
}

fn listener(f: &mut fmt::Formatter<'_>, listener: &Listener) -> fmt::Result {
    let Listener { name, bind, group, mode, max_connections, connect_timeout, idle_timeout, keepalive, .. } = listener;
    let Listener { route, shared_connections, verify_alignment, allow, proxy_protocol_from, deny_commands, tls, auth, .. } =
        listener;
    writeln!(f, "\n[[listener]]\nname = {}\nbind = {}\ngroup = {}", text(name), text(bind), text(group))?;
    writeln!(f, "route = \"{}\"", route.as_str())?;
    if let ListenerRoute::Replica { max_lag, fallback } = route {
        writeln!(f, "max_lag = \"{}\"\nfallback = \"{}\"", print_size(*max_lag), fallback.as_str())?;
    }
    writeln!(f, "mode = \"{}\"\nshared_connections = {shared_connections}", mode.as_str())?;
    writeln!(f, "verify_alignment = {verify_alignment}\nmax_connections = {max_connections}")?;
    writeln!(f, "connect_timeout = \"{}\"", print_duration(*connect_timeout))?;
    writeln!(f, "idle_timeout = \"{}\"", print_duration(*idle_timeout))?;
    writeln!(f, "keepalive = \"{}\"", print_duration(*keepalive))?;
    if let Some(allow) = allow {
        writeln!(f, "allow = {}", list(allow))?;
    }
    if !proxy_protocol_from.is_empty() {
        writeln!(f, "proxy_protocol_from = {}", list(proxy_protocol_from))?;
    }
    if !deny_commands.is_empty() {
        writeln!(f, "deny_commands = {}", list(deny_commands))?;
    }
    if let Some(tls) = tls {
        server_tls(f, "listener", tls)?;
    }
    let Some(ListenerAuth { users, users_file, identity }) = auth else { return Ok(()) };
    writeln!(f, "\n[listener.auth]")?;
    match users_file {
        Some(path) => writeln!(f, "users_file = {}", text(path.display()))?,
        // A hash is not shown, so that this alone does not read back.
        None => writeln!(f, "# users = {}", list(users.iter().map(|user| format!("{}:***", user.name))))?,
    }
    print_credentials(f, identity.as_ref())
}

fn server_tls(f: &mut fmt::Formatter<'_>, section: &str, tls: &ServerTls) -> fmt::Result {
    writeln!(f, "\n[{section}.tls]")?;
    identity(f, &tls.identity)?;
    tls.client_ca.iter().try_for_each(|ca| writeln!(f, "client_ca_file = {}", text(ca.path.display())))
}

fn client_tls(f: &mut fmt::Formatter<'_>, section: &str, tls: &ClientTls) -> fmt::Result {
    writeln!(f, "\n[{section}.tls]")?;
    tls.ca.iter().try_for_each(|ca| writeln!(f, "ca_file = {}", text(ca.path.display())))?;
    tls.identity.iter().try_for_each(|pair| identity(f, pair))?;
    tls.server_name.iter().try_for_each(|name| writeln!(f, "server_name = {}", text(name)))
}

fn identity(f: &mut fmt::Formatter<'_>, pair: &Identity) -> fmt::Result {
    let Identity { certificate, key } = pair;
    writeln!(f, "cert_file = {}\nkey_file = {}", text(certificate.path.display()), text(key.path.display()))
}

fn print_credentials(f: &mut fmt::Formatter<'_>, credentials: Option<&Credentials>) -> fmt::Result {
    let Some(Credentials { username, password }) = credentials else { return Ok(()) };
    username.iter().try_for_each(|username| writeln!(f, "username = {}", text(username)))?;
    secret(f, "password", password)
}

/// The place that a secret came from.
fn secret(f: &mut fmt::Formatter<'_>, key: &str, secret: &Secret) -> fmt::Result {
    match secret.origin() {
        Origin::Env(variable) => writeln!(f, "{key}_env = {} # {secret}", text(variable)),
        Origin::File(path) => writeln!(f, "{key}_file = {} # {secret}", text(path.display())),
        Origin::Given => writeln!(f, "# {key} = \"{secret}\""),
    }
}

/// A TOML list of texts.
fn list(items: impl IntoIterator<Item = impl fmt::Display>) -> String {
    let items: Vec<_> = items.into_iter().map(text).collect();
    format!("[{}]", items.join(", "))
}

/// A TOML text, quoted and escaped.
fn text(value: impl fmt::Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}
