//! Who mainstay is to a backend. Passwords come from a file or from the environment, never from the configuration itself, and no
//! message repeats what stands in these keys: it may be the password, written in the wrong place.

use std::io::Read;
use std::path::Path;

use super::file::{Place, Section, Walk};
use super::secret::{Origin, Secret};
use super::validate::Outside;
use super::{Credentials, limits};

const SET_ONE: &str = "set password_env or password_file as well";

/// The credentials of a group, if it has any.
pub(super) fn credentials(section: &Section<'_>, outside: &Outside<'_>) -> Option<Credentials> {
    let username = section.string("username", "write the user's name");
    let username = username.filter(|name| check_username(section.walk, &name.place, name.value));
    let (env, file) = (section.has("password_env"), section.has("password_file"));
    let password = match (env, file) {
        (true, true) => {
            section.walk.fault(&section.place_of("password_file"), "password_env is set too", "keep one of the two");
            None
        }
        (true, false) => from_env(section, outside),
        (false, true) => from_file(section, outside),
        (false, false) => {
            // A literal password has its own fault.
            if section.has("username") && !section.has("password") {
                section.walk.missing(&section.place_of("username"), "there is a user but no password", SET_ONE);
            }
            None
        }
    };
    Some(Credentials { username: username.map(|name| name.value.to_owned()), password: password? })
}

/// What Redis takes as the name of a user.
pub(super) fn check_username(walk: &Walk, place: &Place, name: &str) -> bool {
    let fine = is_username(name);
    if !fine {
        walk.fault(place, "it is empty or has blanks in it", "write the user's name as in ACL SETUSER");
    }
    fine
}

pub(super) fn is_username(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn from_env(section: &Section<'_>, outside: &Outside<'_>) -> Option<Secret> {
    let right = "write the name of an environment variable: \"REDIS_PASSWORD\"";
    let name = section.string("password_env", right)?;
    // Only what follows the custom for variables is repeated; anything else may be the password itself.
    let letter = |c: char| c.is_ascii_uppercase() || c == '_';
    let custom = name.value.starts_with(letter) && name.value.chars().all(|c| letter(c) || c.is_ascii_digit());
    let shown = if custom { format!("environment variable {}", name.value) } else { "environment variable named here".into() };
    if name.value.is_empty() || name.value.contains(['=', '\0']) {
        section.walk.fault(&name.place, "it cannot be the name of an environment variable", right);
        return None;
    }
    let value = match (outside.environment)(name.value).map(std::ffi::OsString::into_string) {
        None => Err(format!("the {shown} is not set")),
        Some(Err(_)) => Err(format!("the {shown} is not UTF-8")),
        Some(Ok(value)) if value.is_empty() => Err(format!("the {shown} is empty")),
        Some(Ok(value)) => Ok(value),
    };
    match value {
        Ok(value) => Some(Secret::from_origin(value, Origin::Env(name.value.to_owned()))),
        Err(wrong) => {
            section.walk.fault(&name.place, wrong, "set it where mainstay is started, or use password_file");
            None
        }
    }
}

fn from_file(section: &Section<'_>, outside: &Outside<'_>) -> Option<Secret> {
    secret_file(section, "password_file", "write the path of a file that holds the password and nothing else", outside)
}

/// The one line of the file that `key` names.
pub(super) fn secret_file(section: &Section<'_>, key: &str, right: &str, outside: &Outside<'_>) -> Option<Secret> {
    let written = section.string(key, right)?;
    let path = outside.folder.join(written.value);
    let value = if written.value.is_empty() { Err("it is empty".into()) } else { read(&path) };
    match value {
        Ok(value) => {
            // It fails for the empty path alone, which was refused above.
            let path = std::path::absolute(&path).unwrap_or(path);
            Some(Secret::from_origin(value, Origin::File(path)))
        }
        Err(wrong) => {
            section.walk.fault(&written.place, wrong, right);
            None
        }
    }
}

/// The one line of a file that holds a password or a token. The error never repeats what stands in it.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    Ok(Secret::from_origin(read(path)?, Origin::File(path.to_path_buf())))
}

fn read(path: &Path) -> Result<String, String> {
    let text = read_file(path, limits::PASSWORD_BYTES_MAX)?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    match line {
        "" => Err("the file named here is empty".into()),
        _ if line.contains('\n') => Err("the file named here has more than one line".into()),
        _ => Ok(line.to_owned()),
    }
}

/// The text of a file of at most so many bytes, or what is wrong with it.
pub(super) fn read_file(path: &Path, bytes_max: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("the file named here cannot be opened: {error}"))?;
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("the file named here cannot be read: {error}"))?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("the file named here is larger than {} KiB", bytes_max / 1024));
    }
    String::from_utf8(bytes).map_err(|_| "the file named here is not UTF-8".into())
}
