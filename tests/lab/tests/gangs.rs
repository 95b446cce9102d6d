//! Gangs that compete, that never fit, and many at once; with and without `kill -9`.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use muster_lab::{Cluster, End, Gather, Setup};
use support::jobs::{end_whole_gangs, named_gang, numbers, tfjob};
use support::{gang_of, grants, ledger_is_true, never_bound, no_gpu_twice, no_node_overfull, whole_gangs};

const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until all `size` members of a gang run, and returns their names.
async fn wait_gang(cluster: &Cluster, gang: &str, size: usize) -> Result<Vec<String>> {
    cluster
        .lab
        .wait(&format!("{gang} to run whole"), PATIENCE, async || {
            let pods = cluster.lab.pods("default").await?;
            let members: Vec<_> = pods.iter().filter(|p| gang_of(p.labels()) == Some(gang)).collect();
            let running = members
                .iter()
                .filter(|p| p.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running"));
            let names: Vec<String> = running.map(|p| p.name_any()).collect();
            Ok((names.len() == size).then_some(names))
        })
        .await
}

/// Four free GPUs, two gangs of three: one runs whole, the other has nothing bound and a reason; the first ends,
/// the second runs.
async fn two_gangs(gather: Gather, killed: bool) -> Result<()> {
    let cluster = Cluster::start(Setup::new(gather, 1, 4)).await?;
    let history = cluster.lab.watch_pods().await?;
    cluster.lab.apply(&tfjob("first", 3, 1, 1)).await?;
    let members = wait_gang(&cluster, "first", 4).await?;
    if killed {
        kill_and_start(&cluster).await?;
    }
    cluster.lab.apply(&tfjob("second", 3, 1, 1)).await?;
    let gang = cluster.wait_reason("default", "TFJob", "second").await?;
    assert_eq!(gang["reason"]["label"], "InsufficientGpus", "{gang}");
    let why = gang["reason"]["sentence"].as_str().unwrap_or_default();
    assert!(why.contains("needs 3") && why.contains("1 are free") && why.contains("2 missing"), "{why}");
    history.catch_up().await?;
    never_bound(&history, "second")?;
    let claims = cluster.api("ledger").await?["claims"].as_array().map_or(0, Vec::len);
    assert_eq!(claims, 4, "a waiting gang holds nothing");
    if killed {
        kill_and_start(&cluster).await?;
    }
    for name in members {
        cluster.lab.finish("default", &name, End::Complete).await?;
    }
    wait_gang(&cluster, "second", 4).await?;
    history.catch_up().await?;
    whole_gangs(&history, &BTreeMap::from([("first".into(), 4), ("second".into(), 4)]))?;
    no_gpu_twice(&history)?;
    ledger_is_true(&cluster).await
}

async fn kill_and_start(cluster: &Cluster) -> Result<()> {
    cluster.muster.kill9()?;
    cluster.muster.restart()?;
    cluster.wait_muster().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gangs_run_one_after_the_other_when_gated() -> Result<()> {
    two_gangs(Gather::Gated, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gangs_run_one_after_the_other_when_ungated() -> Result<()> {
    two_gangs(Gather::Ungated, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gangs_run_one_after_the_other_over_restarts() -> Result<()> {
    two_gangs(Gather::Gated, true).await
}

/// A gang larger than the cluster: nothing is bound, and the reason says what is missing and by how much, at the
/// API and as an event on a member.
async fn too_large(gather: Gather) -> Result<()> {
    let cluster = Cluster::start(Setup::new(gather, 2, 4)).await?;
    let history = cluster.lab.watch_pods().await?;
    cluster.lab.apply(&tfjob("huge", 10, 1, 1)).await?;
    let gang = cluster.wait_reason("default", "TFJob", "huge").await?;
    let why = gang["reason"]["sentence"].as_str().unwrap_or_default();
    assert!(why.contains("needs 10") && why.contains("8 are free") && why.contains("2 missing"), "{why}");
    cluster
        .lab
        .wait("an event with the reason", PATIENCE, async || {
            use k8s_openapi::api::events::v1::Event;
            let events =
                kube::Api::<Event>::all(cluster.lab.client()).list(&kube::api::ListParams::default()).await?;
            let told = |e: &&Event| {
                e.reason.as_deref() == Some("InsufficientGpus")
                    && e.note.as_deref().is_some_and(|n| n.contains("2 missing"))
            };
            Ok(events.items.iter().find(told).map(drop))
        })
        .await?;
    history.catch_up().await?;
    never_bound(&history, "huge")?;
    let claims = cluster.api("ledger").await?["claims"].as_array().map_or(0, Vec::len);
    assert_eq!(claims, 0, "a waiting gang holds nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_larger_than_the_cluster_waits_with_a_reason_when_gated() -> Result<()> {
    too_large(Gather::Gated).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_larger_than_the_cluster_waits_with_a_reason_when_ungated() -> Result<()> {
    too_large(Gather::Ungated).await
}

/// Submits fifty gangs of random sizes, ends those that run whole, kills Muster `kills` times at random moments,
/// and checks every change of every pod afterwards.
async fn fifty_gangs(gather: Gather, kills: usize) -> Result<()> {
    let cluster = Cluster::start(Setup::new(gather, 4, 4)).await?;
    let history = cluster.lab.watch_pods().await?;
    let mut number = numbers(20_261_124, 1_000);
    let mut sizes = BTreeMap::new();
    let mut manifests = Vec::new();
    for i in 0..50 {
        let (members, gpus) = (1 + number() % 4, 1 + number() % 3);
        let name = format!("gang-{i}");
        if number().is_multiple_of(2) {
            manifests.push(tfjob(&name, members, gpus, 1));
            sizes.insert(name, members as usize + 1);
        } else {
            manifests.push(named_gang(&name, members, gpus));
            sizes.insert(name, members as usize);
        }
    }
    let submitting = async {
        for manifest in &manifests {
            cluster.lab.apply(manifest).await?;
        }
        anyhow::Ok(())
    };
    let killing = async {
        for _ in 0..kills {
            tokio::time::sleep(Duration::from_millis(100 + u64::from(number()))).await;
            cluster.muster.kill9()?;
            cluster.muster.restart()?;
        }
        anyhow::Ok(())
    };
    let ending = cluster.lab.wait_every(
        "fifty gangs to run",
        Duration::from_mins(4),
        Duration::from_millis(300),
        async || {
            let begun = end_whole_gangs(&cluster, &sizes).await?;
            ensure!(
                begun.len() == 50,
                "{} gangs have run; {:?} have not",
                begun.len(),
                sizes.keys().filter(|g| !begun.contains(*g)).collect::<Vec<_>>()
            );
            Ok(Some(()))
        },
    );
    let (submitted, killed, ended) = tokio::join!(submitting, killing, ending);
    submitted.and(killed).and(ended)?;
    cluster.wait_muster().await?;
    history.catch_up().await?;
    whole_gangs(&history, &sizes)?;
    no_gpu_twice(&history)?;
    no_node_overfull(&history, 4)?;
    ledger_is_true(&cluster).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_gangs_all_run_and_none_in_part_when_gated() -> Result<()> {
    fifty_gangs(Gather::Gated, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_gangs_all_run_and_none_in_part_when_ungated() -> Result<()> {
    fifty_gangs(Gather::Ungated, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_gangs_survive_twenty_kills_when_gated() -> Result<()> {
    fifty_gangs(Gather::Gated, 20).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_gangs_survive_twenty_kills_when_ungated() -> Result<()> {
    fifty_gangs(Gather::Ungated, 20).await
}

/// What is asked in a way that cannot be is refused in words, and disturbs nobody.
#[tokio::test(flavor = "multi_thread")]
async fn impossible_requests_are_refused_in_words() -> Result<()> {
    let cluster = Cluster::start(Setup::new(Gather::Gated, 1, 4)).await?;
    cluster.lab.apply(&support::jobs::pod("greedy", "{limits: {nvidia.com/gpu: 1000000000}}")).await?;
    let gang = cluster.wait_reason("default", "Pod", "greedy").await?;
    assert_eq!(gang["reason"]["label"], "InsufficientGpus", "{gang}");
    cluster.lab.apply(&named_gang("none", 1, 1).replace("gang-size: \"1\"", "gang-size: \"0\"")).await?;
    let gang = cluster.wait_reason("default", "Label", "none").await?;
    assert_eq!(gang["reason"]["label"], "InvalidGangSize", "{gang}");
    cluster.lab.apply(&support::jobs::pod("modest", "{limits: {nvidia.com/gpu: 0}}")).await?;
    cluster.lab.apply(&support::jobs::pod("fair", "{limits: {nvidia.com/gpu: 4}}")).await?;
    let running = cluster.lab.wait("the others to run", PATIENCE, async || {
        let pods = cluster.lab.pods("default").await?;
        let running: Vec<_> = pods
            .into_iter()
            .filter(|p| p.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running"))
            .collect();
        Ok((running.len() == 2).then_some(running))
    });
    assert_eq!(grants(&cluster, &running.await?)?, 4);
    Ok(())
}
