//! The configuration: files that are right, files that are wrong with every message, and what holds for all of them.
//!
//! `tests/config/invalid/NAME.toml` is expected to give the messages in `NAME.stderr`. After a wanted change run
//! `BLESS=1 cargo test --test config` and read the difference.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mainstay::config::SECTIONS;
use mainstay::config::secret::{Origin, Secret};
use mainstay::config::{
    Admin, BackendAddress, BindAddress, Check, Config, Credentials, Fallback, Group, Hold, Listener, ListenerRoute, Log,
    LogFormat, Mode, Runtime, load, parse, parse_with,
};
use proptest::prelude::*;

const MAINSTAY: &str = env!("CARGO_BIN_EXE_mainstay");

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let files = std::fs::read_dir(folder).expect("the fixtures are there").map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn mainstay(folder: &Path) -> Command {
    let mut command = Command::new(MAINSTAY);
    command.current_dir(folder).env_clear();
    command
}

#[test]
fn every_fault_of_a_file_is_reported_at_once_and_no_password_with_them() {
    for path in fixtures("invalid") {
        let folder = path.parent().expect("a fixture has a folder");
        let output =
            mainstay(folder).args(["check", "--config"]).arg(path.file_name().expect("a file")).output().expect("starts");
        let found = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(78), "{}: {found}", path.display());
        assert!(output.stdout.is_empty());
        assert!(!found.contains("hunter2"), "a password is printed: {found}");
        let messages = path.with_extension("stderr");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&messages, &found).expect("the fixtures can be written");
        }
        let expected = std::fs::read_to_string(&messages).unwrap_or_default();
        assert_eq!(found, expected, "{}", path.display());
    }
}

#[test]
fn a_valid_file_reads_back_from_its_effective_form() {
    for path in fixtures("valid") {
        let config = load(&path).unwrap_or_else(|faults| panic!("{faults}"));
        let printed = config.to_toml();
        assert!(!printed.contains("geheim"), "a password is printed: {printed}");
        assert_eq!(parse(&printed, "elsewhere/mainstay.toml").as_ref(), Ok(&config), "{printed}");
        assert!(!format!("{config:?}").contains("geheim"), "a password is printed by Debug");
    }
}

#[test]
fn a_password_file_is_found_beside_the_configuration_and_loses_its_newline() {
    let path = fixtures("valid").into_iter().find(|path| path.ends_with("everything.toml")).expect("the fixture");
    let config = load(&path).unwrap_or_else(|faults| panic!("{faults}"));
    let credentials = config.groups[0].credentials.as_ref().expect("credentials");
    assert_eq!(credentials.username.as_deref(), Some("mainstay"));
    assert_eq!(credentials.password.expose(), "geheim # \"x\"");
    assert!(matches!(credentials.password.origin(), Origin::File(path) if path.is_absolute()));
}

#[test]
fn the_documented_configuration_equals_the_defaults_and_names_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mainstay.toml");
    let documented = std::fs::read_to_string(&path).expect("it is there");
    let minimal = fixtures("valid").into_iter().find(|path| path.ends_with("minimal.toml")).expect("the fixture");
    assert_eq!(
        load(&path).unwrap_or_else(|faults| panic!("{faults}")),
        load(&minimal).unwrap_or_else(|faults| panic!("{faults}"))
    );
    let mut section = "";
    let mut found = vec![];
    for line in documented.lines() {
        let bare = line.trim_start_matches("# ");
        if let Some(name) = bare.strip_prefix('[').filter(|name| name.ends_with(']') && !name.contains(' ')) {
            section = name.trim_matches(['[', ']']);
            found.push(section.rsplit_once('.').unwrap_or(("", section)));
        } else if let Some((key, _)) = bare.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            found.push((section, key));
        }
    }
    for (section, keys) in SECTIONS {
        for key in keys {
            assert!(found.contains(&(section, key)), "config/mainstay.toml does not document {section} {key}");
        }
    }
    for (section, key) in found {
        let known = SECTIONS.iter().find(|(name, _)| *name == section).expect("a known section").1;
        assert!(known.contains(&key), "config/mainstay.toml documents {section} {key}, which does not exist");
    }
}

