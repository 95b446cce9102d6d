//! `scheduling.x-k8s.io/v1alpha1` `PodGroup` (scheduler-plugins), which pods name by label.
//!
//! It knows a minimum and no size: more pods than that are welcome, so the size is no limit.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use muster_placement::gang::GangSpec;
use muster_placement::ids::{GangId, Name};
use muster_placement::pod::{Member, Membership, OwnerFault, SizeHint};

use super::gang_id;
use super::gang_kind::GangKind;

const LABEL: &str = "scheduling.x-k8s.io/pod-group";

/// The gang that the label names.
pub(super) fn membership(pod: &Pod) -> Option<Membership> {
    let name = pod.metadata.labels.as_ref()?.get(LABEL).filter(|n| !n.is_empty())?;
    Some(Membership::Member(Member {
        gang: GangId {
            namespace: Name::from(pod.metadata.namespace.as_deref().unwrap_or_default()),
            kind: Name::from(GangKind::PodGroup.name()),
            name: Name::from(name.as_str()),
            incarnation: Name::from(""),
        },
        role: Name::from(""),
        index: 0,
        size: SizeHint::Unsaid,
    }))
}

/// What the `PodGroup` says. `minMember` 0 is passed on as it is: a minimum of nothing is refused by name.
pub(super) fn spec(owner: &DynamicObject) -> GangSpec {
    let said = owner.data.pointer("/spec/minMember");
    let min = said.and_then(serde_json::Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let fault = || {
        let what = said.map_or("missing".to_owned(), |v| format!("{v}, not a number of pods"));
        OwnerFault::Malformed(Name::from(format!("spec.minMember is {what}").as_str()))
    };
    GangSpec {
        id: gang_id(GangKind::PodGroup, owner),
        roles: Vec::new(),
        size: min.map(|_| u32::MAX).ok_or_else(fault),
        min: min.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{labelled, owner};
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_label_and_the_group_have_one_identity() {
        let Some(Membership::Member(member)) = membership(&labelled(&[(LABEL, "train")])) else {
            panic!("a member")
        };
        assert_eq!(member.gang, spec(&owner("train", &json!({ "minMember": 3 }))).id);
        assert_eq!(membership(&labelled(&[])), None);
    }

    #[test]
    fn sizes() {
        let rows: [(Value, Result<u32, &str>, u32); 5] = [
            (json!({ "minMember": 3 }), Ok(u32::MAX), 3),
            (json!({ "minMember": 0 }), Ok(u32::MAX), 0),
            (json!({}), Err("spec.minMember is missing"), 0),
            (json!({ "minMember": -2 }), Err("spec.minMember is -2, not a number of pods"), 0),
            (json!({ "minMember": "3" }), Err("spec.minMember is \"3\", not a number of pods"), 0),
        ];
        for (value, size, min) in rows {
            let spec = spec(&owner("train", &value));
            assert_eq!(spec.size, size.map_err(|e| OwnerFault::Malformed(Name::from(e))));
            assert_eq!(spec.min, min);
        }
    }
}
