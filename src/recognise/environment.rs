//! The size of a gang as its pods' environment has it: a fall-back for owners that cannot be read.

use k8s_openapi::api::core::v1::{EnvVar, Pod};
use muster_placement::pod::SizeHint;
use serde_json::Value;

/// What the environment of a pod's containers says of the size.
pub(super) fn size(pod: &Pod) -> SizeHint {
    let containers = pod.spec.iter().flat_map(|s| &s.containers);
    let said = containers.filter_map(|c| c.env.as_deref()).find_map(of_container);
    said.map_or(SizeHint::Unsaid, SizeHint::Environment)
}

fn of_container(env: &[EnvVar]) -> Option<u32> {
    let value = |name: &str| env.iter().find(|e| e.name == name).and_then(|e| e.value.as_deref());
    if let Some(size) = value("TF_CONFIG").and_then(tf_config) {
        return Some(size);
    }
    if let Some(nodes) = value("PET_NNODES") {
        // Elastic jobs say `min:max`.
        return nodes.split(':').next()?.parse().ok();
    }
    // The world counts processes; it counts pods only where each has one.
    let one_process = value("PET_NPROC_PER_NODE").is_none_or(|n| n == "1");
    value("WORLD_SIZE").filter(|_| one_process)?.parse().ok()
}

/// The number of addresses in `cluster`, over all roles.
fn tf_config(text: &str) -> Option<u32> {
    let config: Value = serde_json::from_str(text).ok()?;
    let roles = config.get("cluster")?.as_object()?.values();
    // With dynamic workers a role is a map from index to address.
    let count =
        |role: &Value| role.as_array().map(Vec::len).or_else(|| role.as_object().map(serde_json::Map::len));
    roles.map(count).sum::<Option<usize>>().and_then(|n| u32::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_variable() {
        let rows: &[(&[(&str, &str)], SizeHint)] = &[
            (&[], SizeHint::Unsaid),
            (
                &[("TF_CONFIG", r#"{"cluster":{"ps":["a","b"],"worker":["c","d","e"]}}"#)],
                SizeHint::Environment(5),
            ),
            (&[("TF_CONFIG", r#"{"sparseCluster":{}}"#)], SizeHint::Unsaid),
            (&[("TF_CONFIG", "not json")], SizeHint::Unsaid),
            (&[("PET_NNODES", "4")], SizeHint::Environment(4)),
            (&[("PET_NNODES", "1:4"), ("WORLD_SIZE", "9")], SizeHint::Environment(1)),
            (&[("PET_NNODES", "four")], SizeHint::Unsaid),
            (&[("WORLD_SIZE", "3")], SizeHint::Environment(3)),
            (&[("WORLD_SIZE", "3"), ("PET_NPROC_PER_NODE", "1")], SizeHint::Environment(3)),
            (&[("WORLD_SIZE", "24"), ("PET_NPROC_PER_NODE", "8")], SizeHint::Unsaid),
            (&[("WORLD_SIZE", "-3")], SizeHint::Unsaid),
        ];
        for (env, expected) in rows {
            let env: Vec<_> = env.iter().map(|(n, v)| json!({ "name": n, "value": v })).collect();
            let pod = json!({ "metadata": {}, "spec": { "containers": [{ "name": "c", "env": env }] } });
            assert_eq!(size(&serde_json::from_value(pod).unwrap()), *expected, "{env:?}");
        }
    }
}