#[test]
fn addresses_alone_make_a_configuration_with_every_default() {
    let password = Secret::from_origin("geheim", Origin::Env("MAINSTAY_PASSWORD".into()));
    let backends = ["redis1:6379".to_owned(), "redis2:6379".to_owned()];
    let quick = Config::quick("127.0.0.1:6400", &backends, (Mode::Redis, true), Some("me".into()), Some(password))
        .unwrap_or_else(|f| panic!("{f}"));
    let text = "[[group]]\nname = 'default'\nbackends = ['redis1:6379', 'redis2:6379']\nusername = 'me'\npassword_env = 'X'\n\
                [[listener]]\nname = 'default'\nbind = '127.0.0.1:6400'\ngroup = 'default'\nmode = 'redis'\n\
                shared_connections = true";
    assert_eq!(parse_with(text, "x", &|_| Some("geheim".into())), Ok(quick.clone()));
    assert!(quick.to_toml().contains("password_env = \"MAINSTAY_PASSWORD\""));

    let faults =
        Config::quick("127.0.0.1:9600", &["a:1".into(), "a:1".into(), "b".into()], (Mode::Tcp, true), Some("me".into()), None);
    let faults = faults.expect_err("five faults").to_string();
    assert_eq!(faults.lines().count(), 5, "{faults}");
    assert!(faults.lines().all(|line| line.starts_with("command line: ")), "{faults}");
}

#[test]
fn a_file_that_is_not_text_or_not_there_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("mainstay.toml");
    let fault = |path: &Path| load(path).expect_err("a fault").to_string();
    assert!(fault(&path).contains("there is no such file; name one with --config FILE"), "{}", fault(&path));
    std::fs::write(&path, b"[log]\n# \xff\n").expect("written");
    assert!(fault(&path).ends_with(":2: it is not UTF-8; save the file as UTF-8"), "{}", fault(&path));
    std::fs::write(&path, vec![b'\n'; (1 << 20) + 1]).expect("written");
    assert!(fault(&path).contains("larger than 1 MiB"), "{}", fault(&path));
    assert!(fault(folder.path()).contains("it cannot be read"), "{}", fault(folder.path()));
}

#[test]
fn a_hopeless_file_gives_a_bounded_answer_soon() {
    let many = "x = \n".repeat(20_000) + &"[[group]]\n".repeat(50_000);
    let faults = parse(&many, "x").expect_err("faults").to_string();
    assert!(faults.lines().count() < 60);
}

prop_compose! {
    fn a_backend()(kind in 0..5, name in "[a-z][a-z0-9_-]{0,8}(\\.[a-z]{1,5})?", port in 1u16.., path in "/[a-z \"'\\\\\u{e9}\t#]{1,20}", v6: u128)
        -> BackendAddress {
        match kind {
            0 => BackendAddress::Unix(path.into()),
            3 => BackendAddress::Service(format!("_redis._tcp.{name}")),
            1 => BackendAddress::Tcp { host: std::net::Ipv6Addr::from(v6).to_string(), port },
            2 => BackendAddress::Tcp { host: std::net::Ipv4Addr::from(v6 as u32).to_string(), port },
            _ => BackendAddress::Tcp { host: name, port },
        }
    }
}

