//! What the end-to-end tests check again and again.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use muster_lab::Cluster;
use muster_lab::history::{Change, Moment, Watch};
use muster_lab::nodes::GPU;
use serde_json::Value;

/// The job that a pod belongs to.
pub const JOB: &str = "training.kubeflow.org/job-name";

/// Pods of a job.
pub async fn pods_of(cluster: &Cluster, namespace: &str, job: &str) -> Result<Vec<Pod>> {
    let pods = cluster.lab.pods(namespace).await?;
    Ok(pods.into_iter().filter(|p| p.labels().get(JOB).is_some_and(|j| j == job)).collect())
}

/// How many GPUs a pod asks for.
pub fn gpus_asked(pod: &Pod) -> u64 {
    let containers = pod.spec.iter().flat_map(|s| &s.containers);
    let limits = containers.filter_map(|c| c.resources.as_ref()?.limits.as_ref()?.get(GPU));
    limits.filter_map(|q| q.0.parse::<u64>().ok()).sum()
}

fn granted(annotations: &BTreeMap<String, String>) -> Option<Value> {
    serde_json::from_str(annotations.get("muster.dev/grant")?).ok()
}

fn uuids(grant: &Value) -> Vec<String> {
    grant["gpus"].as_array().into_iter().flatten().filter_map(|u| u.as_str().map(str::to_owned)).collect()
}

/// Checks that every pod which asks for GPUs carries a grant with as many, all of them on its node. Returns how
/// many GPUs were granted.
pub fn grants(cluster: &Cluster, pods: &[Pod]) -> Result<usize> {
    let mut total = 0;
    for pod in pods.iter().filter(|p| gpus_asked(p) > 0) {
        let name = pod.name_any();
        let grant = granted(pod.annotations()).with_context(|| format!("{name} has no grant"))?;
        let gpus = uuids(&grant);
        let node = pod
            .spec
            .as_ref()
            .and_then(|s| s.node_name.clone())
            .with_context(|| format!("{name} is not bound"))?;
        ensure!(gpus.len() as u64 == gpus_asked(pod), "{name}: {grant}");
        let there = cluster.reports.uuids(&node);
        ensure!(gpus.iter().all(|g| there.contains(g)), "{name} on {node} was granted {gpus:?} of {there:?}");
        total += gpus.len();
    }
    Ok(total)
}

fn bound_now(moment: &Moment, job: &str) -> usize {
    moment.values().filter(|p| p.labels.get(JOB).is_some_and(|j| j == job) && p.node.is_some()).count()
}

/// Checks that Bindings of a gang come together: once one member is bound, all become bound before anything
/// else about the gang goes backwards. Replayed over every change of every pod.
pub fn whole_gangs(history: &Watch, jobs: &[(&str, usize)]) -> Result<()> {
    for (job, size) in jobs {
        let mut most = 0;
        history.replay(|_, moment| {
            most = most.max(bound_now(moment, job));
            Ok(())
        })?;
        ensure!(most == 0 || most == *size, "{job}: {most} of {size} were bound");
    }
    Ok(())
}

/// Checks that no GPU is granted to two pods that are alive at the same moment.
pub fn no_gpu_twice(history: &Watch) -> Result<()> {
    history.replay(|_, moment| {
        let mut owners: BTreeMap<String, &str> = BTreeMap::new();
        let alive = |p: &&Change| p.node.is_some() && (p.phase == "Pending" || p.phase == "Running");
        for pod in moment.values().filter(alive) {
            for uuid in granted(&pod.annotations).map(|g| uuids(&g)).unwrap_or_default() {
                if let Some(other) = owners.insert(uuid.clone(), &pod.name) {
                    anyhow::bail!("{uuid} is granted to {other} and {}", pod.name);
                }
            }
        }
        Ok(())
    })
}

/// Checks that no member of a job runs while a worker of it has no node yet.
pub fn nobody_before_the_workers(history: &Watch) -> Result<()> {
    let role = |p: &Change| p.labels.get("training.kubeflow.org/replica-type").cloned().unwrap_or_default();
    let mut planned: BTreeSet<String> = BTreeSet::new();
    history.replay(|change, moment| {
        if change.annotations.contains_key("muster.dev/plan") {
            planned.insert(change.uid.clone());
        }
        let waiting = |p: &&Change| role(p) == "worker" && !planned.contains(&p.uid) && p.node.is_none();
        let Some(worker) = moment.values().find(waiting) else { return Ok(()) };
        let job = worker.labels.get(JOB);
        let early = moment.values().find(|p| p.labels.get(JOB) == job && p.node.is_some());
        match early {
            Some(early) => anyhow::bail!("{} is bound while {} has no place", early.name, worker.name),
            None => Ok(()),
        }
    })
}
