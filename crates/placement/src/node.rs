//! A node as the API server describes it. What an agent says of its GPUs is `inventory`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::{Name, NodeName};
use crate::resources::Resources;
use crate::selector::Labels;
use crate::taint::Taint;

/// The facts of a node that decide whether a pod may go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `metadata.name`.
    pub name: NodeName,
    /// Labels.
    pub labels: Labels,
    /// Taints, those that Kubernetes sets for unready nodes included.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`: cordoned.
    pub cordoned: bool,
    /// `status.allocatable`; all zero while the kubelet has not said.
    pub allocatable: Resources,
    /// Other extended resources in `status.allocatable`, by name.
    pub extended: BTreeMap<Name, u64>,
}
