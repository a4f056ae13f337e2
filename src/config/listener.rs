//! `[[listener]]`, from as written to as meant.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::file::{Section, quoted};
use super::units::print_duration;
use super::validate::{Outside, SHARING, count, duration, name, one_of, required, size};
use super::{BindAddress, Fallback, Group, Listener, ListenerRoute, Mode, access, limits, tls};

/// The listener, and whether its `bind` is what was written.
pub(super) fn listener(section: &Section<'_>, groups: &[Group], outside: &Outside<'_>) -> (Listener, bool) {
    let bind = required(section, "bind", "write an IP address and a port: \"127.0.0.1:6400\", or \"unix:/path\"");
    let bind = bind.and_then(|bind| match bind.value.parse::<BindAddress>() {
        Ok(address) => Some(address),
        Err(fault) => {
            section.walk.fault(&bind.place, fault.wrong, fault.right);
            None
        }
    });
    let bound = bind.is_some();
    let right = "write the name of a [[group]]";
    let group = required(section, "group", right).map_or(Arc::from(""), |group| {
        if !groups.iter().any(|known| *known.name == *group.value) {
            let known: BTreeSet<_> = groups.iter().map(|group| &*group.name).filter(|name| !name.is_empty()).collect();
            let known: Vec<_> = known.into_iter().collect();
            let known = if known.is_empty() { right.to_owned() } else { format!("known: {}", known.join(", ")) };
            section.walk.missing(&group.place, format!("no group is called {}", quoted(group.value)), known);
        }
        group.value.into()
    });
    let default = Listener::new(name(section), bind.unwrap_or(BindAddress::Unix(PathBuf::new())), group);
    let mode = one_of(section, "mode", &Mode::WORDS).unwrap_or(default.mode);
    let alone = "this works in redis mode only";
    let lacks = (mode != Mode::Redis).then_some((alone, "write mode = \"redis\""));
    let shared_connections = switch(section, "shared_connections", lacks);
    let lacks = match (shared_connections, mode) {
        (true, _) => None,
        (false, Mode::Redis) => Some(("this works with shared connections only", "write shared_connections = true as well")),
        (false, Mode::Tcp) => Some((alone, SHARING)),
    };
    let is_unix = matches!(default.bind, BindAddress::Unix(_)) && bound;
    let listener = Listener {
        route: route(section),
        mode,
        shared_connections,
        verify_alignment: switch(section, "verify_alignment", lacks),
        max_connections: count(section, "max_connections", default.max_connections as u64, &limits::MAX_CONNECTIONS) as usize,
        connect_timeout: duration(section, "connect_timeout", default.connect_timeout, &limits::CONNECT_TIMEOUT),
        idle_timeout: duration(section, "idle_timeout", default.idle_timeout, &limits::IDLE_TIMEOUT),
        keepalive: keepalive(section, default.keepalive),
        allow: access::networks(section, "allow", is_unix),
        proxy_protocol_from: access::networks(section, "proxy_protocol_from", is_unix).unwrap_or_default(),
        deny_commands: access::denied(section, mode),
        tls: if section.has("tls") { tls::server(&section.table("tls"), outside) } else { None },
        auth: section.has("auth").then(|| access::auth(&section.table("auth"), outside, mode)),
        ..default
    };
    (listener, bound)
}

/// Where its traffic goes; `max_lag` and `fallback` are for replicas alone.
fn route(section: &Section<'_>) -> ListenerRoute {
    let default = limits::MAX_LAG_DEFAULT;
    let routes = [("primary", false), ("replica", true)];
    let is_replica = one_of(section, "route", &routes).unwrap_or(false);
    let max_lag = size(section, "max_lag", default, &limits::MAX_LAG);
    let fallback = one_of(section, "fallback", &Fallback::WORDS).unwrap_or(Fallback::Primary);
    if is_replica {
        return ListenerRoute::Replica { max_lag, fallback };
    }
    for key in ["max_lag", "fallback"].into_iter().filter(|key| section.has(key)) {
        section.walk.fault(
            &section.place_of(key),
            "this is for listeners that read from replicas",
            "write route = \"replica\" as well",
        );
    }
    ListenerRoute::Primary
}

/// `true` or `false`; `false` where it is not written. `lacks`: what keeps it from being true, and what to do about that.
fn switch(section: &Section<'_>, key: &str, lacks: Option<(&str, &str)>) -> bool {
    let Some(written) = section.boolean(key) else { return false };
    if let (true, Some((wrong, right))) = (written.value, lacks) {
        section.walk.fault(&written.place, wrong, right);
    }
    written.value
}

fn keepalive(section: &Section<'_>, default: Duration) -> Duration {
    let keepalive = duration(section, "keepalive", default, &limits::KEEPALIVE);
    if keepalive.subsec_millis() > 0 {
        let wrong = format!("{} is no whole number of seconds", print_duration(keepalive));
        let right = format!("the kernel counts keepalive in seconds: \"{}s\"", keepalive.as_secs());
        section.walk.fault(&section.place_of("keepalive"), wrong, right);
    }
    keepalive
}
