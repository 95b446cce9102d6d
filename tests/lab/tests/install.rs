//! docs/install.md, followed word by word on a real control plane: what it says works, Muster and its kube-scheduler
//! have the rights they need and no others, and nothing is left behind.

#[allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]
mod support;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use muster_lab::cluster::repository;
use muster_lab::process::Process;
use muster_lab::{Lab, Operator, Options, nodes};
use serde_json::json;
use support::document::Document;
use support::jobs::{pod, priority_class, tfjob, with_priority};
use support::node_of;
use support::programs::{Muster, free_port, muster, second_scheduler};
use support::rights::{nobody_may_more, rights_are_enough_and_least};

const NAMESPACE: &str = "muster-system";
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn the_document_installs_checks_and_removes_muster() -> Result<()> {
    let lab = cluster_of_an_operator().await?;
    let document = Document::open(&lab, "docs/install.md")?;
    document.follow("What you need")?;
    document.follow("1. Muster")?;
    let muster = muster(&lab).await?;
    document.follow("2. The second kube-scheduler")?;
    let scheduler = second_scheduler(&lab, muster.address).await?;
    document.follow("3. The node agents")?;
    document.follow("4. The gate")?;
    gated(&lab, true).await?;
    every_manifest_is_valid(&lab)?;
    document.follow("Check")?;
    document.follow("Security")?;
    no_pod_is_refused(&lab).await?;
    policies_compile(&lab).await?;

    a_gang_is_planned_made_anew_and_placed(&lab, &scheduler).await?;
    a_gang_makes_room(&lab).await?;
    rights_are_enough_and_least(&lab).await?;
    nobody_may_more(&lab).await?;

    document.follow("Way B: the cluster's own scheduler")?;
    scheduler.stop(PATIENCE).await?;
    the_clusters_own_scheduler_may_do_it(&lab, &muster, &document).await?;
    document.follow("Upgrade")?;
    // The worst case: Muster is gone, and gated pods are left.
    drop(muster);
    a_gang_waits(&lab).await?;
    document.follow("Stop gating")?;
    gated(&lab, false).await?;
    document.follow("Release what waits")?;
    document.follow("Remove")?;
    nothing_is_left(&lab).await?;
    assert!(document.left_out().is_empty(), "not run: {:?}", document.left_out());
    Ok(())
}

/// GPU nodes, a job operator, the cluster's own kube-scheduler; and the two kinds of owner that no operator here has.
async fn cluster_of_an_operator() -> Result<Lab> {
    let options =
        Options { operator: Operator::Training, plain_scheduler: true, audit: true, ..Options::default() };
    let lab = Lab::start(options).await?;
    for (group, version, plural, kind) in [
        ("kubeflow.org", "v1", "jaxjobs", "JAXJob"),
        ("scheduling.x-k8s.io", "v1alpha1", "podgroups", "PodGroup"),
    ] {
        let schema =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let annotations = json!({"api-approved.kubernetes.io": "unapproved, a test"});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}"), "annotations": annotations},
            "spec": {"group": group, "scope": "Namespaced",
                "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
                "versions": [{"name": version, "served": true, "storage": true, "schema": schema}]},
        });
        lab.apply(&definition.to_string()).await?;
    }
    lab.create_nodes([nodes::gpu_node("gpu-0").gpus(2), nodes::gpu_node("gpu-1").gpus(2)]).await?;
    lab.wait_nodes_ready(2).await?;
    Ok(lab)
}

/// Waits until the API server gates GPU pods, or no longer does.
async fn gated(lab: &Lab, yes: bool) -> Result<()> {
    let probe: Pod = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"containers": [{"name": "c", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
    }))?;
    let pods: Api<Pod> = Api::namespaced(lab.client(), "default");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let what = format!("pods to be gated: {yes}");
    lab.wait(&what, PATIENCE, async || {
        let made = pods.create(&dry, &probe).await?;
        let gates = made.spec.and_then(|spec| spec.scheduling_gates).unwrap_or_default();
        Ok((gates.is_empty() != yes).then_some(()))
    })
    .await
}

