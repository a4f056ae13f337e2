//! What stands where, how long it may be, and what no file may contain.

use std::path::{Path, PathBuf};
use std::process::Command;

const LINES_MAX: usize = 400;

const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "benches",
    "config",
    "examples",
    "src",
    "tests",
];

/// What a build or a fuzzer leaves behind; never tracked.
const LEFT_BEHIND: &[&str] = &["target"];

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `folder`, as paths from the root with forward slashes, sorted.
pub fn rust_files(folder: &str) -> Vec<String> {
    files(folder).into_iter().filter(|path| path.ends_with(".rs")).collect()
}

fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a readable folder").path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(from_root(&path));
            }
        }
    }
    found.sort();
    found
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

pub fn too_long(folders: &[&str]) -> Vec<String> {
    let lines = |path: &str| std::fs::read_to_string(root().join(path)).expect("readable source").lines().count();
    folders
        .iter()
        .flat_map(|folder| rust_files(folder))
        .map(|path| (lines(&path), path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{path}:{lines}: longer than {LINES_MAX} lines; it is two files"))
        .collect()
}

pub fn shapeless_names(folders: &[&str]) -> Vec<String> {
    let shapeless = |name: &str| ["util", "utils"].contains(&name);
    let mut faults = Vec::new();
    for path in folders.iter().flat_map(|folder| rust_files(folder)) {
        if path.trim_end_matches(".rs").split('/').any(shapeless) {
            faults.push(format!("{path}:1: named utils; name it after what it does"));
        }
        let source = std::fs::read_to_string(root().join(&path)).expect("readable source");
        for (line, text) in source.lines().enumerate() {
            let module = text.trim_start().trim_start_matches("pub ").strip_prefix("mod ");
            let name = module.map(|rest| rest.trim_end_matches([' ', ';', '{', '}']));
            if name.is_some_and(shapeless) {
                faults.push(format!("{path}:{}: a module named utils; name it after what it does", line + 1));
            }
        }
    }
    faults
}

pub fn unsafe_not_forbidden() -> Vec<String> {
    ["src/lib.rs", "src/main.rs"]
        .iter()
        .filter(|path| {
            let source = std::fs::read_to_string(root().join(path)).expect("readable source");
            !source.lines().any(|line| line == "#![forbid(unsafe_code)]")
        })
        .map(|path| format!("{path}:1: #![forbid(unsafe_code)] is missing"))
        .collect()
}

pub fn strangers_at_the_top() -> Vec<String> {
    let entries = std::fs::read_dir(root()).expect("a readable folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
        .into_iter()
        .filter(|name| !name.starts_with('.'))
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()) && !LEFT_BEHIND.contains(&name.as_str()))
        .map(|name| format!("{name}:1: does not belong at the top level, where only {} may stand", TOP_LEVEL.join(", ")))
        .collect()
}

/// Paths of one machine, and registries other than the public one, break the build of everybody else.
pub fn traces_of_a_machine() -> Vec<String> {
    // Split, so that this file does not find itself.
    let traces = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/tmp/", "wt/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("replace", "-with"),
        concat!("extra-index", "-url"),
        concat!("artifac", "tory"),
    ];
    let mut faults = Vec::new();
    for path in tracked() {
        // A picture, say, is no text and names no machine.
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for (line, text) in text.lines().enumerate() {
            let line = line + 1;
            if let Some(trace) = traces.iter().find(|trace| text.contains(**trace)) {
                faults.push(format!("{path}:{line}: \"{trace}\" belongs to one machine, not to the project"));
            }
            let source = text.strip_prefix("source = ").filter(|_| path == "Cargo.lock");
            if source.is_some_and(|source| source != "\"registry+https://github.com/rust-lang/crates.io-index\"") {
                faults.push(format!("{path}:{line}: {text}: crates come from the public registry only"));
            }
        }
    }
    faults
}

/// What git tracks or would track; in an unpacked archive, which has no git, everything in the folders we know.
fn tracked() -> Vec<String> {
    let git = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .ok()
        .filter(|output| output.status.success());
    match git {
        Some(output) => String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect(),
        None => TOP_LEVEL
            .iter()
            .chain(&[".ci"])
            .flat_map(|name| if root().join(name).is_dir() { files(name) } else { vec![(*name).to_owned()] })
            .collect(),
    }
}
