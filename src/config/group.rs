//! `[[group]]`, from as written to as meant.

use super::file::{Place, Section, Walk, Written};
use super::units::print_duration;
use super::validate::{Outside, count, duration, name, size};
use super::{BackendAddress, Check, Group, Hold, credentials, limits, sentinel, tls};

pub(super) fn group(section: &Section<'_>, outside: &Outside<'_>) -> Group {
    let sentinel = section.has("sentinel").then(|| sentinel::sentinel(&section.table("sentinel"), outside));
    let default = Group::new(name(section), backends(section, sentinel.is_some()));
    Group {
        credentials: credentials::credentials(section, outside),
        tls: section.has("tls").then(|| tls::client(&section.table("tls"), outside)),
        sentinel,
        resolve_interval: duration(section, "resolve_interval", default.resolve_interval, &limits::RESOLVE_INTERVAL),
        max_succession_gap: size(section, "max_succession_gap", default.max_succession_gap, &limits::MAX_SUCCESSION_GAP),
        check: check(&section.table("check")),
        hold: hold(&section.table("hold")),
        ..default
    }
}

fn check(section: &Section<'_>) -> Check {
    let default = Check::default();
    let interval = duration(section, "interval", default.interval, &limits::INTERVAL);
    // An interval below the default fast_interval pulls that default down with it.
    let fast_default = default.fast_interval.min(interval);
    let fast_interval = duration(section, "fast_interval", fast_default, &limits::FAST_INTERVAL);
    if fast_interval > interval {
        let (fast, slow) = (print_duration(fast_interval), print_duration(interval));
        let wrong = format!("{fast} is longer than the interval of {slow}");
        section.walk.fault(&section.place_of("fast_interval"), wrong, format!("write at most \"{slow}\""));
    }
    Check {
        interval,
        fast_interval,
        timeout: duration(section, "timeout", default.timeout, &limits::TIMEOUT),
        rise: count(section, "rise", default.rise.into(), &limits::RISE_FALL) as u32,
        fall: count(section, "fall", default.fall.into(), &limits::RISE_FALL) as u32,
    }
}

fn hold(section: &Section<'_>) -> Hold {
    let default = Hold::default();
    Hold {
        window: duration(section, "window", default.window, &limits::WINDOW),
        max_bytes: size(section, "max_bytes", default.max_bytes, &limits::MAX_BYTES),
    }
}

/// With Sentinels to ask, they may be left out.
fn backends(section: &Section<'_>, sentinel: bool) -> Vec<BackendAddress> {
    let right = "write a list of addresses: [\"redis1:6379\", \"redis2:6379\"]";
    if !section.has("backends") && !sentinel {
        section.walk.missing(&section.place_of("backends"), "it is missing", right);
    }
    let Some(written) = section.strings("backends", right) else { return Vec::new() };
    addresses(section.walk, &written.place, written.value, "a group needs at least one backend")
}

/// Each address once, at least one. `needed`: what to say where there is none.
pub(super) fn addresses(walk: &Walk, list: &Place, written: Vec<Written<&str>>, needed: &str) -> Vec<BackendAddress> {
    let mut backends: Vec<BackendAddress> = Vec::new();
    if written.is_empty() {
        walk.missing(list, "the list is empty", needed);
    } else if written.len() > limits::BACKENDS_MAX {
        walk.fault(list, format!("{} are too many", written.len()), format!("at most {}", limits::BACKENDS_MAX));
        return backends;
    }
    for text in written {
        match text.value.parse::<BackendAddress>() {
            Ok(address) if backends.contains(&address) => {
                walk.fault(&text.place, format!("{address} stands in the list already"), "write each once");
            }
            Ok(address) => backends.push(address),
            Err(fault) => walk.fault(&text.place, fault.wrong, fault.right),
        }
    }
    backends
}
