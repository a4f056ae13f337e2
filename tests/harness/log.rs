//! Reads mainstay's log and finds the lines that a test did not expect.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The log of one mainstay, one JSON object a line.
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The file that the process writes both of its outputs to.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        fs::read(&self.path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Has a line with this in it been written?
    pub fn has(&self, part: &str) -> bool {
        self.text().lines().any(|line| line.contains(part))
    }

    /// Lines that warn, report an error or are no JSON at all (a panic is not), and contain none of the expected parts.
    pub fn unexpected(&self, expected: &[String]) -> Vec<String> {
        let loud = |line: &&str| match serde_json::from_str::<Value>(line) {
            Ok(entry) => matches!(entry["level"].as_str(), Some("WARN" | "ERROR") | None),
            Err(_) => !line.trim().is_empty(),
        };
        let known = |line: &&str| expected.iter().any(|part| line.contains(part.as_str()));
        self.text().lines().filter(loud).filter(|line| !known(line)).map(str::to_owned).collect()
    }
}
