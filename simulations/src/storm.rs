//! A small world in which anything may go wrong, drawn from a seed: nodes, jobs, the weather and the faults.
//!
//! Swarm testing (Groce et al., ISSTA 2012): each seed switches a random half of the kinds of faults on, since
//! faults of all kinds at once hide each other. Everything is drawn beforehand, so that a story can be shortened.

use muster_placement::ids::NodeName;
use muster_placement::time::{Span, Time};

use crate::dice::{Concern, Dice};
use crate::job::JobSpec;
use crate::machine::Kind;
use crate::scenario::{Pace, Scenario, Weather};
use crate::world::{Fault, WatchKind};

/// One of a kind of fault, on a node and at a time if it has one, and what mends it later.
type Draw = fn(&mut Dice, NodeName, Time, Time) -> Vec<(Time, Fault)>;

/// Kinds of faults.
const KINDS: [Draw; 20] = [
    |dice, node, at, later| {
        let gpu = small(dice, 8);
        let why = "XID 79: the GPU has fallen off the bus";
        vec![(at, Fault::GpuDies { node: node.clone(), gpu, why }), (later, Fault::GpusRecover(node))]
    },
    |dice, node, at, later| {
        let gpu = small(dice, 8);
        vec![(at, Fault::GpuVanishes { node: node.clone(), gpu }), (later, Fault::GpusRecover(node))]
    },
    |_, node, at, later| vec![(at, Fault::Cordon(node.clone())), (later, Fault::Uncordon(node))],
    |_, node, at, later| vec![(at, Fault::Drain(node.clone())), (later, Fault::Uncordon(node))],
    |_, node, at, later| vec![(at, Fault::Taint(node.clone(), true)), (later, Fault::Taint(node, false))],
    |_, node, at, later| {
        vec![(at, Fault::Labelled(node.clone(), false)), (later, Fault::Labelled(node, true))]
    },
    |_, node, at, later| vec![(at, Fault::NodeGone(node.clone())), (later, Fault::NodeBack(node))],
    |_, node, at, _| vec![(at, Fault::Reboot(node))],
    |_, node, at, _| vec![(at, Fault::KubeletRestart(node))],
    |_, node, at, later| {
        vec![(at, Fault::PluginDown(node.clone(), true)), (later, Fault::PluginDown(node, false))]
    },
    |_, node, at, later| {
        vec![(at, Fault::AgentGone(node.clone(), true)), (later, Fault::AgentGone(node, false))]
    },
    |_, _, at, _| vec![(at, Fault::Restart)],
    |dice, _, at, _| {
        let bindings = u32::try_from(1 + dice.below(5)).unwrap_or(1);
        vec![(at, Fault::RestartAfterBindings(bindings))]
    },
    |_, _, at, _| vec![(at, Fault::SchedulerRestart)],
    |dice, _, at, _| {
        let kinds = [WatchKind::Nodes, WatchKind::Owners, WatchKind::Pods];
        let kind = dice.pick(&kinds).copied().unwrap_or(WatchKind::Pods);
        vec![(at, Fault::WatchCut(kind, dice.span(100, 15_000)))]
    },
    |dice, _, at, _| {
        let down = dice.span(500, 20_000);
        vec![(at, Fault::ApiDown(true)), (at.after(down), Fault::ApiDown(false))]
    },
    |dice, _, at, later| {
        let index = u32::try_from(dice.below(3)).unwrap_or(0);
        vec![(at, Fault::AdmissionDenies(Some(index))), (later, Fault::AdmissionDenies(None))]
    },
    |dice, _, at, _| vec![(at, Fault::Configure(dice.below(15)))],
    |dice, _, at, _| {
        let (index, flag) = (small(dice, 1_000), dice.chance(500));
        let job = dice.chance(500);
        vec![(at, if job { Fault::DeleteJob(index, flag) } else { Fault::DeletePod(index, flag) })]
    },
    |dice, node, at, _| {
        let (variant, span) = (dice.below(12), dice.span(5_000, 90_000));
        let fault = match variant % 3 {
            0 => Fault::ForeignPod(node, 1 + variant % 4, span),
            1 => Fault::StaticPod(node, span),
            _ => Fault::ForgedPod(node, variant, span),
        };
        vec![(at, fault)]
    },
];

fn small(dice: &mut Dice, below: u64) -> usize {
    usize::try_from(dice.below(below)).unwrap_or(0)
}

/// How long people submit and things break.
pub const STORM: Span = Span(150_000);

impl Scenario {
    /// The storm of a seed.
    pub fn storm(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed, Concern::Faults);
        let kinds = [Kind::Hgx8xH100, Kind::Hgx8xA100, Kind::Dgx1V, Kind::Pcie4xL40S];
        let count = 2 + dice.below(5);
        let mut nodes: Vec<(String, Kind)> =
            (0..count).filter_map(|at| dice.pick(&kinds).map(|kind| (format!("gpu-{at}"), *kind))).collect();
        nodes.push(("cpu-0".to_owned(), Kind::CpuOnly));
        let on: Vec<_> = KINDS.iter().filter(|_| dice.chance(400)).collect();
        let mut faults = Vec::new();
        for _ in 0..4 + dice.below(14) {
            let (Some(kind), Some((name, _))) = (dice.pick(&on), dice.pick(&nodes)) else { continue };
            let at = Time(dice.below(STORM.0));
            let later = at.after(dice.span(1_000, 60_000));
            faults.extend(kind(&mut dice, NodeName::from(name.as_str()), at, later));
        }
        faults.sort_by_key(|(at, _)| *at);
        let weather = weather(&mut dice);
        let slow = [0, 0, 60];
        let slow_calls_per_mille = slow.get(small(&mut dice, 3)).copied().unwrap_or(0);
        let pace = Pace { slow_calls_per_mille, ..Pace::default() };
        Scenario { seed, pace, weather, nodes, jobs: jobs(seed), users: None, faults }
    }
}

/// Each kind of weather in every other world.
fn weather(dice: &mut Dice) -> Weather {
    let mut sometimes = |most: u64| if dice.chance(500) { dice.below(most) } else { 0 };
    Weather {
        lost_answers_per_mille: sometimes(150),
        conflicts_per_mille: sometimes(200),
        watch_lag_ms: sometimes(3_000),
        reports_lost_per_mille: sometimes(500),
        reports_doubled_per_mille: sometimes(300),
        report_delay_ms: sometimes(12_000),
        restricted: sometimes(4) == 3,
        denied_index: None,
    }
}

/// Jobs of all shapes, gated or not, with priorities, some of them elastic.
fn jobs(seed: u64) -> Vec<(Time, JobSpec)> {
    let mut dice = Dice::new(seed, Concern::Users);
    let shapes = Scenario::shapes();
    let ungated = [0, 300, 1_000].get(small(&mut dice, 3)).copied().unwrap_or(0);
    let elastic = dice.chance(300);
    let count = 5 + dice.below(8);
    let mut jobs: Vec<(Time, JobSpec)> = (0..count)
        .filter_map(|serial| {
            let shape = dice.pick(&shapes)?;
            let (duration, gated) = (dice.span(3_000, 45_000), !dice.chance(ungated));
            let mut job = shape.job(format!("{}-{serial}", shape.prefix), duration, gated);
            job.priority = if dice.chance(200) { 1_000 } else { 0 };
            if elastic && job.is_gang() && dice.chance(500) {
                job.min = u32::try_from(1 + dice.below(u64::from(job.size()))).ok();
            }
            Some((Time(dice.below(STORM.0 * 2 / 3)), job))
        })
        .collect();
    jobs.sort_by_key(|(at, _)| *at);
    jobs
}
