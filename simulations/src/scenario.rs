//! What there is at the beginning, who submits what, and what will go wrong.

use muster_placement::ids::NodeName;
use muster_placement::time::{Span, Time};

use crate::dice::{Concern, Dice};
use crate::job::JobSpec;
use crate::machine::Kind;
use crate::world::{Fault, Shape, Users};

/// How fast things go.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two reports of an agent.
    pub report: Span,
    /// Longest time until a bound pod runs; the shortest is half of it.
    pub pod_start: Span,
    /// How long a finished job is kept.
    pub job_kept: Span,
    /// Calls to the API server that take half a second to four, in thousandths.
    pub slow_calls_per_mille: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { report: Span(5_000), pod_start: Span(2_000), job_kept: Span(10_000), slow_calls_per_mille: 0 }
    }
}

/// A world to be.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Chance.
    pub seed: u64,
    /// Speed.
    pub pace: Pace,
    /// Nodes by name.
    pub nodes: Vec<(String, Kind)>,
    /// Jobs submitted at their times.
    pub jobs: Vec<(Time, JobSpec)>,
    /// A stream of further jobs.
    pub users: Option<Users>,
    /// What goes wrong, and when.
    pub faults: Vec<(Time, Fault)>,
}

impl Scenario {
    /// 16 nodes of five kinds, as a laptop shows them.
    pub fn demo_nodes() -> Vec<(String, Kind)> {
        let kinds = [
            ("h100", 5, Kind::Hgx8xH100),
            ("a100", 4, Kind::Hgx8xA100),
            ("v100", 2, Kind::Dgx1V),
            ("l40s", 3, Kind::Pcie4xL40S),
            ("cpu", 2, Kind::CpuOnly),
        ];
        let named = |(name, count, kind): (&'static str, u32, Kind)| {
            (0..count).map(move |at| (format!("{name}-{at}"), kind))
        };
        kinds.into_iter().flat_map(named).collect()
    }

    /// What people train, serve and tune.
    pub fn shapes() -> Vec<Shape> {
        let shape = |weight, kind, prefix, roles, product| Shape { kind, prefix, roles, product, weight };
        vec![
            shape(4, "PyTorchJob", "finetune", vec![("master", 1, 1, 8_000), ("worker", 3, 1, 8_000)], None),
            shape(3, "PyTorchJob", "pretrain", vec![("worker", 2, 8, 64_000)], None),
            shape(2, "PyTorchJob", "llm", vec![("worker", 4, 8, 96_000)], Some("NVIDIA-H100-80GB-HBM3")),
            shape(
                3,
                "TFJob",
                "vision",
                vec![("chief", 1, 1, 8_000), ("worker", 3, 2, 8_000), ("ps", 2, 0, 4_000)],
                None,
            ),
            shape(2, "MPIJob", "allreduce", vec![("launcher", 1, 0, 1_000), ("worker", 4, 4, 16_000)], None),
            shape(3, "ReplicaSet", "serve", vec![("server", 2, 1, 4_000)], Some("NVIDIA-L40S")),
            shape(3, "ReplicaSet", "notebook", vec![("user", 1, 1, 4_000)], None),
        ]
    }

    /// A small world in which anything may go wrong: nodes, jobs and faults drawn from the seed.
    pub fn random(seed: u64, span: Span) -> Scenario {
        let mut dice = Dice::new(seed, Concern::Faults);
        let kinds = [Kind::Hgx8xH100, Kind::Hgx8xA100, Kind::Dgx1V, Kind::Pcie4xL40S];
        let count = 3 + dice.below(6);
        let mut nodes: Vec<(String, Kind)> =
            (0..count).filter_map(|at| dice.pick(&kinds).map(|kind| (format!("gpu-{at}"), *kind))).collect();
        nodes.push(("cpu-0".to_owned(), Kind::CpuOnly));
        let faults = (0..dice.below(12)).flat_map(|_| faults(&mut dice, &nodes, span)).collect();
        let pause = 2_000 + dice.below(20_000);
        let mut users = Users::new(seed, Scenario::shapes(), pause, (5_000, 90_000), Time(span.0));
        users.ungated_per_mille = [0, 300, 1_000][usize::try_from(dice.below(3)).unwrap_or(0)];
        let pace = Pace { slow_calls_per_mille: dice.below(60), ..Pace::default() };
        Scenario { seed, pace, nodes, jobs: Vec::new(), users: Some(users), faults }
    }
}

/// Something that breaks, and is mended later; all is whole again when the users have gone home.
fn faults(dice: &mut Dice, nodes: &[(String, Kind)], span: Span) -> Vec<(Time, Fault)> {
    let Some((name, _)) = dice.pick(nodes) else { return Vec::new() };
    let node = NodeName::from(name.as_str());
    let at = Time(dice.below(span.0));
    let later = at.after(dice.span(1_000, 120_000));
    match dice.below(3) {
        0 => {
            let gpu = usize::try_from(dice.below(8)).unwrap_or(0);
            let dies =
                Fault::GpuDies { node: node.clone(), gpu, why: "XID 79: the GPU has fallen off the bus" };
            vec![(at, dies), (later, Fault::GpusRecover(node))]
        }
        1 => vec![(at, Fault::Cordon(node.clone())), (later, Fault::Uncordon(node))],
        _ => vec![(at, Fault::Restart)],
    }
}
