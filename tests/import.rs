//! `mainstay import haproxy`: files of the kind that people run, and what becomes of them.
//!
//! `tests/import/NAME.cfg` is expected to give `NAME.toml` and `NAME.stderr`. After a wanted change run
//! `BLESS=1 cargo test --test import` and read the difference.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mainstay::config::{BackendAddress, Config, parse_with};

fn import(name: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["import", "haproxy", name]).current_dir(folder()).env_clear().output().expect("mainstay starts")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn imported(name: &str) -> Config {
    let toml = text(&import(name).stdout);
    parse_with(&toml, name, &|_| Some("geheim".into())).unwrap_or_else(|faults| panic!("{faults}\n{toml}"))
}

#[test]
fn every_example_becomes_what_is_expected() {
    for name in ["quoted", "sidekiq", "listen", "none"] {
        let output = import(&format!("{name}.cfg"));
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{name}: a password is printed");
        assert_eq!(output.status.code(), Some(i32::from(name == "none")), "{name}: {err}");
        for (found, end) in [(out, "toml"), (err, "stderr")] {
            let path = folder().join(name).with_extension(end);
            if std::env::var_os("BLESS").is_some() {
                std::fs::write(&path, &found).expect("written");
            }
            assert_eq!(found, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        }
    }
}

#[test]
fn what_is_imported_passes_check() {
    for name in ["quoted.toml", "sidekiq.toml", "listen.toml"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        let variables = ["REDIS_PASSWORD", "REDIS_PASSWORD_QUEUE", "REDIS_PASSWORD_LATE", "OTHER_PASSWORD"];
        command.args(["check", "--config", name]).current_dir(folder()).env_clear().envs(variables.map(|name| (name, "geheim")));
        let output = command.output().expect("mainstay starts");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

#[test]
fn the_section_that_many_teams_run_keeps_its_numbers() {
    let config = imported("quoted.cfg");
    let (group, listener) = (&config.groups[0], &config.listeners[0]);
    assert_eq!(group.backends, [BackendAddress::Tcp { host: "redis1".into(), port: 6379 }]);
    assert_eq!((group.check.rise, group.check.fall, group.check.interval.as_secs()), (2, 5, 1));
    assert_eq!((listener.max_connections, listener.idle_timeout.as_secs()), (1000, 86400));
}

#[test]
fn a_frontend_leads_to_the_group_of_its_backend_at_each_of_its_addresses() {
    let config = imported("sidekiq.cfg");
    let binds: Vec<_> = config.listeners.iter().map(|listener| (listener.bind.to_string(), &*listener.group)).collect();
    assert_eq!(binds, [("127.0.0.1:6400".into(), "bk_sidekiq"), ("[::1]:6400".into(), "bk_sidekiq")]);
    let credentials = config.groups[0].credentials.as_ref().expect("the checks logged in");
    assert_eq!(credentials.username.as_deref(), Some("sidekiq"));
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let output = import("nowhere.cfg");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("mainstay: nowhere.cfg: cannot be opened; name an haproxy.cfg"));
}
