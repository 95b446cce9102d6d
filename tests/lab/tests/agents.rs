//! Real agents on played drivers: what happens to a GPU reaches the extender's answers, the API and the next plan.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::Api;
use muster_lab::agents::Agents;
use muster_lab::reports::Reports;
use muster_lab::{Cluster, Gather, Setup, http};
use serde_json::{Value, json};
use support::ledger_is_true;

const PATIENCE: Duration = Duration::from_mins(1);
const A100: &str = "profile: dgx-a100";
const V100: &str = "profile: dgx-1v";

fn with(machine: &str, lines: &str) -> String {
    format!("{machine}\n{lines}")
}

/// Two nodes with agents, one whose reports are made up. The generator's node is too small for the pod of eight.
async fn start() -> Result<(Cluster, Agents)> {
    let mut cluster = Cluster::start(Setup { agents: false, ..Setup::new(Gather::Gated, 3, 8) }).await?;
    let agents = Agents::start(cluster.lab.dir(), &cluster.url, [("gpu-0", A100), ("gpu-1", V100)])?;
    cluster.reports = Reports::start(&cluster.url, [("gpu-2".to_owned(), 4)]);
    cluster.reports.send_all().await?;
    for node in ["gpu-0", "gpu-1"] {
        wait_node(&cluster, node, "its GPUs", |node| gpus(node).len() == 8).await?;
    }
    Ok((cluster, agents))
}

fn gpus(node: &Value) -> Vec<Value> {
    let mut gpus = node["gpus"].as_array().cloned().unwrap_or_default();
    gpus.sort_by_key(|gpu| gpu["uuid"].to_string());
    gpus
}

fn sick(node: &Value) -> Vec<String> {
    gpus(node).iter().filter_map(|gpu| gpu["unhealthy"].as_str().map(str::to_owned)).collect()
}

async fn wait_node(
    cluster: &Cluster,
    node: &str,
    what: &str,
    is_it: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let ask = async || Ok(Some(cluster.api(&format!("nodes/{node}")).await?).filter(&is_it));
    cluster.lab.wait(&format!("{node}: {what}"), PATIENCE, ask).await
}

/// A pod for eight GPUs that nobody schedules: it is only asked about.
async fn pod_of_eight(cluster: &Cluster) -> Result<Pod> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "eight", "namespace": "default"},
        "spec": {"schedulerName": "nobody", "containers": [
            {"name": "c", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "8"}}},
        ]},
    });
    cluster.lab.apply(&serde_json::to_string(&pod)?).await?;
    Ok(Api::namespaced(cluster.lab.client(), "default").get("eight").await?)
}

/// Nodes that filter leaves, and the answer as a whole.
async fn filtered(cluster: &Cluster, pod: &Pod) -> Result<(Vec<String>, String)> {
    let body = json!({"Pod": pod, "Nodes": null, "NodeNames": ["gpu-0", "gpu-1", "gpu-2"]});
    let url = format!("{}/v1/extender/filter", cluster.url);
    let answer = http::post(&reqwest::Client::new(), &url, serde_json::to_vec(&body)?).await?;
    let value: Value = serde_json::from_str(&answer)?;
    let names = value["NodeNames"].as_array().with_context(|| answer.clone())?;
    Ok((names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(), answer))
}

