use super::*;

fn address(text: &str) -> BackendAddress {
    text.parse().unwrap()
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::Tcp(text.parse().unwrap())
}

/// A world of names, and a roster in it. Names have port 1.
#[derive(Default)]
struct World {
    roster: Roster,
    answers: HashMap<&'static str, Vec<&'static str>>,
    standing: HashMap<Arc<str>, Standing>,
    /// The leaving ones that are watched on, as a primary is.
    kept: Vec<&'static str>,
}

impl World {
    fn of(backends: &[&str]) -> Self {
        let mut world = Self::default();
        world.roster.configure(&backends.iter().map(|text| address(text)).collect::<Vec<_>>());
        world
    }

    /// Everybody who is reached answers at the first endpoint; the answer are the renamings.
    fn settle(&mut self, answers: &[(&'static str, &[&'static str])]) -> Vec<String> {
        self.answers.extend(answers.iter().map(|(name, found)| (*name, found.to_vec())));
        let leads = |address: &BackendAddress| match address {
            BackendAddress::Tcp { host, port } => vec![lead(&self.answers, host, *port)],
            // What a service leads to are names with port 1.
            BackendAddress::Service(name) => {
                self.answers[name.as_str()].iter().map(|host| lead(&self.answers, host, 1)).collect()
            }
            BackendAddress::Unix(_) => unreachable!(),
        };
        let renamed = self.roster.settle(leads, &self.standing);
        for (old, new) in &renamed {
            if let Some(standing) = self.standing.remove(old) {
                self.standing.insert(new.clone(), standing);
            }
        }
        self.roster.keep_former(|name| self.kept.contains(&name));
        for member in self.roster.members() {
            if let Ok(endpoints) = &member.endpoints {
                let stays = self.standing.get(&member.name).is_some_and(|one| endpoints.contains(&one.endpoint));
                if !stays {
                    let standing = Standing { endpoint: endpoints[0].clone(), answers: true };
                    self.standing.insert(member.name.clone(), standing);
                }
            }
        }
        renamed.into_iter().map(|(old, new)| format!("{old}={new}")).collect()
    }

    fn names(&self) -> Vec<String> {
        self.roster.names().iter().map(|name| name.to_string()).collect()
    }
}

fn lead(answers: &HashMap<&'static str, Vec<&'static str>>, host: &str, port: u16) -> Lead {
    let address = BackendAddress::Tcp { host: host.into(), port };
    let end = |ip: &str| Endpoint::Tcp(std::net::SocketAddr::new(ip.parse().unwrap(), port));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Lead { address, host: None, names: Vec::new(), endpoints: Ok(vec![end(host)]) };
    }
    let endpoints = match answers.get(host) {
        Some(found) => Ok(found.iter().map(|ip| end(ip)).collect()),
        None => Err("no answer".into()),
    };
    Lead { address, host: Some(host.into()), names: vec![host.into()], endpoints }
}

#[test]
fn one_address_keeps_the_name_and_several_go_by_their_own() {
    let mut world = World::of(&["redis:1", "10.0.0.9:1"]);
    assert!(world.settle(&[]).is_empty());
    assert_eq!(world.names(), ["redis:1", "10.0.0.9:1"]);
    assert!(world.settle(&[("redis", &["10.0.0.1"])]).is_empty());
    assert_eq!(world.names(), ["redis:1", "10.0.0.9:1"]);
    assert_eq!(world.settle(&[("redis", &["10.0.0.3", "10.0.0.1"])]), ["redis:1=10.0.0.1:1"]);
    assert_eq!(world.names(), ["10.0.0.9:1", "10.0.0.1:1", "10.0.0.3:1"]);
    assert!(world.settle(&[("redis", &["10.0.0.1", "10.0.0.3"])]).is_empty(), "another order is no other answer");
    world.kept = vec!["10.0.0.1:1"];
    assert_eq!(world.settle(&[("redis", &["10.0.0.3"])]), ["10.0.0.3:1=redis:1"]);
    assert_eq!(world.names(), ["redis:1", "10.0.0.9:1"]);
    assert!(world.roster.has_vanished("10.0.0.1:1"));
}

#[test]
fn a_single_address_may_change_and_a_server_that_moves_is_still_called_so() {
    let mut world = World::of(&["redis:1"]);
    world.settle(&[("redis", &["10.0.0.1"])]);
    assert!(world.settle(&[("redis", &["10.0.0.2"])]).is_empty());
    assert_eq!(world.names(), ["redis:1"]);
    assert_eq!(world.roster.member("redis:1").unwrap().endpoints, Ok(vec![endpoint("10.0.0.2:1")]));
}

