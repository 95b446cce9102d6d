//! Preemption by real evictions: gangs go whole, budgets hold, and nobody goes twice.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use muster_lab::{Cluster, Gather, Setup};
use support::jobs::{named_gang, pod, priority_class, tfjob, with_priority};
use support::{gang_of, ledger_is_true, no_gpu_twice, no_node_overfull, node_of, whole_gangs};

const PATIENCE: Duration = Duration::from_mins(1);
const FOUR: &str = "{limits: {nvidia.com/gpu: 4}}";

/// A cluster with three classes, and a history of its pods.
async fn cluster(gather: Gather, nodes: usize) -> Result<Cluster> {
    let cluster = Cluster::start(Setup::new(gather, nodes, 4)).await?;
    for (name, value, policy) in [
        ("high", 1_000, "PreemptLowerPriority"),
        ("polite", 2_000, "Never"),
        ("lowest", -10, "PreemptLowerPriority"),
    ] {
        cluster.lab.apply(&priority_class(name, value, policy)).await?;
    }
    Ok(cluster)
}

/// Waits until exactly these gangs and pods are bound and running, by name.
async fn wait_only(cluster: &Cluster, names: &[&str]) -> Result<()> {
    let wanted: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let running = async || {
        let pods = cluster.lab.pods("default").await?;
        let bound = |p: &&Pod| node_of(p).is_some();
        let name = |p: &Pod| gang_of(p.labels()).map_or_else(|| p.name_any(), str::to_owned);
        let all_run = pods.iter().filter(bound).all(|p| {
            p.metadata.deletion_timestamp.is_none()
                && p.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running")
        });
        let there: BTreeSet<String> = pods.iter().filter(bound).map(name).collect();
        Ok((all_run && there == wanted).then_some(()))
    };
    cluster.lab.wait(&format!("only {names:?} to run"), PATIENCE, running).await
}

/// Waits for an Event with this reason on an object of this name, and returns its words.
async fn wait_event(cluster: &Cluster, reason: &str, about: &str) -> Result<String> {
    let told = async || {
        let events = Api::<Event>::all(cluster.lab.client()).list(&ListParams::default()).await?;
        let is = |e: &&Event| {
            e.reason.as_deref() == Some(reason)
                && e.regarding.as_ref().and_then(|r| r.name.as_deref()).is_some_and(|n| n.starts_with(about))
        };
        Ok(events.items.iter().find(is).map(|e| e.note.clone().unwrap_or_default()))
    };
    cluster.lab.wait(&format!("the event {reason} on {about}"), PATIENCE, told).await
}

/// A gang of lower priority that fills the cluster goes whole for one that needs a part of it; made anew by its
/// operator, it waits.
async fn a_gang_makes_room(gather: Gather) -> Result<()> {
    let cluster = cluster(gather, 2).await?;
    let history = cluster.lab.watch_pods().await?;
    cluster.lab.apply(&tfjob("low", 2, 4, 1)).await?;
    wait_only(&cluster, &["low"]).await?;
    cluster.lab.apply(&with_priority(&tfjob("high", 1, 4, 1), "high")).await?;
    wait_only(&cluster, &["high"]).await?;
    let why = wait_event(&cluster, "Preempted", "low").await?;
    ensure!(why.contains("TFJob default/high"), "{why}");
    let why = wait_event(&cluster, "PreemptionPending", "high").await?;
    ensure!(why.contains("evicted for this gang"), "{why}");
    history.catch_up().await?;
    whole_gangs(&history, &[("low".to_owned(), 3), ("high".to_owned(), 2)].into())?;
    no_gpu_twice(&history)?;
    no_node_overfull(&history, 4)?;
    ledger_is_true(&cluster).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_of_lower_priority_goes_whole_when_gated() -> Result<()> {
    a_gang_makes_room(Gather::Gated).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_of_lower_priority_goes_whole_when_ungated() -> Result<()> {
    a_gang_makes_room(Gather::Ungated).await
}

/// The gang with the lowest priority is protected: one of its two pods may go, which a dry run of each would allow.
/// Nobody of it is touched, and the other gang goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_respected_and_another_victim_chosen() -> Result<()> {
    let cluster = cluster(Gather::Gated, 4).await?;
    cluster
        .lab
        .apply(
            "apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: kept, namespace: default}
spec: {minAvailable: 1, selector: {matchLabels: {muster.dev/gang-name: kept}}}
",
        )
        .await?;
    let budgets = Api::<PodDisruptionBudget>::namespaced(cluster.lab.client(), "default");
    cluster.lab.apply(&with_priority(&named_gang("kept", 2, 4), "lowest")).await?;
    cluster.lab.apply(&named_gang("other", 2, 4)).await?;
    wait_only(&cluster, &["kept", "other"]).await?;
    let allows = async || {
        let budget = budgets.get("kept").await?;
        Ok((budget.status.and_then(|s| s.disruptions_allowed) == Some(1)).then_some(()))
    };
    cluster.lab.wait("the budget to allow one disruption", PATIENCE, allows).await?;
    let before: BTreeSet<_> = uids(&cluster, "kept").await?;
    cluster.lab.apply(&with_priority(&named_gang("high", 2, 4), "high")).await?;
    wait_only(&cluster, &["kept", "high"]).await?;
    ensure!(uids(&cluster, "kept").await? == before, "the protected pods are the same");
    let why = wait_event(&cluster, "PreemptionRefused", "high").await?;
    ensure!(why.contains("default/kept allows 1 disruptions, 2 are needed"), "{why}");
    ledger_is_true(&cluster).await
}

async fn uids(cluster: &Cluster, gang: &str) -> Result<BTreeSet<String>> {
    let pods = cluster.lab.pods("default").await?;
    Ok(pods.iter().filter(|p| gang_of(p.labels()) == Some(gang)).filter_map(Pod::uid).collect())
}

/// One that never preempts waits, whatever its priority; of two that do, one gets the only victim's place, and the
/// other one waits.
#[tokio::test(flavor = "multi_thread")]
async fn one_victim_goes_once_and_never_for_the_polite() -> Result<()> {
    let cluster = cluster(Gather::Gated, 1).await?;
    let history = cluster.lab.watch_pods().await?;
    cluster.lab.apply(&pod("low", FOUR)).await?;
    wait_only(&cluster, &["low"]).await?;
    cluster.lab.apply(&with_priority(&pod("polite", FOUR), "polite")).await?;
    cluster.wait_reason("default", "Pod", "polite").await?;
    // Several ticks of Muster: it would have been evicted by now.
    tokio::time::sleep(Duration::from_secs(2)).await;
    wait_only(&cluster, &["low"]).await?;
    let pods = Api::<Pod>::namespaced(cluster.lab.client(), "default");
    pods.delete("polite", &DeleteParams::default()).await?;
    for name in ["first", "second"] {
        cluster.lab.apply(&with_priority(&pod(name, FOUR), "high")).await?;
    }
    let won = async || {
        let pods = cluster.lab.pods("default").await?;
        let bound: Vec<String> = pods.iter().filter(|p| node_of(p).is_some()).map(Pod::name_any).collect();
        Ok((bound.len() == 1 && bound != ["low"]).then_some(bound))
    };
    let bound = cluster.lab.wait("one of the two to run", PATIENCE, won).await?;
    let loser = if bound == ["first"] { "second" } else { "first" };
    cluster.wait_reason("default", "Pod", loser).await?;
    history.catch_up().await?;
    no_gpu_twice(&history)?;
    no_node_overfull(&history, 4)?;
    ledger_is_true(&cluster).await
}
