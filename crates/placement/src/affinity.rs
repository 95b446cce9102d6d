//! Rules of a pod about other pods: near some (pod affinity), apart from some (pod anti-affinity), spread evenly.
//!
//! Only what is required: preferences are kube-scheduler's. What a rule means for a set of placed pods is
//! `planner::neighbours`; here is which pods it speaks of. Semantics of `k8s.io/kube-scheduler/framework.AffinityTerm`
//! and `metav1.LabelSelectorAsSelector`. `matchLabelKeys` and `mismatchLabelKeys` of a term are part of its selector
//! already: the API server merges them in (KEP-3633).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::ids::Name;
use crate::pod::Pod;
use crate::selector::{Labels, Requirement};
use crate::spread::Spread;

/// A label selector for pods; `None` selects no pod, no requirements every pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodSelector(pub Option<Vec<Requirement>>);

/// The namespaces in which a term looks for pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespaces {
    /// All of them: an empty `namespaceSelector`.
    All,
    /// Those named; the pod's own where the term names none.
    These(BTreeSet<Name>),
}

/// One required term of pod affinity or anti-affinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AffinityTerm {
    /// The node label whose value makes two nodes one place, such as `kubernetes.io/hostname`.
    pub topology_key: Name,
    /// Pods meant.
    pub pods: PodSelector,
    /// Where they are looked for.
    pub namespaces: Namespaces,
}

/// What a pod requires of the pods around it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbours {
    /// Pod affinity: for each term, a pod that all terms speak of is in the same place.
    pub near: Vec<AffinityTerm>,
    /// Pod anti-affinity: for each term, no pod that it speaks of is in the same place.
    pub apart: Vec<AffinityTerm>,
    /// Topology spread, `DoNotSchedule`.
    pub spread: Vec<Spread>,
}

impl PodSelector {
    /// Whether a pod with these labels is selected.
    pub fn admits(&self, labels: &Labels) -> bool {
        let met = |r: &Requirement| r.admits(labels.get(&r.key).map(Name::as_str));
        self.0.as_ref().is_some_and(|all| all.iter().all(met))
    }

    fn keys(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().flatten().map(|r| &r.key)
    }
}

impl AffinityTerm {
    /// Whether it speaks of this pod.
    pub fn means(&self, pod: &Pod) -> bool {
        let here = match &self.namespaces {
            Namespaces::All => true,
            Namespaces::These(names) => names.contains(&pod.namespace),
        };
        here && self.pods.admits(&pod.labels)
    }
}

impl Neighbours {
    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.near.is_empty() && self.apart.is_empty() && self.spread.is_empty()
    }

    /// Whether one of the rules of `pod`, whose neighbours these are, speaks of the other one.
    pub fn mean(&self, pod: &Pod, other: &Pod) -> bool {
        self.near.iter().chain(&self.apart).any(|term| term.means(other))
            || self.spread.iter().any(|spread| spread.counts(pod, other))
    }

    /// Whether what these rules say of a node can differ with the order in which pods come. Pods that only keep
    /// apart may come in any order.
    pub fn depend_on_order(&self) -> bool {
        !self.near.is_empty() || !self.spread.is_empty()
    }

    /// Label keys of pods that the rules look at.
    pub fn keys(&self) -> impl Iterator<Item = &Name> {
        let terms = self.near.iter().chain(&self.apart).map(|term| &term.pods);
        terms.chain(self.spread.iter().map(|spread| &spread.pods)).flat_map(PodSelector::keys)
    }
}
