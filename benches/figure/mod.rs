//! A line of the table that `make bench` prints at its end. Every bench prints its lines where they come up, `make`
//! collects those that begin with an id. What the columns mean is in `docs/performance.md`.
#![allow(dead_code, reason = "each bench uses a part")]

use std::fmt;

/// One line.
pub(crate) struct Figure<'a> {
    /// `m1` and so on.
    pub(crate) id: &'a str,
    /// What is done.
    pub(crate) case: &'a str,
    /// Nodes, or whatever else the case grows with.
    pub(crate) n: usize,
    /// Ours.
    pub(crate) ours: f64,
    /// Unit of ours and of the floor.
    pub(crate) unit: &'a str,
    /// What else is known of ours: processor time, allocations, spread.
    pub(crate) beside: String,
    /// What ours is compared with, from the same run.
    pub(crate) floor: (&'a str, f64),
    /// What was to be reached.
    pub(crate) goal: Goal,
}

/// What was to be reached.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At most so many times the floor.
    TimesFloor(f64),
    /// The floor is at least so many times ours.
    Faster(f64),
    /// At most so much.
    AtMost(f64),
    /// At least so much.
    AtLeast(f64),
    /// Nothing: for context.
    None,
}

impl fmt::Display for Figure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, floor) = self.floor;
        let unit = self.unit;
        let (goal, met) = match self.goal {
            Goal::TimesFloor(times) => (format!("≤ {times}x"), Some(self.ours <= times * floor)),
            Goal::Faster(times) => (format!("≥ {times}x faster"), Some(self.ours * times <= floor)),
            Goal::AtMost(most) => (format!("≤ {most} {unit}"), Some(self.ours <= most)),
            Goal::AtLeast(least) => (format!("≥ {least} {unit}"), Some(self.ours >= least)),
            Goal::None => ("-".to_owned(), None),
        };
        let verdict = met.map_or("-", |met| if met { "met" } else { "MISSED" });
        let number = |value: f64| if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
        write!(
            f,
            "{:3} | {:38} | {:>6} | {:>10} | {:34} | {:>30} | {:>6.2} | {:14} | {verdict}",
            self.id,
            self.case,
            self.n,
            format!("{} {unit}", number(self.ours)),
            self.beside,
            format!("{name} {}", number(floor)),
            self.ours / floor,
            goal,
        )
    }
}
