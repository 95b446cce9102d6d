//! One node with everything known of it, and what of it is free: the row that planner, filter, API and
//! dashboard read. Derived; rebuilt whenever one of its sources changes.
//!
//! Free GPUs = min(allocatable, healthy in the inventory) − claimed. A report can only lower it: without one, the
//! second operand is absent. By count, since which GPU a pod has is a guess: a sick GPU that is guessed to be with
//! a pod may as well be a free one, and a pod sent there would be rejected by the kubelet.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::devices::Devices;
use crate::extras::{self, Extras, ExtrasSum, Lack};
use crate::ids::{GpuUuid, Name};
use crate::inventory::{Health, Inventory};
use crate::ledger::{Account, Claim};
use crate::node::Node;
use crate::pod::Pod;
use crate::refusal::Refusal;
use crate::resources::{Resource, Resources};
use crate::score::load::dirty;
use crate::taint::untolerated;

/// A node and its free capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// What the API server says.
    pub node: Arc<Node>,
    /// What the agent says, if one does.
    pub inventory: Option<Arc<Inventory>>,
    /// What is claimed.
    pub account: Account,
    /// What is kept free for gangs that wait for others to leave.
    pub promised: Resources,
    /// Purposes of the pools it is in.
    pub purposes: Vec<Name>,
    /// What new pods may take.
    pub free: Resources,
    /// Model of its GPUs as `nvidia.com/gpu.product` says it, else as its agent does with dashes for spaces; empty if
    /// neither does, or if its GPUs differ.
    pub model: Name,
    /// Positions in the inventory of GPUs that are healthy and assumed to be with nobody; at least as many as are free.
    pub free_gpus: Vec<usize>,
    /// What its device plugin may hand out; `None` if that is not known. Set by the cluster, which knows the kinds of
    /// machines.
    pub devices: Option<Devices>,
    /// How many of the free GPUs are degraded, at most.
    pub degraded_gpus: u64,
    /// How many of the free GPUs are in use although nobody is known to have them.
    pub dirty_gpus: u64,
}

impl NodeState {
    /// Derives what is free.
    pub fn new(
        node: Arc<Node>,
        inventory: Option<Arc<Inventory>>,
        account: Account,
        purposes: Vec<Name>,
    ) -> NodeState {
        let mut whole = node.allocatable;
        let mut free_gpus = Vec::new();
        if let Some(inventory) = inventory.as_deref() {
            whole.gpus = whole.gpus.min(healthy(inventory));
            free_gpus = unclaimed_healthy(inventory, &account);
        }
        let free = whole.minus(account.claimed);
        let model = model(&node, inventory.as_deref());
        let seen = inventory.as_deref();
        let degraded_gpus = seen.map_or(0, |inventory| degraded(inventory, &free_gpus)).min(free.gpus);
        let dirty_gpus = seen.map_or(0, |inventory| dirty(inventory, &free_gpus, free.gpus));
        NodeState {
            node,
            inventory,
            account,
            promised: Resources::default(),
            purposes,
            free,
            model,
            free_gpus,
            devices: None,
            degraded_gpus,
            dirty_gpus,
        }
    }

    /// The same node, in the same pools, with other parts, and with so much of what is then free kept for others. What its
    /// device plugin may hand out is known only as long as its GPUs and claims are the same.
    #[must_use]
    pub(crate) fn with(
        &self,
        node: Arc<Node>,
        inventory: Option<Arc<Inventory>>,
        account: Account,
        promised: Resources,
    ) -> NodeState {
        let same = account == self.account && inventory == self.inventory;
        let mut state = NodeState::new(node, inventory, account, self.purposes.clone());
        state.devices = self.devices.clone().filter(|_| same);
        state.keeping(promised)
    }