/// Both outputs of `kubectl`, run by the administrator.
fn kubectl(lab: &Lab, args: &[&str]) -> Result<String> {
    let kubeconfig = lab.kubeconfig_for(muster_lab::ADMIN)?;
    let mut command = Command::new(lab.program("kubectl"));
    let output = command.args(args).env("KUBECONFIG", kubeconfig).output().context("start kubectl")?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    ensure!(output.status.success(), "kubectl {args:?}: {printed}");
    Ok(printed)
}

/// All manifests, also those that the document only mentions, pass strict validation on the API server.
fn every_manifest_is_valid(lab: &Lab) -> Result<()> {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("deploy"))? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let manifest = file.extension().is_some_and(|extension| extension == "yaml");
        // These are configuration files and no objects of the API.
        let manifest = manifest
            && !["muster.yaml", "scheduler-config.yaml", "own-scheduler-config.yaml"].contains(&&*name);
        if !manifest {
            continue;
        }
        let path = file.display().to_string();
        let printed = kubectl(lab, &["apply", "--dry-run=server", "--validate=strict", "-f", &path])?;
        ensure!(!printed.contains("Warning"), "{name}: {printed}");
        seen += 1;
    }
    ensure!(seen >= 8, "only {seen} manifests");
    Ok(())
}

/// Controllers made all their pods: Pod Security admitted them. And it would not have admitted others.
async fn no_pod_is_refused(lab: &Lab) -> Result<()> {
    let events = Api::<Event>::namespaced(lab.client(), NAMESPACE).list(&ListParams::default()).await?;
    let refused: Vec<_> =
        events.iter().filter(|event| event.reason.as_deref() == Some("FailedCreate")).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let pods = lab.pods(NAMESPACE).await?;
    let made = |component: &str| {
        let of = |pod: &&Pod| pod.metadata.labels.iter().flatten().any(|(_, value)| value == component);
        pods.iter().filter(of).count()
    };
    assert_eq!((made("extender"), made("scheduler"), made("agent")), (1, 1, 2));
    let root: Pod = serde_json::from_value(json!({
        "metadata": {"name": "root"}, "spec": {"containers": [{"name": "c", "image": "none"}]},
    }))?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let answer = Api::<Pod>::namespaced(lab.client(), NAMESPACE).create(&dry, &root).await;
    let refusal = answer.err().context("a pod that may be root was admitted")?;
    assert!(refusal.to_string().contains("violates PodSecurity"), "{refusal}");
    Ok(())
}

/// kube-controller-manager types every expression of the validating policies; the mutating one is compiled when it is
/// created, and [`gated`] has seen it act.
async fn policies_compile(lab: &Lab) -> Result<()> {
    use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(lab.client());
    for name in ["guard.muster.dev"] {
        let checked = lab
            .wait("a policy to be typed", PATIENCE, async || {
                Ok(policies.get(name).await?.status.and_then(|status| status.type_checking))
            })
            .await?;
        assert!(checked.expression_warnings.unwrap_or_default().is_empty(), "{name}");
    }
    Ok(())
}

/// A gang's life with all that Muster ever writes: planned and released, its nodes cordoned before it is bound, made
/// anew, refused with a reason, planned again and bound.
async fn a_gang_is_planned_made_anew_and_placed(lab: &Lab, scheduler: &Process) -> Result<()> {
    scheduler.pause()?;
    lab.apply(&tfjob("anew", 2, 2, 1)).await?;
    let first = lab
        .wait("the gang to be released", PATIENCE, async || {
            let pods = lab.pods("default").await?;
            Ok((pods.len() == 3 && pods.iter().all(|pod| !is_gated(pod))).then_some(pods))
        })
        .await?;
    let uids: BTreeSet<_> = first.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
    cordon(lab, true).await?;
    lab.wait("the gang to be made anew", PATIENCE, async || {
        let pods = lab.pods("default").await?;
        let new = |pod: &Pod| pod.metadata.uid.as_ref().is_some_and(|uid| !uids.contains(uid));
        Ok((pods.len() == 3 && pods.iter().all(|pod| new(pod) && is_gated(pod))).then_some(()))
    })
    .await?;
    cordon(lab, false).await?;
    scheduler.resume()?;
    lab.wait_running("default", 3).await?;
    Ok(())
}

