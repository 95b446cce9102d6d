//! The headline of the paper: how much of the cluster is allocated when its GPUs are asked for once over.

use std::ops::RangeInclusive;

use super::kube_scheduler::{Baseline, Ours, Ties};
use super::policies::Published;
use super::published;
use super::replay::{Outcome, replay};
use super::trace::Trace;
use crate::dice::{Concern, Dice};
use crate::studies::report::values;
use crate::studies::statistics::{mean, paired};
use crate::studies::{Column, Goal, Line, Row, Size, Study, StudyError};

/// Policies of the paper under the artefact's rule for ties.
const PUBLISHED: [&str; 6] = ["random", "packing", "best-fit", "dot-product", "clustering", "fgd"];

/// Arrivals of a slice.
const SLICE: usize = 1_500;

/// The study.
pub struct Saturation;

/// Runs a policy on a list.
///
/// # Errors
/// The policy is not known.
pub fn outcome(trace: &Trace, seed: u64, policy: &str, size: Size) -> Result<Outcome, StudyError> {
    let most = if size == Size::Slice { SLICE } else { usize::MAX };
    let published = match policy {
        "muster" => return Ok(replay(trace, seed, &mut Ours { trace, ties: Ties::random(seed) }, most)),
        "random" => Published::Random,
        "packing" => Published::Packing,
        "best-fit" => Published::BestFit,
        "dot-product" => Published::DotProduct,
        "clustering" => Published::Clustering,
        "fgd" | "fgd-random-ties" => Published::Fgd,
        _ => {
            let known = format!("{}, fgd-random-ties, muster", PUBLISHED.join(", "));
            return Err(StudyError::Unknown { what: "policy", name: policy.to_owned(), known });
        }
    };
    let ties = match policy {
        "random" | "fgd-random-ties" => Ties::random(seed),
        _ => Ties::drawn(seed, trace.machines.len()),
    };
    let dice = Dice::new(seed, Concern::Kubelet);
    Ok(replay(trace, seed, &mut Baseline { trace, policy: published, ties, dice }, most))
}

/// Columns of the studies of this trace.
pub(super) fn columns() -> Vec<Column> {
    let names = [
        "allocated_pct_at_95",
        "allocated_pct_at_100",
        "allocated_pct_at_130",
        "fragmented_pct",
        "failed_pct_8gpu",
    ];
    names.map(|name| Column { name, digits: 2 }).to_vec()
}

/// The row of a run.
pub(super) fn row(scenario: &'static str, policy: &str, seed: u64, outcome: Outcome) -> Row {
    let at = |demand| outcome.allocated_at(demand);
    let values = vec![at(95), at(100), at(130), outcome.fragmented_pct, outcome.failed_pct_8gpu];
    Row { scenario, policy: policy.to_owned(), seed, values, curve: outcome.allocated }
}

