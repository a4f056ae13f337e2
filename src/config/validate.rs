//! From the configuration as written to the configuration as meant, with every fault found on the way.
//!
//! A value that is wrong is noted and its default taken instead, so that the walk goes on to the end. Such a configuration
//! never leaves this file: where anything was noted, the faults are the answer.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::fault::{Fault, Faults};
use super::file::{Place, Section, Walk, Written, quoted};
use super::group::group;
use super::listener::listener;
use super::secret::Secret;
use super::units::{parse_duration, parse_size, print_duration, print_size};
use super::{Admin, BindAddress, Config, Log, LogFormat, Runtime};
use super::{credentials, limits, tls};

/// Reads an environment variable; tests and `import` have their own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Reads and validates a configuration file.
pub fn load(path: &Path) -> Result<Config, Faults> {
    let file = path.display().to_string();
    let whole = |line, wrong: String, right: &str| Fault {
        file: file.as_str().into(),
        line,
        key: String::new(),
        wrong,
        right: right.into(),
    };
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(limits::FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let (wrong, right) = match error.kind() {
            std::io::ErrorKind::NotFound => ("there is no such file".into(), NO_FILE),
            _ => (format!("it cannot be read: {error}"), "it must be a file that this user may read"),
        };
        return Err(whole(None, wrong, right).into());
    }
    if bytes.len() as u64 > limits::FILE_BYTES_MAX {
        return Err(whole(None, "it is larger than 1 MiB".into(), "name a configuration file of mainstay").into());
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text, &file),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(whole(Some(line), "it is not UTF-8".into(), "save the file as UTF-8").into())
        }
    }
}

const NO_FILE: &str = "name one with --config FILE or in $MAINSTAY_CONFIG, or do without: \
                       mainstay run --listen 127.0.0.1:6400 --backend redis1:6379";

/// What to do for shared connections.
pub(super) const SHARING: &str = "write mode = \"redis\" and shared_connections = true";

/// Validates the text of a configuration. `file` is its name in messages; its folder is where a relative `password_file` is
/// looked for.
pub fn parse(text: &str, file: &str) -> Result<Config, Faults> {
    parse_with(text, file, &|name| std::env::var_os(name))
}

/// [`parse`] with an environment of one's own.
pub fn parse_with(text: &str, file: &str, environment: Environment<'_>) -> Result<Config, Faults> {
    let (walk, document) = Walk::begin(text, file);
    let folder = Path::new(file).parent().map(Path::to_path_buf).unwrap_or_default();
    let config = config(&Section::top(&walk, &document), &Outside { folder, environment });
    match walk.end() {
        None => Ok(config),
        Some(faults) => Err(faults),
    }
}

/// What a configuration can refer to.
pub(super) struct Outside<'a> {
    pub(super) folder: PathBuf,
    pub(super) environment: Environment<'a>,
}

fn config(top: &Section<'_>, outside: &Outside<'_>) -> Config {
    let log = log(&top.table("log"));
    let admin = admin(&top.table("admin"), outside);
    let runtime = runtime(&top.table("runtime"));
    let (group_sections, listener_sections) = (top.tables("group"), top.tables("listener"));
    for (key, sections, example) in [
        ("group", &group_sections, "write [[group]] with name = \"jobs\" and backends = [\"redis1:6379\"]"),
        ("listener", &listener_sections, "write [[listener]] with name, bind = \"127.0.0.1:6400\" and group"),
    ] {
        if sections.is_empty() && !top.has(key) {
            top.walk.missing(&top.place_of(key), format!("there is no {key}"), example);
        }
    }
    let groups: Vec<_> = group_sections.iter().map(|section| group(section, outside)).collect();
    let listeners: Vec<_> = listener_sections.iter().map(|section| listener(section, &groups, outside)).collect();
    names_apart(&group_sections, groups.iter().map(|group| &group.name));
    names_apart(&listener_sections, listeners.iter().map(|(listener, _)| &listener.name));
    let mut taken = vec![(BindAddress::Tcp(admin.bind), "admin.bind".to_owned())];
    for (section, (listener, bound)) in listener_sections.iter().zip(&listeners) {
        if *bound {
            let place = section.place_of("bind");
            binds_apart(top.walk, &place, &listener.bind, taken.iter().map(|(bind, key)| (bind, key.as_str())));
            taken.push((listener.bind.clone(), place.key));
        }
    }
    Config { log, admin, runtime, groups, listeners: listeners.into_iter().map(|(listener, _)| listener).collect() }
}

fn log(section: &Section<'_>) -> Log {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let right = "write error, warn, info, debug or trace, or RUST_LOG syntax such as \"warn,mainstay=debug\"";
    let default = Log::default();
    let level = section.string("level", right).filter(|level| {
        // A lone word that is no level would be read as the name of a module, and show nothing of the rest.
        let words = level.value.split(',').map(str::trim);
        let plain =
            words.filter(|word| !word.contains(['=', '[', ':'])).all(|word| LEVELS.contains(&&*word.to_ascii_lowercase()));
        let fine = plain && EnvFilter::builder().parse(level.value).is_ok();
        if !fine {
            section.walk.fault(&level.place, format!("{} is no log level", quoted(level.value)), right);
        }
        fine
    });
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = one_of(section, "format", &formats).unwrap_or(default.format);
    Log { level: level.map_or(default.level, |level| level.value.into()), format }
}

