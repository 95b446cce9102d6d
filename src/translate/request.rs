//! What a pod asks for in all, as kube-scheduler counts it.
//!
//! The formula of `k8s.io/component-helpers/resource.PodRequests` (KEP-753): sidecars and containers run
//! together; each other init container runs with the sidecars before it; the larger of both; pod-level
//! CPU and memory replace the sum; overhead comes on top. An amount that cannot be read counts as the
//! largest one, so that the pod fits nowhere rather than everywhere.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use muster_placement::resources::{GPU_RESOURCE, Resources};

use super::quantity::{CAP, milli, whole};

type Amounts = BTreeMap<String, Quantity>;

/// The effective request of a pod.
pub(super) fn request(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources { pods: 1, ..Resources::default() } };
    let mut sum = containers(pod, spec);
    let pod_level = spec.resources.as_ref().and_then(|r| r.requests.as_ref());
    if let Some(cpu) = pod_level.and_then(|r| r.get("cpu")) {
        sum.cpu_milli = milli(cpu).unwrap_or(CAP);
    }
    if let Some(memory) = pod_level.and_then(|r| r.get("memory")) {
        sum.memory = whole(memory).unwrap_or(CAP);
    }
    let overhead = spec.overhead.as_ref().map(|o| amounts(o, None)).unwrap_or_default();
    capped(Resources { pods: 1, ..sum.plus(overhead) })
}

/// Whether several containers ask for GPUs.
pub(super) fn split_gpus(spec: &PodSpec) -> bool {
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    all.filter(|container| of_container(container, &[]).gpus > 0).nth(1).is_some()
}

fn containers(pod: &Pod, spec: &PodSpec) -> Resources {
    let status = pod.status.as_ref();
    let statuses =
        |of: fn(&PodStatus) -> Option<&Vec<ContainerStatus>>| status.and_then(of).into_iter().flatten();
    let started: Vec<&ContainerStatus> = statuses(|s| s.container_statuses.as_ref())
        .chain(statuses(|s| s.init_container_statuses.as_ref()))
        .collect();
    effective(spec, |container| of_container(container, &started), Resources::plus, Resources::max)
}

/// The formula over the containers of a pod, for any kind of amount.
pub(super) fn effective<A: Clone + Default>(
    spec: &PodSpec,
    of: impl Fn(&Container) -> A,
    plus: impl Fn(A, A) -> A,
    max: impl Fn(A, A) -> A,
) -> A {
    let mut running = spec.containers.iter().map(&of).fold(A::default(), &plus);
    let (mut sidecars, mut starting) = (A::default(), A::default());
    for container in spec.init_containers.iter().flatten() {
        let own = of(container);
        if is_sidecar(container) {
            running = plus(running, own.clone());
            sidecars = plus(sidecars, own);
            starting = max(starting, sidecars.clone());
        } else {
            starting = max(starting, plus(sidecars.clone(), own));
        }
    }
    max(running, starting)
}

/// Whether an init container keeps running beside the others (KEP-753).
fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// A container that is being resized in place holds the larger of what it has and what it is to get.
fn of_container(container: &Container, started: &[&ContainerStatus]) -> Resources {
    let asked = container.resources.as_ref().map(declared).unwrap_or_default();
    let Some(status) = started.iter().find(|s| s.name == container.name) else { return asked };
    let actual = status.resources.as_ref().and_then(|r| r.requests.as_ref());
    [actual, status.allocated_resources.as_ref()]
        .into_iter()
        .flatten()
        .fold(asked, |sum, a| sum.max(amounts(a, None)))
}

/// Requests, where one that is not set is the limit, as the API server itself fills it in.
fn declared(resources: &ResourceRequirements) -> Resources {
    let none = Amounts::new();
    amounts(resources.requests.as_ref().unwrap_or(&none), resources.limits.as_ref())
}

fn amounts(first: &Amounts, second: Option<&Amounts>) -> Resources {
    let of = |name: &str| first.get(name).or_else(|| second?.get(name));
    let count = |name: &str| of(name).map_or(0, |q| whole(q).unwrap_or(CAP));
    Resources {
        gpus: count(GPU_RESOURCE),
        cpu_milli: of("cpu").map_or(0, |q| milli(q).unwrap_or(CAP)),
        memory: count("memory"),
        ephemeral: count("ephemeral-storage"),
        pods: 0,
    }
}

