//! A value that cannot print itself.

use std::fmt;
use std::path::PathBuf;

/// A password. Its `Debug` and `Display` show a mask; only [`Secret::expose`] gives the value.
#[derive(Clone)]
pub struct Secret {
    value: String,
    origin: Origin,
}

/// Where a secret was read from, so that the effective configuration can name the place instead of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Handed over by code.
    Given,
    /// An environment variable.
    Env(String),
    /// A file, by its absolute path.
    File(PathBuf),
}

impl Secret {
    /// Takes the value over.
    pub fn new(value: impl Into<String>) -> Self {
        Self::from_origin(value, Origin::Given)
    }

    /// Takes the value over and remembers where it came from.
    pub fn from_origin(value: impl Into<String>, origin: Origin) -> Self {
        Self { value: value.into(), origin }
    }

    /// The value, for the wire and for nothing else.
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// The value alone counts: the same password from another place is the same password, and a reload leaves its group alone.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
