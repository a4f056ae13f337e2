//! Who may say what on a listener in redis mode, on real servers: users of mainstay's own, denied commands.

mod harness;
#[allow(dead_code)] // each test binary uses its part
#[path = "unnoticed/programs.rs"]
mod programs;

mod access {
    mod clients;
    mod denied;
    mod logins;
    mod secrets;
}

use harness::*;
use ring::digest::{SHA256, digest};

/// As it stands in the configuration.
fn user(name: &str, password: &str) -> String {
    let hash: String = digest(&SHA256, password.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}:{hash}")
}

/// What the applications know, and what only mainstay knows.
const APP: &str = "the-word-of-the-application";
const DEFAULT: &str = "the-word-of-nobody-in-particular";
const OWN: &str = "the-word-of-mainstay";

/// A server that knows nobody but mainstay.
fn locked(lines: &[&str]) -> Redis {
    let acl = format!("user mainstay on >{OWN} ~* &* +@all");
    let own = format!("requirepass {OWN}");
    let back = format!("masterauth {OWN}");
    Redis::start(&[&[&*acl, &*own, &*back][..], lines].concat())
}

/// The two ways in redis mode.
const WAYS: [&str; 2] = ["mode = \"redis\"", "mode = \"redis\"\nshared_connections = true"];

/// A listener with the users `app` and `default`.
fn guarded<'a>(servers: impl IntoIterator<Item = &'a Redis>, way: &str) -> Setup {
    Setup::of(servers)
        .group("username = \"mainstay\"\npassword_env = \"OWN\"")
        .environment("OWN", OWN)
        .listener(way)
        .more(format!("[listener.auth]\nusers = [\"{}\", \"{}\"]", user("app", APP), user("default", DEFAULT)))
}
