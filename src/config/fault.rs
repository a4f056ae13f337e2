//! What is wrong with a configuration: where, what, and what would be right.

use std::fmt;
use std::sync::Arc;

/// One fault. Never contains a value that could be a password written in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named; `command line` for `run --listen`.
    pub file: Arc<str>,
    /// Counted from 1; absent where it is about the file as a whole.
    pub line: Option<usize>,
    /// The path of the key, as `group[0].check.rise`, counted from 0; empty where it is about no key.
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// What would be right; may be empty where that goes without saying.
    pub right: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.wrong)?;
        if !self.right.is_empty() {
            write!(f, "; {}", self.right)?;
        }
        Ok(())
    }
}

/// What is wrong, and what would be right.
pub(super) type Wrong = (String, &'static str);

/// More than this nobody reads; a file that is no configuration at all has thousands.
const SHOWN: usize = 50;

/// Every fault of a configuration, at least one, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// `None` where there is no fault.
    pub(super) fn of(mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort_by_key(|fault| fault.line);
        if faults.is_empty() { None } else { Some(Self(faults)) }
    }

    /// The faults.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

/// One line a fault.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().take(SHOWN).enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            write!(f, "{newline}{fault}")?;
        }
        if self.0.len() > SHOWN { write!(f, "\n... and {} more faults", self.0.len() - SHOWN) } else { Ok(()) }
    }
}

impl std::error::Error for Faults {}
