//! The lab itself works: the guide's jobs, unchanged, run on a real control plane with the stock scheduler.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use muster_lab::nodes::gpu_node;
use muster_lab::{End, Lab, MUSTER, Operator, Options};
use tokio::net::TcpListener;
use tokio::time::timeout;

const POD: &str =
    "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: a}]}}";

const MPI_V2: &str = "
apiVersion: kubeflow.org/v2beta1
kind: MPIJob
metadata: {name: pytorch-training, namespace: default}
spec:
  slotsPerWorker: 1
  mpiReplicaSpecs:
    Launcher:
      replicas: 1
      template: {spec: {containers: [{name: launcher, image: mpi, command: [mpirun, python, /app/train.py]}]}}
    Worker:
      replicas: 3
      template: {spec: {containers: [{name: worker, image: mpi, resources: {limits: {nvidia.com/gpu: 1}}}]}}
";

fn workload(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads").join(name)
}

/// A lab with the stock scheduler and two nodes of 8 GPUs.
async fn lab_with(operator: Operator) -> Result<Lab> {
    let lab = Lab::start(Options { operator, plain_scheduler: true, ..Options::default() }).await?;
    lab.create_nodes((0..2).map(|index| gpu_node(format!("gpu-{index}")).gpus(8))).await?;
    lab.wait_nodes_ready(2).await?;
    Ok(lab)
}

/// The beginning of the first request that arrives.
async fn first_bytes(listener: &TcpListener) -> Result<String> {
    let (connection, _) = listener.accept().await?;
    let mut bytes = vec![0; 1024];
    loop {
        connection.readable().await?;
        match connection.try_read(&mut bytes) {
            Ok(length) => return Ok(String::from_utf8_lossy(&bytes[..length]).into_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn prepare_training_data(lab: &Lab) -> Result<()> {
    lab.volumes_of_the_guide().await?;
    lab.apply_file(workload("training-data-pvc.yaml")).await?;
    Ok(())
}

#[tokio::test]
async fn the_guides_tfjob_runs_and_its_history_is_complete() -> Result<()> {
    let lab = lab_with(Operator::Training).await?;
    let history = lab.watch_pods().await?;
    prepare_training_data(&lab).await?;
    lab.apply_file(workload("tfjob-training.yaml")).await?;
    let pods = lab.wait_running("default", 5).await?;
    let names: BTreeSet<_> =
        pods.iter().map(|pod| pod.name_any().replace("tensorflow-training-", "")).collect();
    assert_eq!(names, ["ps-0", "ps-1", "worker-0", "worker-1", "worker-2"].map(String::from).into());

    history.catch_up().await?;
    let mut moments = 0;
    history.replay(|change, pods| {
        moments += 1;
        ensure!(change.node.is_some() || change.phase == "Pending", "a pod runs nowhere");
        ensure!(pods.len() <= 5, "there are more pods than members");
        Ok(())
    })?;
    // Each pod was at least created, bound and started.
    assert!(moments >= 15, "only {moments} changes were seen");
    Ok(())
}

#[tokio::test]
async fn the_guides_mpijob_runs_until_its_launcher_is_finished() -> Result<()> {
    let lab = lab_with(Operator::Training).await?;
    prepare_training_data(&lab).await?;
    lab.apply_file(workload("mpijob-training.yaml")).await?;
    lab.wait_running("default", 4).await?;

    // The manifest says cleanPodPolicy Running: the workers go when the launcher is done.
    lab.finish("default", "pytorch-training-launcher", End::Complete).await?;
    lab.wait("the workers to go", Duration::from_secs(30), async || {
        let left: Vec<_> = lab.pods("default").await?.iter().map(kube::ResourceExt::name_any).collect();
        ensure!(left == ["pytorch-training-launcher"], "pods left: {left:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn an_mpijob_of_the_second_version_runs() -> Result<()> {
    let lab = lab_with(Operator::Mpi).await?;
    lab.apply(MPI_V2).await?;
    let pods = lab.wait_running("default", 4).await?;
    let launchers = pods.iter().filter(|pod| pod.name_any().starts_with("pytorch-training-launcher-"));
    assert_eq!(launchers.count(), 1);
    Ok(())
}

#[tokio::test]
async fn two_labs_run_side_by_side() -> Result<()> {
    let (left, right) = tokio::try_join!(lab_with(Operator::None), lab_with(Operator::None))?;
    left.apply(POD).await?;
    left.wait_running("default", 1).await?;
    assert!(right.pods("default").await?.is_empty());
    drop(left);
    right.ensure_running()?;
    right.apply(POD).await?;
    right.wait_running("default", 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_paused_scheduler_binds_nothing_until_it_goes_on() -> Result<()> {
    let lab = lab_with(Operator::None).await?;
    lab.pause_scheduler()?;
    lab.apply(POD).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let pods = lab.pods("default").await?;
    assert!(pods.iter().all(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_none())));
    lab.resume_scheduler()?;
    lab.wait_running("default", 1).await?;
    assert!(lab.scheduler_metrics().await?.contains("scheduler_schedule_attempts_total"));
    Ok(())
}

#[tokio::test]
async fn the_shipped_scheduler_configuration_asks_the_extender() -> Result<()> {
    let lab = Lab::start(Options::default()).await?;
    lab.create_nodes([gpu_node("gpu-0")]).await?;
    lab.wait_nodes_ready(1).await?;
    let extender = TcpListener::bind("127.0.0.1:0").await?;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/scheduler-config.yaml");
    lab.start_scheduler(&config, format!("http://{}", extender.local_addr()?)).await?;
    lab.apply(POD).await?;

    let request = timeout(Duration::from_secs(20), first_bytes(&extender)).await??;
    let asks_to_filter = request.lines().next().is_some_and(|line| line.ends_with("/filter HTTP/1.1"));
    assert!(request.starts_with("POST /") && asks_to_filter, "{request}");
    Ok(())
}

#[tokio::test]
async fn muster_has_no_rights_before_its_rules_are_applied() -> Result<()> {
    let lab = Lab::start(Options::default()).await?;
    let as_muster = lab.client_as(MUSTER).await?;
    let pods: Api<Pod> = Api::all(as_muster);
    let error = pods.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{error}");
    Ok(())
}