#[test]
fn an_address_that_vanished_is_remembered_as_long_as_it_is_watched_and_is_the_same_when_it_returns() {
    let mut world = World::of(&["redis:1"]);
    world.kept = vec!["redis:1"];
    world.settle(&[("redis", &["10.0.0.1"])]);
    assert!(world.settle(&[("redis", &["10.0.0.2", "10.0.0.3"])]).is_empty());
    assert!(world.roster.has_vanished("redis:1"));
    assert_eq!(world.roster.member("redis:1").unwrap().endpoints, Ok(vec![endpoint("10.0.0.1:1")]), "where it stood");
    assert_eq!(world.settle(&[("redis", &["10.0.0.1", "10.0.0.2", "10.0.0.3"])]), ["redis:1=10.0.0.1:1"]);
    world.roster.keep_former(|_| false);
    assert!(world.roster.member("redis:1").is_none() && !world.roster.has_vanished("10.0.0.1:1"));
}

#[test]
fn who_was_taken_out_of_the_configuration_has_not_vanished() {
    let mut world = World::of(&["redis:1", "other:1"]);
    world.kept = vec!["redis:1"];
    world.settle(&[("redis", &["10.0.0.1"]), ("other", &["10.0.0.2"])]);
    world.roster.configure(&[address("other:1")]);
    world.settle(&[]);
    assert!(!world.roster.has_vanished("redis:1"));
}

#[test]
fn a_host_with_both_families_is_one_backend_with_two_endpoints() {
    let mut world = World::of(&["localhost:1", "localhost:2"]);
    world.settle(&[("localhost", &["::1", "127.0.0.1"])]);
    assert_eq!(world.names(), ["localhost:1", "localhost:2"]);
    let both = Ok(vec![endpoint("[::1]:1"), endpoint("127.0.0.1:1")]);
    assert_eq!(world.roster.member("localhost:1").unwrap().endpoints, both);
    assert!(world.settle(&[("localhost", &["127.0.0.1"])]).is_empty());
    assert_eq!(world.names(), ["localhost:1", "localhost:2"]);
}

#[test]
fn of_several_servers_with_both_families_each_counts_once() {
    let mut world = World::of(&["redis:1"]);
    world.settle(&[("redis", &["fd00::1", "10.0.0.1"])]);
    assert_eq!(world.names(), ["redis:1"]);
    // The family in use stays, also where an answer lacks one of its addresses.
    assert_eq!(
        world.settle(&[("redis", &["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2", "fd00::3"])]),
        ["redis:1=[fd00::1]:1"]
    );
    assert_eq!(world.names(), ["[fd00::1]:1", "[fd00::2]:1", "[fd00::3]:1"]);
    assert!(world.settle(&[("redis", &["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::3"])]).is_empty());
    assert_eq!(world.names(), ["[fd00::1]:1", "[fd00::3]:1"]);
    // Out of reach, it is no longer in use, and the one that the answer names first counts.
    for standing in world.standing.values_mut() {
        standing.answers = false;
    }
    world.settle(&[("redis", &["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2", "fd00::3"])]);
    assert_eq!(world.names(), ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
}

#[test]
fn one_odd_address_of_the_other_family_hides_nobody() {
    let mut world = World::of(&["redis:1"]);
    world.settle(&[("redis", &["fd00::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"])]);
    assert_eq!(world.names(), ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
}

#[test]
fn who_is_found_twice_counts_once_and_what_is_configured_always_counts() {
    let mut world = World::of(&["redis:1", "redis-0:1", "10.0.0.2:1", "alias:1"]);
    world.settle(&[("redis", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]), ("redis-0", &["10.0.0.1"]), ("alias", &["10.0.0.2"])]);
    assert_eq!(world.names(), ["redis-0:1", "10.0.0.2:1", "alias:1", "10.0.0.3:1"]);
}

#[test]
fn the_targets_of_a_service_are_names_of_their_own() {
    let mut world = World::of(&["_redis._tcp.shop"]);
    world.kept = vec!["redis-0.shop:1"];
    let targets: &[&str] = &["redis-0.shop", "redis-1.shop"];
    world.settle(&[("_redis._tcp.shop", targets), ("redis-0.shop", &["10.0.0.1"])]);
    assert_eq!(world.names(), ["redis-0.shop:1", "redis-1.shop:1"]);
    assert_eq!(world.roster.member("redis-0.shop:1").unwrap().host.as_deref(), Some("redis-0.shop"));
    assert!(world.roster.member("redis-1.shop:1").unwrap().endpoints.is_err());
    world.settle(&[("redis-0.shop", &["10.0.0.7"])]);
    assert_eq!(world.roster.member("redis-0.shop:1").unwrap().endpoints, Ok(vec![endpoint("10.0.0.7:1")]));
    world.settle(&[("_redis._tcp.shop", &["redis-1.shop"])]);
    assert_eq!(world.names(), ["redis-1.shop:1"]);
    assert!(world.roster.has_vanished("redis-0.shop:1"));
}

#[test]
fn a_backend_that_is_written_otherwise_is_the_same_backend() {
    let mut world = World::of(&["redis:1"]);
    world.settle(&[("redis", &["10.0.0.1"])]);
    world.roster.configure(&[address("10.0.0.1:1")]);
    assert_eq!(world.settle(&[]), ["redis:1=10.0.0.1:1"]);
}
