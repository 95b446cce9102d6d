//! The other sixteen lists of the paper: more CPU, more sharing, more constraints, more GPUs a pod.
//!
//! A row is one policy on one list, the list after the policy's name; `muster` and `fgd` alone are compared.

use std::ops::RangeInclusive;

use super::published;
use super::saturation::{columns, outcome, row};
use super::trace::{LISTS, Trace};
use crate::studies::report::values;
use crate::studies::statistics::{mean, paired};
use crate::studies::{Column, Goal, Line, Row, Size, Study, StudyError};

/// Policy and list of every kind of row.
const POLICIES: [&str; 32] = [
    "fgd cpu050",
    "muster cpu050",
    "fgd cpu100",
    "muster cpu100",
    "fgd cpu200",
    "muster cpu200",
    "fgd cpu250",
    "muster cpu250",
    "fgd gpushare40",
    "muster gpushare40",
    "fgd gpushare60",
    "muster gpushare60",
    "fgd gpushare80",
    "muster gpushare80",
    "fgd gpushare100",
    "muster gpushare100",
    "fgd gpuspec10",
    "muster gpuspec10",
    "fgd gpuspec20",
    "muster gpuspec20",
    "fgd gpuspec25",
    "muster gpuspec25",
    "fgd gpuspec33",
    "muster gpuspec33",
    "fgd multigpu20",
    "muster multigpu20",
    "fgd multigpu30",
    "muster multigpu30",
    "fgd multigpu40",
    "muster multigpu40",
    "fgd multigpu50",
    "muster multigpu50",
];

/// The study.
pub struct AllLists;

impl Study for AllLists {
    fn name(&self) -> &'static str {
        "openb-all"
    }

    fn about(&self) -> &'static str {
        "The protocol of openb-saturation on the other sixteen pod lists of the paper: fragmentation gradient descent (fgd) and muster."
    }

    fn seeds(&self) -> RangeInclusive<u64> {
        42..=51
    }

    fn policies(&self) -> Vec<&'static str> {
        POLICIES.to_vec()
    }

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    fn run(&self, seed: u64, policy: &str, size: Size) -> Result<Row, StudyError> {
        let (name, list) = policy.split_once(' ').ok_or_else(|| StudyError::Unknown {
            what: "policy",
            name: policy.to_owned(),
            known: POLICIES.join(", "),
        })?;
        let trace = Trace::read(list)?;
        Ok(row(self.name(), policy, seed, outcome(&trace, seed, name, size)?))
    }

    fn goals(&self, rows: &[Row]) -> Vec<Goal> {
        let lists: Vec<(&str, f64, f64)> = LISTS.iter().filter_map(|list| difference(rows, list)).collect();
        let mut goals: Vec<Goal> = lists
            .iter()
            .map(|(list, difference, half)| Goal {
                what: format!("`{list}` at 100 %: muster less fgd, paired, 95 % interval"),
                wanted: "≥ -0.20".to_owned(),
                reached: format!("{difference:+.2} ± {half:.2}"),
                met: *difference >= -0.2,
            })
            .collect();
        goals.extend(LISTS.iter().filter_map(|list| rerun(rows, list)));
        let above = lists.iter().filter(|(_, difference, _)| *difference > 0.0).count();
        goals.push(Goal {
            what: format!("lists of {} on which muster is above fgd", lists.len()),
            wanted: "≥ 12".to_owned(),
            reached: above.to_string(),
            met: above >= 12,
        });
        goals
    }

    /// Difference at 100 % by place of the list.
    fn lines(&self, rows: &[Row]) -> Vec<Line> {
        let places = (1u32..).map(f64::from).zip(LISTS.iter().skip(1));
        let points = |of: fn(&Row) -> f64, rows: &[Row]| -> Vec<(f64, f64)> {
            let at =
                |(place, list): (f64, &&str)| difference_by(rows, list, of).map(|(mean, _)| (place, mean));
            places.clone().filter_map(at).collect()
        };
        vec![
            Line { name: "at 100 %".to_owned(), points: points(|row| row.values[1], rows) },
            Line { name: "at 130 %".to_owned(), points: points(|row| row.values[2], rows) },
        ]
    }

    fn axes(&self) -> (&'static str, &'static str) {
        ("pod list, in the order of the table", "allocated GPUs, muster less fgd, % of the cluster")
    }

    fn notes(&self) -> Vec<String> {
        let lists = "Data, protocol and what `muster` is: see openb-saturation.md; the weights were chosen on the default list, seeds 1 to 10; while that was done, fgd and muster were also looked at on five other lists (seeds 1 and 2) and a few weights on gpuspec33 (seeds 1 to 4), which changed nothing.";
        let steep = "On gpuspec25 and gpuspec33 muster is behind at 100 % and ahead at 130 %: pods without a wish for a model \
                     take GPUs of models that others need, earlier than fgd lets them.";
        vec![lists.to_owned(), steep.to_owned()]
    }
}

fn difference(rows: &[Row], list: &str) -> Option<(&'static str, f64, f64)> {
    let name = LISTS.into_iter().find(|name| *name == list)?;
    difference_by(rows, list, |row| row.values[1]).map(|(mean, half)| (name, mean, half))
}

fn difference_by(rows: &[Row], list: &str, of: fn(&Row) -> f64) -> Option<(f64, f64)> {
    let all = |policy: &str| -> Vec<f64> {
        let name = format!("{policy} {list}");
        rows.iter().filter(|row| row.policy == name).map(of).collect()
    };
    let (ours, theirs) = (all("muster"), all("fgd"));
    (ours.len() > 1 && ours.len() == theirs.len()).then(|| paired(&ours, &theirs))
}

fn rerun(rows: &[Row], list: &str) -> Option<Goal> {
    let reached = mean(&values(rows, &format!("fgd {list}"), 1));
    let published = published::allocated(list, "fgd", 100).ok()?;
    (!reached.is_nan()).then(|| Goal {
        what: format!("`fgd` on `{list}` at 100 %"),
        wanted: format!("{published:.2} ± 0.30 (published)"),
        reached: format!("{reached:.2}"),
        met: (reached - published).abs() <= 0.3,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_both_policies_and_a_published_figure() {
        for list in LISTS.iter().skip(1) {
            assert!(
                POLICIES.contains(&format!("fgd {list}").as_str())
                    && POLICIES.contains(&format!("muster {list}").as_str())
            );
            assert!(published::allocated(list, "fgd", 100).unwrap() > 80.0, "{list}");
        }
    }

    #[test]
    fn a_slice_of_a_constrained_list_runs() {
        let row = AllLists.run(42, "muster gpuspec33", Size::Slice).unwrap();
        assert!(row.curve.last().unwrap().1 > 15.0, "{row:?}");
        assert!(AllLists.run(42, "muster", Size::Slice).is_err());
    }
}