fn capped(sum: Resources) -> Resources {
    Resources {
        gpus: sum.gpus.min(CAP),
        cpu_milli: sum.cpu_milli.min(CAP),
        memory: sum.memory.min(CAP),
        ephemeral: sum.ephemeral.min(CAP),
        pods: sum.pods,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn gpus_cpu_memory(spec: &Value) -> (u64, u64, u64) {
        let pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let sum = request(&pod);
        assert_eq!(sum.pods, 1);
        (sum.gpus, sum.cpu_milli, sum.memory)
    }

    fn asks(requests: &Value) -> Value {
        json!({ "name": "c", "resources": { "requests": requests } })
    }

    #[test]
    fn the_formula() {
        let sidecar = |cpu| json!({ "name": "s", "restartPolicy": "Always", "resources": { "requests": { "cpu": cpu } } });
        let rows = [
            ("nothing", json!({ "containers": [{ "name": "c" }] }), (0, 0, 0)),
            (
                "sum",
                json!({ "containers": [asks(&json!({"cpu": "1"})), asks(&json!({"cpu": "250m"}))] }),
                (0, 1250, 0),
            ),
            (
                "limits stand in for requests",
                json!({ "containers": [{ "name": "c", "resources": { "limits": { "nvidia.com/gpu": "2" } } }] }),
                (2, 0, 0),
            ),
            (
                "requests win over limits",
                json!({ "containers": [{ "name": "c", "resources": { "limits": { "cpu": "4" }, "requests": { "cpu": "1" } } }] }),
                (0, 1000, 0),
            ),
            (
                "the larger of init and main",
                json!({ "containers": [asks(&json!({"cpu": "1"}))], "initContainers": [asks(&json!({"cpu": "3", "nvidia.com/gpu": 1}))] }),
                (1, 3000, 0),
            ),
            (
                "a sidecar runs with the init containers after it and with the main ones",
                json!({ "containers": [asks(&json!({"cpu": "1"}))],
                        "initContainers": [asks(&json!({"cpu": "2"})), sidecar("500m"), asks(&json!({"cpu": "2"}))] }),
                (0, 2500, 0),
            ),
            (
                "sidecars add to the main ones",
                json!({ "containers": [asks(&json!({"cpu": "3"}))], "initContainers": [sidecar("500m"), sidecar("500m")] }),
                (0, 4000, 0),
            ),
            (
                "pod level replaces the sum, overhead comes on top",
                json!({ "containers": [asks(&json!({"cpu": "3", "memory": "1Ki"}))],
                        "resources": { "requests": { "cpu": "5" } }, "overhead": { "cpu": "100m", "memory": "1Ki" } }),
                (0, 5100, 2048),
            ),
            (
                "a thousand million",
                json!({ "containers": [asks(&json!({"nvidia.com/gpu": "1000000000"}))] }),
                (1_000_000_000, 0, 0),
            ),
            ("unreadable", json!({ "containers": [asks(&json!({"nvidia.com/gpu": "many"}))] }), (CAP, 0, 0)),
            (
                "sums stop at the cap",
                json!({ "containers": [asks(&json!({"memory": "9Ei"})), asks(&json!({"memory": "9Ei"}))] }),
                (0, 0, CAP),
            ),
        ];
        for (name, spec, expected) in rows {
            assert_eq!(gpus_cpu_memory(&spec), expected, "{name}");
        }
    }

    #[test]
    fn a_container_being_shrunk_still_holds_what_it_has() {
        let pod = json!({
            "spec": { "containers": [asks(&json!({"cpu": "1"}))] },
            "status": { "containerStatuses": [{
                "name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "resources": { "requests": { "cpu": "2" } } }] },
        });
        assert_eq!(request(&serde_json::from_value(pod).unwrap()).cpu_milli, 2000);
    }

    #[test]
    fn gpus_of_several_containers_are_split() {
        let split = |spec: Value| split_gpus(&serde_json::from_value(spec).unwrap());
        let (one, none) = (asks(&json!({"nvidia.com/gpu": 1})), asks(&json!({"cpu": "1"})));
        assert!(!split(json!({ "containers": [one, none] })));
        assert!(split(json!({ "containers": [one, one] })));
        assert!(split(json!({ "containers": [one], "initContainers": [one] })));
    }
}
