//! What came of a replay: waits, integrals, spread, and what was broken.

use std::collections::BTreeMap;

use muster_placement::time::{Span, Time};

use super::delays::{Delays, WHOLE_NODE};
use super::floor::Lot;
use super::{Floor, Site, Work};
use crate::studies::StudyError;
use crate::studies::statistics::{mean, quantile};

/// A replay that is over.
#[derive(Debug)]
pub(crate) struct Played {
    /// When the last thing happened.
    pub(crate) end: Time,
    /// The jobs.
    pub(crate) works: Vec<Work>,
    /// What became of each.
    pub(crate) lots: Vec<Lot>,
    /// Integrals.
    pub(crate) delays: Delays,
    /// What must not have been and was.
    pub(crate) breaches: Vec<String>,
}

impl Played {
    pub(crate) fn new(floor: Floor, delays: Delays) -> Played {
        let end = floor.now;
        let (works, lots, breaches) = floor.into_parts();
        Played { end, works, lots, delays, breaches }
    }

    /// Itself, if no rule was broken.
    ///
    /// # Errors
    /// The first rule that was, with what makes the run come again.
    pub(crate) fn sound(self, study: &'static str, policy: &str, seed: u64) -> Result<Played, StudyError> {
        match self.breaches.first() {
            None => Ok(self),
            Some(what) => {
                Err(StudyError::Broken { study, policy: policy.to_owned(), seed, what: what.clone() })
            }
        }
    }

    /// Seconds from submission to start of the jobs that are meant; until the end of the replay for those that never started.
    pub(crate) fn waits(&self, meant: impl Fn(&Work) -> bool) -> Vec<f64> {
        let jobs = self.works.iter().zip(&self.lots).filter(|(work, _)| meant(work));
        jobs.map(|(work, lot)| secs(lot.started.unwrap_or(self.end).since(work.submit))).collect()
    }

    /// Mean wait in hours, and the wait in hours below which so large a share of the jobs stays.
    pub(crate) fn wait_h(&self, meant: impl Fn(&Work) -> bool, share: f64) -> (f64, f64) {
        let waits = self.waits(meant);
        (mean(&waits) / 3_600.0, quantile(&waits, share) / 3_600.0)
    }

    /// Wait in hours below which a share of the jobs of a whole node and more stays, for each percent.
    pub(crate) fn wait_curve(&self) -> Vec<(f64, f64)> {
        let waits = self.waits(|work| work.gpus() >= WHOLE_NODE);
        let point = |percent: u8| {
            let percent = f64::from(percent);
            (percent, quantile(&waits, percent / 100.0) / 3_600.0)
        };
        (1..=100).map(point).filter(|(_, hours)| !hours.is_nan()).collect()
    }

    /// Jobs that never started.
    pub(crate) fn unstarted(&self) -> usize {
        self.lots.iter().filter(|lot| lot.started.is_none()).count()
    }

    /// Jobs that ran in part for a while before they were whole, or to the end.
    pub(crate) fn partial_starts(&self) -> usize {
        let stuck = |lot: &&Lot| lot.partial || (lot.started.is_none() && lot.taken > 0);
        self.lots.iter().filter(stuck).count()
    }

    /// From the first submission to the last end.
    pub(crate) fn makespan(&self) -> Span {
        let first = self.works.first().map_or(Time(0), |work| work.submit);
        self.lots.iter().filter_map(|lot| lot.ended).max().unwrap_or(self.end).since(first)
    }

    /// GPUs that run over time: minutes since the first submission, with a point before and after each change.
    #[expect(clippy::cast_precision_loss, reason = "a plot")]
    pub(crate) fn running_curve(&self) -> Vec<(f64, f64)> {
        let mut changes: BTreeMap<Time, (u64, u64)> = BTreeMap::new();
        for (work, lot) in self.works.iter().zip(&self.lots) {
            let Some(started) = lot.started else { continue };
            changes.entry(started).or_default().0 += work.gpus();
            changes.entry(started.after(work.duration)).or_default().1 += work.gpus();
        }
        let mut running = 0;
        let mut curve = Vec::new();
        for (at, (more, less)) in changes {
            let minutes = at.0 as f64 / 60_000.0;
            curve.push((minutes, running as f64));
            running = running + more - less;
            curve.push((minutes, running as f64));
        }
        curve
    }

    /// GPU time run of all that there was between the first and the last submission, in %.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(crate) fn occupancy_pct(&self) -> f64 {
        100.0 * self.delays.run as f64 / self.delays.all as f64
    }
}

/// GPU-milliseconds in GPU-hours.
#[expect(clippy::cast_precision_loss, reason = "for people to read")]
pub(crate) fn hours(gpu_ms: u64) -> f64 {
    gpu_ms as f64 / 3_600_000.0
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn secs(span: Span) -> f64 {
    span.0 as f64 / 1_000.0
}

/// The fewest domains of a level that take all pods of a job: the roomiest first. All domains if none do.
pub(crate) fn fewest_domains(site: &Site, level: usize, free: &[u64], work: &Work) -> usize {
    let mut copies: BTreeMap<_, u64> = BTreeMap::new();
    for (spot, free) in site.spots.iter().zip(free) {
        *copies.entry(spot.domain(level)).or_default() += free / work.each.max(1);
    }
    let mut copies: Vec<u64> = copies.into_values().collect();
    copies.sort_unstable_by(|a, b| b.cmp(a));
    let mut placed = 0;
    let enough = copies.iter().position(|copies| {
        placed += copies;
        placed >= work.pods as u64
    });
    enough.map_or(copies.len(), |at| at + 1)
}
