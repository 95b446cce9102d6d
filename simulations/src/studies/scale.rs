//! `scale`: how long decisions take on large clusters, by the clock of the machine that runs it.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use muster_placement::Settings;
use muster_placement::time::{Span, Time};

use super::replay::{self, Extender, Floor, Policy, Site, Spot, Unit, Work};
use super::report::values;
use super::statistics::quantile;
use super::{Column, Goal, Line, Row, Size, Study, StudyError};

const NAME: &str = "scale";
/// Longer than any stream.
const FOREVER: Span = Span(1_000_000_000);

/// The study.
#[derive(Debug)]
pub(crate) struct Scale;

#[expect(clippy::disallowed_methods, reason = "this study is about real time")]
fn clock() -> Instant {
    Instant::now()
}

/// A policy with a stop watch: how long it takes over each submission.
struct Timed {
    policy: Box<dyn Policy>,
    took: Vec<Duration>,
}

impl Policy for Timed {
    fn opened(&mut self, floor: &mut Floor) {
        self.policy.opened(floor);
    }

    fn submitted(&mut self, floor: &mut Floor, job: usize) {
        let start = clock();
        self.policy.submitted(floor, job);
        self.took.push(start.elapsed());
    }

    fn pod_ended(&mut self, floor: &mut Floor, job: usize, pod: usize) {
        self.policy.pod_ended(floor, job, pod);
    }

    fn ended(&mut self, floor: &mut Floor, job: usize) {
        self.policy.ended(floor, job);
    }

    fn next(&self) -> Option<Time> {
        self.policy.next()
    }

    fn woken(&mut self, floor: &mut Floor) {
        self.policy.woken(floor);
    }

    fn whole_gangs(&self) -> bool {
        self.policy.whole_gangs()
    }
}

/// Seconds for each submission, in order; those asked to start must have.
fn times(site: Site, works: Vec<Work>, policy: &str, starts: usize) -> Result<Vec<f64>, StudyError> {
    let inner = match policy {
        "muster" => Box::new(Extender::unchecked(Settings::default())),
        other => replay::by_name(other, 1)?,
    };
    let mut timed = Timed { policy: inner, took: Vec::new() };
    let played = replay::play(site, works, &mut timed).sound(NAME, policy, 1)?;
    let at_once = |(work, lot): &(&Work, &replay::Lot)| lot.started == Some(work.submit);
    let started = played.works.iter().zip(&played.lots).filter(at_once).count();
    if started != starts {
        let what = format!("{started} of {starts} gangs started when they came");
        return Err(StudyError::Broken { study: NAME, policy: policy.to_owned(), seed: 1, what });
    }
    Ok(timed.took.iter().map(Duration::as_secs_f64).collect())
}

fn work(at: usize, pods: usize, each: u64) -> Work {
    Work { submit: Time(at as u64), pods, each, duration: FOREVER, tenant: 0 }
}