fn admin(section: &Section<'_>, outside: &Outside<'_>) -> Admin {
    let right = "write an IP address and a port: \"127.0.0.1:9600\"";
    let bind = section.string("bind", right).and_then(|bind| match bind.value.parse::<SocketAddr>() {
        Ok(address) => Some(address),
        Err(_) => {
            section.walk.fault(&bind.place, format!("{} is no address to listen on", quoted(bind.value)), right);
            None
        }
    });
    let right = "write the path of a file that holds the token and nothing else";
    Admin {
        bind: bind.unwrap_or(Admin::default().bind),
        token: token(section, right, outside),
        tls: if section.has("tls") { tls::server(&section.table("tls"), outside) } else { None },
    }
}

/// It becomes a header of HTTP.
fn token(section: &Section<'_>, right: &str, outside: &Outside<'_>) -> Option<Secret> {
    let token = credentials::secret_file(section, "token_file", right, outside)?;
    let fine = token.expose().len() >= limits::TOKEN_BYTES_MIN && token.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if !fine {
        let wrong = format!("the token has to be {} letters, digits or signs at least, without blanks", limits::TOKEN_BYTES_MIN);
        section.walk.fault(&section.place_of("token_file"), wrong, "make one with `openssl rand -hex 32`");
    }
    fine.then_some(token)
}

fn runtime(section: &Section<'_>) -> Runtime {
    let default = Runtime::default();
    Runtime {
        workers: count(section, "workers", default.workers as u64, &limits::WORKERS) as usize,
        drain_timeout: duration(section, "drain_timeout", default.drain_timeout, &limits::DRAIN_TIMEOUT),
    }
}

/// The section's `name`; empty where it is missing or wrong.
pub(super) fn name(section: &Section<'_>) -> Arc<str> {
    let right = "write letters, digits, `_`, `.` and `-`, at most 64: it is a label of metrics";
    let Some(name) = required(section, "name", right) else { return "".into() };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.value.is_empty() || name.value.len() > limits::NAME_CHARACTERS_MAX || !name.value.chars().all(allowed) {
        section.walk.fault(&name.place, format!("{} is no name", quoted(name.value)), right);
        return "".into();
    }
    name.value.into()
}

fn names_apart<'n>(sections: &[Section<'_>], names: impl Iterator<Item = &'n Arc<str>>) {
    let mut first = HashMap::new();
    for (section, name) in sections.iter().zip(names).filter(|(_, name)| !name.is_empty()) {
        let place = section.place_of("name");
        if let Some(line) = first.get(name) {
            let wrong = format!("the name \"{name}\" is taken by the one in line {line}");
            section.walk.fault(&place, wrong, "give each its own name");
        } else {
            first.insert(name.clone(), place.line.unwrap_or_default());
        }
    }
}

/// Notes where the kernel would refuse `bind` beside one of `taken`.
pub(super) fn binds_apart<'b>(
    walk: &Walk,
    place: &Place,
    bind: &BindAddress,
    taken: impl IntoIterator<Item = (&'b BindAddress, &'b str)>,
) {
    if let Some((other, key)) = taken.into_iter().find(|(other, _)| bind.clashes_with(other)) {
        walk.fault(place, format!("{bind} clashes with {other} of {key}"), "give each its own address or port");
    }
}

pub(super) fn required<'w>(section: &Section<'w>, key: &str, right: &str) -> Option<Written<&'w str>> {
    if !section.has(key) {
        section.walk.missing(&section.place_of(key), "it is missing", right);
    }
    section.string(key, right)
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(section: &Section<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
    let listed: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let right = format!("write {}", listed.join(" or "));
    let written = section.string(key, &right)?;
    let found = words.iter().find(|(word, _)| *word == written.value);
    if found.is_none() {
        let right = if (key, written.value) == ("mode", "shared") { SHARING } else { &right };
        section.walk.fault(&written.place, format!("{} is none of the values", quoted(written.value)), right);
    }
    found.map(|(_, value)| *value)
}

pub(super) fn duration(section: &Section<'_>, key: &str, default: Duration, limits: &RangeInclusive<Duration>) -> Duration {
    let right = "write a duration with its unit: \"250ms\", \"5s\", \"1m\", \"24h\"";
    let Some(text) = section.string(key, right) else { return default };
    match parse_duration(text.value) {
        Ok(value) => {
            within(section, &text.place, value, limits, print_duration);
            value
        }
        Err(right) => {
            section.walk.fault(&text.place, format!("{} is no duration", quoted(text.value)), right);
            default
        }
    }
}

pub(super) fn size(section: &Section<'_>, key: &str, default: u64, limits: &RangeInclusive<u64>) -> u64 {
    let right = "write a size with its unit: \"64MiB\", \"512KiB\", or a whole number of bytes";
    let Some(size) = section.number(key, right, Some(parse_size)) else { return default };
    within(section, &size.place, size.value, limits, print_size);
    size.value
}

pub(super) fn count(section: &Section<'_>, key: &str, default: u64, limits: &RangeInclusive<u64>) -> u64 {
    let right = format!("write a whole number from {} to {}", limits.start(), limits.end());
    let Some(number) = section.number(key, &right, None) else { return default };
    within(section, &number.place, number.value, limits, |value| value);
    if limits.contains(&number.value) { number.value } else { default }
}

fn within<T: PartialOrd + Copy, D: Display>(
    section: &Section<'_>,
    place: &Place,
    value: T,
    limits: &RangeInclusive<T>,
    print: fn(T) -> D,
) {
    if !limits.contains(&value) {
        let side = if value < *limits.start() { "small" } else { "large" };
        let right = format!("it can be from {} to {}", print(*limits.start()), print(*limits.end()));
        section.walk.fault(place, format!("{} is too {side}", print(value)), right);
    }
}
