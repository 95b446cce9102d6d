//! Nodes without machines.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};

use crate::Lab;

/// The resource that the NVIDIA device plugin announces.
pub const GPU: &str = "nvidia.com/gpu";

/// A node to be created; see [`gpu_node`].
#[derive(Debug, Clone)]
pub struct NodeBuilder {
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    resources: BTreeMap<String, Quantity>,
    taints: Vec<Taint>,
}

/// A node with 8 GPUs, 64 CPUs, 512 GiB and room for 110 pods.
pub fn gpu_node(name: impl Into<String>) -> NodeBuilder {
    cpu_node(name).cpu("64").memory("512Gi").gpus(8)
}

/// A node with no GPU, 32 CPUs, 128 GiB and room for 110 pods.
pub fn cpu_node(name: impl Into<String>) -> NodeBuilder {
    let name = name.into();
    let node = NodeBuilder {
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        resources: BTreeMap::new(),
        taints: Vec::new(),
        name: name.clone(),
    };
    node.annotation("kwok.x-k8s.io/node", "fake")
        .label("kubernetes.io/hostname", name)
        .label("kubernetes.io/os", "linux")
        .label("kubernetes.io/arch", "amd64")
        .resource("pods", "110")
        .resource("ephemeral-storage", "1Ti")
        .cpu("32")
        .memory("128Gi")
}

impl NodeBuilder {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many GPUs it has; 0 means that it does not know the resource.
    #[must_use]
    pub fn gpus(mut self, count: u32) -> Self {
        if count == 0 {
            self.resources.remove(GPU);
            return self;
        }
        self.resource(GPU, count.to_string())
    }

    /// Its CPUs, for example `64`.
    #[must_use]
    pub fn cpu(self, quantity: impl Into<String>) -> Self {
        self.resource("cpu", quantity)
    }

    /// Its memory, for example `512Gi`.
    #[must_use]
    pub fn memory(self, quantity: impl Into<String>) -> Self {
        self.resource("memory", quantity)
    }

    /// Any resource, as capacity and as allocatable.
    #[must_use]
    pub fn resource(mut self, name: impl Into<String>, quantity: impl Into<String>) -> Self {
        self.resources.insert(name.into(), Quantity(quantity.into()));
        self
    }

    /// A label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// An annotation.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// A taint; `effect` is `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[must_use]
    pub fn taint(
        mut self,
        key: impl Into<String>,
        value: impl Into<String>,
        effect: impl Into<String>,
    ) -> Self {
        let value = Some(value.into());
        self.taints.push(Taint { key: key.into(), value, effect: effect.into(), time_added: None });
        self
    }

    /// The object for the API server.
    pub fn build(self) -> Node {
        Node {
            metadata: ObjectMeta {
                name: Some(self.name),
                labels: Some(self.labels),
                annotations: Some(self.annotations),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec {
                taints: (!self.taints.is_empty()).then_some(self.taints),
                ..NodeSpec::default()
            }),
            status: Some(NodeStatus {
                capacity: Some(self.resources.clone()),
                allocatable: Some(self.resources),
                ..NodeStatus::default()
            }),
        }
    }
}

impl From<NodeBuilder> for Node {
    fn from(builder: NodeBuilder) -> Self {
        builder.build()
    }
}

impl Lab {
    /// Creates nodes, 16 at a time. kwok makes them ready: see [`Lab::wait_nodes_ready`].
    pub async fn create_nodes<N: Into<Node>>(&self, nodes: impl IntoIterator<Item = N>) -> Result<()> {
        let api: Api<Node> = Api::all(self.client());
        let nodes: Vec<Node> = nodes.into_iter().map(Into::into).collect();
        let create = |node: Node| {
            let api = api.clone();
            async move {
                let created = api.create(&PostParams::default(), &node).await;
                created.map(drop).with_context(|| format!("create node {}", node.name_any()))
            }
        };
        stream::iter(nodes).map(create).buffer_unordered(16).try_collect().await
    }

    /// Waits until at least `count` nodes are ready and free of the taint that unready nodes have.
    pub async fn wait_nodes_ready(&self, count: usize) -> Result<()> {
        let api: Api<Node> = Api::all(self.client());
        // 1,000 nodes take some 20 s, and listing them often would slow that down.
        let interval = Duration::from_millis(if count > 100 { 500 } else { 50 });
        let timeout = Duration::from_secs(60 + count as u64 / 10);
        self.wait_every(&format!("{count} ready nodes"), timeout, interval, async || {
            self.ensure_running()?;
            let nodes = api.list(&ListParams::default()).await?;
            let ready = nodes.items.iter().filter(|node| is_ready(node)).count();
            anyhow::ensure!(ready >= count, "only {ready} of {} nodes are ready", nodes.items.len());
            Ok(Some(()))
        })
        .await
    }
}

/// Whether pods may be scheduled on the node as far as its readiness is concerned.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        && !taints.into_iter().flatten().any(|taint| taint.key.starts_with("node.kubernetes.io/"))
}
