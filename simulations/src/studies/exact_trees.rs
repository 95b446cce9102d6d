//! `exact-trees`: gangs on random trees of domains and on blocks of NVL72 racks with losses, beside the optimum.

mod optimum;

use std::ops::RangeInclusive;

use muster_placement::time::{Span, Time};

use super::replay::{self, Site, Spot, Unit, Work};
use super::report::values;
use super::statistics::mean;
use super::{Column, Goal, Line, Row, Size, Study, StudyError};
use crate::dice::{Concern, Dice};
use optimum::Cost;

const NAME: &str = "exact-trees";
/// Labels of up to three levels, widest first (NVIDIA topograph's older names).
pub(super) const LABELS: [&str; 3] = [
    "network.topology.nvidia.com/datacenter",
    "network.topology.nvidia.com/spine",
    "network.topology.nvidia.com/block",
];
/// The label of a rack whose GPUs are all linked.
const CLIQUE: &str = "nvidia.com/gpu.clique";
/// Cases of each seed: random trees, NVL72 blocks.
const TREES: usize = 1_000;
const BLOCKS: usize = 200;

/// The study.
#[derive(Debug)]
pub(crate) struct ExactTrees;

/// A gang and where it could go.
struct Case {
    site: Site,
    pods: usize,
    each: u64,
    least: Cost,
}

fn size_of(dice: &mut Dice, below: u64) -> usize {
    usize::try_from(dice.below(below)).unwrap_or(0)
}

/// One to three levels, up to twelve nodes, and what is left on each.
fn random_tree(dice: &mut Dice) -> Site {
    let levels = 1 + size_of(dice, 3);
    let nodes = 2 + size_of(dice, 11);
    let mut path = vec![0_u64; levels];
    let spot = |at: usize| {
        // Each node begins a new domain at some level, or stays in that of the one before.
        for domain in &mut path {
            *domain += u64::from(dice.chance(300));
        }
        let gpus = *dice.pick(&[0, 0, 1, 2, 4, 4, 6, 8, 8, 8]).unwrap_or(&0);
        Spot { name: format!("n{at:02}"), gpus, domains: path.iter().map(|d| format!("d{d}")).collect() }
    };
    Site {
        spots: (0..nodes).map(spot).collect(),
        levels: LABELS[3 - levels..].to_vec(),
        unit: Unit::Gpu,
        judged: true,
    }
}

/// Two spines of four NVL72 racks of 18 nodes with 4 GPUs; one node in 25 is lost, and some are busy.
fn nvl72(dice: &mut Dice) -> Site {
    let busy = 100 + dice.below(600);
    let spot = |at: usize| {
        let rack = at / 18;
        let gone = dice.chance(40) || dice.chance(busy);
        Spot {
            name: format!("n{at:03}"),
            gpus: if gone { 0 } else { 4 },
            domains: vec![format!("spine-{}", rack / 4), format!("rack-{rack}")],
        }
    };
    Site {
        spots: (0..8 * 18).map(spot).collect(),
        levels: vec![LABELS[1], CLIQUE],
        unit: Unit::Gpu,
        judged: true,
    }
}

/// Draws until the gang fits somehow.
fn case(dice: &mut Dice, blocks: bool) -> Case {
    loop {
        let site = if blocks { nvl72(dice) } else { random_tree(dice) };
        let (pods, each) =
            if blocks { (2 + size_of(dice, 47), 4) } else { (2 + size_of(dice, 7), 1 << dice.below(4)) };
        if let Some(least) = optimum::least(&site, pods, each) {
            return Case { site, pods, each, least };
        }
    }
}

/// Domains used at each level and nodes used, of pods on these nodes.
fn cost_of(site: &Site, nodes: &[usize]) -> Cost {
    let paths = |levels: usize| {
        let mut paths: Vec<&[String]> = nodes.iter().map(|at| &site.spots[*at].domains[..levels]).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.len()
    };
    let mut own = nodes.to_vec();
    own.sort_unstable();
    own.dedup();
    (1..=site.levels.len()).map(paths).chain([own.len()]).collect()
}

/// What a policy makes of cases of one sort.
#[derive(Default)]
struct Score {
    cases: usize,
    refused: usize,
    off: usize,
    off_in_nodes: usize,
    worst: usize,
}

