//! Jobs of the tests: made to measure, ended when they run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use muster_lab::{Cluster, End};

use super::gang_of;

/// A TFJob like the guide's.
pub fn tfjob(name: &str, workers: u32, gpus: u32, servers: u32) -> String {
    let role = |role: &str, replicas: u32, resources: &str| {
        format!(
            "    {role}:
      replicas: {replicas}
      template:
        spec:
          containers:
            - {{name: tensorflow, image: none, resources: {{{resources}}}}}
"
        )
    };
    let mut roles = role("Worker", workers, &format!("limits: {{nvidia.com/gpu: {gpus}}}"));
    if servers > 0 {
        roles += &role("PS", servers, "requests: {cpu: 1}");
    }
    format!(
        "apiVersion: kubeflow.org/v1
kind: TFJob
metadata: {{name: {name}, namespace: default}}
spec:
  tfReplicaSpecs:
{roles}"
    )
}

/// Bare pods that name their gang themselves.
pub fn named_gang(name: &str, pods: u32, gpus: u32) -> String {
    let mut text = String::new();
    for i in 0..pods {
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: Pod
metadata:
  name: {name}-{i}
  namespace: default
  labels: {{muster.dev/gang-name: {name}, muster.dev/gang-size: \"{pods}\"}}
spec:
  containers:
    - {{name: c, image: none, resources: {{limits: {{nvidia.com/gpu: {gpus}}}}}}}
"
        );
    }
    text
}

/// A pod of its own.
pub fn pod(name: &str, resources: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default}}
spec:
  containers:
    - {{name: c, image: none, resources: {resources}}}
"
    )
}

/// A `PriorityClass`.
pub fn priority_class(name: &str, value: i32, policy: &str) -> String {
    format!(
        "apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {{name: {name}}}
value: {value}
preemptionPolicy: {policy}
"
    )
}

/// A manifest of this module whose pods have a priority.
pub fn with_priority(manifest: &str, class: &str) -> String {
    let containers = |line: &&str| line.trim() == "containers:";
    let lines = manifest.lines().map(|line| {
        let indent = " ".repeat(line.len() - line.trim_start().len());
        let named = containers(&line).then(|| format!("{indent}priorityClassName: {class}\n"));
        format!("{}{line}\n", named.unwrap_or_default())
    });
    lines.collect()
}

/// Ends every gang that runs whole. Returns the names of the gangs that have ended or run whole so far.
pub async fn end_whole_gangs(cluster: &Cluster, sizes: &BTreeMap<String, usize>) -> Result<BTreeSet<String>> {
    let all = Api::<Pod>::all(cluster.lab.client()).list(&ListParams::default()).await?;
    let mut gangs: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in &all.items {
        if let Some(gang) = gang_of(pod.labels()) {
            gangs.entry(gang).or_default().push(pod);
        }
    }
    let mut begun = BTreeSet::new();
    for (gang, pods) in gangs {
        let in_phase = |phase: &str| {
            pods.iter().filter(|p| p.status.as_ref().and_then(|s| s.phase.as_deref()) == Some(phase)).count()
        };
        let (running, ended) = (in_phase("Running"), in_phase("Succeeded"));
        if running + ended < sizes.get(gang).copied().unwrap_or(usize::MAX) && ended == 0 {
            continue;
        }
        begun.insert(gang.to_owned());
        for pod in pods.iter().filter(|p| !p.annotations().contains_key("muster.test/end")) {
            let namespace = pod.namespace().unwrap_or_default();
            // It may be gone already: operators clean up.
            let _ = cluster.lab.finish(&namespace, &pod.name_any(), End::Complete).await;
        }
    }
    Ok(begun)
}

/// A sequence of numbers below `below`, from a seed: the same seed gives the same test.
pub fn numbers(seed: u64, below: u32) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        // Knuth's MMIX constants.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((state >> 33) % u64::from(below)).unwrap_or_default()
    }
}