fn millis(range: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

prop_compose! {
    fn a_group()(
        backends in prop::collection::hash_set(a_backend(), 1..5),
        username in prop::option::of("[^\\s\\p{C}]{1,10}"),
        password in prop::option::of("[A-Z_]{1,8}"),
        resolve_interval in millis(1000..=86_400_000),
        max_succession_gap in 0u64..=1 << 50,
        (interval, fast) in (5u64..=3_600_000).prop_flat_map(|interval| (Just(interval), 5..=interval)),
        timeout in millis(5..=60_000),
        (rise, fall) in (1u32..=1000, 1u32..=1000),
        window in millis(0..=3_600_000),
        max_bytes in 4096u64..=1 << 40,
    ) -> Group {
        // The environment of the test answers each name with the name itself.
        let password = password.map(|name| Secret::from_origin(name.clone(), Origin::Env(name)));
        Group {
            credentials: password.map(|password| Credentials { username, password }),
            resolve_interval,
            max_succession_gap,
            check: Check { interval: Duration::from_millis(interval), fast_interval: Duration::from_millis(fast), timeout, rise, fall },
            hold: Hold { window, max_bytes },
            ..Group::new("", backends.into_iter().collect())
        }
    }
}

prop_compose! {
    fn a_listener()(
        socket in prop::option::of("/[a-z \"'\\\\]{1,20}"),
        group: prop::sample::Index,
        mode in prop::sample::select(vec![Mode::Tcp, Mode::Redis]),
        max_connections in 1usize..=1_000_000,
        connect_timeout in millis(10..=60_000),
        idle_timeout in millis(1000..=8760 * 3_600_000),
        keepalive in 1u64..=32767,
        replica in prop::option::of((0u64..=1 << 50, prop::sample::select(vec![Fallback::Primary, Fallback::Refuse]))),
        denied in prop::collection::hash_set("[A-Z]{1,8}(\\|[A-Z]{1,8})?", 0..3),
    ) -> (Option<String>, prop::sample::Index, Listener) {
        let route = replica.map(|(max_lag, fallback)| ListenerRoute::Replica { max_lag, fallback });
        let listener = Listener {
            route: route.unwrap_or(ListenerRoute::Primary),
            deny_commands: if mode == Mode::Redis { denied.into_iter().collect() } else { Vec::new() },
            mode,
            max_connections,
            connect_timeout,
            idle_timeout,
            keepalive: Duration::from_secs(keepalive),
            ..Listener::new("", BindAddress::Unix(PathBuf::new()), "")
        };
        (socket, group, listener)
    }
}

prop_compose! {
    fn a_config()(
        mut groups in prop::collection::vec(a_group(), 1..4),
        listeners in prop::collection::vec(a_listener(), 1..4),
        level in prop::sample::select(vec!["info", "warn,mainstay=trace", "off"]),
        format in prop::sample::select(vec![LogFormat::Text, LogFormat::Json]),
        (workers, drain_timeout) in (0usize..=1024, millis(0..=86_400_000)),
        names in prop::collection::vec("[A-Za-z0-9_.-]{1,20}", 8),
    ) -> Config {
        for (index, group) in groups.iter_mut().enumerate() {
            group.name = format!("{}{index}", names[index]).into();
        }
        let listeners = listeners.into_iter().enumerate().map(|(index, (socket, group, listener))| Listener {
            name: format!("{}{index}", names[index + 4]).into(),
            bind: match socket {
                Some(path) => BindAddress::Unix(format!("{path}{index}").into()),
                None => BindAddress::Tcp(([127, 0, 0, 1], 6400 + index as u16).into()),
            },
            group: group.get(&groups).name.clone(),
            ..listener
        });
        Config {
            log: Log { level: level.into(), format },
            admin: Admin::default(),
            runtime: Runtime { workers, drain_timeout },
            listeners: listeners.collect(),
            groups,
        }
    }
}

proptest! {
    #[test]
    fn every_configuration_reads_back_from_its_effective_form(config in a_config()) {
        let printed = config.to_toml();
        let read = parse_with(&printed, "mainstay.toml", &|name| Some(name.into()));
        prop_assert_eq!(read, Ok(config), "{}", printed);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(&text, "x");
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&String::from_utf8_lossy(&bytes), "x");
    }

    /// Damage to a valid file reaches further than noise does.
    #[test]
    fn no_damaged_file_panics(at in any::<prop::sample::Index>(), length in 0usize..40, insert in "[\\[\\]{}=\",\n.a0#\\\\ -]{0,12}") {
        let text = include_str!("config/valid/everything.toml");
        let start = at.index(text.len());
        let end = (start + length).min(text.len());
        let damaged = [&text.as_bytes()[..start], insert.as_bytes(), &text.as_bytes()[end..]].concat();
        if let Err(faults) = parse(&String::from_utf8_lossy(&damaged), "x") {
            prop_assert!(faults.to_string().lines().all(|line| line.starts_with("x:") || line.starts_with("... and ")));
        }
    }
}