/// The gang is evicted for a pod of higher priority. Whether it comes back is its operator's restart policy.
async fn a_gang_makes_room(lab: &Lab) -> Result<()> {
    lab.apply(&priority_class("urgent", 1_000, "PreemptLowerPriority")).await?;
    lab.apply(&with_priority(&pod("urgent", "{limits: {nvidia.com/gpu: 1}}"), "urgent")).await?;
    lab.wait("the urgent pod to run alone", PATIENCE, async || {
        let pods = lab.pods("default").await?;
        let bound: Vec<_> = pods.iter().filter(|p| node_of(p).is_some()).map(Pod::name_any).collect();
        Ok((bound == ["urgent"]).then_some(()))
    })
    .await?;
    kubectl(lab, &["delete", "pod", "urgent"])?;
    kubectl(lab, &["delete", "priorityclass", "urgent"])?;
    Ok(())
}

fn is_gated(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .is_some_and(|spec| spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()))
}

async fn cordon(lab: &Lab, yes: bool) -> Result<()> {
    let api: Api<Node> = Api::all(lab.client());
    for node in ["gpu-0", "gpu-1"] {
        let patch = Patch::Merge(json!({"spec": {"unschedulable": yes}}));
        api.patch(node, &PatchParams::default(), &patch).await?;
    }
    Ok(())
}

/// Way B: the cluster's own scheduler places gangs with Muster, and everything else without it.
async fn the_clusters_own_scheduler_may_do_it(
    lab: &Lab,
    muster: &Muster,
    document: &Document<'_>,
) -> Result<()> {
    let config = document.folder().join("muster-scheduler-config.yaml");
    kubectl(lab, &["delete", "tfjob", "anew"])?;
    lab.start_scheduler(&config, format!("http://{}", muster.address)).await?;
    lab.apply(&tfjob("own", 2, 2, 1)).await?;
    lab.wait_running("default", 3).await?;
    let nobody = format!("http://127.0.0.1:{}", free_port()?);
    lab.start_scheduler(&config, nobody).await?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "plain", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "none"}]},
    });
    lab.apply(&pod.to_string()).await?;
    lab.wait_running("default", 4).await?;
    lab.start_plain_scheduler().await
}

/// A gang that no two nodes of two GPUs can hold.
async fn a_gang_waits(lab: &Lab) -> Result<()> {
    lab.apply(&tfjob("waits", 3, 2, 0)).await?;
    lab.wait("three gated pods", PATIENCE, async || {
        let pods = members(lab, "waits").await?;
        Ok((pods.len() == 3 && pods.iter().all(is_gated)).then_some(()))
    })
    .await
}

async fn members(lab: &Lab, job: &str) -> Result<Vec<Pod>> {
    let of = ListParams::default().labels(&format!("{}={job}", support::JOB));
    Ok(Api::<Pod>::namespaced(lab.client(), "default").list(&of).await?.items)
}

/// The waiting gang was made anew for the default scheduler, and no object of ours is there any more.
async fn nothing_is_left(lab: &Lab) -> Result<()> {
    lab.wait("ungated pods", PATIENCE, async || {
        let pods = members(lab, "waits").await?;
        let theirs = |pod: &Pod| {
            pod.spec.as_ref().is_some_and(|s| s.scheduler_name.as_deref() == Some("default-scheduler"))
        };
        Ok((pods.len() == 3 && pods.iter().all(|pod| !is_gated(pod) && theirs(pod))).then_some(()))
    })
    .await?;
    let namespaces: Api<Namespace> = Api::all(lab.client());
    lab.wait("the namespace to be gone", PATIENCE, async || {
        Ok(namespaces.get_opt(NAMESPACE).await?.is_none().then_some(()))
    })
    .await?;
    for kind in [
        "clusterrole",
        "clusterrolebinding",
        "validatingadmissionpolicy",
        "validatingadmissionpolicybinding",
        "mutatingadmissionpolicy",
    ] {
        let names = kubectl(lab, &["get", kind, "-o", "name"])?;
        assert!(!names.contains("muster"), "{names}");
    }
    Ok(())
}
