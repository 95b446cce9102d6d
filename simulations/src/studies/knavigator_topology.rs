//! `knavigator-topology`: twelve nodes in three spines, five of them busy, and one gang with one best answer.

use std::ops::RangeInclusive;

use muster_placement::time::{Span, Time};
use serde::Deserialize;

use super::exact_trees::LABELS;
use super::replay::{self, Site, Spot, Unit, Work};
use super::report::values;
use super::{Column, Goal, Line, Row, Size, Study, StudyError, traces};

const NAME: &str = "knavigator-topology";
const FILE: &str = "scheduler-benchmarks/nwtopo_12node.csv.gz";
const MEMBERS: usize = 3;

/// The study.
#[derive(Debug)]
pub(crate) struct KnavigatorTopology;

#[derive(Deserialize)]
struct Place {
    node: String,
    block: String,
    spine: String,
    datacenter: String,
    net_optimal: u8,
    busy: u8,
}

fn site(places: &[Place]) -> Site {
    let spot = |place: &Place| Spot {
        name: place.node.clone(),
        gpus: if place.busy == 1 { 0 } else { 8 },
        domains: vec![place.datacenter.clone(), place.spine.clone(), place.block.clone()],
    };
    Site { spots: places.iter().map(spot).collect(), levels: LABELS.to_vec(), unit: Unit::Gpu, judged: true }
}

impl Study for KnavigatorTopology {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "NVIDIA knavigator's network topology case: 12 nodes in 6 blocks and 3 spines, 5 busy, a gang of 3 whose best nodes are known."
    }

    fn seeds(&self) -> RangeInclusive<u64> {
        1..=10
    }

    fn policies(&self) -> Vec<&'static str> {
        vec!["muster", "tas", "nearest", "packing", "kube-scheduler-least"]
    }

    fn columns(&self) -> Vec<Column> {
        [("nodes_off_optimum", 1), ("blocks_used", 1), ("spines_used", 1)]
            .map(|(name, digits)| Column { name, digits })
            .to_vec()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts")]
    fn run(&self, seed: u64, policy: &str, _size: Size) -> Result<Row, StudyError> {
        let places: Vec<Place> = traces::rows(FILE)?;
        let work = Work { submit: Time(0), pods: MEMBERS, each: 8, duration: Span(1), tenant: 0 };
        let played = replay::play(site(&places), vec![work], replay::by_name(policy, seed)?.as_mut());
        let played = played.sound(NAME, policy, seed)?;
        let lot = played.lots.first();
        let nodes = lot.into_iter().flat_map(|lot| lot.places.iter().flatten());
        let right = nodes.filter(|at| places[**at].net_optimal == 1).count();
        let used = |level: usize| {
            lot.and_then(|lot| lot.spread.get(level)).map_or(f64::NAN, |spread| spread.used as f64)
        };
        let values = vec![(MEMBERS - right) as f64, used(2), used(1)];
        let curve = vec![(seed as f64, values[0])];
        Ok(Row { scenario: NAME, policy: policy.to_owned(), seed, values, curve })
    }

    fn goals(&self, rows: &[Row]) -> Vec<Goal> {
        let off = values(rows, "muster", 0).into_iter().fold(0.0, f64::max);
        vec![Goal {
            what: "members on a node that is not one of the three best".to_owned(),
            wanted: "0".to_owned(),
            reached: format!("{off:.0}"),
            met: off == 0.0,
        }]
    }

    fn lines(&self, rows: &[Row]) -> Vec<Line> {
        let line = |policy: &&str| {
            let of = rows.iter().filter(|row| row.policy == *policy);
            Line { name: (*policy).to_owned(), points: of.flat_map(|row| row.curve.clone()).collect() }
        };
        super::report::policies(rows).iter().map(line).collect()
    }

    fn axes(&self) -> (&'static str, &'static str) {
        ("seed", "members off the best nodes")
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Data: `resources/benchmarks/nwtopo/workflows/config-nodes.yaml` of NVIDIA/knavigator (Apache-2.0). Its best answer is n5, n7 \
             and n8: one spine, and two of them in one block. Seeds differ in how the baselines break ties."
                .to_owned(),
        ]
    }
}