/// Nodes in a tree: how many neighbours make a domain of each level, widest first.
fn tree(nodes: usize, each: u64, levels: &[(&'static str, usize)], unit: Unit) -> Site {
    let spot = |at: usize| Spot {
        name: format!("node-{at:05}"),
        gpus: each,
        domains: levels.iter().map(|(_, nodes)| format!("domain-{:05}", at / nodes)).collect(),
    };
    let levels = levels.iter().map(|(label, _)| *label).collect();
    Site { spots: (0..nodes).map(spot).collect(), levels, unit, judged: false }
}

/// A stream of single pods on many nodes: decisions a second, and the 99th percentile in microseconds.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn stream(policy: &str, nodes: usize, pods: usize) -> Result<[f64; 2], StudyError> {
    let works = (0..pods).map(|at| work(at, 1, 1)).collect();
    let times = times(Site::flat(nodes, 8), works, policy, pods)?;
    Ok([times.len() as f64 / times.iter().sum::<f64>(), 1e6 * quantile(&times, 0.99)])
}

/// KAI's shapes on 500 nodes of 8: a gang of 512 on the empty cluster; 10 pods when 4,000 have filled it. Milliseconds.
fn kai(policy: &str) -> Result<[f64; 2], StudyError> {
    let gang = times(Site::flat(500, 8), vec![work(0, 512, 1)], policy, 1)?;
    let mut works: Vec<Work> = (0..500).map(|at| work(at, 8, 1)).collect();
    works.push(work(500, 10, 1));
    let no = times(Site::flat(500, 8), works, policy, 500)?;
    let last = |times: Vec<f64>| times.last().map_or(f64::NAN, |seconds| 1e3 * seconds);
    Ok([last(gang), last(no)])
}

/// 64 pods of 8 GPUs among 6,000 nodes in 9,600 domains: 600, 3,000 and 6,000. Milliseconds.
fn domains(policy: &str) -> Result<f64, StudyError> {
    let levels = [
        (super::exact_trees::LABELS[0], 10),
        (super::exact_trees::LABELS[1], 2),
        (super::exact_trees::LABELS[2], 1),
    ];
    let times = times(tree(6_000, 8, &levels, Unit::Gpu), vec![work(0, 64, 8)], policy, 1)?;
    Ok(times.first().map_or(f64::NAN, |seconds| 1e3 * seconds))
}

/// Kueue's generator for topology aware scheduling: 30 queues, each with 350 small, 100 medium and 50 large workloads,
/// on 10 racks of 64 nodes with 96 cores. Seconds for all.
fn kueue(policy: &str, queues: usize) -> Result<f64, StudyError> {
    // Count, interval and run time in ms, pods, quarters of a core of each.
    const SETS: [(usize, usize, u64, usize, u64); 3] =
        [(350, 100, 200, 2, 2), (100, 500, 500, 4, 5), (50, 1_200, 1_000, 8, 10)];
    let mut works = Vec::new();
    for (count, interval, runtime, pods, each) in SETS {
        let set = (0..count).map(|at| Work { duration: Span(runtime), ..work(at * interval, pods, each) });
        works.extend(set.flat_map(|work| std::iter::repeat_n(work, queues)));
    }
    works.sort_by_key(|work| work.submit);
    let levels = [("cloud.provider.com/topology-block", 640), ("cloud.provider.com/topology-rack", 64)];
    let all = works.len();
    Ok(times(tree(640, 96 * 4, &levels, Unit::QuarterCore), works, policy, all)?.iter().sum())
}

const COLUMNS: [(&str, usize); 6] = [
    ("stream_5000_nodes_decisions_per_s", 0),
    ("stream_p99_us", 0),
    ("gang_of_512_ms", 2),
    ("no_for_10_pods_ms", 3),
    ("gang_in_9600_domains_ms", 2),
    ("kueue_15000_workloads_s", 2),
];

impl Study for Scale {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "Time for decisions in process on shapes that Kubernetes, KAI, Volcano and Kueue publish figures for, whole life cycle included."
    }

    fn seeds(&self) -> RangeInclusive<u64> {
        1..=5
    }

    fn policies(&self) -> Vec<&'static str> {
        vec!["muster", "tas", "packing"]
    }

    fn columns(&self) -> Vec<Column> {
        COLUMNS.map(|(name, digits)| Column { name, digits }).to_vec()
    }

    fn run(&self, seed: u64, policy: &str, size: Size) -> Result<Row, StudyError> {
        let full = size == Size::Full;
        let (nodes, pods, queues) = if full { (5_000, 5_000, 30) } else { (50, 200, 1) };
        let mut values = stream(policy, nodes, pods)?.to_vec();
        values.extend(kai(policy)?);
        values.push(domains(policy)?);
        values.push(kueue(policy, queues)?);
        Ok(Row { scenario: NAME, policy: policy.to_owned(), seed, values, curve: Vec::new() })
    }

    fn goals(&self, rows: &[Row]) -> Vec<Goal> {
        let median = |policy, at| quantile(&values(rows, policy, at), 0.5);
        let goal = |what: &str, wanted: &str, at: usize, met: fn(f64) -> bool| {
            let (ours, floor, peer) = (median("muster", at), median("packing", at), median("tas", at));
            Goal {
                what: what.to_owned(),
                wanted: wanted.to_owned(),
                reached: format!("{ours:.2} (median; beside it packing {floor:.2}, tas {peer:.2})"),
                met: met(ours),
            }
        };
        vec![
            goal("single pods decided a second among 5,000 nodes", "at least 810", 0, |v| v >= 810.0),
            goal("a gang of 512 pods on 500 nodes, ms", "below 1,000", 2, |v| v < 1_000.0),
            goal("\"no\" to 10 pods on 500 full nodes, ms", "below 100", 3, |v| v < 100.0),
            goal("64 pods among 6,000 nodes in 9,600 domains, ms", "below 1,000", 4, |v| v < 1_000.0),
        ]
    }

    fn lines(&self, rows: &[Row]) -> Vec<Line> {
        let line = |policy: &&str| {
            let of = rows.iter().filter(|row| row.policy == *policy);
            let point = |row: &Row| Some((f64::from(u32::try_from(row.seed).ok()?), *row.values.first()?));
            Line { name: (*policy).to_owned(), points: of.filter_map(point).collect() }
        };
        super::report::policies(rows).iter().map(line).collect()
    }

    fn axes(&self) -> (&'static str, &'static str) {
        ("run", "decisions a second among 5,000 nodes")
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Seeds are repetitions; the work is always the same. Time is that of the policy from the submission of a gang to its last \
             binding. `muster` goes through all of it in that time (owner, gated pods, plan, release, a new view, filter, bind, outcome, \
             running), `tas` and `packing` only count GPUs: floors and peers from the same run, not schedulers. Runs share the cores."
                .to_owned(),
            "Shapes: 5,000 nodes and single pods as in kube-scheduler's scheduler_perf; 500 nodes of 8 GPUs from KAI's scale tests; 6,000 \
             nodes in 9,600 domains from Volcano issue 5811 (here 600, 3,000 and 6,000 domains on three levels); Kueue's generator for \
             topology aware scheduling without its quotas and without its topology wishes."
                .to_owned(),
            "Context, from other machines and of whole control planes, so not to be compared: scheduler_perf's floors in CI are 680 to 810 \
             pods a second; KAI's example results say 48.7 s for a gang of 512 and 249.5 s until 10 pods are called unschedulable; Volcano \
             took 5.5 minutes for 9,600 domains; Kueue's CI takes 401 s for its 15,000 workloads."
                .to_owned(),
        ]
    }
}
