//! Kubeflow training-operator jobs (`kubeflow.org/v1`): `TFJob`, `PyTorchJob`, `XGBoostJob`, `PaddleJob`, `JAXJob`, and the
//! pods that an `MPIJob` of either version controls itself.
//!
//! The controller decides and gives the identity; labels give role and index. The size is the sum of the
//! replicas, parameter servers and launchers included; the minimum is what the user allows, else all.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use muster_placement::gang::{GangSpec, Role};
use muster_placement::ids::{GangId, Name};
use muster_placement::pod::{Member, Membership, OwnerFault};
use serde_json::Value;

use super::gang_kind::GangKind;
use super::labels::number;
use super::owners::{OwnerRef, controller};
use super::{environment, gang_id};

const ROLE: &str = "training.kubeflow.org/replica-type";
/// mpi-operator says here what training-operator says in [`ROLE`], which itself marks the master here.
const JOB_ROLE: &str = "training.kubeflow.org/job-role";
const INDEX: &str = "training.kubeflow.org/replica-index";

const MIN_AVAILABLE: &str = "/runPolicy/schedulingPolicy/minAvailable";

/// The gang of a pod whose controller is a Kubeflow job.
pub(super) fn membership(pod: &Pod) -> Option<Membership> {
    let owner = controller(&pod.metadata)?;
    let kind = GangKind::of(&owner.api_version, &owner.kind).filter(|k| k.controls_pods())?;
    Some(Membership::Member(member(pod, kind, &owner)))
}

/// The place of a pod in the gang that `owner` describes.
pub(super) fn member(pod: &Pod, kind: GangKind, owner: &OwnerRef) -> Member {
    let labels = pod.metadata.labels.as_ref();
    let label = |key: &str| labels.and_then(|l| l.get(key)).map(String::as_str);
    Member {
        gang: GangId {
            namespace: Name::from(pod.metadata.namespace.as_deref().unwrap_or_default()),
            kind: Name::from(kind.name()),
            name: Name::from(owner.name.as_str()),
            incarnation: Name::from(owner.uid.as_str()),
        },
        role: Name::from(label(ROLE).or_else(|| label(JOB_ROLE)).unwrap_or_default()),
        index: labels.and_then(|l| number(l, INDEX)).unwrap_or(0),
        size: environment::size(pod),
    }
}

/// What the job says.
pub(super) fn spec(kind: GangKind, owner: &DynamicObject) -> GangSpec {
    let nothing = Value::Null;
    let job = owner.data.get("spec").unwrap_or(&nothing);
    let counted = roles(kind, job).and_then(|roles| {
        let size = total(&roles)?;
        let (min, roles) = minimum(job, roles, size)?;
        Ok((min, size, roles))
    });
    gang_spec(kind, owner, counted)
}

/// A description, or the fault that keeps it from being one.
pub(super) fn gang_spec(
    kind: GangKind,
    owner: &DynamicObject,
    counted: Result<Counted, OwnerFault>,
) -> GangSpec {
    let id = gang_id(kind, owner);
    match counted {
        Ok((min, size, roles)) => GangSpec { id, roles, size: Ok(size), min },
        Err(fault) => GangSpec { id, roles: Vec::new(), size: Err(fault), min: 0 },
    }
}

/// Minimum, size, members per role.
pub(super) type Counted = (u32, u32, Roles);
/// Roles, by name.
pub(super) type Roles = Vec<Role>;

/// Roles of a job's `…ReplicaSpecs`.
pub(super) fn roles(kind: GangKind, job: &Value) -> Result<Roles, OwnerFault> {
    let field = match kind {
        GangKind::TfJob => "tfReplicaSpecs",
        GangKind::PyTorchJob => "pytorchReplicaSpecs",
        GangKind::MpiJob => "mpiReplicaSpecs",
        GangKind::XgBoostJob => "xgbReplicaSpecs",
        GangKind::PaddleJob => "paddleReplicaSpecs",
        GangKind::JaxJob => "jaxReplicaSpecs",
        GangKind::PodGroup => return Err(malformed("a PodGroup has no roles")),
    };
    let specs = job.get(field).and_then(Value::as_object);
    let specs = specs.ok_or_else(|| malformed(&format!("spec.{field} is missing")))?;
    let mut roles = Vec::new();
    for (role, replica) in specs {
        let at = format!("spec.{field}.{role}.replicas");
        let replicas = count(replica.get("replicas"), &at)?.unwrap_or(1);
        roles.push(Role::whole(&role.to_lowercase(), replicas));
    }
    roles.sort();
    Ok(roles)
}

