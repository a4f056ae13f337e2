//! Who may connect to a listener, as whom, and what they may not say.

use std::fmt;
use std::path::PathBuf;

use super::credentials::{credentials, is_username, read_file};
use super::fault::Wrong;
use super::file::{Place, Section, Written, quoted};
use super::limits::{NETWORKS_MAX, USERS_FILE_BYTES_MAX, USERS_MAX};
use super::network::Network;
use super::validate::Outside;
use super::{Credentials, Mode};

/// `[listener.auth]`: users of mainstay's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerAuth {
    /// At least one, each name once.
    pub users: Vec<User>,
    /// The file that they come from.
    pub users_file: Option<PathBuf>,
    /// Who their sessions are to the backend; absent: the group's own credentials.
    pub identity: Option<Credentials>,
}

/// A user of mainstay's own. Whoever gives a password alone is the user `default`.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// As in AUTH.
    pub name: String,
    /// SHA-256 of the password, as in Redis' own ACL files.
    pub password_sha256: [u8; 32],
}

/// A password can be guessed from its hash, so that is not shown either.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.name)
    }
}

const USER: &str = "write \"name:hash\"; the hash is what `printf %s PASSWORD | sha256sum` says";

/// The users of a `[listener.auth]` that is there.
pub(super) fn auth(section: &Section<'_>, outside: &Outside<'_>, mode: Mode) -> ListenerAuth {
    if mode != Mode::Redis {
        section.walk.fault(&section.place, "this works in redis mode only", "write mode = \"redis\"");
    }
    let mut users = Vec::new();
    let listed = section.strings("users", USER);
    let mut users_file = None;
    if let Some(file) = section.string("users_file", "write the path of a file with one name:hash a line") {
        let path = outside.folder.join(file.value);
        match read_file(&path, USERS_FILE_BYTES_MAX) {
            Ok(text) => {
                for (line, written) in lines(&text) {
                    let place = Place { line: file.place.line, key: format!("{} line {line}", file.place.key) };
                    add(section, &mut users, &Written { value: written, place });
                }
                if lines(&text).next().is_none() {
                    section.walk.missing(&file.place, "there is no user in it", USER);
                }
            }
            Err(wrong) => section.walk.fault(&file.place, wrong, "write the path of a file with one name:hash a line"),
        }
        users_file = Some(std::path::absolute(&path).unwrap_or(path));
        if section.has("users") {
            section.walk.fault(&section.place_of("users"), "users_file is set too", "keep one of the two");
        }
    }
    let listed = listed.map_or(Vec::new(), |list| list.value);
    if listed.is_empty() && !section.has("users_file") {
        section.walk.missing(&section.place_of("users"), "there is no user", USER);
    }
    for user in &listed {
        add(section, &mut users, user);
    }
    if users.len() > USERS_MAX {
        section.walk.fault(&section.place, format!("{} users are too many", users.len()), format!("at most {USERS_MAX}"));
    }
    ListenerAuth { users, users_file, identity: credentials(section, outside) }
}

/// The lines of a users_file that say something, counted from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let all = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    all.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// The users of the text of a users_file, or what is wrong with it and in which line.
pub(super) fn users_of(text: &str) -> Result<Vec<User>, (Option<usize>, Wrong)> {
    let mut users = Vec::new();
    for (line, written) in lines(text) {
        let user = user(&users, written).map_err(|wrong| (Some(line), wrong))?;
        users.push(user);
    }
    match users.len() {
        0 => Err((None, ("there is no user in it".into(), USER))),
        many if many > USERS_MAX => Err((None, (format!("{many} users are too many"), "write fewer; the limit is 4096"))),
        _ => Ok(users),
    }
}

fn add(section: &Section<'_>, users: &mut Vec<User>, written: &Written<&str>) {
    match user(users, written.value) {
        Ok(user) => users.push(user),
        Err((wrong, right)) => section.walk.fault(&written.place, wrong, right),
    }
}

/// One more user. The name is repeated in messages only where the rest has the form of a hash: it may be the password.
fn user(users: &[User], written: &str) -> Result<User, Wrong> {
    let (name, hash) = written.rsplit_once(':').ok_or_else(|| ("it is no user".into(), USER))?;
    let wrong = "what stands behind the colon is no SHA-256 in hexadecimal digits";
    let password_sha256 = hex(hash).ok_or_else(|| (wrong.into(), USER))?;
    if !is_username(name) {
        return Err(("its name is empty or has blanks in it".into(), "write the user's name as in ACL SETUSER"));
    }
    if users.iter().any(|user| user.name == name) {
        return Err((format!("the user {} is there already", quoted(name)), "write each once"));
    }
    Ok(User { name: name.into(), password_sha256 })
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// A list of networks, if the key is there.
pub(super) fn networks(section: &Section<'_>, key: &str, is_unix: bool) -> Option<Vec<Network>> {
    let right = "write a list of networks: [\"127.0.0.0/8\", \"10.0.0.0/8\"]";
    let list = section.strings(key, right)?;
    if is_unix {
        let wrong = "who connects to a unix socket has no address";
        section.walk.fault(&list.place, wrong, "the permissions of its folder say who may connect to it");
    }
    if list.value.is_empty() {
        section.walk.missing(&list.place, "the list is empty: it would be nobody", right);
    } else if list.value.len() > NETWORKS_MAX {
        section.walk.fault(&list.place, format!("{} are too many", list.value.len()), format!("at most {NETWORKS_MAX}"));
        return None;
    }
    let mut networks = Vec::new();
    for text in list.value {
        match text.value.parse::<Network>() {
            Ok(network) => networks.push(network),
            Err(right) => section.walk.fault(&text.place, format!("{} is no network", quoted(text.value)), right),
        }
    }
    Some(networks)
}

/// Commands that are answered with -NOPERM, in upper case, a subcommand behind a bar.
pub(super) fn denied(section: &Section<'_>, mode: Mode) -> Vec<String> {
    let right = "write the names of commands: [\"FLUSHALL\", \"CONFIG|SET\"]";
    let Some(list) = section.strings("deny_commands", right) else { return Vec::new() };
    if mode != Mode::Redis && !list.value.is_empty() {
        section.walk.fault(&list.place, "this works in redis mode only", "write mode = \"redis\"");
    }
    let mut names: Vec<String> = Vec::new();
    for text in list.value {
        let name = text.value.to_ascii_uppercase();
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= 64
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        let mut parts = name.split('|');
        let fine = parts.next().is_some_and(plain) && parts.next().is_none_or(plain) && parts.next().is_none();
        if !fine {
            section.walk.fault(&text.place, format!("{} is no name of a command", quoted(text.value)), right);
        } else if names.contains(&name) {
            section.walk.fault(&text.place, format!("{name} stands in the list already"), "write each once");
        } else {
            names.push(name);
        }
    }
    names
}
