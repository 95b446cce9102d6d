//! What happens between plan and bind, and GPUs that die and come back.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use muster_lab::{Cluster, Gather, Setup};
use muster_report::Health;
use serde_json::{Value, json};
use support::jobs::tfjob;
use support::{grants, ledger_is_true, never_bound, no_gpu_twice, node_of, whole_gangs};

const PATIENCE: Duration = Duration::from_mins(1);

fn plan_of(pod: &Pod) -> Option<Value> {
    serde_json::from_str(pod.annotations().get("muster.dev/plan")?).ok()
}

/// Starts a job while kube-scheduler stands still, so that it is planned and nobody binds.
async fn planned_and_unbound(gather: Gather) -> Result<(Cluster, Vec<Pod>)> {
    let cluster = Cluster::start(Setup::new(gather, 3, 4)).await?;
    cluster.lab.pause_scheduler()?;
    cluster.lab.apply(&tfjob("job", 3, 1, 1)).await?;
    let pods = cluster.lab.wait("a plan for all", PATIENCE, async || {
        let pods = cluster.lab.pods("default").await?;
        Ok((pods.len() == 4 && pods.iter().all(|p| plan_of(p).is_some())).then_some(pods))
    });
    let pods = pods.await?;
    Ok((cluster, pods))
}

async fn cordon(cluster: &Cluster, node: &str) -> Result<()> {
    let api: Api<Node> = Api::all(cluster.lab.client());
    let patch = Patch::Merge(json!({"spec": {"unschedulable": true}}));
    api.patch(node, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// A planned node is cordoned before anybody is bound: nobody is bound, and the gang is planned again without it.
async fn cordoned(gather: Gather) -> Result<()> {
    let (cluster, pods) = planned_and_unbound(gather).await?;
    let history = cluster.lab.watch_pods().await?;
    let worker = pods.iter().find(|p| p.name_any().contains("worker")).context("a worker")?;
    let node = plan_of(worker).context("a plan")?["node"].as_str().context("a node")?.to_owned();
    cordon(&cluster, &node).await?;
    cluster
        .lab
        .wait("a plan without the cordoned node", PATIENCE, async || {
            let pods = cluster.lab.pods("default").await?;
            let elsewhere = |p: &Pod| plan_of(p).is_some_and(|plan| plan["node"] != node.as_str());
            Ok((pods.len() == 4 && pods.iter().all(elsewhere)).then_some(()))
        })
        .await?;
    history.catch_up().await?;
    never_bound(&history, "job")?;
    cluster.lab.resume_scheduler()?;
    let pods = cluster.lab.wait_running("default", 4).await?;
    assert!(pods.iter().all(|p| node_of(p) != Some(node.as_str())));
    assert_eq!(grants(&cluster, &pods)?, 3);
    history.catch_up().await?;
    whole_gangs(&history, &BTreeMap::from([("job".into(), 4)]))?;
    ledger_is_true(&cluster).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cordon_between_plan_and_bind_binds_nobody_when_gated() -> Result<()> {
    cordoned(Gather::Gated).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cordon_between_plan_and_bind_binds_nobody_when_ungated() -> Result<()> {
    cordoned(Gather::Ungated).await
}

/// A member is deleted before anybody is bound: nobody is bound until it is there again.
async fn deleted(gather: Gather) -> Result<()> {
    let (cluster, pods) = planned_and_unbound(gather).await?;
    let history = cluster.lab.watch_pods().await?;
    let victim = pods.iter().find(|p| p.name_any().contains("worker")).context("a worker")?;
    let api: Api<Pod> = Api::namespaced(cluster.lab.client(), "default");
    api.delete(&victim.name_any(), &DeleteParams::default().grace_period(0)).await?;
    cluster.lab.resume_scheduler()?;
    let pods = cluster.lab.wait_running("default", 4).await?;
    assert!(pods.iter().all(|p| p.uid() != victim.uid()));
    assert_eq!(grants(&cluster, &pods)?, 3);
    history.catch_up().await?;
    whole_gangs(&history, &BTreeMap::from([("job".into(), 4)]))?;
    no_gpu_twice(&history)?;
    ledger_is_true(&cluster).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_deleted_between_plan_and_bind_binds_nobody_when_gated() -> Result<()> {
    deleted(Gather::Gated).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_deleted_between_plan_and_bind_binds_nobody_when_ungated() -> Result<()> {
    deleted(Gather::Ungated).await
}

/// A GPU that is reported dead is not granted; when it recovers it is, without a restart.
async fn dead_gpu(gather: Gather) -> Result<()> {
    let cluster = Cluster::start(Setup::new(gather, 1, 4)).await?;
    let pid = cluster.muster.pid();
    let dead = Health::Unhealthy { reason: "XID 79: GPU has fallen off the bus".to_owned() };
    cluster.reports.set_health("gpu-0", 2, dead).await?;
    let uuid = cluster.reports.uuids("gpu-0")[2].clone();
    cluster.lab.apply(&tfjob("three", 3, 1, 1)).await?;
    let pods = cluster.lab.wait_running("default", 4).await?;
    assert_eq!(grants(&cluster, &pods)?, 3);
    assert!(!format!("{pods:?}").contains(&uuid), "the dead GPU was granted");
    cluster.lab.apply(&tfjob("fourth", 1, 1, 1)).await?;
    let gang = cluster.wait_reason("default", "TFJob", "fourth").await?;
    assert_eq!(gang["reason"]["label"], "InsufficientGpus", "{gang}");
    let node = cluster.api("nodes/gpu-0").await?;
    assert!(node.to_string().contains("XID 79"), "{node}");
    cluster.reports.set_health("gpu-0", 2, Health::Healthy).await?;
    let pods = cluster.lab.wait_running("default", 6).await?;
    assert!(format!("{pods:?}").contains(&uuid));
    assert_eq!(cluster.muster.pid(), pid);
    ledger_is_true(&cluster).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_gpu_is_not_granted_until_it_recovers_when_gated() -> Result<()> {
    dead_gpu(Gather::Gated).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_gpu_is_not_granted_until_it_recovers_when_ungated() -> Result<()> {
    dead_gpu(Gather::Ungated).await
}

/// A node without an agent works by counts.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_agents_work_by_counts() -> Result<()> {
    let cluster = Cluster::start(Setup { agents: false, ..Setup::new(Gather::Gated, 1, 4) }).await?;
    cluster.lab.apply(&tfjob("job", 4, 1, 1)).await?;
    let pods = cluster.lab.wait_running("default", 5).await?;
    assert!(
        pods.iter()
            .filter(|p| support::gpus_asked(p) > 0)
            .all(|p| p.annotations()["muster.dev/grant"].contains("\"count\":1"))
    );
    cluster.lab.apply(&tfjob("more", 1, 1, 1)).await?;
    let gang = cluster.wait_reason("default", "TFJob", "more").await?;
    assert_eq!(gang["reason"]["label"], "InsufficientGpus", "{gang}");
    ledger_is_true(&cluster).await
}
