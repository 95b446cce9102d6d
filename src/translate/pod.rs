//! `core/v1` Pod → [`Pod`].

use k8s_openapi::api::core::v1::{Pod as ApiPod, PodSpec, PodStatus};
use muster_placement::ids::{Name, NodeName, PodUid};
use muster_placement::pod::{Gate, Pod, PodPhase, Scheduler};
use muster_placement::tenure::Tenure;
use muster_placement::time::{CreatedAt, Span};

use super::constraints::{Translated, constraints};
use super::extras::extras;
use super::neighbours::neighbours;
use super::request::{request, split_gpus};
use super::topology::topology;
use super::unmodelled::unmodelled;
use super::volume::pvcs;
use super::{GATE, SchedulerNames, labels};
use crate::annotation;
use crate::recognise::{Owners, controller, recognise};

/// Translates a pod; `owners` says to whom its controllers belong, `schedulers` which schedulers call us.
pub fn pod(pod: &ApiPod, owners: &Owners, schedulers: &SchedulerNames) -> Pod {
    let none = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let meta = &pod.metadata;
    let recognised = recognise(pod, owners);
    let Translated { constraints, required_incomplete, tolerations_incomplete } = constraints(spec);
    let labels = labels(meta.labels.as_ref());
    let around = neighbours(spec, text(meta.namespace.as_ref()), &labels);
    let mut unmodelled = unmodelled(spec);
    unmodelled.extend(around.affinity_incomplete.then_some("inter-pod affinity"));
    unmodelled.extend(around.spread_incomplete.then_some("topology spread"));
    unmodelled.extend(required_incomplete.then_some("node affinity"));
    unmodelled.extend(tolerations_incomplete.then_some("tolerations"));
    let node = spec.node_name.as_deref().filter(|n| !n.is_empty()).map(NodeName::from);
    Pod {
        uid: PodUid::from(meta.uid.as_deref().unwrap_or_default()),
        namespace: Name::from(text(meta.namespace.as_ref())),
        name: Name::from(text(meta.name.as_ref())),
        labels,
        created: created(pod),
        priority: spec.priority.unwrap_or(0),
        kind: recognised.kind,
        controlled: controller(meta).is_some(),
        tenure: tenure(spec),
        request: request(pod),
        extras: extras(spec),
        split_gpus: split_gpus(spec),
        constraints,
        topology: topology(meta.annotations.as_ref()),
        neighbours: around.neighbours,
        gpu_models: gpu_models(pod),
        pvcs: pvcs(text(meta.namespace.as_ref()), text(meta.name.as_ref()), spec),
        unmodelled,
        scheduler: scheduler(spec, schedulers),
        gate: gate(spec),
        membership: recognised.membership,
        phase: phase(pod.status.as_ref()),
        terminating: meta.deletion_timestamp.is_some(),
        stamp: annotation::stamp_of(meta, node.is_some()),
        verdict: verdict(pod.status.as_ref()),
        node,
    }
}

/// GPU models that the pod may run on, by commas, the one wanted most first; for users to set.
const GPU_MODELS: &str = "muster.dev/gpu-models";

fn gpu_models(pod: &ApiPod) -> Vec<Name> {
    let said = pod.metadata.annotations.as_ref().and_then(|a| a.get(GPU_MODELS));
    let models = said.into_iter().flat_map(|list| list.split(',')).map(str::trim);
    models.filter(|model| !model.is_empty()).map(Name::from).collect()
}

fn text(text: Option<&String>) -> &str {
    text.map(String::as_str).unwrap_or_default()
}

fn created(pod: &ApiPod) -> CreatedAt {
    let seconds = pod.metadata.creation_timestamp.as_ref().map_or(0, |t| t.0.as_second());
    CreatedAt(u64::try_from(seconds).unwrap_or(0))
}

fn scheduler(spec: &PodSpec, schedulers: &SchedulerNames) -> Scheduler {
    let name = spec.scheduler_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(SchedulerNames::DEFAULT);
    if schedulers.include(name) { Scheduler::Ours } else { Scheduler::Foreign }
}

fn tenure(spec: &PodSpec) -> Tenure {
    let span = |seconds: i64| Span(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000));
    Tenure {
        never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
        deadline: spec.active_deadline_seconds.map(span),
        grace: spec.termination_grace_period_seconds.map_or(Tenure::default().grace, span),
    }
}

fn gate(spec: &PodSpec) -> Gate {
    match spec.scheduling_gates.as_deref().unwrap_or_default() {
        [] => Gate::Open,
        gates if gates.iter().all(|g| g.name == GATE) => Gate::Ours,
        _ => Gate::Foreign,
    }
}

fn phase(status: Option<&PodStatus>) -> PodPhase {
    match status.and_then(|s| s.phase.as_deref()) {
        None | Some("" | "Pending") => PodPhase::Pending,
        Some("Succeeded") => PodPhase::Succeeded,
        Some("Failed") => PodPhase::Failed,
        // `Unknown`, or a phase of the future: it may well be running.
        Some(_) => PodPhase::Running,
    }
}

