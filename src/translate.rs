//! Kubernetes objects → the facts that placement decides on.
//!
//! Owns the meaning of `core/v1` fields. Invariant: whatever cannot be understood makes a pod harder to place,
//! never easier: an unreadable amount fits nowhere, an unknown taint keeps everybody away, and a rule that
//! placement does not model is named, so that the pod is never narrowed to one node. Does not read the API
//! server and keeps nothing; which gang a pod belongs to is [`crate::recognise`]'s word.

mod constraints;
mod extras;
mod neighbours;
mod node;
mod pod;
mod quantity;
mod request;
mod topology;
mod unmodelled;
pub(crate) mod volume;

use std::collections::{BTreeMap, BTreeSet};

use muster_placement::ids::Name;
use muster_placement::selector::Labels;

pub use self::node::node;
pub use self::pod::pod;

/// Our scheduling gate. kube-scheduler does not look at a pod that has it.
pub const GATE: &str = "muster.dev/gang";

/// Names of the kube-schedulers (profiles) that call us; a pod of any other scheduler only takes room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchedulerNames(BTreeSet<String>);

impl SchedulerNames {
    /// What the API server puts into `spec.schedulerName` if the user says nothing.
    pub const DEFAULT: &'static str = "default-scheduler";

    /// Whether pods of this `spec.schedulerName` are ours.
    pub fn include(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

impl<S: Into<String>> FromIterator<S> for SchedulerNames {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

fn labels(map: Option<&BTreeMap<String, String>>) -> Labels {
    map.into_iter().flatten().map(|(k, v)| (Name::from(k.as_str()), Name::from(v.as_str()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_gate_is_in_our_domain() {
        assert_eq!(GATE, format!("{}/gang", muster_placement::DOMAIN));
    }
}
