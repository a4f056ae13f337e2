//! `/etc/resolv.conf`: whom to ask, and which domains to append (resolv.conf(5)). Read for each question: what a DHCP client or a
//! container runtime writes into it counts from the next one on. Lines and options that mean nothing here are passed over.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where it stands.
pub(super) const FILE: &str = "/etc/resolv.conf";
/// Servers that the system's resolver asks (`MAXNS`).
const SERVERS_MAX: usize = 3;
/// Domains that the system's resolver would append, and some more: each is a question.
const SEARCH_MAX: usize = 8;

/// What is to be known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct System {
    /// At least one.
    pub(super) servers: Vec<SocketAddr>,
    /// Domains to append.
    pub(super) search: Vec<String>,
    /// A name with so many dots is tried as it is before any domain is appended.
    pub(super) dots: usize,
    /// For one answer of one server.
    pub(super) timeout: Duration,
    /// How often each server is asked.
    pub(super) attempts: usize,
    /// Only over TCP.
    pub(super) tcp: bool,
}

impl System {
    /// A file that cannot be read is an empty one, as for the system's resolver: then a server on this machine is asked.
    pub(super) fn read(file: &str) -> Self {
        Self::parse(&std::fs::read_to_string(file).unwrap_or_default())
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut system =
            Self { servers: Vec::new(), search: Vec::new(), dots: 1, timeout: Duration::from_secs(5), attempts: 2, tcp: false };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    system.servers.extend(server.map(|server| SocketAddr::new(server, 53)));
                }
                // The last of these lines counts.
                Some("search") => system.search = words.take(SEARCH_MAX).map(str::to_owned).collect(),
                Some("domain") => system.search = words.take(1).map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| system.option(option)),
                _ => {}
            }
        }
        system.servers.truncate(SERVERS_MAX);
        if system.servers.is_empty() {
            system.servers.push(([127, 0, 0, 1], 53).into());
        }
        system
    }

    fn option(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        // The system's resolver takes no more either.
        let value = |most: u64| value.parse::<u64>().ok().map(|value| value.min(most));
        match name {
            "ndots" => self.dots = value(15).map_or(self.dots, |value| value as usize),
            "timeout" => self.timeout = value(30).map_or(self.timeout, |value| Duration::from_secs(value.max(1))),
            "attempts" => self.attempts = value(5).map_or(self.attempts, |value| value.max(1) as usize),
            "use-vc" => self.tcp = true,
            _ => {}
        }
    }

    /// The absolute names that a name as written may stand for, in the order to try them.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let with_domain = self.search.iter().map(|domain| format!("{name}.{}", domain.trim_end_matches('.')));
        let with_domain = with_domain.map(|name| name.trim_end_matches('.').to_owned() + ".");
        let absolute = [format!("{name}.")];
        let as_it_is_first = name.matches('.').count() >= self.dots;
        let mut all: Vec<String> = if as_it_is_first {
            absolute.into_iter().chain(with_domain).collect()
        } else {
            with_domain.chain(absolute).collect()
        };
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_writes_is_read_and_a_name_is_completed_as_the_systems_resolver_would() {
        let system = System::parse(
            "# made by hand\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\nnameserver fd00::a\n\
             search shop.svc.cluster.local svc.cluster.local\nfamily inet4\noptions ndots:5 timeout:0 use-vc rotate\n",
        );
        let servers: Vec<String> = system.servers.iter().map(SocketAddr::to_string).collect();
        assert_eq!(servers, ["10.96.0.10:53", "[fd00::a]:53"]);
        assert_eq!((system.dots, system.timeout, system.attempts, system.tcp), (5, Duration::from_secs(1), 2, true));
        assert_eq!(
            system.candidates("_redis._tcp.redis"),
            ["_redis._tcp.redis.shop.svc.cluster.local.", "_redis._tcp.redis.svc.cluster.local.", "_redis._tcp.redis."]
        );
        assert_eq!(system.candidates("_redis._tcp.redis.")[..], ["_redis._tcp.redis."]);
        assert_eq!(system.candidates("_redis._tcp.a.b.c.d")[0], "_redis._tcp.a.b.c.d.");
    }

    #[test]
    fn without_a_usable_line_this_machine_is_asked() {
        assert_eq!(System::parse("nameserver\nsearch .\n").servers, [([127, 0, 0, 1], 53).into()]);
        assert_eq!(System::parse("search .\n").candidates("_a._b.c")[..], ["_a._b.c."]);
    }
}
