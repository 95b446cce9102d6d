//! Node pools, single pods, and who may write what.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use muster_lab::cluster::repository;
use muster_lab::nodes::{cpu_node, gpu_node};
use muster_lab::{Cluster, Gather, Setup};
use serde_json::json;
use support::jobs::{pod, tfjob};
use support::{grants, node_of};

const POOLS: &str = "
pools:
  - {name: training, selector: {pool: training}, purposes: [training]}
  - {name: serving, selector: {pool: serving}, purposes: [serving]}
rules:
  - {kinds: [TFJob], purpose: training, strength: required}
  - {labels: {purpose: serving}, purpose: serving, strength: preferred}
";

fn two_pools(gather: Gather) -> Setup {
    let node = |name: &str, pool: &str| (gpu_node(name).gpus(4).label("pool", pool), 4);
    let nodes = vec![node("serve-0", "serving"), node("train-0", "training"), (cpu_node("cpu-0"), 0)];
    Setup { nodes, config: POOLS.to_owned(), ..Setup::new(gather, 0, 0) }
}

/// Required refuses, preferred orders, and pods without GPUs avoid GPU nodes while others have room.
async fn pools(gather: Gather) -> Result<()> {
    let cluster = Cluster::start(two_pools(gather)).await?;
    cluster.lab.apply(&tfjob("fits", 3, 1, 0)).await?;
    let pods = cluster.lab.wait_running("default", 3).await?;
    assert!(pods.iter().all(|p| node_of(p) == Some("train-0")));
    assert_eq!(grants(&cluster, &pods)?, 3);

    cluster.lab.apply(&tfjob("refused", 2, 1, 0)).await?;
    let gang = cluster.wait_reason("default", "TFJob", "refused").await?;
    let why = gang["reason"]["sentence"].as_str().unwrap_or_default();
    assert!(why.contains("needs 2") && why.contains("1 are free"), "serving GPUs do not count: {why}");

    for i in 0..5 {
        let labelled = format!("metadata: {{name: serve-{i}, labels: {{purpose: serving}},");
        let manifest = pod(&format!("serve-{i}"), "{limits: {nvidia.com/gpu: 1}}");
        cluster.lab.apply(&manifest.replace(&format!("metadata: {{name: serve-{i},"), &labelled)).await?;
        // One after the other, so that the order of the nodes is what is seen.
        let expected = if i < 4 { "serve-0" } else { "train-0" };
        let bound = wait_bound(&cluster, &format!("serve-{i}")).await?;
        assert_eq!(node_of(&bound), Some(expected), "serve-{i}");
    }
    for i in 0..8 {
        cluster.lab.apply(&pod(&format!("plain-{i}"), "{requests: {cpu: 100m}}")).await?;
        let bound = wait_bound(&cluster, &format!("plain-{i}")).await?;
        assert_eq!(node_of(&bound), Some("cpu-0"), "plain-{i}");
    }
    support::ledger_is_true(&cluster).await
}

