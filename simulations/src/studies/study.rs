//! What a study is: the same work for every policy, a row of figures per seed, and goals stated beforehand.

use std::ops::RangeInclusive;

use thiserror::Error;

/// One published result.
pub trait Study: Sync {
    /// Name on the command line.
    fn name(&self) -> &'static str;
    /// One sentence: the work, where it comes from and what is compared.
    fn about(&self) -> &'static str;
    /// Seeds of a full run.
    fn seeds(&self) -> RangeInclusive<u64>;
    /// Policies on the same work; the one that decides in the extender is called `muster`.
    fn policies(&self) -> Vec<&'static str>;
    /// Figures of a row, in the order of its values.
    fn columns(&self) -> Vec<Column>;
    /// Runs one policy on the work of one seed.
    ///
    /// # Errors
    /// The work cannot be read or the policy is not known.
    fn run(&self, seed: u64, policy: &str, size: Size) -> Result<Row, StudyError>;
    /// What was to be reached, and what was.
    fn goals(&self, rows: &[Row]) -> Vec<Goal>;
    /// Lines for the plot.
    fn lines(&self, rows: &[Row]) -> Vec<Line>;
    /// Axes of the plot: horizontal, vertical.
    fn axes(&self) -> (&'static str, &'static str);
    /// Paragraphs for the page: where data and published figures come from, what differs, figures for context.
    fn notes(&self) -> Vec<String>;
}

/// How much of the work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A few seconds of it, for `make test`.
    Slice,
    /// All of it.
    Full,
}

/// A figure of every row.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name with the unit last, as in the JSON.
    pub name: &'static str,
    /// Digits after the point in tables.
    pub digits: usize,
}

/// What one policy reached on the work of one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The study.
    pub scenario: &'static str,
    /// The policy.
    pub policy: String,
    /// The seed.
    pub seed: u64,
    /// One value for each column; not a number where a policy has none.
    pub values: Vec<f64>,
    /// Points for the plot, if the study has a curve per run.
    pub curve: Vec<(f64, f64)>,
}

/// Something that was to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// What is looked at.
    pub what: String,
    /// What was wanted.
    pub wanted: String,
    /// What was reached.
    pub reached: String,
    /// Whether that is enough.
    pub met: bool,
}

/// A line of the plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// Why a study cannot be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A name that nothing has.
    #[error("there is no {what} called {name}; there are: {known}")]
    Unknown {
        /// What was named.
        what: &'static str,
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// A trace cannot be read.
    #[error("the trace {file} cannot be read: {why}; it belongs into simulations/traces of the checkout")]
    Trace {
        /// File under `simulations/traces`.
        file: String,
        /// Why.
        why: String,
    },
    /// A result cannot be written.
    #[error("the result {file} cannot be written: {source}; check the folder and its rights")]
    Write {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A rule that must hold did not.
    #[error(
        "{study} with {policy} broke a rule at {what}; `muster-sim run {study} --policy {policy} --seeds {seed}` shows it again"
    )]
    Broken {
        /// The study.
        study: &'static str,
        /// The policy.
        policy: String,
        /// The seed.
        seed: u64,
        /// When, and what.
        what: String,
    },
    /// The plot cannot be drawn.
    #[error("the plot of {study} cannot be drawn: {why}")]
    Plot {
        /// The study.
        study: &'static str,
        /// Why.
        why: String,
    },
}