impl Score {
    fn count(&mut self, case: &Case, policy: &str, seed: u64) -> Result<(), StudyError> {
        self.cases += 1;
        let work = Work { submit: Time(0), pods: case.pods, each: case.each, duration: Span(1), tenant: 0 };
        let played = replay::play(case.site.clone(), vec![work], replay::by_name(policy, seed)?.as_mut());
        let played = played.sound(NAME, policy, seed)?;
        let nodes: Option<Vec<usize>> =
            played.lots.first().and_then(|lot| lot.places.iter().copied().collect());
        let Some(nodes) = nodes else {
            self.refused += 1;
            return Ok(());
        };
        let cost = cost_of(&case.site, &nodes);
        let levels = case.site.levels.len();
        self.off += usize::from(cost[..levels] != case.least[..levels]);
        self.off_in_nodes += usize::from(cost != case.least);
        let extra = cost[..levels].iter().zip(&case.least).map(|(used, least)| used.saturating_sub(*least));
        self.worst = self.worst.max(extra.max().unwrap_or(0));
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts")]
    fn values(&self) -> [f64; 4] {
        let share = |n: usize| 100.0 * n as f64 / self.cases as f64;
        [share(self.off), share(self.off_in_nodes), self.worst as f64, self.refused as f64]
    }
}

impl Study for ExactTrees {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "One gang on 10,000 random trees of up to 3 levels and 12 nodes, and on 2,000 pairs of spines of NVL72 racks with losses, beside the optimum."
    }

    fn seeds(&self) -> RangeInclusive<u64> {
        1..=10
    }

    fn policies(&self) -> Vec<&'static str> {
        vec!["muster", "tas", "nearest", "packing"]
    }

    fn columns(&self) -> Vec<Column> {
        [
            ("trees_off_optimum_pct", 2),
            ("trees_off_in_nodes_too_pct", 2),
            ("trees_worst_extra_domains", 1),
            ("trees_refused_though_fits", 1),
            ("nvl72_off_optimum_pct", 2),
            ("nvl72_off_in_nodes_too_pct", 2),
            ("nvl72_worst_extra_domains", 1),
            ("nvl72_refused_though_fits", 1),
        ]
        .map(|(name, digits)| Column { name, digits })
        .to_vec()
    }

    fn run(&self, seed: u64, policy: &str, size: Size) -> Result<Row, StudyError> {
        let mut dice = Dice::new(seed, Concern::Users);
        let part = if size == Size::Slice { 10 } else { 1 };
        let mut scores = Vec::new();
        for (blocks, cases) in [(false, TREES / part), (true, BLOCKS / part)] {
            let mut score = Score::default();
            for _ in 0..cases {
                score.count(&case(&mut dice, blocks), policy, seed)?;
            }
            scores.extend(score.values());
        }
        Ok(Row { scenario: NAME, policy: policy.to_owned(), seed, values: scores, curve: Vec::new() })
    }

    fn goals(&self, rows: &[Row]) -> Vec<Goal> {
        let ours = |at| mean(&values(rows, "muster", at));
        let most = |at| values(rows, "muster", at).into_iter().fold(0.0, f64::max);
        let goal = |what: &str, wanted: &str, reached: String, met| Goal {
            what: what.to_owned(),
            wanted: wanted.to_owned(),
            reached,
            met,
        };
        let off = |at| (format!("{:.2} %", ours(at)), ours(at) <= 1.0);
        let worst = most(2).max(most(6));
        let refused = most(3).max(most(7));
        vec![
            goal("random trees with more domains than the optimum", "at most 1 %", off(0).0, off(0).1),
            goal("NVL72 gangs with more domains than the optimum", "at most 1 %", off(4).0, off(4).1),
            goal("domains more than the optimum, at worst", "at most 1", format!("{worst:.0}"), worst <= 1.0),
            goal("gangs refused though they fit, in a seed", "0", format!("{refused:.0}"), refused == 0.0),
        ]
    }

    fn lines(&self, rows: &[Row]) -> Vec<Line> {
        let policies = super::report::policies(rows);
        let points = |policy: &str| {
            let of = rows.iter().filter(|row| row.policy == policy);
            of.filter_map(|row| Some((f64::from(u32::try_from(row.seed).ok()?), *row.values.first()?)))
                .collect()
        };
        policies.iter().map(|policy| Line { name: (*policy).to_owned(), points: points(policy) }).collect()
    }

    fn axes(&self) -> (&'static str, &'static str) {
        ("seed", "random trees off the optimum, %")
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "The optimum has the fewest domains of the widest level, then the fewest of the next, down to the narrowest (and, in the \
             column that says so, to nodes). It comes from dynamic programming, which a test compares with trying every way. Gangs ask for \
             no level, so what is judged is how near they are kept by themselves. Each case is a cluster of its own in which one gang \
             lives its whole life; only gangs that fit are drawn."
                .to_owned(),
            "`tas` is Kueue's best fit by levels, `nearest` goes pod by pod to the node with the lowest common ancestor, `packing` fills \
             nodes and knows no network. NVL72 racks have 18 nodes of 4 GPUs; one node in 25 is lost, and 10 to 70 % are busy."
                .to_owned(),
        ]
    }
}
