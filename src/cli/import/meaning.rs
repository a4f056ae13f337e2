//! What the sections of an haproxy.cfg are in mainstay's terms: a `backend` of Redis servers is a group, each `bind` of a
//! `frontend` that leads to it is a listener, and a `listen` section is both.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use mainstay::config::{BackendAddress, BindAddress, limits};

use super::haproxy::{Section, VARIABLE};
use super::settings::{Login, Set, Settings};

/// What becomes of a file.
#[derive(Debug, Default)]
pub struct Plan {
    pub groups: Vec<Group>,
    pub listeners: Vec<Listener>,
    /// Set where the default port of `[admin]` is taken.
    pub admin_port: Option<u16>,
    /// What the reader must know beyond single groups and listeners.
    pub remarks: Vec<String>,
}

#[derive(Debug)]
pub struct Group {
    /// The section it comes from.
    pub from: String,
    pub name: String,
    /// Each with the name that HAProxy had for it.
    pub backends: Vec<(BackendAddress, String)>,
    pub login: Option<Login>,
    /// The environment variable of the password.
    pub password_env: Option<String>,
    pub interval: Option<Set<Duration>>,
    pub fast_interval: Option<Set<Duration>>,
    pub timeout: Option<Set<Duration>>,
    pub rise: Option<Set<u64>>,
    pub fall: Option<Set<u64>>,
    pub notes: Vec<String>,
}

#[derive(Debug)]
pub struct Listener {
    pub from: String,
    pub name: String,
    pub bind: BindAddress,
    pub group: String,
    pub max_connections: Option<Set<u64>>,
    pub connect_timeout: Option<Set<Duration>>,
    pub idle_timeout: Option<Set<Duration>>,
    pub keepalive: Option<Set<Duration>>,
    pub notes: Vec<String>,
}

/// A section that clients or servers stand in.
struct Proxy<'a> {
    section: &'a Section,
    settings: Settings,
    /// The group made of it.
    group: Option<usize>,
}

/// Decides about every section.
pub fn plan(sections: &[Section]) -> Plan {
    let mut plan = Plan::default();
    let mut names = HashSet::new();
    let mut proxies: Vec<_> = proxies(sections);
    for proxy in proxies.iter_mut().filter(|proxy| proxy.section.kind != "frontend" && !proxy.settings.servers.is_empty()) {
        match group(proxy, &mut names) {
            Ok(group) => {
                proxy.group = Some(plan.groups.len());
                plan.groups.push(group);
            }
            Err(why) => plan.remarks.push(format!("{} is skipped: {why}", title(proxy.section))),
        }
    }
    name_passwords(&mut plan.groups);
    listeners(&mut plan, &proxies);
    move_admin(&mut plan);
    let notes =
        plan.groups.iter().flat_map(|group| &group.notes).chain(plan.listeners.iter().flat_map(|listener| &listener.notes));
    if notes.into_iter().any(|note| note.contains("NOT carried over") || note.contains("CHANGE")) {
        plan.remarks.push("some of it needs your eyes: look for NOT and CHANGE in the result".into());
    }
    let variables: BTreeSet<_> = plan.groups.iter().filter_map(|group| group.password_env.clone()).collect();
    for variable in variables {
        plan.remarks.push(format!("before mainstay is started, put the password into the environment variable {variable}"));
    }
    plan
}

fn title(section: &Section) -> String {
    format!("{} {}, line {}", section.kind, section.name, section.line)
}

fn proxies(sections: &[Section]) -> Vec<Proxy<'_>> {
    let mut proxies = Vec::new();
    let mut last = None;
    for (index, section) in sections.iter().enumerate() {
        match section.kind.as_str() {
            "defaults" => last = Some(section),
            "frontend" | "backend" | "listen" => {
                let named = |from: &String| sections[..index].iter().find(|it| it.kind == "defaults" && it.name == *from);
                let defaults = section.from.as_ref().map_or(last, named);
                proxies.push(Proxy { section, settings: Settings::of(section, defaults), group: None });
            }
            _ => (),
        }
    }
    proxies
}

