//! The guide's workloads, submitted unchanged: gated and ungated, to a real control plane.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use anyhow::Result;
use muster_lab::{Cluster, Gather, Setup};
use support::{grants, no_gpu_twice, nobody_before_the_workers, pods_of, whole_gangs};

async fn tfjob(gather: Gather) -> Result<()> {
    let cluster = Cluster::start(Setup::new(gather, 3, 4)).await?;
    cluster.lab.volumes_of_the_guide().await?;
    let history = cluster.lab.watch_pods().await?;
    cluster.submit("tests/workloads/training-data-pvc.yaml").await?;
    cluster.submit("tests/workloads/tfjob-training.yaml").await?;
    cluster.lab.wait_running("default", 5).await?;
    let pods = pods_of(&cluster, "default", "tensorflow-training").await?;
    assert_eq!(pods.len(), 5);
    assert_eq!(grants(&cluster, &pods)?, 3, "every worker has one GPU that exists on its node");
    history.catch_up().await?;
    whole_gangs(&history, &[("tensorflow-training", 5)])?;
    no_gpu_twice(&history)?;
    if gather == Gather::Gated {
        nobody_before_the_workers(&history)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tfjob_runs_whole_when_gated() -> Result<()> {
    tfjob(Gather::Gated).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tfjob_runs_whole_when_ungated() -> Result<()> {
    tfjob(Gather::Ungated).await
}
