//! A plan as a mainstay.toml with comments.

use std::fmt::{Display, Write};

use mainstay::config::units::print_duration;

use super::meaning::{Group, Listener, Plan};
use super::settings::Set;

/// The text. Everything that stems from the imported file passes `comment` or `quoted` on its way here.
pub fn toml(plan: &Plan, file: &str) -> String {
    let mut out = String::new();
    comment(
        &mut out,
        &format!("Made of {file} by `mainstay import haproxy`. Read the comments, then: mainstay check --config FILE"),
    );
    comment(&mut out, "What is not set has its default; config/mainstay.toml of mainstay describes every key.");
    for remark in &plan.remarks {
        comment(&mut out, &format!("- {remark}"));
    }
    if let Some(port) = plan.admin_port {
        line(&mut out, "\n[admin]");
        comment(&mut out, "The default port is taken by a listener below.");
        line(&mut out, &format!("bind = \"127.0.0.1:{port}\""));
    }
    plan.groups.iter().for_each(|entry| group(&mut out, entry));
    plan.listeners.iter().for_each(|entry| listener(&mut out, entry));
    out
}

fn group(out: &mut String, group: &Group) {
    line(out, "\n[[group]]");
    comment(out, &format!("from: {}", group.from));
    group.notes.iter().for_each(|note| comment(out, note));
    line(out, &format!("name = {}", quoted(&group.name)));
    line(out, "backends = [");
    for (address, name) in &group.backends {
        line(out, &format!("    {}, # {}", quoted(address), plain(name)));
    }
    line(out, "]");
    if let (Some(login), Some(variable)) = (&group.login, &group.password_env) {
        if let Some(username) = &login.username {
            line(out, &format!("username = {}", quoted(username)));
        }
        comment(out, "The password of `tcp-check send AUTH` belongs into this environment variable, or use password_file.");
        line(out, &format!("password_env = {}", quoted(variable)));
    }
    let times = [("interval", &group.interval), ("fast_interval", &group.fast_interval), ("timeout", &group.timeout)];
    let counts = [("rise", &group.rise), ("fall", &group.fall)];
    if times.iter().any(|(_, set)| set.is_some()) || counts.iter().any(|(_, set)| set.is_some()) {
        line(out, "\n[group.check]");
    }
    times.into_iter().for_each(|(key, set)| value(out, key, set, |value| quoted(print_duration(*value))));
    counts.into_iter().for_each(|(key, set)| value(out, key, set, u64::to_string));
}

fn listener(out: &mut String, listener: &Listener) {
    line(out, "\n[[listener]]");
    comment(out, &format!("from: {}", listener.from));
    listener.notes.iter().for_each(|note| comment(out, note));
    line(out, &format!("name = {}", quoted(&listener.name)));
    line(out, &format!("bind = {}", quoted(&listener.bind)));
    line(out, &format!("group = {}", quoted(&listener.group)));
    value(out, "max_connections", &listener.max_connections, u64::to_string);
    let times = [
        ("connect_timeout", &listener.connect_timeout),
        ("idle_timeout", &listener.idle_timeout),
        ("keepalive", &listener.keepalive),
    ];
    times.into_iter().for_each(|(key, set)| value(out, key, set, |value| quoted(print_duration(*value))));
}

fn value<T>(out: &mut String, key: &str, set: &Option<Set<T>>, print: impl Fn(&T) -> String) {
    if let Some(set) = set {
        line(out, &format!("{key} = {} # {}", print(&set.value), plain(&set.by)));
    }
}

fn comment(out: &mut String, text: &str) {
    line(out, &format!("# {}", plain(text)));
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// Text that cannot leave its comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn quoted(value: impl Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}