fn group(proxy: &Proxy<'_>, names: &mut HashSet<String>) -> Result<Group, String> {
    let Proxy { section, settings, .. } = proxy;
    if let Some(why) = refusal(section, settings) {
        return Err(why.into());
    }
    let mut notes = settings.notes.clone();
    let mut backends: Vec<(BackendAddress, String)> = Vec::new();
    for server in &settings.servers {
        let address = server_address(&server.address, settings);
        match address.parse::<BackendAddress>() {
            _ if server.options.disabled => notes.push(format!("server {}: left out, it was disabled", server.name)),
            Ok(address) if backends.iter().any(|(known, _)| *known == address) => {
                notes.push(format!("server {}: left out, its address is there already", server.name));
            }
            Ok(address) => backends.push((address, server.name.clone())),
            Err(fault) => notes.push(format!("server {}: NOT carried over, of its address: {fault}", server.name)),
        }
        if !address.starts_with("unix:") && !server.address.contains(&address) {
            notes.push(format!("server {}: its port was not named; is it the one below?", server.name));
        }
        for note in server.options.notes.iter().filter(|note| !settings.notes.contains(note)) {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
    }
    if backends.is_empty() {
        return Err("none of its servers could be carried over".into());
    }
    if backends.len() > limits::BACKENDS_MAX {
        return Err(format!("it has more than {} servers", limits::BACKENDS_MAX));
    }
    let options = || settings.servers.iter().map(|server| &server.options);
    let interval = least(options().map(|it| it.inter.clone()), &limits::INTERVAL);
    let fast = least(options().map(|it| it.fastinter.clone()), &limits::FAST_INTERVAL);
    let slowest = interval.as_ref().map_or(Duration::from_secs(1), |set| set.value);
    let fast = fast
        .map(|set| if set.value > slowest { Set { value: slowest, by: format!("{}, not above interval", set.by) } } else { set });
    Ok(Group {
        from: title(section),
        name: unique(names, &section.name),
        backends,
        login: settings.login.clone(),
        password_env: None,
        interval,
        fast_interval: fast,
        timeout: least([settings.timeout_check.clone()], &limits::TIMEOUT),
        rise: least(options().map(|it| it.rise.clone()), &limits::RISE_FALL),
        fall: least(options().map(|it| it.fall.clone()), &limits::RISE_FALL),
        notes,
    })
}

/// Why a section with servers is no group.
fn refusal(section: &Section, settings: &Settings) -> Option<&'static str> {
    let ports = || settings.servers.iter().filter_map(|server| server.address.rsplit(':').next()?.parse::<u16>().ok());
    let named =
        |text: &str| ["redis", "valkey", "keydb", "sidekiq", "resque"].iter().any(|word| text.to_lowercase().contains(word));
    let named = named(&section.name) || settings.servers.iter().any(|server| named(&server.name) || named(&server.address));
    if settings.disabled {
        Some("it is disabled")
    } else if settings.http {
        Some("it is no Redis section but mode http")
    } else if settings.wants_replicas {
        Some("it leads to replicas, and this version of mainstay to primaries alone; leave it in HAProxy")
    } else if settings.wants_sentinel || (ports().next().is_some() && ports().all(|port| port == 26379)) {
        Some("it leads to Sentinels, which mainstay does not stand in front of")
    } else if !settings.speaks_redis && !named && !ports().any(|port| (6379..=6389).contains(&port)) {
        Some("it does not look like Redis")
    } else {
        None
    }
}

/// The least of the values, within mainstay's limits. Servers mostly agree; where they do not, the sharper check serves all.
fn least<T: Ord + Copy>(sets: impl IntoIterator<Item = Option<Set<T>>>, limits: &RangeInclusive<T>) -> Option<Set<T>> {
    let set = sets.into_iter().flatten().min_by_key(|set| set.value)?;
    let value = set.value.clamp(*limits.start(), *limits.end());
    let by = if value == set.value { set.by } else { format!("{}, as near as mainstay goes", set.by) };
    Some(Set { value, by })
}

/// One variable where all sections share a login, one each otherwise.
fn name_passwords(groups: &mut [Group]) {
    let logins: Vec<_> = groups.iter().filter_map(|group| group.login.clone()).collect();
    let shared = logins.windows(2).all(|pair| pair[0] == pair[1]);
    for group in groups.iter_mut() {
        let Some(login) = &group.login else { continue };
        let of_group: String =
            group.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        group.password_env = Some(match variable(&login.password) {
            Some(name) => name.to_owned(),
            None if shared => "REDIS_PASSWORD".into(),
            None => format!("REDIS_PASSWORD_{of_group}"),
        });
    }
}

