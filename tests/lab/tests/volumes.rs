//! Gangs that mount a claim: they wait for it with a reason, go where its volume is, and are narrowed like others.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use muster_lab::{Cluster, Gather, Setup};
use serde_json::Value;
use support::{grants, node_of};

/// Three workers of two GPUs with the claim `data`, as the guide's jobs mount theirs.
const JOB: &str = "
apiVersion: kubeflow.org/v1
kind: TFJob
metadata: {name: train, namespace: default}
spec:
  tfReplicaSpecs:
    Worker:
      replicas: 3
      template:
        spec:
          containers:
            - name: tensorflow
              image: none
              resources: {limits: {nvidia.com/gpu: 2}}
              volumeMounts: [{name: data, mountPath: /data}]
          volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

const CLAIM: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: default}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: shared
  resources: {requests: {storage: 1Gi}}
";

/// A volume that two of the three nodes can reach.
const VOLUME: &str = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: data}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: shared
  hostPath: {path: /nowhere}
  claimRef: {namespace: default, name: data}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [gpu-1, gpu-2]}]
";

async fn reason(cluster: &Cluster, label: &str) -> Result<Value> {
    cluster
        .lab
        .wait(&format!("the gang to wait with {label}"), Duration::from_secs(20), async || {
            let gang = cluster.wait_reason("default", "TFJob", "train").await?;
            Ok((gang["reason"]["label"] == label).then_some(gang))
        })
        .await
}

async fn waits_and_goes_there(gather: Gather) -> Result<()> {
    let cluster = Cluster::start(Setup::new(gather, 3, 4)).await?;
    cluster.lab.apply(JOB).await?;
    let gang = reason(&cluster, "VolumeMissing").await?;
    let why = gang["reason"]["sentence"].as_str().unwrap_or_default();
    ensure!(why.contains("default/data"), "{why}");
    cluster.lab.apply(CLAIM).await?;
    reason(&cluster, "VolumeUnbound").await?;
    cluster.lab.apply(VOLUME).await?;
    let pods = cluster.lab.wait_running("default", 3).await?;
    let nodes: BTreeSet<&str> = pods.iter().filter_map(node_of).collect();
    ensure!(nodes == BTreeSet::from(["gpu-1", "gpu-2"]), "{nodes:?}");
    ensure!(grants(&cluster, &pods)? == 6);
    for pod in &pods {
        ensure!(narrowed(pod) == (gather == Gather::Gated), "{}", pod.name_any());
    }
    support::ledger_is_true(&cluster).await
}

/// Whether the pod names its node itself.
fn narrowed(pod: &Pod) -> bool {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()?.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_some_and(|r| r.node_selector_terms.iter().all(|term| term.match_fields.is_some()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gated_gang_waits_for_its_volume_and_goes_where_it_is() -> Result<()> {
    waits_and_goes_there(Gather::Gated).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ungated_gang_waits_for_its_volume_and_goes_where_it_is() -> Result<()> {
    waits_and_goes_there(Gather::Ungated).await
}
