//! The pods of the end-to-end figures: one-GPU pods of their own and gangs, with a controller, so that Muster may
//! narrow them. The controller is a `ConfigMap`, which does nothing: only the pods are the work.

use anyhow::{Context, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::Lab;

/// Clients that create pods at the same time.
const WRITERS: usize = 32;

/// Pods that are created and waited for together.
pub(super) struct Workload {
    /// For people.
    pub(super) name: &'static str,
    /// The pods.
    pub(super) pods: Vec<Pod>,
}

/// `count` one-GPU pods that know nothing of each other.
pub(super) fn singles(prefix: &str, count: usize) -> Vec<Pod> {
    (0..count).map(|at| pod(&format!("{prefix}-{at}"), None)).collect()
}

/// `count` gangs of `size` one-GPU pods.
pub(super) fn gangs(prefix: &str, count: usize, size: usize) -> Vec<Pod> {
    let members = |gang: usize| {
        let name = format!("{prefix}-{gang}");
        (0..size).map(move |at| pod(&format!("{name}-{at}"), Some((&name, size))))
    };
    (0..count).flat_map(members).collect()
}

/// Pods that say themselves on which node they want to be: `nodes` in turn.
pub(super) fn narrowed(prefix: &str, count: usize, nodes: &[String]) -> Result<Vec<Pod>> {
    let mut pods = singles(prefix, count);
    for (pod, node) in pods.iter_mut().zip(nodes.iter().cycle()) {
        let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchFields": [field]}]}}});
        pod.spec.as_mut().context("a pod without spec")?.affinity = Some(serde_json::from_value(affinity)?);
    }
    Ok(pods)
}

/// A pod with one GPU, perhaps of a gang of so many.
pub(super) fn pod(name: &str, gang: Option<(&str, usize)>) -> Pod {
    let labels = gang.map(|(gang, size)| {
        [("muster.dev/gang-name", gang.to_owned()), ("muster.dev/gang-size", size.to_string())]
            .map(|(key, value)| (key.to_owned(), value))
            .into()
    });
    let mut pod = Pod::default();
    pod.metadata.name = Some(name.to_owned());
    pod.metadata.labels = labels;
    // The text is ours, so it always is a spec.
    pod.spec = serde_json::from_value(json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "train",
            "image": "registry.example.com/ml/train:2.4.1",
            "command": ["python", "/opt/train.py"],
            "resources": {
                "requests": {"cpu": "1", "memory": "1Gi"},
                "limits": {"nvidia.com/gpu": "1"},
            },
        }],
    }))
    .unwrap_or_default();
    pod
}

/// Creates the controller of all pods.
pub(super) async fn create_owner(lab: &Lab) -> Result<OwnerReference> {
    let api: Api<ConfigMap> = Api::namespaced(lab.client(), "default");
    let mut map = ConfigMap::default();
    map.metadata.name = Some("bench".to_owned());
    let map = api.create(&PostParams::default(), &map).await.context("create the pods' controller")?;
    Ok(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: map.name_any(),
        uid: map.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    })
}

/// Creates pods in their order, many at a time.
pub(super) async fn create(lab: &Lab, owner: &OwnerReference, pods: Vec<Pod>) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(lab.client(), "default");
    let create = |mut pod: Pod| {
        let api = api.clone();
        pod.metadata.owner_references = Some(vec![owner.clone()]);
        async move {
            let created = api.create(&PostParams::default(), &pod).await;
            created.map(drop).with_context(|| format!("create pod {}", pod.name_any()))
        }
    };
    stream::iter(pods).map(create).buffer_unordered(WRITERS).try_collect().await
}
