//! The guide's workloads, submitted unchanged to a real control plane, gated and ungated.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use kube::ResourceExt as _;
use muster_lab::{Cluster, Gather, Operator, Setup};
use support::{gpus_asked, grants, no_gpu_twice, nobody_before_the_workers, whole_gangs};

fn one(gang: &str, size: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(gang.to_owned(), size)])
}

/// Submits one training job and checks all that the guide and the README promise of it.
async fn training(setup: Setup, manifest: &str, gang: &str, size: usize) -> Result<()> {
    let gated = setup.gather == Gather::Gated;
    let cluster = Cluster::start(setup).await?;
    cluster.lab.volumes_of_the_guide().await?;
    let history = cluster.lab.watch_pods().await?;
    cluster.submit("tests/workloads/training-data-pvc.yaml").await?;
    if manifest.starts_with("tests/") {
        cluster.submit(manifest).await?;
    } else {
        cluster.lab.apply(manifest).await?;
    }
    let pods = cluster.lab.wait_running("default", size).await?;
    assert_eq!(grants(&cluster, &pods)?, 3, "each of three workers has one GPU, which exists on its node");
    history.catch_up().await?;
    whole_gangs(&history, &one(gang, size))?;
    no_gpu_twice(&history)?;
    if gated {
        nobody_before_the_workers(&history)?;
    }
    let listed = cluster.api("gangs").await?;
    assert!(listed.to_string().contains(&format!("\"name\":\"{gang}\"")), "{listed}");
    support::ledger_is_true(&cluster).await
}

const TFJOB: &str = "tests/workloads/tfjob-training.yaml";
const MPIJOB: &str = "tests/workloads/mpijob-training.yaml";

#[tokio::test(flavor = "multi_thread")]
async fn the_tfjob_runs_whole_when_gated() -> Result<()> {
    training(Setup::new(Gather::Gated, 3, 4), TFJOB, "tensorflow-training", 5).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tfjob_runs_whole_when_ungated() -> Result<()> {
    training(Setup::new(Gather::Ungated, 3, 4), TFJOB, "tensorflow-training", 5).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mpijob_runs_whole_when_gated() -> Result<()> {
    training(Setup::new(Gather::Gated, 3, 2), MPIJOB, "pytorch-training", 4).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mpijob_runs_whole_when_ungated() -> Result<()> {
    training(Setup::new(Gather::Ungated, 3, 2), MPIJOB, "pytorch-training", 4).await
}

/// The same MPIJob for the other operator: mpi-operator's v2beta1, whose launcher is a batch Job's pod.
fn mpijob_v2() -> Result<String> {
    let text = std::fs::read_to_string(muster_lab::cluster::repository().join(MPIJOB))?;
    Ok(text.replace("kubeflow.org/v1", "kubeflow.org/v2beta1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mpijob_v2_runs_whole_when_gated() -> Result<()> {
    let setup = Setup { operator: Operator::Mpi, ..Setup::new(Gather::Gated, 3, 2) };
    training(setup, &mpijob_v2()?, "pytorch-training", 4).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mpijob_v2_runs_whole_when_ungated() -> Result<()> {
    let setup = Setup { operator: Operator::Mpi, ..Setup::new(Gather::Ungated, 3, 2) };
    training(setup, &mpijob_v2()?, "pytorch-training", 4).await
}

/// The guide's workflow: preprocess, train with four workers, serve, autoscale; beside it serving and
/// preprocessing in `default`.
async fn workflow(gather: Gather) -> Result<()> {
    let mut setup = Setup::new(gather, 2, 4);
    setup.nodes.push((muster_lab::nodes::cpu_node("cpu-0"), 0));
    let cluster = Cluster::start(setup).await?;
    cluster.lab.volumes_of_the_guide().await?;
    let history = cluster.lab.watch_pods().await?;
    for step in ["1-preprocess", "2-train", "3-serve", "4-autoscale"] {
        cluster.submit(&format!("tests/workloads/workflow/{step}.yaml")).await?;
    }
    cluster.submit("tests/workloads/model-serving.yaml").await?;
    cluster.submit("tests/workloads/preprocess-job.yaml").await?;
    // 1 preprocessing + 4 workers and a launcher + 3 servers; and 3 servers + 1 preprocessing.
    let pods = cluster.lab.wait_running("ml-workloads", 9).await?;
    assert_eq!(grants(&cluster, &pods)?, 4);
    let others = cluster.lab.wait_running("default", 4).await?;
    for pod in pods.iter().chain(&others).filter(|p| support::gang_of(p.labels()).is_none()) {
        assert_eq!(gpus_asked(pod), 0);
        assert_eq!(support::node_of(pod), Some("cpu-0"), "{} keeps off GPU nodes", pod.name_any());
    }
    history.catch_up().await?;
    whole_gangs(&history, &one("pytorch-training", 5))?;
    if gather == Gather::Gated {
        nobody_before_the_workers(&history)?;
    }
    cluster
        .lab
        .wait("the autoscaler to exist", Duration::from_secs(5), async || {
            use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
            let api: kube::Api<HorizontalPodAutoscaler> =
                kube::Api::namespaced(cluster.lab.client(), "ml-workloads");
            Ok(Some(api.get("model-serving-hpa").await?))
        })
        .await?;
    support::ledger_is_true(&cluster).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workflow_runs_when_gated() -> Result<()> {
    workflow(Gather::Gated).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workflow_runs_when_ungated() -> Result<()> {
    workflow(Gather::Ungated).await
}