impl Study for Saturation {
    fn name(&self) -> &'static str {
        "openb-saturation"
    }

    fn about(&self) -> &'static str {
        "1,213 nodes with 6,212 GPUs are filled with the pods of Alibaba's trace openb, of which most share a GPU; nothing \
         leaves. The evaluation of fragmentation gradient descent (Weng et al., USENIX ATC 2023) with its policies and ours."
    }

    fn seeds(&self) -> RangeInclusive<u64> {
        42..=51
    }

    fn policies(&self) -> Vec<&'static str> {
        PUBLISHED.into_iter().chain(["fgd-random-ties", "muster"]).collect()
    }

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    fn run(&self, seed: u64, policy: &str, size: Size) -> Result<Row, StudyError> {
        let trace = Trace::read("default")?;
        Ok(row(self.name(), policy, seed, outcome(&trace, seed, policy, size)?))
    }

    fn goals(&self, rows: &[Row]) -> Vec<Goal> {
        let mut goals: Vec<Goal> = PUBLISHED.iter().filter_map(|policy| rerun(rows, policy)).collect();
        goals.extend(ours(rows));
        goals
    }

    fn lines(&self, rows: &[Row]) -> Vec<Line> {
        let policies = self.policies();
        let line = |policy: &&str| {
            let curves: Vec<&Row> = rows.iter().filter(|row| row.policy == **policy).collect();
            let points = (75..=130).map(f64::from).filter_map(|at| {
                let points = curves.iter().flat_map(|row| &row.curve);
                let here: Vec<f64> =
                    points.filter(|(x, _)| (x - at).abs() < 0.5).map(|(_, y)| 100.0 - y).collect();
                (!here.is_empty()).then(|| (at, mean(&here)))
            });
            Line { name: (*policy).to_owned(), points: points.collect() }
        };
        policies.iter().map(line).filter(|line| !line.points.is_empty()).collect()
    }

    fn axes(&self) -> (&'static str, &'static str) {
        ("GPU demand arrived, % of the cluster", "GPUs not allocated, % of the cluster")
    }

    fn notes(&self) -> Vec<String> {
        [
            "Data and published figures: `simulations/traces/alibaba-openb-2023` (Apache-2.0), from the artefact of the paper.",
            "Protocol of the artefact: pods shuffled, copies drawn until 130 % is asked for, each tried once, none leaves; a value at x % is the \
             mean over all arrivals that round to x. The generator is another one, so orders differ and their distribution does not. \
             `fgd` and the other published policies break ties as the artefact's vendored kube-scheduler does (the first in an order \
             drawn once); `fgd-random-ties` is the same policy under upstream's kube-scheduler, which draws among the highest scores.",
            "`muster` calls `placement::score::order` for worth and for the integers 0 to 10, then draws among the highest as upstream does: its best \
             node is alone on top, so integers lose nothing against exact scores. The extender's own filter and prioritize do not call \
             this order yet: they know whole GPUs only. Its weights were chosen on seeds 1 to 10.",
            "The usual workload is the artefact's: classes by popularity up to 95 % of the list before copies are drawn. `fragmented_pct` is F after the \
             last arrival.",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

/// Whether a published policy, run again, is where it was published.
fn rerun(rows: &[Row], policy: &str) -> Option<Goal> {
    let reached = mean(&values(rows, policy, 1));
    let published = published::allocated("default", policy, 100).ok()?;
    (!reached.is_nan()).then(|| Goal {
        what: format!("`{policy}` at 100 %"),
        wanted: format!("{published:.2} ± 0.30 (published)"),
        reached: format!("{reached:.2}"),
        met: (reached - published).abs() <= 0.3,
    })
}

fn ours(rows: &[Row]) -> Vec<Goal> {
    let (ours, fgd) = (values(rows, "muster", 1), values(rows, "fgd", 1));
    let eights = mean(&values(rows, "muster", 4));
    if ours.len() < 2 || ours.len() != fgd.len() {
        return Vec::new();
    }
    let (difference, half) = paired(&ours, &fgd);
    let goal = |what: &str, wanted: &str, reached: String, met| Goal {
        what: what.to_owned(),
        wanted: wanted.to_owned(),
        reached,
        met,
    };
    vec![
        goal("`muster` at 100 %", "≥ 95.35 %", format!("{:.2} %", mean(&ours)), mean(&ours) >= 95.35),
        goal("8-GPU pods that `muster` fails", "≤ 27 %", format!("{eights:.2} %"), eights <= 27.0),
        goal(
            "`muster` less `fgd`, paired, 95 % interval",
            "above 0",
            format!("{difference:+.2} ± {half:.2}"),
            difference - half > 0.0,
        ),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_slice_fills_up_in_the_same_way_every_time() {
        let trace = Trace::read("default").unwrap();
        let run = |policy| outcome(&trace, 42, policy, Size::Slice).unwrap();
        let (ours, random, fgd) = (run("muster"), run("random"), run("fgd"));
        assert_eq!(ours, run("muster"));
        assert!(ours.places.iter().all(Option::is_some));
        assert!(fgd.fragmented_pct < random.fragmented_pct && ours.fragmented_pct < random.fragmented_pct);
        assert_ne!(fgd.places, run("fgd-random-ties").places);
        assert!(outcome(&trace, 42, "nobody's", Size::Slice).is_err());
    }

    #[test]
    fn a_goal_can_be_missed() {
        let row = |policy: &str, seed, at_100| Row {
            scenario: "openb-saturation",
            policy: policy.to_owned(),
            seed,
            values: vec![0.0, at_100, 0.0, 0.0, 28.0],
            curve: Vec::new(),
        };
        let rows = [row("fgd", 1, 95.3), row("fgd", 2, 95.3), row("muster", 1, 95.4), row("muster", 2, 95.2)];
        let verdicts: Vec<bool> = Saturation.goals(&rows).iter().map(|goal| goal.met).collect();
        assert_eq!(verdicts, [true, false, false, false]);
    }
}
