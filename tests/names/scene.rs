//! A mainstay that sees names as the test wants them: it runs in a mount namespace of its own, with a resolv.conf that leads to the
//! test's name server.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::dns::Dns;
use crate::harness::*;

/// A name server, and the folder with the resolv.conf that leads to it.
pub struct Scene {
    pub dns: Dns,
    dir: TempDir,
}

impl Scene {
    /// Nothing, said aloud, where this user may not make namespaces or listen on port 53.
    pub fn start() -> Option<Self> {
        let unshare = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
        if !unshare.is_ok_and(|status| status.success()) {
            eprintln!("skipped: this test needs a mount namespace (unshare -m), which this user may not make");
            return None;
        }
        let Some(dns) = Dns::start() else {
            eprintln!("skipped: this test needs to listen on port 53 of a loopback address, which this user may not");
            return None;
        };
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        let conf = format!("nameserver {}\noptions timeout:1 attempts:1\n", dns.address);
        std::fs::write(dir.path().join("resolv.conf"), conf).expect("the folder can be written");
        Some(Self { dns, dir })
    }

    /// A group of these addresses, as seen from here.
    pub fn setup(&self, backends: &[String]) -> Setup {
        let conf = self.dir.path().join("resolv.conf").display().to_string();
        let script = format!("mount --bind '{conf}' /etc/resolv.conf && exec \"$@\"");
        Setup::at(backends).group("resolve_interval = \"1s\"").wrapper(&["unshare", "-m", "sh", "-c", &script, "sh"])
    }
}

/// A primary at the first of these addresses and replicas of it at the others, all on one port.
pub fn family_at(hosts: &[&'static str]) -> Vec<Redis> {
    for _ in 0..5 {
        let port = free_port();
        let mut family: Vec<Redis> = Vec::new();
        for host in hosts {
            // Whatever address the kernel lets it come from.
            let mut lines = vec![format!("replica-announce-ip {host}")];
            lines.extend(family.first().map(|primary| format!("replicaof {} {port}", primary.host)));
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let Some(server) = Redis::try_start_on(host, port, &lines) else { break };
            if !family.is_empty() {
                server.wait_for_link();
            }
            family.push(server);
        }
        if family.len() == hosts.len() {
            return family;
        }
    }
    panic!("no port that is free on all of {hosts:?}");
}

/// The names of the backends of the first group, sorted.
pub fn backends(mainstay: &Mainstay) -> Vec<String> {
    let group = mainstay.group();
    let all = group["backends"].as_array().expect("an array").iter();
    let mut names: Vec<String> = all.map(|backend| backend["address"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

/// Waits until the group consists of these.
#[track_caller]
pub fn wait_for_backends(mainstay: &Mainstay, names: &[String]) {
    let mut names = names.to_vec();
    names.sort();
    let begun = std::time::Instant::now();
    while backends(mainstay) != names {
        assert!(begun.elapsed() < PATIENCE, "{names:?} are expected, there are {:?}", backends(mainstay));
        std::thread::sleep(ms(10));
    }
}

/// Waits until all of these have been checked.
#[track_caller]
pub fn wait_until_checked(mainstay: &Mainstay, servers: &[&Redis]) {
    wait_until(PATIENCE, "all are checked", || {
        servers.iter().all(|server| mainstay.backend(&server.address())["role"].is_string())
    });
}
