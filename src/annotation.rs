//! What we write on pods: [`Stamp`] ↔ the value of an annotation.
//!
//! A plan is written when a pod is released, a grant in its Binding, in the same write as the node. Both
//! have one form: compact JSON such as `{"plan":7,"node":"gpu-1","gpus":["GPU-…"],"count":1}`, `count` being
//! the GPUs that the pod asks for, also where no agent says which ones they are. Invariant: what is written
//! is read back equal; what is malformed is as if it were not there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use muster_placement::ids::{Epoch, GpuUuid, NodeName};
use muster_placement::pod::Stamp;
use serde::{Deserialize, Serialize};
use tracing::warn;

/// Annotation of a released pod that is not bound yet.
pub const PLAN: &str = "muster.dev/plan";
/// Annotation of a bound pod.
pub const GRANT: &str = "muster.dev/grant";

#[derive(Serialize, Deserialize)]
struct Wire {
    plan: u64,
    node: String,
    gpus: Vec<String>,
    count: u64,
}

/// The value of the annotation; `count` is the number of GPUs that the pod asks for.
pub fn encode(stamp: &Stamp, count: u64) -> String {
    let wire = Wire {
        plan: stamp.epoch.0,
        node: stamp.node.as_str().to_owned(),
        gpus: stamp.gpus.iter().map(|g| g.as_str().to_owned()).collect(),
        count,
    };
    // Strings and numbers always encode; the fallback is malformed on purpose and reads as no stamp.
    serde_json::to_string(&wire).unwrap_or_default()
}

/// Reads the value of the annotation.
pub fn decode(value: &str) -> Result<Stamp, serde_json::Error> {
    let wire: Wire = serde_json::from_str(value)?;
    Ok(Stamp {
        epoch: Epoch(wire.plan),
        node: NodeName::from(wire.node.as_str()),
        gpus: wire.gpus.iter().map(|g| GpuUuid::from(g.as_str())).collect(),
    })
}

/// The stamp of an object: its grant if it is bound, else its plan. A malformed one is none, with a warning.
pub fn stamp_of(meta: &ObjectMeta, bound: bool) -> Option<Stamp> {
    let key = if bound { GRANT } else { PLAN };
    let value = meta.annotations.as_ref()?.get(key)?;
    decode(value)
        .inspect_err(|error| {
            let (namespace, pod) = (meta.namespace.as_deref(), meta.name.as_deref());
            warn!(namespace, pod, key, %error, "an annotation of ours is malformed and is ignored");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_placement::DOMAIN;

    fn stamp() -> Stamp {
        let gpus = vec![GpuUuid::from("GPU-a"), GpuUuid::from("GPU-b")];
        Stamp { epoch: Epoch(7), node: NodeName::from("gpu-1"), gpus }
    }

    #[test]
    fn the_keys_are_in_our_domain() {
        assert_eq!((PLAN, GRANT), (format!("{DOMAIN}/plan").as_str(), format!("{DOMAIN}/grant").as_str()));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = encode(&stamp(), 2);
        assert_eq!(text, r#"{"plan":7,"node":"gpu-1","gpus":["GPU-a","GPU-b"],"count":2}"#);
        assert_eq!(decode(&text).unwrap(), stamp());
    }

    #[test]
    fn fields_of_the_future_are_skipped() {
        assert!(decode(r#"{"plan":1,"node":"n","gpus":[],"count":0,"numa":3}"#).is_ok());
    }

    #[test]
    fn malformed_is_none() {
        for value in
            ["", "{}", "7", r#"{"plan":-1,"node":"n","gpus":[],"count":0}"#, r#"{"plan":1,"node":"n"}"#]
        {
            let annotations = Some([(PLAN.to_owned(), value.to_owned())].into());
            let meta = ObjectMeta { annotations, ..ObjectMeta::default() };
            assert_eq!(stamp_of(&meta, false), None, "{value}");
        }
    }
}
