//! What there is at the beginning, who submits what, and what will go wrong.

use muster_placement::time::{Span, Time};

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

/// What goes wrong now and then, all the time. The default is fine weather.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Calls to the API server without an answer, carried out or not, in thousandths.
    pub lost_answers_per_mille: u64,
    /// Patches that meet another write, in thousandths.
    pub conflicts_per_mille: u64,
    /// How far a watch may lag behind, in milliseconds.
    pub watch_lag_ms: u64,
    /// Reports that never arrive, in thousandths.
    pub reports_lost_per_mille: u64,
    /// Reports that arrive twice, in thousandths.
    pub reports_doubled_per_mille: u64,
    /// How late a report may be, in milliseconds; later ones overtake it.
    pub report_delay_ms: u64,
    /// Every kubelet's topology manager has the policy `restricted`.
    pub restricted: bool,
    /// Admission refuses what is done to members of this index.
    pub denied_index: Option<u32>,
}

/// A world to be.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Chance.
    pub seed: u64,
    /// Speed.
    pub pace: Pace,
    /// What goes wrong now and then.
    pub weather: Weather,
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
}
