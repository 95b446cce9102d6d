//! Node pools, first form: named node selectors with the purposes they serve, and rules that send workloads
//! to a purpose by namespace, kind and labels.
//!
//! A node may be in several pools. A workload that no rule matches may use every node.

use alloc::vec::Vec;

use crate::ids::Name;
use crate::pod::Pod;
use crate::selector::{Labels, has_labels};

/// A named set of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Name.
    pub name: Name,
    /// Labels that its nodes have; empty matches every node.
    pub selector: Labels,
    /// What it serves: `training`, `serving`, `preprocessing`, or any other word.
    pub purposes: Vec<Name>,
}

/// Sends workloads to the pools of a purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRule {
    /// Namespaces matched; empty matches all.
    pub namespaces: Vec<Name>,
    /// Workload kinds matched (`TFJob`, `Job`, `ReplicaSet`, `Pod`); empty matches all.
    pub kinds: Vec<Name>,
    /// Labels that the pod must have.
    pub labels: Labels,
    /// The purpose whose pools are meant.
    pub purpose: Name,
    /// Required, or only preferred.
    pub strength: Strength,
}

/// How strongly a workload belongs into its pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// No other node will do.
    Required,
    /// Other nodes will do when these are full.
    Preferred,
}

impl PoolRule {
    /// Whether the rule speaks of this pod.
    pub fn matches(&self, pod: &Pod) -> bool {
        (self.namespaces.is_empty() || self.namespaces.contains(&pod.namespace))
            && (self.kinds.is_empty() || self.kinds.contains(&pod.kind))
            && has_labels(&self.labels, &pod.labels)
    }
}

/// The rule for a pod, if any.
pub fn rule_for<'a>(rules: &'a [PoolRule], pod: &Pod) -> Option<&'a PoolRule> {
    rules.iter().find(|r| r.matches(pod))
}

/// The purposes that a node with these labels serves, sorted.
pub fn purposes_of(pools: &[Pool], labels: &Labels) -> Vec<Name> {
    let mut purposes: Vec<Name> =
        pools.iter().filter(|p| has_labels(&p.selector, labels)).flat_map(|p| p.purposes.clone()).collect();
    purposes.sort();
    purposes.dedup();
    purposes
}
