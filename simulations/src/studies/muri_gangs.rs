//! `muri-gangs`: months of Philly jobs, gangs among them, on 48 nodes of 8 GPUs.

use std::ops::RangeInclusive;

use muster_placement::time::{Span, Time};
use serde::Deserialize;

use super::replay::{self, Played, Site, WHOLE_NODE, Work};
use super::report::values;
use super::statistics::{mean, paired};
use super::{Column, Goal, Line, Row, Size, Study, StudyError, traces};
use crate::dice::{Concern, Dice};

const NODES: usize = 48;
const DAY_MS: u64 = 86_400_000;
/// The baseline of the goals.
const BASELINE: &str = "coscheduling-least";

/// One of Muri's job sets.
#[derive(Debug)]
pub(crate) struct MuriGangs {
    /// Which.
    pub(crate) trace: u8,
}

#[derive(Deserialize)]
struct Job {
    num_gpu: u64,
    submit_time: u64,
    duration: f64,
}

/// The jobs of a set. The first seed has them as they were; the others have the days in another order, and so the same
/// jobs, the same load and the same hours of the day.
pub(super) fn works(trace: u8, seed: u64) -> Result<Vec<Work>, StudyError> {
    let jobs: Vec<Job> = traces::rows(&format!("muri-philly/trace{trace}.csv.gz"))?;
    let last = jobs.iter().map(|job| job.submit_time / DAY_MS).max().unwrap_or(0);
    let mut days: Vec<u64> = (0..=last).collect();
    if seed > 1 {
        Dice::new(seed, Concern::Users).shuffle(&mut days);
    }
    let day = |day: u64| days.get(usize::try_from(day).unwrap_or(0)).copied().unwrap_or(day);
    let mut works: Vec<Work> = jobs
        .iter()
        .map(|job| {
            let submit = day(job.submit_time / DAY_MS) * DAY_MS + job.submit_time % DAY_MS;
            Work::of_gpus(job.num_gpu, WHOLE_NODE, Time(submit), milliseconds(job.duration))
        })
        .collect();
    works.sort_by_key(|work| work.submit);
    Ok(works)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations are positive")]
fn milliseconds(duration: f64) -> Span {
    Span(duration.max(1.0) as u64)
}

const COLUMNS: [(&str, usize); 13] = [
    ("small_wait_mean_h", 2),
    ("small_wait_p99_h", 1),
    ("large_wait_mean_h", 1),
    ("large_wait_p50_h", 2),
    ("large_wait_p99_h", 0),
    ("large_fragmentation_gpu_h", 0),
    ("large_capacity_gpu_h", 0),
    ("turn_gpu_h", 0),
    ("held_waste_gpu_h", 1),
    ("occupancy_pct", 1),
    ("partial_starts", 0),
    ("standstills", 0),
    ("never_started", 0),
];
const SMALL_P99: usize = 1;
const FRAGMENTATION: usize = 5;
const HELD: usize = 8;
const PARTIAL: usize = 10;
const STANDSTILLS: usize = 11;

#[expect(clippy::cast_precision_loss, reason = "counts")]
fn row(played: &Played) -> Vec<f64> {
    let small = |work: &Work| work.gpus() < WHOLE_NODE;
    let large = |work: &Work| work.gpus() >= WHOLE_NODE;
    let delays = &played.delays;
    let (small_mean, small_p99) = played.wait_h(small, 0.99);
    let (large_mean, large_p99) = played.wait_h(large, 0.99);
    vec![
        small_mean,
        small_p99,
        large_mean,
        played.wait_h(large, 0.5).1,
        large_p99,
        replay::hours(delays.large.fragmentation),
        replay::hours(delays.large.capacity),
        replay::hours(delays.small.turn + delays.large.turn),
        replay::hours(delays.held),
        played.occupancy_pct(),
        played.partial_starts() as f64,
        delays.standstills as f64,
        played.unstarted() as f64,
    ]
}

impl Study for MuriGangs {
    fn name(&self) -> &'static str {
        match self.trace {
            1 => "muri-gangs-1",
            2 => "muri-gangs",
            _ => "muri-gangs-3",
        }
    }

    fn about(&self) -> &'static str {
        match self.trace {
            1 => {
                "Muri's Philly job set 1 (1,494 jobs, 35 % gangs of whole nodes) on 48 nodes of 8 GPUs, gang life cycle and all."
            }
            2 => {
                "Muri's Philly job set 2 (5,755 jobs, 40 % gangs of whole nodes) on 48 nodes of 8 GPUs, gang life cycle and all."
            }
            _ => {
                "Muri's Philly job set 3 (992 jobs, 81 % gangs of whole nodes) on 48 nodes of 8 GPUs, gang life cycle and all."
            }
        }
    }

    fn seeds(&self) -> RangeInclusive<u64> {
        1..=5
    }

    fn policies(&self) -> Vec<&'static str> {
        vec![
            "muster",
            "muster-deadlines",
            "coscheduling-least",
            "coscheduling-most",
            "kube-scheduler-least",
            "kube-scheduler-most",
            "fifo",
        ]
    }

    fn columns(&self) -> Vec<Column> {
        COLUMNS.map(|(name, digits)| Column { name, digits }).to_vec()
    }

    fn run(&self, seed: u64, policy: &str, size: Size) -> Result<Row, StudyError> {
        let mut works = works(self.trace, seed)?;
        if size == Size::Slice {
            works.truncate(150);
        }
        let played =
            replay::play(Site::flat(NODES, WHOLE_NODE), works, replay::by_name(policy, seed)?.as_mut());
        let played = played.sound(self.name(), policy, seed)?;
        let values = row(&played);
        Ok(Row { scenario: self.name(), policy: policy.to_owned(), seed, values, curve: played.wait_curve() })
    }

    fn goals(&self, rows: &[Row]) -> Vec<Goal> {
        let ours = |at| mean(&values(rows, "muster", at));
        let theirs = |at| mean(&values(rows, BASELINE, at));
        let nought = |what: &str, at| Goal {
            what: what.to_owned(),
            wanted: "0".to_owned(),
            reached: format!("{:.1}", ours(at)),
            met: ours(at) == 0.0,
        };
        let (pieces, their_pieces) = (ours(FRAGMENTATION), theirs(FRAGMENTATION));
        let (small, their_small) = (ours(SMALL_P99), theirs(SMALL_P99));
        let (difference, half) =
            paired(&values(rows, "muster", SMALL_P99), &values(rows, BASELINE, SMALL_P99));
        vec![
            nought("deadlocks: partly placed gangs in each other's way", STANDSTILLS),
            nought("gangs started in part", PARTIAL),
            nought("GPU-hours held by waiting gangs", HELD),
            Goal {
                what: format!("fragmentation delay of jobs of 8 GPUs and more, of that with {BASELINE}"),
                wanted: "at most 50 %".to_owned(),
                reached: format!("{pieces:.0} of {their_pieces:.0} GPU-h"),
                met: pieces <= 0.5 * their_pieces,
            },
            Goal {
                what: format!("p99 wait of smaller jobs, of that with {BASELINE}"),
                wanted: "at most 105 %".to_owned(),
                reached: format!("{small:.1} of {their_small:.1} h ({difference:+.1} ± {half:.1} h)"),
                met: small <= 1.05 * their_small,
            },
        ]
    }

    fn lines(&self, rows: &[Row]) -> Vec<Line> {
        let first = rows.iter().map(|row| row.seed).min();
        let rows = rows.iter().filter(|row| Some(row.seed) == first);
        rows.map(|row| Line { name: row.policy.clone(), points: row.curve.clone() }).collect()
    }

    fn axes(&self) -> (&'static str, &'static str) {
        ("share of the jobs of 8 GPUs and more, %", "waited at most, h")
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Data: Muri's job sets (Zhao et al., SIGCOMM 2022; Apache-2.0), made by its authors from Microsoft's Philly log (Jeon et al., \
             ATC 2019; CC BY 4.0): submission, GPUs and duration of single virtual clusters. Jobs above 8 GPUs are pods of 8. The set's \
             priorities and models are not used: every policy serves in order of submission. Seed 1 is the set as recorded; other seeds \
             have its days in another order, so the jobs, the load and the hours of the day are the same."
                .to_owned(),
            "Calls take no time. `coscheduling` is the plugin of scheduler-plugins with its present PostFilter, which takes a gang back as \
             soon as one pod fits nowhere and more than a tenth of it is missing; gangs of up to 4 pods are therefore never held, and its \
             held waste here is 0. `kube-scheduler` has no gangs: parts of them keep their nodes. Both are favoured: no back-off, no \
             sampling, pods always tried in order of age. `fifo` lets nobody pass."
                .to_owned(),
            "`muster` has its default settings and pods without deadlines: a reservation then stands for five minutes at a time, and small \
             jobs go on passing the largest gangs. With `muster-deadlines` every pod has an `activeDeadlineSeconds` of a quarter more than \
             its job runs, and the first gang that waits has a reservation at once: waits even out, at the expense of small jobs."
                .to_owned(),
            "A job that waits is charged to fragmentation while as many GPUs are free as it lacks but no set of nodes takes its pods, and to \
             capacity while fewer are free (Philly study, section 3). Waits of jobs that never started count until the end of the replay. \
             Context, from another cluster: the Philly study names fragmentation as the cause of about 74 % of the delays of 5–8 GPU jobs \
             and 98 % of larger ones."
                .to_owned(),
        ]
    }
}
