//! What is wrong with a configuration.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: `pools[1].name`, `--listen`, or a line and column.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub next: String,
}

/// Everything that is wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.what, self.next)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {}", if count == 1 { "fault" } else { "faults" })?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

/// Takes note of a fault.
pub(super) fn note(
    faults: &mut Vec<Fault>,
    path: impl Into<String>,
    what: impl Into<String>,
    next: impl Into<String>,
) {
    faults.push(Fault { path: path.into(), what: what.into(), next: next.into() });
}
