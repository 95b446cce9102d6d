//! What the end-to-end tests check again and again, over every change of every pod.

pub mod document;
pub mod jobs;
pub mod programs;
pub mod rights;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use muster_lab::Cluster;
use muster_lab::history::{Change, Moment, Watch};
use muster_lab::nodes::GPU;
use serde_json::Value;

/// The label of a Kubeflow job's pods.
pub const JOB: &str = "training.kubeflow.org/job-name";
/// The label of a gang that names itself.
pub const GANG: &str = "muster.dev/gang-name";

/// The gang that a pod belongs to, by its labels.
pub fn gang_of(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(JOB).or_else(|| labels.get(GANG)).map(String::as_str)
}

/// How many GPUs a pod asks for.
pub fn gpus_asked(pod: &Pod) -> u64 {
    let containers = pod.spec.iter().flat_map(|s| &s.containers);
    let limits = containers.filter_map(|c| c.resources.as_ref()?.limits.as_ref()?.get(GPU));
    limits.filter_map(|q| q.0.parse::<u64>().ok()).sum()
}

/// The node that a pod is bound to.
pub fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
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
        let node = node_of(pod).with_context(|| format!("{name} is not bound"))?;
        ensure!(gpus.len() as u64 == gpus_asked(pod), "{name}: {grant}");
        let there = cluster.reports.uuids(node);
        ensure!(gpus.iter().all(|g| there.contains(g)), "{name} on {node} was granted {gpus:?} of {there:?}");
        total += gpus.len();
    }
    Ok(total)
}

/// Checks, over every change, that nobody of a gang is bound before all of it exists and has its place: at the
/// moment of a gang's first Binding each of its `size` members carries a plan.
pub fn whole_gangs(history: &Watch, sizes: &BTreeMap<String, usize>) -> Result<()> {
    let mut begun: BTreeSet<String> = BTreeSet::new();
    history.replay(|change, moment| {
        let Some(gang) = gang_of(&change.labels).filter(|_| change.node.is_some()) else { return Ok(()) };
        if !begun.insert(gang.to_owned()) {
            return Ok(());
        }
        let size = *sizes.get(gang).with_context(|| format!("{gang} is not one of ours"))?;
        let members = moment.values().filter(|p| gang_of(&p.labels) == Some(gang));
        let placed =
            members.filter(|p| p.node.is_some() || p.annotations.contains_key("muster.dev/plan")).count();
        ensure!(placed >= size, "the first of {gang} is bound while {placed} of {size} have a place");
        Ok(())
    })?;
    ensure!(begun.len() == sizes.len(), "{} of {} gangs began", begun.len(), sizes.len());
    Ok(())
}

/// Checks that no member of a gang was ever bound.
pub fn never_bound(history: &Watch, gang: &str) -> Result<()> {
    let bound = history.changes()?.into_iter().find(|c| gang_of(&c.labels) == Some(gang) && c.node.is_some());
    bound.map_or(Ok(()), |c| bail!("{} of {gang} was bound to {:?}", c.name, c.node))
}

/// Checks that no GPU is granted to two pods that are alive at the same moment, and that no node ever has more
/// pods on its GPUs than GPUs.
pub fn no_gpu_twice(history: &Watch) -> Result<()> {
    history.replay(|_, moment| {
        let mut owners: BTreeMap<String, &str> = BTreeMap::new();
        for pod in moment.values().filter(|p| is_alive(p)) {
            for uuid in granted(&pod.annotations).map(|g| uuids(&g)).unwrap_or_default() {
                if let Some(other) = owners.insert(uuid.clone(), &pod.name) {
                    bail!("{uuid} is granted to {other} and {}", pod.name);
                }
            }
        }
        Ok(())
    })
}

/// Checks that no node ever has more GPUs granted, by count, than it has.
pub fn no_node_overfull(history: &Watch, gpus: u64) -> Result<()> {
    history.replay(|_, moment| {
        let mut used: BTreeMap<&str, u64> = BTreeMap::new();
        for pod in moment.values().filter(|p| is_alive(p)) {
            let count = granted(&pod.annotations).and_then(|g| g["count"].as_u64()).unwrap_or_default();
            *used.entry(pod.node.as_deref().unwrap_or_default()).or_default() += count;
        }
        match used.into_iter().find(|(_, n)| *n > gpus) {
            Some((node, n)) => bail!("{n} GPUs are granted on {node}, which has {gpus}"),
            None => Ok(()),
        }
    })
}

fn is_alive(pod: &Change) -> bool {
    pod.node.is_some() && (pod.phase == "Pending" || pod.phase == "Running")
}

/// Checks that no member of a gang is bound while a worker of it has no place yet.
pub fn nobody_before_the_workers(history: &Watch) -> Result<()> {
    let is_worker = |p: &Change| {
        let role = p.labels.get("training.kubeflow.org/replica-type");
        role.or_else(|| p.labels.get("training.kubeflow.org/job-role")).is_some_and(|r| r == "worker")
    };
    let placed = |p: &Change| p.node.is_some() || p.annotations.contains_key("muster.dev/plan");
    history.replay(|_, moment: &Moment| {
        let Some(worker) = moment.values().find(|p| is_worker(p) && !placed(p)) else { return Ok(()) };
        let gang = gang_of(&worker.labels);
        match moment.values().find(|p| gang_of(&p.labels) == gang && p.node.is_some()) {
            Some(early) => bail!("{} is bound while {} has no place", early.name, worker.name),
            None => Ok(()),
        }
    })
}

/// Checks that Muster's ledger is what the API server says: one grant for each pod that is bound and alive, on
/// its node, and nothing else.
pub async fn ledger_is_true(cluster: &Cluster) -> Result<()> {
    cluster
        .lab
        .wait(
            "the ledger to equal what the API server says",
            std::time::Duration::from_secs(20),
            async || {
                let ledger = cluster.api("ledger").await?;
                let claims = ledger["claims"].as_array().context("claims")?.iter().map(|c| {
                    let text = |k: &str| c[k].as_str().unwrap_or_default().to_owned();
                    (text("pod_uid"), text("node"), text("kind"), c["gpus"].as_u64().unwrap_or_default())
                });
                let claims: BTreeSet<_> = claims.collect();
                let all = kube::Api::<Pod>::all(cluster.lab.client())
                    .list(&kube::api::ListParams::default())
                    .await?;
                let alive = |p: &&Pod| {
                    let phase = p.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending");
                    node_of(p).is_some() && (phase == "Pending" || phase == "Running")
                };
                let truth: BTreeSet<_> = all
                    .items
                    .iter()
                    .filter(alive)
                    .map(|p| {
                        (
                            p.uid().unwrap_or_default(),
                            node_of(p).unwrap_or_default().to_owned(),
                            "grant".to_owned(),
                            gpus_asked(p),
                        )
                    })
                    .collect();
                ensure!(claims == truth, "ledger {claims:?}\nAPI server {truth:?}");
                Ok(Some(()))
            },
        )
        .await?;
    let metrics = muster_lab::http::get_text(&format!("{}/metrics", cluster.url)).await?;
    ensure!(metrics.contains("\nmuster_audit_violations 0\n"), "the audit found violations");
    Ok(())
}