    /// The same node without some of its claims.
    #[must_use]
    pub(crate) fn without<'c>(
        &self,
        claims: impl IntoIterator<Item = &'c Claim>,
        promised: Resources,
    ) -> NodeState {
        let mut account = self.account.clone();
        for claim in claims.into_iter().filter(|claim| claim.node == self.node.name) {
            account.less(claim);
        }
        self.with(self.node.clone(), self.inventory.clone(), account, promised)
    }

    /// The same node with so much of what is free kept for others.
    #[must_use]
    pub fn keeping(mut self, promised: Resources) -> NodeState {
        self.free = self.free.minus(promised);
        self.promised = promised;
        self
    }

    /// GPUs that are allocatable and usable, claimed or not.
    pub fn usable_gpus(&self) -> u64 {
        let allocatable = self.node.allocatable.gpus;
        self.inventory.as_deref().map_or(allocatable, |inventory| allocatable.min(healthy(inventory)))
    }

    /// Whether it has GPUs at all, free or not.
    pub fn has_gpus(&self) -> bool {
        self.node.allocatable.gpus > 0 || self.inventory.as_ref().is_some_and(|i| !i.gpus.is_empty())
    }

    /// Why no pod like this may go here whatever is free, apart from pools.
    pub fn excludes(&self, pod: &Pod) -> bool {
        self.node.cordoned
            || untolerated(&self.node.taints, &pod.constraints.tolerations).is_some()
            || !self.admits(pod)
    }

    /// Whether the pod's node selector and required node affinity admit it.
    pub fn admits(&self, pod: &Pod) -> bool {
        let c = &pod.constraints;
        crate::selector::has_labels(&c.node_selector, &self.node.labels)
            && c.required
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|t| t.admits(&self.node.name, &self.node.labels)))
    }

    /// Whether its GPUs are of a model that the pod may use.
    pub fn model_suits(&self, pod: &Pod) -> bool {
        !pod.wants_gpus() || pod.gpu_models.is_empty() || pod.gpu_models.contains(&self.model)
    }

    /// Sum of the weights of the pod's preferred node affinity that this node meets.
    pub fn preference(&self, pod: &Pod) -> u64 {
        let met =
            pod.constraints.preferred.iter().filter(|(_, t)| t.admits(&self.node.name, &self.node.labels));
        met.map(|(weight, _)| u64::from(*weight)).fold(0, u64::saturating_add)
    }

    /// How many pods like this fit beside what is claimed and `taken`.
    pub(crate) fn copies(&self, pod: &Pod, free: &Resources, taken: &ExtrasSum) -> u64 {
        let counted = pod.request.copies_in(free);
        if pod.extras.is_empty() {
            return counted;
        }
        counted.min(extras::copies(&pod.extras, &self.node.extended, &[&self.account.extras, taken]))
    }

    /// Whether what is free suffices for one pod.
    pub fn room_for(&self, pod: &Pod) -> Result<(), Refusal> {
        let request = &pod.request;
        match extras::lack(&pod.extras, &self.node.extended, &self.account.extras) {
            Some(Lack::Resource(name, need, free)) => {
                return Err(Refusal::InsufficientExtended { name, need, free });
            }
            Some(Lack::Port(port)) => return Err(Refusal::PortTaken { port }),
            None => {}
        }
        if self.kubelet_rejects(pod) {
            return Err(Refusal::TopologyAffinity);
        }
        request.short_of(&self.free).map_or(Ok(()), |resource| {
            let (need, free) = (request.get(resource), self.free.get(resource));
            let without_holds = free
                .saturating_add(self.account.held.get(resource))
                .saturating_add(self.promised.get(resource));
            Err(if without_holds >= need {
                Refusal::ReservedForOther
            } else {
                Refusal::Insufficient { resource, need, free }
            })
        })
    }

    /// Whether there are so many free GPUs, but not where the kubelet's topology manager wants them.
    fn kubelet_rejects(&self, pod: &Pod) -> bool {
        let devices = self.devices.as_ref().filter(|_| !pod.split_gpus);
        devices.and_then(|devices| devices.outlook.of(pod.request.gpus)).is_some_and(Result::is_err)
    }

    /// Whether more is claimed here than there is of something that a pod asks for: the node shrank, or
    /// GPUs fell sick, under its pods.
    pub fn overdrawn(&self, request: &Resources, extras: &Extras) -> bool {
        let whole = Resources { gpus: self.usable_gpus(), ..self.node.allocatable };
        let over = |r: Resource| self.account.claimed.get(r) > whole.get(r);
        let all = |name| self.node.extended.get(name).copied().unwrap_or(0);
        extras.resources.keys().any(|name| self.account.extras.amount(name) > all(name))
            || Resource::ALL.into_iter().any(|r| request.get(r) > 0 && over(r))
    }

    /// What nobody has claimed of an extended resource.
    pub(crate) fn free_extended(&self, name: &Name) -> u64 {
        let all = self.node.extended.get(name).copied().unwrap_or(0);
        all.saturating_sub(self.account.extras.amount(name))
    }

    /// UUID of the GPU at a position of the inventory.
    pub fn uuid(&self, at: usize) -> Option<GpuUuid> {
        self.inventory.as_ref()?.gpus.get(at).map(|g| g.uuid.clone())
    }
}

/// Label of NVIDIA's GPU feature discovery.
const MODEL_LABEL: &str = "nvidia.com/gpu.product";

fn model(node: &Node, inventory: Option<&Inventory>) -> Name {
    if let Some(model) = node.labels.get(MODEL_LABEL) {
        return model.clone();
    }
    let gpus = inventory.map_or(&[][..], |inventory| &inventory.gpus);
    let first = gpus.first().filter(|first| gpus.iter().all(|gpu| gpu.model == first.model));
    first.map_or("".into(), |gpu| Name::from(gpu.model.as_str().replace(' ', "-").as_str()))
}

fn degraded(inventory: &Inventory, gpus: &[usize]) -> u64 {
    let is = |at: &&usize| inventory.gpus.get(**at).is_some_and(|g| matches!(g.health, Health::Degraded(_)));
    gpus.iter().filter(is).count() as u64
}

fn unclaimed_healthy(inventory: &Inventory, account: &Account) -> Vec<usize> {
    let gpus = inventory.gpus.iter().enumerate();
    gpus.filter(|(_, g)| g.health.usable() && !account.gpus.contains_key(&g.uuid)).map(|(i, _)| i).collect()
}

fn healthy(inventory: &Inventory) -> u64 {
    inventory.gpus.iter().filter(|g| g.health.usable()).count() as u64
}
