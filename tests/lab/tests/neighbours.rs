//! Gangs with rules about other pods are planned so that the real kube-scheduler agrees, narrowed to one node each.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use muster_lab::{Cluster, Gather, Setup};
use support::node_of;

/// A TFJob of so many workers with one GPU each; `more` is added to their pods, `meta` to their annotations.
fn job(name: &str, workers: u32, meta: &str, more: &str) -> String {
    format!(
        "
apiVersion: kubeflow.org/v1
kind: TFJob
metadata: {{name: {name}, namespace: default}}
spec:
  tfReplicaSpecs:
    Worker:
      replicas: {workers}
      template:
        metadata: {{labels: {{app: {name}}}, annotations: {{{meta}}}}}
        spec:
          containers:
            - {{name: tensorflow, image: none, resources: {{limits: {{nvidia.com/gpu: 1}}}}}}
          {more}
"
    )
}

fn near(rule: &str, key: &str, app: &str) -> String {
    let term = format!("{{topologyKey: {key}, labelSelector: {{matchLabels: {{app: {app}}}}}}}");
    format!("affinity: {{{rule}: {{requiredDuringSchedulingIgnoredDuringExecution: [{term}]}}}}")
}

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

const STORE: &str = "
apiVersion: v1
kind: Pod
metadata: {name: store, namespace: default, labels: {app: store}}
spec:
  nodeSelector: {kubernetes.io/hostname: gpu-3}
  containers: [{name: store, image: none}]
";

/// Two zones of two nodes with four GPUs; the second zone has another model.
fn setup() -> Setup {
    let mut setup = Setup::new(Gather::Gated, 0, 4);
    setup.nodes = (0..4)
        .map(|i| {
            let (zone, model) = if i < 2 { ("a", "A100") } else { ("b", "H100") };
            let node = muster_lab::nodes::gpu_node(format!("gpu-{i}")).gpus(4);
            (node.label(ZONE, zone).label("nvidia.com/gpu.product", model), 4)
        })
        .collect();
    setup
}

/// How many running pods of an app each node has, once so many run. All of them are narrowed.
async fn runs(cluster: &Cluster, app: &str, count: usize) -> Result<BTreeMap<String, usize>> {
    let what = format!("{count} running pods of {app}");
    let pods = cluster.lab.wait(&what, Duration::from_secs(30), async || {
        let mut pods = cluster.lab.pods("default").await?;
        pods.retain(|pod| pod.labels().get("app").is_some_and(|name| name == app));
        let bound = pods.iter().filter(|pod| node_of(pod).is_some()).count();
        ensure!(bound == count, "{bound} of {} pods of {app} are bound", pods.len());
        Ok(Some(pods))
    });
    let mut nodes = BTreeMap::new();
    for pod in pods.await? {
        ensure!(narrowed(&pod), "{} is not narrowed", pod.name_any());
        *nodes.entry(node_of(&pod).unwrap_or_default().to_owned()).or_default() += 1;
    }
    Ok(nodes)
}

/// Whether the pod names its node itself.
fn narrowed(pod: &Pod) -> bool {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()?.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_some_and(|r| r.node_selector_terms.iter().all(|term| term.match_fields.is_some()))
}

fn in_zone_b(nodes: &BTreeMap<String, usize>) -> usize {
    nodes.iter().filter(|(node, _)| ["gpu-2", "gpu-3"].contains(&node.as_str())).map(|(_, pods)| pods).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn gangs_keep_apart_spread_and_stay_near() -> Result<()> {
    let cluster = Cluster::start(setup()).await?;
    cluster.lab.apply(&job("apart", 3, "", &near("podAntiAffinity", HOST, "apart"))).await?;
    let nodes = runs(&cluster, "apart", 3).await?;
    ensure!(nodes.len() == 3, "{nodes:?}");

    let spread = format!(
        "topologySpreadConstraints: [{{maxSkew: 1, topologyKey: {ZONE}, whenUnsatisfiable: DoNotSchedule, \
         labelSelector: {{matchLabels: {{app: spread}}}}}}]"
    );
    cluster.lab.apply(&job("spread", 4, "", &spread)).await?;
    let nodes = runs(&cluster, "spread", 4).await?;
    ensure!(in_zone_b(&nodes) == 2, "{nodes:?}");

    cluster.lab.apply(&job("beside", 2, "", &near("podAffinity", ZONE, "store"))).await?;
    let label = || async {
        let gang = cluster.wait_reason("default", "TFJob", "beside").await?;
        Ok((gang["reason"]["label"] == "PodAffinity").then_some(gang))
    };
    cluster.lab.wait("the gang to wait for the store", Duration::from_secs(20), label).await?;
    cluster.lab.apply(STORE).await?;
    let nodes = runs(&cluster, "beside", 2).await?;
    ensure!(in_zone_b(&nodes) == 2, "{nodes:?}");

    // One more than there are nodes.
    cluster.lab.apply(&job("many", 5, "", &near("podAntiAffinity", HOST, "many"))).await?;
    let gang = cluster
        .lab
        .wait("the gang to be refused", Duration::from_secs(20), async || {
            let gang = cluster.wait_reason("default", "TFJob", "many").await?;
            Ok((gang["reason"]["label"] == "PodAntiAffinity").then_some(gang))
        })
        .await?;
    let why = gang["reason"]["sentence"].as_str().unwrap_or_default();
    ensure!(why.contains(" of 5 pods have a place") && why.contains(HOST), "{why}");
    support::ledger_is_true(&cluster).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_gets_the_model_that_it_names() -> Result<()> {
    let cluster = Cluster::start(setup()).await?;
    let models = "muster.dev/gpu-models: 'H100, A100'";
    cluster.lab.apply(&job("named", 3, models, "")).await?;
    let nodes = runs(&cluster, "named", 3).await?;
    ensure!(in_zone_b(&nodes) == 3, "{nodes:?}");
    cluster.lab.apply(&job("none", 1, "muster.dev/gpu-models: L40S", "")).await?;
    let gang = cluster
        .lab
        .wait("the gang to be refused", Duration::from_secs(20), async || {
            let gang = cluster.wait_reason("default", "TFJob", "none").await?;
            Ok((gang["reason"]["label"] == "NoGpuModel").then_some(gang))
        })
        .await?;
    let why = gang["reason"]["sentence"].as_str().unwrap_or_default();
    ensure!(why.contains("L40S"), "{why}");
    support::ledger_is_true(&cluster).await
}