/// `"${NAME}"` or `"$NAME"`: the password stood in the environment already.
fn variable(password: &str) -> Option<&str> {
    let name = password.strip_prefix(VARIABLE)?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let fine = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    fine.then_some(name)
}

fn listeners(plan: &mut Plan, proxies: &[Proxy<'_>]) {
    let mut names = HashSet::new();
    let mut without_address = Vec::new();
    for proxy in proxies.iter().filter(|proxy| !proxy.settings.binds.is_empty()) {
        let Some((group, target, note)) = target(proxy, proxies) else {
            if proxy.settings.servers.is_empty() {
                plan.remarks.push(format!("{} is skipped: it leads to no group", title(proxy.section)));
            }
            continue;
        };
        for (address, options) in &proxy.settings.binds {
            // The notes of a listen section stand at its group.
            let own = if proxy.group.is_some() { Vec::new() } else { proxy.settings.notes.clone() };
            let notes: Vec<String> = own.into_iter().chain(note.clone()).chain(bind_notes(options)).collect();
            match bind_address(address) {
                Ok(bind) => match plan.listeners.iter().find(|known| known.bind.clashes_with(&bind)) {
                    Some(known) => {
                        let (from, known) = (title(proxy.section), &known.bind);
                        plan.remarks.push(format!("{from}: its bind {bind} is NOT carried over, it clashes with {known}"));
                    }
                    None => {
                        let name = unique(&mut names, &proxy.section.name);
                        plan.listeners.push(listener(proxy, target, name, bind, &plan.groups[group].name, notes));
                    }
                },
                Err(why) => without_address.push((proxy, target, group, why, notes)),
            }
        }
    }
    for proxy in proxies {
        let Some(group) = proxy.group else { continue };
        let led_to = plan.listeners.iter().any(|listener| listener.group == plan.groups[group].name);
        if !led_to && without_address.iter().all(|(_, _, other, ..)| *other != group) {
            without_address.push((proxy, proxy, group, "no frontend of this file leads here", Vec::new()));
        }
    }
    // Made up last, so that they keep clear of the real ones.
    for (front, back, group, why, mut notes) in without_address {
        notes.push(format!("bind: NOT carried over, {why}; the address below is made up, CHANGE it"));
        let (name, bind) = (unique(&mut names, &front.section.name), made_up(plan));
        plan.listeners.push(listener(front, back, name, bind, &plan.groups[group].name, notes));
    }
}

/// The group that a frontend leads to, the section it was made of, and what to say about the choice.
fn target<'p>(proxy: &'p Proxy<'_>, proxies: &'p [Proxy<'_>]) -> Option<(usize, &'p Proxy<'p>, Option<String>)> {
    if let Some(group) = proxy.group {
        return Some((group, proxy, None));
    }
    let found =
        |name: &str| proxies.iter().find(|it| it.section.kind != "frontend" && it.section.name == name && it.group.is_some());
    let always = proxy.settings.targets.iter().filter(|(_, always)| *always).find_map(|(name, _)| found(name));
    let target = always.or_else(|| proxy.settings.targets.iter().find_map(|(name, _)| found(name)))?;
    let note =
        always.is_none().then(|| "use_backend: its condition is gone, all clients of this listener go to the group".to_owned());
    Some((target.group?, target, note))
}

fn listener(front: &Proxy<'_>, back: &Proxy<'_>, name: String, bind: BindAddress, group: &str, notes: Vec<String>) -> Listener {
    let (front_set, back_set) = (&front.settings, &back.settings);
    let of_servers = back_set.servers.iter().filter_map(|server| server.options.maxconn.clone()).max_by_key(|set| set.value);
    let own = if front.section.kind == "backend" { None } else { front_set.maxconn.clone() };
    let tunnel = back_set.timeout_tunnel.clone().or_else(|| front_set.timeout_tunnel.clone());
    let idle = match tunnel {
        Some(tunnel) => vec![Some(tunnel)],
        None => vec![front_set.timeout_client.clone(), back_set.timeout_server.clone()],
    };
    let keepalive = least([front_set.keepalive.clone(), back_set.keepalive.clone()], &limits::KEEPALIVE);
    Listener {
        from: title(front.section),
        name,
        bind,
        group: group.to_owned(),
        max_connections: least([own.or(of_servers)], &limits::MAX_CONNECTIONS),
        connect_timeout: least([back_set.timeout_connect.clone()], &limits::CONNECT_TIMEOUT),
        idle_timeout: least(idle, &limits::IDLE_TIMEOUT),
        keepalive: keepalive.map(|set| Set { value: Duration::from_secs(set.value.as_secs()), ..set }),
        notes,
    }
}

fn bind_notes(options: &[String]) -> Vec<String> {
    let has = |names: &[&str]| options.iter().any(|option| names.contains(&option.as_str()));
    let mut notes = Vec::new();
    if has(&["ssl", "crt"]) {
        notes.push("bind ssl: NOT carried over, this version takes clients without TLS alone".to_owned());
    }
    if has(&["accept-proxy"]) {
        notes.push("bind accept-proxy: NOT carried over, a PROXY header would be passed on to Redis".to_owned());
    }
    if has(&["user", "uid", "group", "gid", "mode"]) {
        notes.push("bind user, group, mode: NOT carried over, see the rights of the socket's folder".to_owned());
    }
    notes
}

fn bind_address(text: &str) -> Result<BindAddress, &'static str> {
    if let Some(path) = text.strip_prefix("unix@").or_else(|| text.starts_with('/').then_some(text)) {
        return format!("unix:{path}").parse().map_err(|_| "its path does not suit mainstay");
    }
    let every: IpAddr = if text.starts_with("ipv6@") { [0; 16].into() } else { [0; 4].into() };
    let text = text.strip_prefix("ipv4@").or_else(|| text.strip_prefix("ipv6@")).unwrap_or(text);
    if text.contains(['@', VARIABLE]) {
        return Err("mainstay knows no such address");
    }
    let (host, port) = text.rsplit_once(':').ok_or("it has no port")?;
    let port = port.parse().map_err(|_| "its port is no single number")?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip = match bare {
        "" | "*" => every,
        "localhost" => [127, 0, 0, 1].into(),
        bare => bare.parse().map_err(|_| "it is a name, and a listener needs an IP address")?,
    };
    Ok(BindAddress::Tcp(SocketAddr::new(ip, port)))
}

