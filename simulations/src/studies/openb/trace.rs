//! Nodes and pods of the trace, and the workload that its authors call typical.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use muster_placement::score::fragmentation::{Request, Shape, Workload};
use serde::Deserialize;

use crate::studies::{StudyError, traces};

/// Folder of the trace.
const FOLDER: &str = "alibaba-openb-2023";

/// The 17 pod lists of the evaluation.
pub const LISTS: [&str; 17] = [
    "default",
    "cpu050",
    "cpu100",
    "cpu200",
    "cpu250",
    "gpushare40",
    "gpushare60",
    "gpushare80",
    "gpushare100",
    "gpuspec10",
    "gpuspec20",
    "gpuspec25",
    "gpuspec33",
    "multigpu20",
    "multigpu30",
    "multigpu40",
    "multigpu50",
];

/// GPU models that a pod may use, one bit for each model of the cluster; none set for a pod that says nothing.
pub type Models = u32;

/// A node as it is when empty.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Name.
    pub name: String,
    /// CPU in thousandths of a core.
    pub cpu_milli: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// GPUs.
    pub gpus: u32,
    /// Its bit among [`Models`].
    pub model: Models,
}

/// A pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pod {
    /// GPUs and CPU.
    pub request: Request,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Models that it may use.
    pub models: Models,
}

/// The cluster and one list of pods, in the order of their names.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Nodes.
    pub machines: Vec<Machine>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// The usual workload.
    pub workload: Workload,
    /// Models that each class of the workload may use.
    pub class_models: Vec<Models>,
}

#[derive(Deserialize)]
struct NodeRow {
    sn: String,
    cpu_milli: u64,
    memory_mib: u64,
    gpu: u32,
    model: String,
}

#[derive(Deserialize)]
struct PodRow {
    name: String,
    cpu_milli: u64,
    memory_mib: u64,
    num_gpu: u32,
    gpu_milli: u32,
    #[serde(default)]
    gpu_spec: String,
}

impl Trace {
    /// Reads the cluster and a list, such as `default`.
    ///
    /// # Errors
    /// A file is not there, or is malformed.
    pub fn read(list: &str) -> Result<Trace, StudyError> {
        let nodes: Vec<NodeRow> = traces::rows(&format!("{FOLDER}/openb_node_list_gpu_node.csv.gz"))?;
        let mut rows: Vec<PodRow> = traces::rows(&format!("{FOLDER}/openb_pod_list_{list}.csv.gz"))?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        let mut models: Vec<String> = nodes.iter().map(|node| node.model.clone()).collect();
        models.sort();
        models.dedup();
        let bit = |name: &str| models.iter().position(|model| model == name).map_or(0, |at| 1 << at);
        let machines = nodes.into_iter().map(|node| Machine {
            model: bit(&node.model),
            name: node.sn,
            cpu_milli: node.cpu_milli,
            memory_mib: node.memory_mib,
            gpus: node.gpu,
        });
        let pods = rows.iter().map(|row| Pod {
            request: Request {
                gpus: row.num_gpu,
                milli: if row.num_gpu == 0 { 0 } else { row.gpu_milli },
                cpu_milli: row.cpu_milli,
            },
            memory_mib: row.memory_mib,
            models: row.gpu_spec.split('|').map(bit).fold(0, |all, one| all | one),
        });
        let (machines, pods): (Vec<_>, Vec<_>) = (machines.collect(), pods.collect());
        let classes = typical(&pods);
        let class_models = classes.iter().map(|(_, models, _)| *models).collect();
        let workload = Workload::new(classes.into_iter().map(|(request, _, count)| (request, count)));
        Ok(Trace { machines, pods, workload, class_models })
    }

    /// GPUs of the cluster in thousandths.
    pub fn capacity_milli(&self) -> u64 {
        self.machines.iter().map(|machine| u64::from(machine.gpus) * 1_000).sum()
    }

    /// What is free on a node of such a model.
    pub fn shape(&self, model: Models, devices: &[u32], cpu_milli: u64) -> Shape {
        let mut partial: Vec<u32> =
            devices.iter().copied().filter(|left| (1..1_000).contains(left)).collect();
        partial.sort_unstable();
        let whole = devices.iter().filter(|left| **left == 1_000).count();
        let admits = |(at, models): (usize, &Models)| u128::from(admitted(*models, model)) << at;
        let admits = self.class_models.iter().enumerate().map(admits).fold(0, |all, one| all | one);
        Shape { whole: u32::try_from(whole).unwrap_or(u32::MAX), partial, cpu_milli, admits }
    }
}

/// Whether a pod that may use these models may use this one.
pub fn admitted(models: Models, model: Models) -> bool {
    models == 0 || models & model != 0
}

/// Classes by popularity until 95 % of all pods are covered, pods without GPUs included, as the artefact has it
/// (`GetTypicalPods`, threshold of its experiments).
fn typical(pods: &[Pod]) -> Vec<(Request, Models, u64)> {
    let mut counts: BTreeMap<(Request, Models), u64> = BTreeMap::new();
    for pod in pods {
        *counts.entry((pod.request, pod.models)).or_default() += 1;
    }
    let mut classes: Vec<_> = counts.into_iter().collect();
    classes.sort_by_key(|(class, count)| (Reverse(*count), Reverse(*class)));
    let mut covered = 0;
    let all = pods.len() as u64;
    classes
        .into_iter()
        .take_while(|(_, count)| {
            let wanted = covered * 100 < all * 95;
            covered += count;
            wanted
        })
        .map(|((request, models), count)| (request, models, count))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_and_its_lists_are_those_of_the_paper() {
        let trace = Trace::read("default").unwrap();
        assert_eq!((trace.machines.len(), trace.capacity_milli()), (1_213, 6_212_000));
        let asked: u64 = trace.pods.iter().map(|pod| pod.request.gpu_milli()).sum();
        assert_eq!((trace.pods.len(), asked / 100), (8_152, 60_868));
        let classes = |list| Trace::read(list).unwrap().workload.len();
        // The artefact counts 127 in the last one: it compares the text, in which `V100M32` may stand twice.
        assert_eq!((trace.workload.len(), classes("gpushare100"), classes("gpuspec33")), (35, 21, 124));
    }
}