/// All members; 0 is passed on, a gang of nobody is refused by name.
pub(super) fn total(roles: &Roles) -> Result<u32, OwnerFault> {
    let sum = roles.iter().try_fold(0u32, |sum, role| sum.checked_add(role.count));
    sum.ok_or_else(|| malformed("the sum of the replicas is not a number of pods"))
}

/// `minAvailable`, if it is set.
pub(super) fn min_available(job: &Value) -> Result<Option<u32>, OwnerFault> {
    count(job.pointer(MIN_AVAILABLE), "spec.runPolicy.schedulingPolicy.minAvailable")
}

/// The minimum of the job and its roles. `minAvailable` counts members whatever their role; an elastic job may have
/// fewer workers, and all of everybody else.
fn minimum(job: &Value, mut roles: Roles, size: u32) -> Result<(u32, Roles), OwnerFault> {
    if let Some(min) = min_available(job)? {
        return Ok((min, of_any_role(roles)));
    }
    let Some(workers) = count(job.pointer("/elasticPolicy/minReplicas"), "spec.elasticPolicy.minReplicas")?
    else {
        return Ok((size, roles));
    };
    for role in roles.iter_mut().filter(|role| role.name.as_str() == "worker") {
        role.min = workers.min(role.count);
    }
    let min = roles.iter().map(|role| role.min).fold(0, u32::saturating_add);
    Ok((min, roles))
}

/// Roles of which none has a minimum of its own.
pub(super) fn of_any_role(roles: Roles) -> Roles {
    roles.into_iter().map(|role| Role { min: 0, ..role }).collect()
}

fn count(value: Option<&Value>, at: &str) -> Result<Option<u32>, OwnerFault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
            number.map(Some).ok_or_else(|| malformed(&format!("{at} is {value}, not a number of pods")))
        }
    }
}

