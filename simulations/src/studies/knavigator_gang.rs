//! `knavigator-gang`: 53 gangs in one burst on 32 nodes, whose sizes fill the nodes nine times over exactly.

use std::ops::RangeInclusive;

use muster_placement::time::{Span, Time};
use serde::Deserialize;

use super::replay::{self, Played, Site, Work};
use super::report::values;
use super::statistics::mean;
use super::{Column, Goal, Line, Row, Size, Study, StudyError, traces};

const NAME: &str = "knavigator-gang";
const FILE: &str = "scheduler-benchmarks/gang_32node_53job.csv.gz";
const NODES: usize = 32;
/// Nine waves of 120 s.
const OPTIMUM_S: f64 = 1_080.0;

/// The study.
#[derive(Debug)]
pub(crate) struct KnavigatorGang;

#[derive(Deserialize)]
struct Line53 {
    job_count: usize,
    replicas: usize,
    gpus_per_replica: u64,
    runtime_s: u64,
}

fn works(size: Size) -> Result<Vec<Work>, StudyError> {
    let lines: Vec<Line53> = traces::rows(FILE)?;
    let job = |line: &Line53| Work {
        submit: Time(0),
        pods: line.replicas,
        each: line.gpus_per_replica,
        duration: Span(line.runtime_s * 1_000),
        tenant: 0,
    };
    let jobs = lines.iter().flat_map(|line| std::iter::repeat_n(job(line), line.job_count));
    // The first two waves are three jobs.
    Ok(jobs.take(if size == Size::Slice { 3 } else { usize::MAX }).collect())
}

#[expect(clippy::cast_precision_loss, reason = "seconds and shares")]
fn row(played: &Played, site_gpus: u64) -> Vec<f64> {
    let makespan = played.makespan().0;
    let work: u64 = played.works.iter().map(|work| work.gpus() * work.duration.0).sum();
    let ended: u64 = played.lots.iter().filter(|lot| lot.ended.is_some()).count() as u64;
    let occupancy = 100.0 * work as f64 / (site_gpus * makespan) as f64;
    vec![
        makespan as f64 / 1_000.0,
        if ended == played.works.len() as u64 { occupancy } else { f64::NAN },
        replay::hours(played.delays.held),
        played.partial_starts() as f64,
        played.delays.standstills as f64,
        played.unstarted() as f64,
    ]
}

impl Study for KnavigatorGang {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "NVIDIA knavigator's gang benchmark: 53 gangs in one burst on 32 nodes of 8 GPUs, 9 full waves of 2 minutes at best."
    }

    fn seeds(&self) -> RangeInclusive<u64> {
        1..=5
    }

    fn policies(&self) -> Vec<&'static str> {
        vec![
            "muster",
            "muster-deadlines",
            "fifo",
            "coscheduling-least",
            "coscheduling-most",
            "kube-scheduler-least",
        ]
    }

    fn columns(&self) -> Vec<Column> {
        [
            ("makespan_s", 0),
            ("occupancy_pct", 1),
            ("held_waste_gpu_h", 1),
            ("partial_starts", 0),
            ("standstills", 0),
            ("never_started", 0),
        ]
        .map(|(name, digits)| Column { name, digits })
        .to_vec()
    }

    fn run(&self, seed: u64, policy: &str, size: Size) -> Result<Row, StudyError> {
        let site = Site::flat(NODES, 8);
        let gpus = site.gpus();
        let played = replay::play(site, works(size)?, replay::by_name(policy, seed)?.as_mut());
        let played = played.sound(NAME, policy, seed)?;
        Ok(Row {
            scenario: NAME,
            policy: policy.to_owned(),
            seed,
            values: row(&played, gpus),
            curve: played.running_curve(),
        })
    }

    fn goals(&self, rows: &[Row]) -> Vec<Goal> {
        let of = |at| mean(&values(rows, "muster", at));
        let (makespan, occupancy) = (of(0), of(1));
        vec![
            Goal {
                what: "makespan, decisions taking no time".to_owned(),
                wanted: format!("{OPTIMUM_S:.0} s, the optimum"),
                reached: format!("{makespan:.0} s"),
                met: (makespan - OPTIMUM_S).abs() < 0.001,
            },
            Goal {
                what: "occupancy".to_owned(),
                wanted: "100 %".to_owned(),
                reached: format!("{occupancy:.1} %"),
                met: occupancy > 99.999,
            },
        ]
    }

    fn lines(&self, rows: &[Row]) -> Vec<Line> {
        let first = rows.iter().map(|row| row.seed).min();
        let rows = rows.iter().filter(|row| Some(row.seed) == first);
        rows.map(|row| Line { name: row.policy.clone(), points: row.curve.clone() }).collect()
    }

    fn axes(&self) -> (&'static str, &'static str) {
        ("minutes", "GPUs of gangs that run")
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Data: `resources/benchmarks/gang-scheduling/workflows/run-test.yaml` of NVIDIA/knavigator (Apache-2.0), as a list in \
             `simulations/traces/scheduler-benchmarks`. Order and sizes are upstream's; how long jobs run has changed there more than once, here it is \
             120 s. Upstream's figures are of whole control planes on other machines, so none of them stands here."
                .to_owned(),
            "All gangs are created in one second and differ in name only, as in a burst on a real API server. The pods of a gang that ends \
             are seen to end one after the other, so a small gang may take what the first of them leaves, before an older and larger one \
             has all it needs."
                .to_owned(),
            "Where `muster` misses the optimum, small gangs pass larger ones: it keeps nodes for the first gang that waits and for no other, and \
             by default only after five minutes. `muster-deadlines` has a reservation from the first wait on and a deadline on every pod; the \
             second gang of a wave still has nothing kept for it."
                .to_owned(),
            "`fifo` is strictly first come, first served, with nobody passing, which is optimal here by construction of the list."
                .to_owned(),
        ]
    }
}
