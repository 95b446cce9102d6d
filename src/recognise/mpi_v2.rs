//! `MPIJob`, with the ways of mpi-operator (`kubeflow.org/v2beta1`): the launcher is a Job's pod, and may be made only
//! after the workers run.
//!
//! training-operator's `v1` has the same fields but for `launcherCreationPolicy`, so one reader serves both.
//! With `runLauncherAsWorker` the launcher computes too; it is still one pod beside the workers.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use muster_placement::gang::GangSpec;
use muster_placement::ids::Name;
use muster_placement::pod::{Membership, OwnerFault};
use serde_json::Value;

use super::gang_kind::GangKind;
use super::kubeflow;
use super::owners::Walk;

/// The gang of a pod at the end of the walk along its controllers.
pub(super) fn membership(pod: &Pod, walk: &Walk) -> Membership {
    match walk {
        Walk::Gang(kind, owner) => Membership::Member(kubeflow::member(pod, *kind, owner)),
        Walk::Nowhere => Membership::Single,
        Walk::Unseen(owner) => Membership::Unknown(OwnerFault::Unreadable(named(&owner.kind, &owner.name))),
        Walk::Circle(owner) => Membership::Unknown(OwnerFault::Cycle(named(&owner.kind, &owner.name))),
    }
}

fn named(kind: &str, name: &str) -> Name {
    Name::from(format!("{kind} {name}").as_str())
}

/// What the `MPIJob` says.
pub(super) fn spec(owner: &DynamicObject) -> GangSpec {
    kubeflow::gang_spec(GangKind::MpiJob, owner, counted(owner))
}

fn counted(owner: &DynamicObject) -> Result<kubeflow::Counted, OwnerFault> {
    let nothing = Value::Null;
    let job = owner.data.get("spec").unwrap_or(&nothing);
    let mut roles = kubeflow::roles(GangKind::MpiJob, job)?;
    let size = kubeflow::total(&roles)?;
    let mut late = 0u32;
    for launcher in
        roles.iter_mut().filter(|role| role.name.as_str() == "launcher" && launcher_comes_late(job))
    {
        late = late.saturating_add(launcher.count);
        launcher.min = 0;
    }
    // Waiting for a launcher that waits for the workers would be for ever, whatever the user's minimum says.
    let together = size.saturating_sub(late);
    let Some(min) = kubeflow::min_available(job)? else { return Ok((together, size, roles)) };
    let min = if late > 0 { min.min(together) } else { min };
    Ok((min, size, kubeflow::of_any_role(roles)))
}

fn launcher_comes_late(job: &Value) -> bool {
    job.get("launcherCreationPolicy").and_then(Value::as_str) == Some("WaitForWorkersReady")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{owner, pod, summary};
    use super::super::{Owners, recognise};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_real_launcher_waits_for_its_job_to_be_seen() {
        let owners = Owners::default();
        let launcher = pod("mpijob-v2beta1-launcher");
        let job = "1816153c-68ae-4cf7-8752-e55f2047c38e";
        let before = recognise(&launcher, &owners);
        assert_eq!(before.awaits.as_deref(), Some(job));
        assert_eq!(
            before.membership,
            Membership::Unknown(OwnerFault::Unreadable(Name::from("Job pi-launcher")))
        );
        let meta = json!({ "uid": job, "ownerReferences": [{ "apiVersion": "kubeflow.org/v2beta1", "kind": "MPIJob",
            "name": "pi", "uid": "11a156be-f0ee-45b6-b493-473be0b2d7dc", "controller": true }] });
        owners.seen(&serde_json::from_value(meta).unwrap());
        let after = recognise(&launcher, &owners);
        assert_eq!(summary(&after), "MPIJob default/pi launcher 0 Unsaid");
        assert_eq!(after.awaits, None);
        let worker = recognise(&pod("mpijob-v2beta1-worker"), &owners);
        let gang = |m: Membership| match m {
            Membership::Member(m) => m.gang,
            other => panic!("{other:?}"),
        };
        assert_eq!(gang(after.membership), gang(worker.membership));
    }

    #[test]
    fn a_real_plain_job_is_no_gang() {
        let owners = Owners::default();
        for file in ["job-preprocess", "jobset-driver", "jobset-worker"] {
            let pod = pod(file);
            let job = super::super::controller(&pod.metadata).unwrap();
            let owner = json!([{ "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": "s", "uid": "s", "controller": true }]);
            let above = if file == "job-preprocess" { json!([]) } else { owner };
            owners
                .seen(&serde_json::from_value(json!({ "uid": job.uid, "ownerReferences": above })).unwrap());
            assert_eq!(summary(&recognise(&pod, &owners)), "Job: Single", "{file}");
        }
    }

    #[test]
    fn a_circle_of_jobs_is_said() {
        let owners = Owners::default();
        let launcher = pod("mpijob-v2beta1-launcher");
        let job = super::super::controller(&launcher.metadata).unwrap();
        let itself = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "pi-launcher", "uid": job.uid, "controller": true }]);
        owners.seen(&serde_json::from_value(json!({ "uid": job.uid, "ownerReferences": itself })).unwrap());
        let fault = Membership::Unknown(OwnerFault::Cycle(Name::from("Job pi-launcher")));
        assert_eq!(recognise(&launcher, &owners).membership, fault);
    }

    #[test]
    fn minimum_and_size() {
        let says = |more: Value| {
            let mut value = json!({ "mpiReplicaSpecs": { "Launcher": {}, "Worker": { "replicas": 3 } } });
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let spec = spec(&owner("job", &value));
            (spec.min, spec.size.unwrap())
        };
        let available = json!({ "schedulingPolicy": { "minAvailable": 4 } });
        assert_eq!(says(json!({})), (4, 4));
        assert_eq!(says(json!({ "runLauncherAsWorker": true })), (4, 4));
        assert_eq!(says(json!({ "launcherCreationPolicy": "AtStartup" })), (4, 4));
        assert_eq!(says(json!({ "launcherCreationPolicy": "WaitForWorkersReady" })), (3, 4));
        assert_eq!(
            says(json!({ "launcherCreationPolicy": "WaitForWorkersReady", "runPolicy": available })),
            (3, 4)
        );
        assert_eq!(says(json!({ "runPolicy": { "schedulingPolicy": { "minAvailable": 2 } } })), (2, 4));
    }
}
