//! Integrals over time: GPUs that run, GPUs held by gangs that do not, and why waiting jobs wait.
//!
//! The split is that of the Philly study (Jeon et al., ATC 2019, section 3): a job waits for its tenant's share if
//! that is used up; else for capacity if fewer GPUs are free than it needs; else because what is free is in pieces.
//! Where a place exists and the policy keeps the job from it, it waits for its turn.

use muster_placement::time::Time;

use super::{Floor, Policy, Work};

/// GPUs times milliseconds, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delay {
    /// Its tenant has what it may have.
    pub(crate) quota: u64,
    /// Fewer GPUs are free than it needs.
    pub(crate) capacity: u64,
    /// Enough are free, but no set of nodes takes all its pods.
    pub(crate) fragmentation: u64,
    /// A place exists, but others go first.
    pub(crate) turn: u64,
}

/// Jobs below and from this many GPUs are told apart: one whole node.
pub(crate) const WHOLE_NODE: u64 = 8;

/// The integrals of a replay.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    now: Time,
    from: Time,
    until: Time,
    /// GPU-milliseconds between the first and the last submission: run, and all there are.
    pub(crate) run: u64,
    /// See `run`.
    pub(crate) all: u64,
    /// GPU-milliseconds held by gangs that do not run.
    pub(crate) held: u64,
    /// Of jobs below a whole node.
    pub(crate) small: Delay,
    /// Of the others.
    pub(crate) large: Delay,
    /// How often partly placed gangs came to be in each other's way.
    pub(crate) standstills: u64,
    standing_still: bool,
}

impl Delays {
    pub(crate) fn new(works: &[Work]) -> Delays {
        let at = |work: Option<&Work>| work.map_or(Time(0), |work| work.submit);
        Delays { from: at(works.first()), until: at(works.last()), ..Delays::default() }
    }

    /// Time passes until `to`, with everything as it is.
    pub(crate) fn pass(&mut self, floor: &Floor, policy: &dyn Policy, to: Time) {
        let span = to.since(self.now).0;
        let counted = to.min(self.until).since(self.now.max(self.from)).0;
        self.now = to;
        let (running, held) = floor.used_gpus();
        self.run += running * counted;
        self.all += floor.site().gpus() * counted;
        self.held += held * span;
        if span == 0 || floor.waiting().is_empty() {
            return;
        }
        let free = floor.free_gpus();
        let mut copies: Vec<Option<usize>> = vec![None; floor.by_free().len()];
        for job in floor.waiting() {
            let work = floor.work(*job);
            let missing = work.pods - floor.lot(*job).taken;
            let at = usize::try_from(work.each).unwrap_or(usize::MAX);
            let fit = copies.get_mut(at).map_or(0, |fit| *fit.get_or_insert_with(|| floor.copies(work.each)));
            let delay = if work.gpus() < WHOLE_NODE { &mut self.small } else { &mut self.large };
            let reason = if policy.over_share(floor, *job) {
                &mut delay.quota
            } else if free < work.each * missing as u64 {
                &mut delay.capacity
            } else if fit < missing {
                &mut delay.fragmentation
            } else {
                &mut delay.turn
            };
            *reason += work.gpus() * span;
        }
    }

    /// Looks for gangs that are in each other's way: what one lacks, others hold that do not run either.
    pub(crate) fn look(&mut self, floor: &Floor) {
        let blocked = floor.partial().len() > 1 && floor.partial().iter().any(|job| blocked(floor, *job));
        self.standstills += u64::from(blocked && !self.standing_still);
        self.standing_still = blocked;
    }
}

/// Whether a partly placed job would be whole if the other partly placed ones gave back what they hold.
fn blocked(floor: &Floor, job: usize) -> bool {
    let work = floor.work(job);
    let missing = work.pods - floor.lot(job).taken;
    if floor.copies(work.each) >= missing {
        return false;
    }
    let mut free = floor.free().to_vec();
    for other in floor.partial().iter().filter(|other| **other != job) {
        for node in floor.lot(*other).places.iter().flatten() {
            free[*node] += floor.work(*other).each;
        }
    }
    let fit: u64 = free.iter().map(|free| free / work.each.max(1)).sum();
    fit >= missing as u64
}
