//! `mainstay import haproxy`: any text gives a plan, and the plan is valid configuration wherever its words are.

#[path = "../../../src/cli/import/haproxy.rs"]
#[allow(clippy::module_inception)]
mod haproxy;
#[path = "../../../src/cli/import/meaning.rs"]
mod meaning;
#[path = "../../../src/cli/import/server.rs"]
mod server;
#[path = "../../../src/cli/import/settings.rs"]
mod settings;
#[path = "../../../src/cli/import/write.rs"]
mod write;

use mainstay::config::parse_with;

/// Panics where a rule is broken.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let plan = meaning::plan(&haproxy::sections(&text));
    let toml = write::toml(&plan, "fuzzed.cfg");
    // What cannot be known is left to the reader, so faults are allowed; a text that is no TOML is not.
    if let Err(faults) = parse_with(&toml, "imported.toml", &|_| Some("set later".into())) {
        assert!(!faults.to_string().contains("this is no TOML"), "{faults}\n{toml}");
    }
}
