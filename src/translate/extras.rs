//! Other extended resources and host ports of a pod → [`Extras`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodSpec};
use muster_placement::extras::{Extras, HostPort};
use muster_placement::ids::Name;

use super::node::is_extended;
use super::quantity::{CAP, whole};
use super::request::effective;

type Amounts = BTreeMap<Name, u64>;

/// What a pod takes besides the counted resources.
pub(super) fn extras(spec: &PodSpec) -> Extras {
    let mut resources =
        effective(spec, amounts, |a, b| each(a, b, u64::saturating_add), |a, b| each(a, b, u64::max));
    resources.retain(|_, amount| *amount > 0);
    for amount in resources.values_mut() {
        *amount = (*amount).min(CAP);
    }
    Extras { resources, ports: ports(spec) }
}

/// Requests, where one that is not set is the limit. One that cannot be read fits nowhere.
fn amounts(container: &Container) -> Amounts {
    let stated = container.resources.as_ref();
    let of = |which: Option<&BTreeMap<String, _>>| {
        let read =
            |(name, quantity): (&String, &_)| (Name::from(name.as_str()), whole(quantity).unwrap_or(CAP));
        which.into_iter().flatten().filter(|(name, _)| is_extended(name)).map(read).collect::<Amounts>()
    };
    let mut amounts = of(stated.and_then(|r| r.limits.as_ref()));
    amounts.extend(of(stated.and_then(|r| r.requests.as_ref())));
    amounts
}

fn each(mut a: Amounts, b: Amounts, op: fn(u64, u64) -> u64) -> Amounts {
    for (name, amount) in b {
        let sum = a.entry(name).or_default();
        *sum = op(*sum, amount);
    }
    a
}

/// Ports of the host that any container takes. With `hostNetwork` the API server fills them in.
fn ports(spec: &PodSpec) -> BTreeSet<HostPort> {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let taken = ports.filter_map(|port| {
        let number = u16::try_from(port.host_port?).ok().filter(|number| *number > 0)?;
        Some(HostPort { protocol: Name::from(port.protocol.as_deref().unwrap_or("TCP")), port: number })
    });
    taken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn resources_by_name_and_ports() {
        let spec: PodSpec = serde_json::from_value(json!({
            "initContainers": [{ "name": "i", "resources": { "limits": { "rdma/hca": "3" } } }],
            "containers": [
                { "name": "a", "resources": { "limits": { "rdma/hca": "1", "nvidia.com/gpu": "8", "cpu": "1" } },
                  "ports": [{ "containerPort": 2222, "hostPort": 2222 }, { "containerPort": 80 }] },
                { "name": "b", "resources": { "requests": { "rdma/hca": "1", "hugepages-2Mi": "4Mi" } },
                  "ports": [{ "containerPort": 1, "hostPort": 2222, "protocol": "UDP" }] }] }))
        .unwrap();
        let found = extras(&spec);
        let expected = [("hugepages-2Mi", 4 << 20), ("rdma/hca", 3)].map(|(name, n)| (Name::from(name), n));
        assert_eq!(found.resources, BTreeMap::from(expected), "the larger of init and main");
        let ports: Vec<String> = found.ports.iter().map(|p| format!("{}/{}", p.port, p.protocol)).collect();
        assert_eq!(ports, ["2222/TCP", "2222/UDP"]);
    }

    #[test]
    fn most_pods_take_none() {
        let spec: PodSpec = serde_json::from_value(json!({ "containers": [
            { "name": "c", "resources": { "limits": { "nvidia.com/gpu": "1", "rdma/hca": "0" } } }] }))
        .unwrap();
        assert!(extras(&spec).is_empty());
    }
}