fn verdict(status: Option<&PodStatus>) -> Option<Name> {
    let scheduled = status?.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled")?;
    let refused = scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable");
    refused.then(|| Name::from(scheduled.message.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn translated(value: Value) -> Pod {
        let ours: SchedulerNames = ["default-scheduler", "muster"].into_iter().collect();
        pod(&serde_json::from_value(value).unwrap(), &Owners::default(), &ours)
    }

    #[test]
    fn a_real_worker() {
        let text = include_str!("../../tests/fixtures/pods/tfjob-worker.json");
        let pod = translated(serde_json::from_str(text).unwrap());
        assert_eq!(pod.name.as_str(), "tensorflow-training-worker-0");
        assert_eq!((pod.request.gpus, pod.request.pods), (1, 1));
        assert_eq!(pod.kind.as_str(), "TFJob");
        assert!(pod.controlled && pod.alive() && !pod.terminating);
        assert_eq!(pod.node.as_ref().map(NodeName::as_str), Some("gpu-0010"));
        assert!(pod.unmodelled.is_empty(), "{:?}", pod.unmodelled);
        assert_eq!(pod.pvcs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["default/training-data"]);
        assert_eq!(pod.constraints.tolerations.len(), 2);
        assert_eq!((pod.scheduler, pod.gate, pod.phase), (Scheduler::Ours, Gate::Open, PodPhase::Running));
        assert!(pod.created.0 > 1_700_000_000);
    }

    #[test]
    fn a_real_launcher_asks_for_its_init_container() {
        let text = include_str!("../../tests/fixtures/pods/mpijob-v1-launcher.json");
        let pod = translated(serde_json::from_str(text).unwrap());
        assert_eq!((pod.request.gpus, pod.request.cpu_milli, pod.request.memory), (0, 100, 512 << 20));
        assert_eq!(pod.request.ephemeral, 5 << 30);
        assert!(pod.unmodelled.is_empty());
    }

    #[test]
    fn gates_and_schedulers() {
        let spec = |gates: Value, scheduler: &str| {
            let pod = translated(json!({ "metadata": {},
                "spec": { "containers": [], "schedulingGates": gates, "schedulerName": scheduler } }));
            (pod.gate, pod.scheduler)
        };
        let ours = json!({ "name": GATE });
        let foreign = json!({ "name": "kueue.x-k8s.io/admission" });
        assert_eq!(spec(json!([]), ""), (Gate::Open, Scheduler::Ours));
        assert_eq!(spec(json!([ours]), "muster"), (Gate::Ours, Scheduler::Ours));
        assert_eq!(spec(json!([ours, foreign]), "volcano"), (Gate::Foreign, Scheduler::Foreign));
    }

    #[test]
    fn what_is_said_of_staying_and_of_sending_others_away() {
        let spec = |spec: Value| translated(json!({ "metadata": {}, "spec": spec })).tenure;
        assert_eq!(spec(json!({ "containers": [] })), Tenure::default());
        let said = json!({ "containers": [], "preemptionPolicy": "Never", "activeDeadlineSeconds": 60,
            "terminationGracePeriodSeconds": 0 });
        let expected = Tenure { never_preempts: true, deadline: Some(Span(60_000)), grace: Span(0) };
        assert_eq!(spec(said), expected);
        assert!(
            !spec(json!({ "containers": [], "preemptionPolicy": "PreemptLowerPriority" })).never_preempts
        );
    }

    #[test]
    fn the_verdict_is_kube_schedulers_only() {
        let said = |reason: &str| {
            translated(json!({ "metadata": {}, "status": { "conditions": [
                { "type": "PodScheduled", "status": "False", "reason": reason, "message": "0/3 nodes" }] } }))
            .verdict
        };
        assert_eq!(said("Unschedulable"), Some(Name::from("0/3 nodes")));
        assert_eq!(said("SchedulingGated"), None);
        assert_eq!(said("SchedulerError"), None);
    }

    #[test]
    fn a_plan_counts_until_bound_and_a_grant_after() {
        let plan = r#"{"plan":7,"node":"a","gpus":[],"count":0}"#;
        let grant = r#"{"plan":8,"node":"b","gpus":[],"count":0}"#;
        let with = |node: Value| {
            translated(
                json!({ "metadata": { "annotations": { "muster.dev/plan": plan, "muster.dev/grant": grant } },
                "spec": { "containers": [], "nodeName": node } }),
            )
        };
        assert_eq!(with(Value::Null).stamp.unwrap().epoch.0, 7);
        assert_eq!(with(json!("b")).stamp.unwrap().epoch.0, 8);
        assert_eq!(with(json!("")).stamp.unwrap().epoch.0, 7);
    }

    #[test]
    fn models_are_listed_by_commas() {
        let with = |list: &str| {
            let pod = translated(json!({ "metadata": { "annotations": { GPU_MODELS: list } } }));
            pod.gpu_models.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            with("NVIDIA-H100-80GB-HBM3, NVIDIA-A100-SXM4-80GB"),
            ["NVIDIA-H100-80GB-HBM3", "NVIDIA-A100-SXM4-80GB"]
        );
        assert!(with(" , ").is_empty());
        assert!(GPU_MODELS.starts_with(muster_placement::DOMAIN));
    }

    #[test]
    fn an_empty_pod_is_no_reason_to_panic() {
        let pod = translated(json!({ "metadata": {} }));
        assert_eq!((pod.kind.as_str(), pod.controlled, pod.node), ("Pod", false, None));
    }
}