fn malformed(what: &str) -> OwnerFault {
    OwnerFault::Malformed(Name::from(what))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{owner, pod, summary};
    use super::super::{Owners, recognise};
    use super::*;
    use serde_json::json;

    #[test]
    fn real_pods() {
        let owners = Owners::default();
        let rows = [
            ("tfjob-worker", "TFJob default/tensorflow-training worker 0 Environment(5)"),
            ("tfjob-ps", "TFJob default/tensorflow-training ps 0 Environment(5)"),
            ("mpijob-v1-launcher", "MPIJob default/pytorch-training launcher 0 Unsaid"),
            ("mpijob-v1-worker", "MPIJob default/pytorch-training worker 0 Unsaid"),
            ("mpijob-v2beta1-worker", "MPIJob default/pi worker 0 Unsaid"),
            ("deployment-serving", "ReplicaSet: Single"),
            ("lws-leader", "StatefulSet: Single"),
            ("lws-worker", "StatefulSet: Single"),
        ];
        for (file, expected) in rows {
            assert_eq!(summary(&recognise(&pod(file), &owners)), expected, "{file}");
        }
    }

    #[test]
    fn pods_of_one_job_have_its_uid() {
        let Some(Membership::Member(member)) = membership(&pod("tfjob-ps")) else { panic!("a member") };
        assert_eq!(member.gang.incarnation.as_str(), "5a942c47-7a6f-4c57-a745-9efd040d53ac");
    }

    fn says(kind: GangKind, value: &Value) -> String {
        let spec = spec(kind, &owner("job", value));
        match spec.size {
            Ok(size) => format!("{}/{size}", spec.min),
            Err(OwnerFault::Malformed(what)) => what.as_str().to_owned(),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn every_kind_has_its_field() {
        let rows = [
            (GangKind::TfJob, "tfReplicaSpecs"),
            (GangKind::PyTorchJob, "pytorchReplicaSpecs"),
            (GangKind::XgBoostJob, "xgbReplicaSpecs"),
            (GangKind::PaddleJob, "paddleReplicaSpecs"),
            (GangKind::JaxJob, "jaxReplicaSpecs"),
        ];
        for (kind, field) in rows {
            let value = json!({ field: { "Master": {}, "Worker": { "replicas": 3 } } });
            assert_eq!(says(kind, &value), "4/4", "{field}");
            assert_eq!(says(kind, &json!({})), format!("spec.{field} is missing"));
        }
    }

    #[test]
    fn minimum_and_size() {
        let tf = |more: Value| {
            let mut spec =
                json!({ "tfReplicaSpecs": { "PS": { "replicas": 2 }, "Worker": { "replicas": 3 } } });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            says(GangKind::TfJob, &spec)
        };
        let available = |n: Value| json!({ "runPolicy": { "schedulingPolicy": { "minAvailable": n } } });
        assert_eq!(tf(json!({})), "5/5");
        assert_eq!(tf(available(json!(4))), "4/5");
        assert_eq!(tf(available(json!(9))), "9/5");
        assert_eq!(
            tf(available(json!(-1))),
            "spec.runPolicy.schedulingPolicy.minAvailable is -1, not a number of pods"
        );
        assert_eq!(tf(json!({ "elasticPolicy": { "minReplicas": 1 } })), "3/5");
        let replicas =
            |n: Value| says(GangKind::TfJob, &json!({ "tfReplicaSpecs": { "Worker": { "replicas": n } } }));
        assert_eq!(replicas(json!(null)), "1/1");
        assert_eq!(replicas(json!(0)), "0/0");
        assert_eq!(replicas(json!(-3)), "spec.tfReplicaSpecs.Worker.replicas is -3, not a number of pods");
        assert_eq!(
            replicas(json!("3")),
            "spec.tfReplicaSpecs.Worker.replicas is \"3\", not a number of pods"
        );
        let huge = json!({ "a": { "replicas": u32::MAX }, "b": { "replicas": 1 } });
        assert_eq!(
            says(GangKind::TfJob, &json!({ "tfReplicaSpecs": huge })),
            "the sum of the replicas is not a number of pods"
        );
        assert_eq!(says(GangKind::TfJob, &json!({ "tfReplicaSpecs": {} })), "0/0");
    }

    #[test]
    fn roles_are_lower_case_and_sorted() {
        let value = json!({ "tfReplicaSpecs": { "Worker": { "replicas": 3 }, "PS": { "replicas": 2 } } });
        let spec = spec(GangKind::TfJob, &owner("job", &value));
        assert_eq!(spec.roles, [Role::whole("ps", 2), Role::whole("worker", 3)]);
    }

    #[test]
    fn minima_by_role() {
        let minima = |more: Value| {
            let mut job = json!({ "pytorchReplicaSpecs": { "Master": {}, "Worker": { "replicas": 3 } } });
            job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let spec = spec(GangKind::PyTorchJob, &owner("job", &job));
            (spec.min, spec.roles.iter().map(|role| role.min).collect::<Vec<_>>())
        };
        assert_eq!(minima(json!({})), (4, vec![1, 3]));
        assert_eq!(
            minima(json!({ "elasticPolicy": { "minReplicas": 2, "maxReplicas": 5 } })),
            (3, vec![1, 2])
        );
        assert_eq!(minima(json!({ "elasticPolicy": { "minReplicas": 0 } })), (1, vec![1, 0]));
        assert_eq!(minima(json!({ "elasticPolicy": { "minReplicas": 9 } })), (4, vec![1, 3]));
        let policy = json!({ "minAvailable": 2, "minResources": { "cpu": "4" } });
        assert_eq!(minima(json!({ "runPolicy": { "schedulingPolicy": policy } })), (2, vec![0, 0]));
    }
}
