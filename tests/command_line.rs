//! The built program: what it prints where, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = "[[group]]\nname = \"jobs\"\nbackends = [\"redis1:6379\"]\npassword_env = \"REDIS_PASSWORD\"\n\
                    [[listener]]\nname = \"sidekiq\"\nbind = \"127.0.0.1:6400\"\ngroup = \"jobs\"\n";

fn mainstay(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().copied()).output().expect("mainstay starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wrong: [&[&str]; 8] = [
        &["serve"],
        &["run", "--listen", "127.0.0.1:6400"],
        &["run", "--backend", "redis1:6379"],
        &["run", "--config", "x", "--listen", "127.0.0.1:6400", "--backend", "redis1:6379"],
        &["run", "--listen", "127.0.0.1:6400", "--backend", "redis1:6379", "--shared-connections"],
        &["elect", "jobs"],
        &["backend", "jobs", "redis1:6379", "off"],
        &["import", "nginx", "x"],
    ];
    for arguments in wrong {
        let output = mainstay(folder.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty() && text(&output.stderr).starts_with("error: "), "{arguments:?}");
    }
    for command in ["run", "check", "import", "status", "elect", "backend"] {
        let output = mainstay(folder.path(), &[command, "--help"], &[]);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    }
    assert_eq!(text(&mainstay(folder.path(), &["--version"], &[]).stdout), concat!("mainstay ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_file_is_the_one_named_then_the_variables_then_the_one_in_the_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["named.toml", "variable.toml", "mainstay.toml"] {
        std::fs::write(folder.path().join(name), GOOD).expect("written");
    }
    let says = |arguments: &[&str], variable: &str, expected: &str| {
        let output = mainstay(folder.path(), arguments, &[("MAINSTAY_CONFIG", variable), ("REDIS_PASSWORD", "geheim")]);
        let summary = format!("{expected} is valid: 1 group, 1 backend, 1 listener\n");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), summary), "{}", text(&output.stderr));
    };
    says(&["check", "--config", "named.toml"], "variable.toml", "named.toml");
    says(&["check"], "variable.toml", "variable.toml");
    says(&["check"], "", "mainstay.toml");
}

#[test]
fn a_missing_file_is_bad_configuration_and_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for command in ["check", "run"] {
        let output = mainstay(folder.path(), &[command], &[]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(78), String::new()));
        let said = text(&output.stderr);
        assert!(said.starts_with("mainstay.toml: there is no such file; name one with --config FILE"), "{said}");
        assert_eq!(said.lines().count(), 1);
    }
}

#[test]
fn the_effective_configuration_names_the_place_of_a_password_and_not_the_password() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("mainstay.toml"), GOOD).expect("written");
    let output = mainstay(folder.path(), &["check", "--print"], &[("REDIS_PASSWORD", "geheim")]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(printed.contains("password_env = \"REDIS_PASSWORD\" # ***\n") && !printed.contains("geheim"), "{printed}");

    let output = mainstay(folder.path(), &["check"], &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("the environment variable REDIS_PASSWORD is not set"), "{}", text(&output.stderr));
}

#[test]
fn addresses_on_the_command_line_are_checked_like_those_of_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["run", "--listen", "*:6400", "--backend", "redis1", "redis://:geheim@redis2:6379"];
    let output = mainstay(folder.path(), &arguments, &[("MAINSTAY_USERNAME", "me")]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert_eq!(said.lines().count(), 4, "{said}");
    assert!(said.contains("--listen: ") && said.contains("MAINSTAY_PASSWORD") && !said.contains("geheim"), "{said}");
}

#[test]
fn sharing_connections_without_a_file_needs_redis_mode() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["run", "--listen", "127.0.0.1:6400", "--backend", "redis1:6379", "--mode", "tcp", "--shared-connections"];
    let output = mainstay(folder.path(), &arguments, &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("--shared-connections: this works in redis mode only; say --mode redis"), "{said}");
}
