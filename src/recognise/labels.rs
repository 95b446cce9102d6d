//! Our own labels: `muster.dev/gang-name` and `muster.dev/gang-size`, for pods that nothing else describes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use muster_placement::ids::{GangId, Name};
use muster_placement::pod::{Member, Membership, OwnerFault, SizeHint};

/// Names the gang, within the pod's namespace.
pub(super) const GANG_NAME: &str = "muster.dev/gang-name";
/// How many pods the gang has.
pub(super) const GANG_SIZE: &str = "muster.dev/gang-size";
/// Kind of such a gang.
const KIND: &str = "Label";
/// Labels by which controllers number their pods.
const INDEXES: [&str; 2] = ["batch.kubernetes.io/job-completion-index", "apps.kubernetes.io/pod-index"];

/// The gang that our labels name. One label without the other is a mistake worth saying.
pub(super) fn membership(pod: &Pod) -> Option<Membership> {
    let labels = pod.metadata.labels.as_ref()?;
    let (name, size) = match (labels.get(GANG_NAME), labels.get(GANG_SIZE)) {
        (None, None) => return None,
        (Some(name), Some(size)) if !name.is_empty() => (name, size),
        (None | Some(_), Some(_)) => return Some(malformed(&format!("label {GANG_NAME} is missing"))),
        (Some(_), None) => return Some(malformed(&format!("label {GANG_SIZE} is missing"))),
    };
    let Ok(size) = size.parse::<u32>() else {
        return Some(malformed(&format!("label {GANG_SIZE} is {size:?}, not a number of pods")));
    };
    Some(Membership::Member(Member {
        gang: GangId {
            namespace: Name::from(pod.metadata.namespace.as_deref().unwrap_or_default()),
            kind: Name::from(KIND),
            name: Name::from(name.as_str()),
            incarnation: Name::from(""),
        },
        role: Name::from(""),
        index: INDEXES.iter().find_map(|key| number(labels, key)).unwrap_or(0),
        size: SizeHint::Declared(size),
    }))
}

/// A label as a number.
pub(super) fn number(labels: &BTreeMap<String, String>, key: &str) -> Option<u32> {
    labels.get(key)?.parse().ok()
}

fn malformed(what: &str) -> Membership {
    Membership::Unknown(OwnerFault::Malformed(Name::from(what)))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::labelled;
    use super::*;
    use muster_placement::DOMAIN;

    #[test]
    fn the_labels_are_in_our_domain() {
        assert!(GANG_NAME.starts_with(DOMAIN) && GANG_SIZE.starts_with(DOMAIN));
    }

    #[test]
    fn each_combination() {
        let says = |labels: &[(&str, &str)]| match membership(&labelled(labels)) {
            None => "nothing".to_owned(),
            Some(Membership::Member(m)) => format!("{} {:?} {}", m.gang, m.size, m.index),
            Some(Membership::Unknown(OwnerFault::Malformed(what))) => what.as_str().to_owned(),
            Some(other) => format!("{other:?}"),
        };
        assert_eq!(says(&[("app", "x")]), "nothing");
        assert_eq!(says(&[(GANG_NAME, "g"), (GANG_SIZE, "4")]), "Label default/g Declared(4) 0");
        assert_eq!(
            says(&[(GANG_NAME, "g"), (GANG_SIZE, "4"), (INDEXES[0], "3")]),
            "Label default/g Declared(4) 3"
        );
        assert_eq!(says(&[(GANG_NAME, "g"), (GANG_SIZE, "0")]), "Label default/g Declared(0) 0");
        let size = |text: &str| format!("label {GANG_SIZE} is {text:?}, not a number of pods");
        assert_eq!(says(&[(GANG_NAME, "g"), (GANG_SIZE, "four")]), size("four"));
        assert_eq!(says(&[(GANG_NAME, "g"), (GANG_SIZE, "-1")]), size("-1"));
        assert_eq!(says(&[(GANG_NAME, "g"), (GANG_SIZE, "99999999999")]), size("99999999999"));
        assert_eq!(says(&[(GANG_NAME, "g")]), format!("label {GANG_SIZE} is missing"));
        assert_eq!(says(&[(GANG_SIZE, "4")]), format!("label {GANG_NAME} is missing"));
        assert_eq!(says(&[(GANG_NAME, ""), (GANG_SIZE, "4")]), format!("label {GANG_NAME} is missing"));
    }
}
