//! A pod's annotations about topology → [`Topology`]: ours, and Kueue's for its role where ours say nothing. They come
//! from the pod template, so a manifest needs no other object.

use std::collections::BTreeMap;

use muster_placement::ids::Name;
use muster_placement::level::{Nearness, Topology};

/// The whole gang in one domain of this level, named by name or label.
const GANG_REQUIRED: &str = "muster.dev/required-topology";
/// The whole gang in one domain of this level, if that is possible.
const GANG_PREFERRED: &str = "muster.dev/preferred-topology";
/// The members of the pod's role in one domain of this level.
const ROLE_REQUIRED: &str = "muster.dev/role-required-topology";
/// The members of the pod's role in one domain of this level, if that is possible.
const ROLE_PREFERRED: &str = "muster.dev/role-preferred-topology";
/// Kueue's, for the members of a pod set; the value is a label key (`keps/2724-topology-aware-scheduling`).
const KUEUE_REQUIRED: &str = "kueue.x-k8s.io/podset-required-topology";
/// Kueue's for a wish.
const KUEUE_PREFERRED: &str = "kueue.x-k8s.io/podset-preferred-topology";

/// What the annotations wish; empty ones wish nothing.
pub(super) fn topology(annotations: Option<&BTreeMap<String, String>>) -> Topology {
    let word = |key: &str| {
        let value = annotations.and_then(|map| map.get(key)).map(|value| value.trim());
        value.filter(|value| !value.is_empty()).map(Name::from)
    };
    Topology {
        gang: Nearness { required: word(GANG_REQUIRED), preferred: word(GANG_PREFERRED) },
        role: Nearness {
            required: word(ROLE_REQUIRED).or_else(|| word(KUEUE_REQUIRED)),
            preferred: word(ROLE_PREFERRED).or_else(|| word(KUEUE_PREFERRED)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(annotations: &[(&str, &str)]) -> Topology {
        let map = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        topology(Some(&map))
    }

    fn words(nearness: &Nearness) -> [Option<&str>; 2] {
        [&nearness.required, &nearness.preferred].map(|word| word.as_ref().map(Name::as_str))
    }

    #[test]
    fn ours_are_in_our_domain() {
        for key in [GANG_REQUIRED, GANG_PREFERRED, ROLE_REQUIRED, ROLE_PREFERRED] {
            assert!(key.strip_prefix(muster_placement::DOMAIN).is_some_and(|rest| rest.starts_with('/')));
        }
    }

    #[test]
    fn gang_and_role_are_told_apart() {
        let both = said(&[(GANG_REQUIRED, "block"), (ROLE_PREFERRED, " rack ")]);
        assert_eq!((words(&both.gang), words(&both.role)), ([Some("block"), None], [None, Some("rack")]));
        assert_eq!(topology(None), Topology::default());
        assert_eq!(said(&[(GANG_REQUIRED, " ")]), Topology::default());
    }

    #[test]
    fn kueues_are_for_the_role_and_ours_come_first() {
        let kueue = said(&[(KUEUE_REQUIRED, "cloud.provider.com/topology-rack")]);
        assert_eq!(words(&kueue.role), [Some("cloud.provider.com/topology-rack"), None]);
        assert!(!kueue.gang.is_some());
        let ours = said(&[(KUEUE_REQUIRED, "a"), (ROLE_REQUIRED, "b"), (KUEUE_PREFERRED, "c")]);
        assert_eq!(words(&ours.role), [Some("b"), Some("c")]);
    }
}
