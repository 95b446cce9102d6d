//! `make cluster`: the main job, seen. The guide's jobs go unchanged to a real control plane; two gangs run whole,
//! a third waits with a reason until they end.
#![allow(clippy::print_stdout, reason = "telling the story is what it is for")]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::Value;

use crate::{Cluster, End, Gather, Setup};

const PATIENCE: Duration = Duration::from_mins(1);

/// Tells the story on 3 nodes of 2 GPUs.
pub async fn tell(muster: &Path) -> Result<Cluster> {
    println!(
        "Starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler, training-operator and Muster …"
    );
    let setup = Setup { muster: muster.to_owned(), ..Setup::new(Gather::Gated, 3, 2) };
    let cluster = Cluster::start(setup).await?;
    cluster.lab.volumes_of_the_guide().await?;
    println!("Ready: 3 simulated nodes of 2 GPUs. Muster listens at {}\n", cluster.url);

    println!("$ kubectl apply -f tfjob-training.yaml -f mpijob-training.yaml      # 3 GPUs each: both fit");
    for file in ["training-data-pvc", "tfjob-training", "mpijob-training"] {
        cluster.submit(&format!("tests/workloads/{file}.yaml")).await?;
    }
    cluster.lab.wait_running("default", 9).await?;
    print_pods(&cluster, "default").await?;

    println!("$ kubectl apply -f workflow/2-train.yaml                            # 4 GPUs: nothing is free");
    cluster.submit("tests/workloads/workflow/2-train.yaml").await?;
    let gang = cluster.wait_reason("ml-workloads", "MPIJob", "pytorch-training").await?;
    print_pods(&cluster, "ml-workloads").await?;
    println!("  why: {}\n", gang["reason"]["sentence"].as_str().unwrap_or("?"));

    println!("The two jobs end; the third starts whole.");
    for pod in cluster.lab.pods("default").await? {
        cluster.lab.finish("default", &pod.name_any(), End::Complete).await?;
    }
    cluster.lab.wait_running("ml-workloads", 5).await?;
    print_pods(&cluster, "ml-workloads").await?;
    Ok(cluster)
}

impl Cluster {
    /// Waits until a gang says why it does not start, apart from being still on its way, and returns it.
    pub async fn wait_reason(&self, namespace: &str, kind: &str, name: &str) -> Result<Value> {
        let path = format!("gangs/{namespace}/{kind}/{name}");
        self.lab
            .wait(&format!("a reason of {kind} {namespace}/{name}"), PATIENCE, async || {
                let gang = self.api(&path).await?;
                let label = gang["reason"]["label"].as_str().unwrap_or_default();
                let on_its_way = ["", "Queued", "WaitingForMembers", "OwnerUnreadable"].contains(&label);
                Ok((!on_its_way).then_some(gang.clone()))
            })
            .await
            .with_context(|| path.clone())
    }
}

async fn print_pods(cluster: &Cluster, namespace: &str) -> Result<()> {
    let mut pods = cluster.lab.pods(namespace).await?;
    pods.sort_by_key(ResourceExt::name_any);
    for pod in pods {
        println!("  {:34} {:9} {:7} {}", pod.name_any(), phase(&pod), node(&pod), gpus(&pod));
    }
    println!();
    Ok(())
}

fn phase(pod: &Pod) -> String {
    let gated = pod.spec.as_ref().is_some_and(|s| s.scheduling_gates.as_ref().is_some_and(|g| !g.is_empty()));
    if gated {
        "Gated".to_owned()
    } else {
        pod.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_default()
    }
}

fn node(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_else(|| "-".to_owned())
}

fn gpus(pod: &Pod) -> String {
    let grant: Option<Value> =
        pod.annotations().get("muster.dev/grant").and_then(|g| serde_json::from_str(g).ok());
    let gpus = grant.as_ref().and_then(|g| g["gpus"].as_array()).into_iter().flatten();
    gpus.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}