async fn wait_filter(cluster: &Cluster, pod: &Pod, expected: &[&str]) -> Result<String> {
    let ask = async || {
        let (names, answer) = filtered(cluster, pod).await?;
        Ok((names == expected).then_some(answer))
    };
    cluster.lab.wait(&format!("filter to leave {expected:?}"), PATIENCE, ask).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_is_the_drivers() -> Result<()> {
    let (cluster, agents) = start().await?;
    let a100 = cluster.api("nodes/gpu-0").await?;
    assert!(
        gpus(&a100).iter().all(|gpu| gpu["model"] == "NVIDIA A100-SXM4-80GB" && gpu["memory_mib"] == 81_920)
    );
    let rows = a100["link_gbps"].as_array().context("a matrix")?;
    let rates: Vec<u64> =
        rows.iter().flat_map(|row| row.as_array().into_iter().flatten()).filter_map(Value::as_u64).collect();
    assert_eq!((rates.len(), rates.iter().filter(|rate| **rate == 2400).count()), (64, 56));
    let mut nodes: Vec<u64> = gpus(&a100).iter().filter_map(|gpu| gpu["numa_node"].as_u64()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, [1, 1, 3, 3, 5, 5, 7, 7]);
    let load =
        "gpus: {0: {utilisation_percent: 83, memory_used_mib: 40000, temperature_c: 58, power_mw: 301000}}";
    agents.play("gpu-0", &with(A100, load))?;
    let busy = |node: &Value| gpus(node).iter().any(|gpu| gpu["utilisation_percent"] == 83);
    let node = wait_node(&cluster, "gpu-0", "utilisation", busy).await?;
    let gpu = gpus(&node).into_iter().find(|gpu| gpu["utilisation_percent"] == 83).context("the busy one")?;
    assert_eq!(gpu["memory_used_mib"], 40_000);
    assert_eq!((&gpu["temperature_c"], &gpu["power_mw"]), (&json!(58), &json!(301_000)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gpu_and_a_fatal_xid_take_their_nodes_out_of_filter_until_they_recover() -> Result<()> {
    let (cluster, agents) = start().await?;
    let pod = pod_of_eight(&cluster).await?;
    wait_filter(&cluster, &pod, &["gpu-0", "gpu-1"]).await?;
    agents.play("gpu-0", &with(A100, "gpus: {3: {state: lost}}"))?;
    wait_filter(&cluster, &pod, &["gpu-1"]).await?;
    let node = cluster.api("nodes/gpu-0").await?;
    assert_eq!(sick(&node), ["GPU is lost: it does not answer the driver"]);
    assert_eq!((&node["unhealthy_gpus"], &node["free"]["gpus"]), (&json!(1), &json!(7)));
    agents.play("gpu-1", &with(V100, "gpus: {5: {xids: [48]}}"))?;
    wait_filter(&cluster, &pod, &[]).await?;
    assert_eq!(sick(&cluster.api("nodes/gpu-1").await?), ["XID 48: double-bit memory error"]);
    // The lost GPU answers after the driver was initialised again; the other one must have been away first.
    agents.play("gpu-0", A100)?;
    wait_filter(&cluster, &pod, &["gpu-0"]).await?;
    agents.play("gpu-1", &with(V100, "gpus: {5: {state: lost, xids: [48]}}"))?;
    wait_loss(&cluster, &agents, "gpu-1").await?;
    agents.play("gpu-1", &with(V100, "gpus: {5: {xids: [48]}}"))?;
    wait_filter(&cluster, &pod, &["gpu-0", "gpu-1"]).await?;
    Ok(())
}

/// The main job on what real agents say: the guide's TFJob and MPIJob, unchanged, on a node of each kind and one
/// without a driver, which gets nobody and says why.
#[tokio::test(flavor = "multi_thread")]
async fn the_guides_jobs_run_on_the_gpus_that_real_agents_report() -> Result<()> {
    let cluster = Cluster::start(Setup { agents: false, ..Setup::new(Gather::Gated, 3, 4) }).await?;
    let nodes = [("gpu-0", A100), ("gpu-1", V100), ("gpu-2", "profile: l40s\ndriver: {state: absent}")];
    let _agents = Agents::start(cluster.lab.dir(), &cluster.url, nodes)?;
    for node in ["gpu-0", "gpu-1"] {
        wait_node(&cluster, node, "its GPUs", |node| gpus(node).len() == 8).await?;
    }
    let said = |node: &Value| node["driver_fault"].as_str().is_some_and(|why| why.starts_with("absent"));
    wait_node(&cluster, "gpu-2", "no driver", said).await?;
    cluster.lab.volumes_of_the_guide().await?;
    for manifest in ["training-data-pvc", "tfjob-training", "mpijob-training"] {
        cluster.submit(&format!("tests/workloads/{manifest}.yaml")).await?;
    }
    let pods = cluster.lab.wait_running("default", 9).await?;
    let mut granted = 0;
    for pod in pods.iter().filter(|pod| support::gpus_asked(pod) > 0) {
        let node = support::node_of(pod).context("a node")?;
        let there = cluster.api(&format!("nodes/{node}")).await?;
        let grant: Value = serde_json::from_str(&pod.annotations()["muster.dev/grant"])?;
        for uuid in grant["gpus"].as_array().into_iter().flatten() {
            assert!(gpus(&there).iter().any(|gpu| gpu["uuid"] == *uuid), "{uuid} is not on {node}");
            granted += 1;
        }
        assert_ne!(node, "gpu-2", "a node without a driver");
    }
    assert_eq!(granted, 6);
    ledger_is_true(&cluster).await
}

/// Waits until the agent of a node has seen that a GPU is lost.
async fn wait_loss(cluster: &Cluster, agents: &Agents, node: &str) -> Result<()> {
    let log = agents.of(node)?.process.log().to_owned();
    let ask = async || Ok(std::fs::read_to_string(&log)?.contains("GPU is lost").then_some(()));
    cluster.lab.wait("the agent to see the loss", PATIENCE, ask).await
}

/// The whole way: a gang that needs the sick GPU waits with its reason, and starts when the GPU is well.
#[tokio::test(flavor = "multi_thread")]
async fn a_gang_waits_for_a_gpu_that_its_agent_says_is_lost() -> Result<()> {
    let cluster = Cluster::start(Setup { agents: false, ..Setup::new(Gather::Gated, 1, 8) }).await?;
    let agents = Agents::start(cluster.lab.dir(), &cluster.url, [("gpu-0", A100)])?;
    wait_node(&cluster, "gpu-0", "its GPUs", |node| gpus(node).len() == 8).await?;
    agents.play("gpu-0", &with(A100, "gpus: {6: {state: lost, xids: [79]}}"))?;
    let node = wait_node(&cluster, "gpu-0", "the loss", |node| !sick(node).is_empty()).await?;
    let dead = gpus(&node).into_iter().find(|gpu| !gpu["unhealthy"].is_null()).context("the dead one")?;
    cluster.lab.apply(&support::jobs::tfjob("job", 8, 1, 0)).await?;
    let gang = cluster.wait_reason("default", "TFJob", "job").await?;
    assert_eq!(gang["reason"]["label"], "InsufficientGpus", "{gang}");
    agents.play("gpu-0", A100)?;
    let pods = cluster.lab.wait_running("default", 8).await?;
    let uuid = dead["uuid"].as_str().context("a UUID")?;
    assert!(format!("{pods:?}").contains(uuid), "the recovered GPU is granted by its old UUID");
    ledger_is_true(&cluster).await
}