/// An address on loopback that no listener has yet.
fn made_up(plan: &Plan) -> BindAddress {
    let taken =
        |port: &u16| plan.listeners.iter().any(|it| matches!(it.bind, BindAddress::Tcp(address) if address.port() == *port));
    let port = (6400..=u16::MAX).find(|port| !taken(port)).unwrap_or(6400);
    BindAddress::Tcp(([127, 0, 0, 1], port).into())
}

/// HAProxy may listen where mainstay's admin does by default.
fn move_admin(plan: &mut Plan) {
    let taken =
        |port: u16| plan.listeners.iter().any(|it| matches!(it.bind, BindAddress::Tcp(address) if address.port() == port));
    plan.admin_port = taken(9600).then(|| (9601..=u16::MAX).find(|port| !taken(*port))).flatten();
}

/// An address as mainstay writes it. A port that is missing is that of the section's own listener, as in HAProxy, or Redis'.
fn server_address(text: &str, settings: &Settings) -> String {
    if let Some(path) = text.strip_prefix("unix@").or_else(|| text.starts_with('/').then_some(text)) {
        return format!("unix:{path}");
    }
    let text = text.strip_prefix("ipv4@").or_else(|| text.strip_prefix("ipv6@")).unwrap_or(text);
    let listened = settings.binds.first().and_then(|(bind, _)| bind.rsplit_once(':')?.1.parse::<u16>().ok());
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.to_owned()),
        Some((host, offset)) if offset.starts_with(['+', '-']) => (host, listened.unwrap_or(6379).to_string()),
        Some((host, "")) => (host, listened.unwrap_or(6379).to_string()),
        _ => (text, listened.unwrap_or(6379).to_string()),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") }
}

/// A name that mainstay takes and nobody has yet.
fn unique(taken: &mut HashSet<String>, name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(allowed).take(limits::NAME_CHARACTERS_MAX - 8).collect();
    let name = if name.is_empty() { "redis".to_owned() } else { name };
    let mut candidate = name.clone();
    for number in 2.. {
        if taken.insert(candidate.clone()) {
            break;
        }
        candidate = format!("{name}-{number}");
    }
    candidate
}
