//! The guide's training jobs, read from its manifests as they are, for the invented world.
//!
//! What each pod asks for is taken from its template by the same translation that real pods go through.

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use muster_placement::time::Span;
use muster_simulations::{JobSpec, Role, gpu_toleration};
use serde_json::Value;

use crate::recognise::Owners;
use crate::translate::{self, SchedulerNames};

const MANIFESTS: [(&str, &str, &str); 2] = [
    ("tfjob-training.yaml", "tfReplicaSpecs", include_str!("../../tests/workloads/tfjob-training.yaml")),
    ("mpijob-training.yaml", "mpiReplicaSpecs", include_str!("../../tests/workloads/mpijob-training.yaml")),
];
/// How long one trains, in the demo.
const TRAINING: Span = Span(45_000);

/// The jobs of the manifests.
///
/// # Errors
/// A manifest is not what training-operator takes.
pub(super) fn jobs() -> Result<Vec<JobSpec>> {
    MANIFESTS
        .iter()
        .map(|(file, specs, text)| job(specs, text).with_context(|| format!("reading {file}")))
        .collect()
}

fn job(specs: &str, text: &str) -> Result<JobSpec> {
    let manifest: Value = serde_saphyr::from_str(text)?;
    let word =
        |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(Value::Object(replicas)) = manifest.pointer(&format!("/spec/{specs}")) else {
        bail!("spec.{specs} is missing");
    };
    let pods = replicas.iter().map(|(name, spec)| role(name, spec)).collect::<Result<Vec<_>>>()?;
    let mut constraints = pods.first().map(|(_, pod)| pod.constraints.clone()).unwrap_or_default();
    // What the admission plugin ExtendedResourceToleration adds to pods that ask for GPUs.
    constraints.tolerations.push(gpu_toleration());
    Ok(JobSpec {
        namespace: word("/metadata/namespace"),
        kind: word("/kind"),
        name: word("/metadata/name"),
        roles: pods.into_iter().map(|(role, _)| role).collect(),
        min: None,
        priority: 0,
        duration: TRAINING,
        constraints,
        gated: true,
    })
}

fn role(name: &str, spec: &Value) -> Result<(Role, muster_placement::pod::Pod)> {
    let template: PodTemplateSpec = serde_json::from_value(spec["template"].clone())
        .with_context(|| format!("the pod template of {name}"))?;
    let pod = Pod { metadata: template.metadata.unwrap_or_default(), spec: template.spec, status: None };
    let pod = translate::pod(&pod, &Owners::default(), &SchedulerNames::default());
    let replicas = spec["replicas"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    Ok((Role { name: name.to_lowercase(), replicas, request: pod.request }, pod))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_jobs_are_what_the_guide_says() {
        let jobs = jobs().unwrap();
        let told: Vec<(&str, &str, u32, u64)> =
            jobs.iter().map(|job| (&*job.kind, &*job.name, job.size(), job.gpus())).collect();
        assert_eq!(told, [("TFJob", "tensorflow-training", 5, 3), ("MPIJob", "pytorch-training", 4, 3)]);
    }

    #[test]
    fn a_manifest_of_another_kind_is_a_fault() {
        assert!(
            job("tfReplicaSpecs", "kind: MPIJob\nspec: {}")
                .unwrap_err()
                .to_string()
                .contains("tfReplicaSpecs")
        );
    }
}