async fn wait_bound(cluster: &Cluster, name: &str) -> Result<Pod> {
    let api: Api<Pod> = Api::namespaced(cluster.lab.client(), "default");
    cluster
        .lab
        .wait(&format!("{name} to be bound"), Duration::from_secs(20), async || {
            let pod = api.get(name).await?;
            Ok(node_of(&pod).is_some().then_some(pod))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn required_refuses_and_preferred_orders_when_gated() -> Result<()> {
    pools(Gather::Gated).await
}

#[tokio::test(flavor = "multi_thread")]
async fn required_refuses_and_preferred_orders_when_ungated() -> Result<()> {
    pools(Gather::Ungated).await
}

/// Ungated single pods take filter, prioritize and bind: each gets its GPU, the tightest node first.
#[tokio::test(flavor = "multi_thread")]
async fn single_pods_are_packed_when_ungated() -> Result<()> {
    let cluster = Cluster::start(Setup::new(Gather::Ungated, 2, 4)).await?;
    for i in 0..8 {
        cluster.lab.apply(&pod(&format!("single-{i}"), "{limits: {nvidia.com/gpu: 1}}")).await?;
        wait_bound(&cluster, &format!("single-{i}")).await?;
    }
    let pods = cluster.lab.wait_running("default", 8).await?;
    assert_eq!(grants(&cluster, &pods)?, 8);
    let first = node_of(&pods[0]);
    assert!(pods.iter().take(4).all(|p| node_of(p) == first), "the first node is filled first");
    support::ledger_is_true(&cluster).await
}

/// Only Muster writes its annotations and opens its gate; an administrator is told why not.
#[tokio::test(flavor = "multi_thread")]
async fn annotations_and_gates_are_musters_alone() -> Result<()> {
    let cluster = Cluster::start(Setup::new(Gather::Gated, 1, 4)).await?;
    let forged = pod("forged", "{}")
        .replace("namespace: default}", "namespace: default, annotations: {muster.dev/grant: x}}");
    let accepted = || anyhow::anyhow!("it was accepted");
    let error = format!("{:#}", cluster.lab.apply(&forged).await.err().unwrap_or_else(accepted));
    assert!(error.contains("written by Muster only"), "{error}");
    cluster.lab.apply(&tfjob("job", 9, 1, 1)).await?;
    cluster.wait_reason("default", "TFJob", "job").await?;
    let api: Api<Pod> = Api::namespaced(cluster.lab.client(), "default");
    let open = Patch::Merge(json!({"spec": {"schedulingGates": null}}));
    let refused = api.patch("job-worker-0", &PatchParams::default(), &open).await;
    let error = refused.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("opened by Muster only"), "{error}");
    let write = Patch::Merge(json!({"metadata": {"annotations": {"muster.dev/plan": "{}"}}}));
    let refused = |written: kube::Result<Pod>| {
        let error = written.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("written by Muster only"), "{error}");
    };
    refused(api.patch("job-worker-0", &PatchParams::default(), &write).await);
    cluster.lab.apply_file(repository().join("deploy/guard-subresources.yaml")).await?;
    // A policy is in force a moment after it was made. Until then the dry run passes.
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let in_force = async || Ok(api.patch_status("job-worker-0", &dry, &write).await.is_err().then_some(()));
    cluster.lab.wait("the policy to be in force", Duration::from_secs(20), in_force).await?;
    refused(api.patch_status("job-worker-0", &PatchParams::default(), &write).await);
    let free = Patch::Merge(json!({"metadata": {"annotations": {"example.com/mine": "yes"}}}));
    let pod = api.patch("job-worker-0", &PatchParams::default(), &free).await?;
    assert_eq!(pod.annotations().get("example.com/mine").map(String::as_str), Some("yes"));
    Ok(())
}

/// The admission policy leaves other gates in place, adds ours once, and leaves other pods alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_adds_one_gate_to_gpu_pods_only() -> Result<()> {
    let cluster = Cluster::start(Setup::new(Gather::Gated, 1, 4)).await?;
    let gated = |name: &str, gates: &str| {
        pod(name, "{limits: {nvidia.com/gpu: 1}}")
            .replace("spec:\n", &format!("spec:\n  schedulingGates: {gates}\n"))
    };
    cluster.lab.apply(&gated("foreign", "[{name: example.com/quota}]")).await?;
    cluster.lab.apply(&gated("both", "[{name: muster.dev/gang}, {name: example.com/quota}]")).await?;
    cluster.lab.apply(&pod("plain", "{requests: {cpu: 100m}}")).await?;
    let pods = cluster.lab.pods("default").await?;
    let seen = |name: &str| {
        let spec = pods.iter().find(|p| p.name_any() == name).and_then(|p| p.spec.as_ref());
        let mut gates: Vec<String> = spec
            .into_iter()
            .flat_map(|s| s.scheduling_gates.iter().flatten())
            .map(|g| g.name.clone())
            .collect();
        gates.sort();
        (gates, spec.and_then(|s| s.scheduler_name.clone()).unwrap_or_default())
    };
    let two = || vec!["example.com/quota".to_owned(), "muster.dev/gang".to_owned()];
    assert_eq!(seen("foreign"), (two(), "muster".to_owned()));
    assert_eq!(seen("both"), (two(), "muster".to_owned()));
    assert_eq!(seen("plain"), (vec![], "default-scheduler".to_owned()));
    Ok(())
}
