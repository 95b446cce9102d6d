//! What was counted, and what must never have been.

use std::fmt;

use muster_placement::time::Span;

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Things that happened, Muster's ticks included.
    pub happenings: u64,
    /// Muster's ticks.
    pub ticks: u64,
    /// Jobs submitted.
    pub submitted: u64,
    /// Gangs that became whole.
    pub started: u64,
    /// Jobs whose work is done.
    pub finished: u64,
    /// Pods bound.
    pub bound: u64,
    /// Filter calls.
    pub filtered: u64,
    /// Bind requests refused, timed out or lost.
    pub binds_refused: u64,
    /// Pods that a kubelet rejected for want of GPUs that work.
    pub rejected: u64,
    /// Faults that came about.
    pub faults: u64,
    /// Restarts of Muster among them.
    pub restarts: u64,
    /// Watches that listed again.
    pub relists: u64,
    /// Calls to the API server that had no answer.
    pub unanswered: u64,
    /// Calls that met another write.
    pub conflicts: u64,
    /// Reports that were older than one taken.
    pub reports_refused: u64,
    /// From a gang's submission until all its members were bound.
    pub waits: Vec<Span>,
    /// Safety rules that were broken, in words. Must be empty.
    pub broken: Vec<String>,
}

impl Tally {
    /// A percentile of the waits, in milliseconds.
    pub fn wait_ms(&self, percent: usize) -> u64 {
        let mut waits: Vec<u64> = self.waits.iter().map(|span| span.0).collect();
        waits.sort_unstable();
        let at = (waits.len() * percent / 100).min(waits.len().saturating_sub(1));
        waits.get(at).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "jobs      {} submitted, {} gangs started, {} finished",
            self.submitted, self.started, self.finished
        )?;
        writeln!(
            f,
            "pods      {} bound, {} binds refused, {} rejected by a kubelet",
            self.bound, self.binds_refused, self.rejected
        )?;
        writeln!(
            f,
            "gang wait {:.1} s median, {:.1} s at p95",
            secs(self.wait_ms(50)),
            secs(self.wait_ms(95))
        )?;
        write!(f, "safety    {} rules broken, {} faults came about", self.broken.len(), self.faults)?;
        self.broken.iter().take(10).try_for_each(|words| write!(f, "\n          {words}"))
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn secs(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_nothing_and_of_something() {
        assert_eq!(Tally::default().wait_ms(50), 0);
        let waits = [3, 1, 2].map(Span).to_vec();
        let tally = Tally { waits, ..Tally::default() };
        assert_eq!([0, 50, 95, 100].map(|p| tally.wait_ms(p)), [1, 2, 3, 3]);
    }
}
