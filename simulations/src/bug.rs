//! Planted bugs: each is a mistake that was made in the field, made again at the door of the core, so that it can
//! be shown that the seeds find it. A bug lives in this crate only, between the world and the core; there is no
//! switch for one in the core or the extender, so no release can contain one.
//!
//! Sources: issues of the projects named; the numbers are those of the invariants in the project's reliability notes.

mod distortion;

use std::fmt;

pub(crate) use self::distortion::Distortion;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bug {
    /// Its name on the command line.
    pub name: &'static str,
    /// Number of the invariant that it breaks.
    pub invariant: u8,
    /// Where it was made before.
    pub seen_in: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Seeds that find it; more than one, since a change of the core may move what a seed does.
    pub seeds: &'static [u64],
    pub(crate) mistake: Mistake,
}

/// What a planted bug does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    TimeoutIsFailure,
    ReplayedReports,
    ReportRaisesCapacity,
    SickGpusCount,
    UnknownDevicesUncounted,
    TerminatingIsGone,
    ForeignUncounted,
    DeletionMerged,
    RebuildWithoutPlans,
    PlansBeforeRead,
    BarrierOneEarly,
    RefusalForgotten,
    StaleList,
    HangUpForgotten,
    FilterReserves,
}

const fn bug(
    name: &'static str,
    invariant: u8,
    seen_in: &'static str,
    about: &'static str,
    seeds: &'static [u64],
    mistake: Mistake,
) -> Bug {
    Bug { name, invariant, seen_in, about, seeds, mistake }
}

/// All of them.
pub const BUGS: &[Bug] = &[
    bug(
        "timeout-is-failure",
        14,
        "HAMi, release of devices when bind returns any error",
        "a Binding without an answer is taken for one that failed, and its room is given away",
        &[25, 31, 44, 66],
        Mistake::TimeoutIsFailure,
    ),
    bug(
        "replayed-reports",
        11,
        "HAMi#1839",
        "a report that was overtaken, or comes twice, counts",
        &[59, 137, 194],
        Mistake::ReplayedReports,
    ),
    bug(
        "report-raises-capacity",
        10,
        "volcano#3392",
        "GPUs that an agent reports count although the kubelet does not offer them",
        &[13, 19, 22, 27],
        Mistake::ReportRaisesCapacity,
    ),
    bug(
        "sick-gpus-count",
        21,
        "volcano#2999",
        "GPUs that are reported sick count as free",
        &[5, 24, 27, 36],
        Mistake::SickGpusCount,
    ),
    bug(
        "unknown-devices-uncounted",
        22,
        "HAMi#2592",
        "of a bound pod only those GPUs count whose UUIDs are known",
        &[6, 11, 15, 16],
        Mistake::UnknownDevicesUncounted,
    ),
    bug(
        "terminating-is-gone",
        17,
        "kueue#10076",
        "a pod that is being deleted takes no room any more",
        &[1, 2, 9, 10],
        Mistake::TerminatingIsGone,
    ),
    bug(
        "foreign-uncounted",
        30,
        "HAMi#1292",
        "pods that other schedulers bound, and static ones, take no room",
        &[4, 11, 15, 24],
        Mistake::ForeignUncounted,
    ),
    bug(
        "deletion-merged",
        15,
        "HiveD, comment in scheduler.go",
        "when a pod is made again under its name, the deletion of the one before is lost",
        &[1, 2, 7, 9],
        Mistake::DeletionMerged,
    ),
    bug(
        "rebuild-without-plans",
        8,
        "koordinator#1289",
        "after a restart the plans on released pods are not read",
        &[1, 9, 11, 26],
        Mistake::RebuildWithoutPlans,
    ),
    bug(
        "plans-before-read",
        7,
        "volcano#4261",
        "after a restart planning begins before all pods are read",
        &[2, 5, 13, 17],
        Mistake::PlansBeforeRead,
    ),
    bug(
        "barrier-one-early",
        2,
        "scheduler-plugins#930",
        "a gang starts with one member less than it needs",
        &[0, 9, 13, 17],
        Mistake::BarrierOneEarly,
    ),
    bug(
        "refusal-forgotten",
        26,
        "HAMi#1927",
        "that a release or a Binding was refused is not heard, and the hold stays for ever",
        &[3, 21, 24, 29],
        Mistake::RefusalForgotten,
    ),
    bug(
        "stale-list",
        20,
        "kubernetes#59848",
        "after a watch was cut, a list is believed that is older than what was seen",
        &[5, 6, 9, 11],
        Mistake::StaleList,
    ),
    bug(
        "hang-up-forgotten",
        13,
        "kubernetes#96579",
        "a bind that kube-scheduler gave up on still counts as asked",
        &[282, 373],
        Mistake::HangUpForgotten,
    ),
    bug(
        "filter-reserves",
        6,
        "HAMi#2923",
        "a filter call holds what it looked at",
        &[0, 1, 2, 3],
        Mistake::FilterReserves,
    ),
];

impl Bug {
    /// The bug of a name.
    pub fn by_name(name: &str) -> Option<&'static Bug> {
        BUGS.iter().find(|bug| bug.name == name)
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:26} invariant {:>2}  {} ({})", self.name, self.invariant, self.about, self.seen_in)
    }
}
