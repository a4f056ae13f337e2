//! Who mainstay is to a backend, for the data path.

use std::fmt;

/// A user and a password. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Absent: the default user.
    pub username: Option<String>,
    /// For the wire and for nothing else.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
