//! The topology classes of a cluster and what has been worked out for each: a memory only, since it decides nothing.
//! The same rows come out whatever it remembers.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use super::class::TopologyClass;
use super::outlook::{Devices, Outlook};
use super::set::GpuSet;
use crate::inventory::Wiring;
use crate::node_state::NodeState;
use crate::oracle::kubelet::Kubelet;

/// Wirings remembered at most: a cluster has a handful, but a link that goes down makes a new one.
const CLASSES_MAX: usize = 256;
/// Outlooks remembered for a class at most: 8 GPUs have 256 free sets.
const OUTLOOKS_MAX: usize = 4_096;

/// The classes, by what they follow from.
#[derive(Debug, Default)]
pub(crate) struct Classes(BTreeMap<Wiring, Option<Known>>);

#[derive(Debug)]
struct Known {
    class: Arc<TopologyClass>,
    outlooks: BTreeMap<(Kubelet, GpuSet), Arc<Outlook>>,
}

impl Classes {
    /// What is known of the devices of a node: nothing if its agent does not say what the plugin sees, if the kind of
    /// machine cannot be worked out, or if it is not known which GPUs are free, only how many.
    pub(crate) fn devices(&mut self, state: &NodeState) -> Option<Devices> {
        let seen = state.inventory.as_deref()?.seen.as_ref()?;
        if state.free_gpus.len() as u64 != state.free.gpus {
            return None;
        }
        let known = self.known(&seen.wiring)?;
        let (class, kubelet) = (known.class.clone(), Kubelet::of(&state.node.labels));
        let is_free = |(_, at): &(usize, &usize)| state.free_gpus.contains(at);
        let free: GpuSet = seen.slots.iter().enumerate().filter(is_free).map(|(slot, _)| slot).collect();
        if !class.knows(free) {
            return None;
        }
        if known.outlooks.len() > OUTLOOKS_MAX {
            known.outlooks.clear();
        }
        let outlook = known.outlooks.entry((kubelet, free));
        let outlook = outlook.or_insert_with(|| Arc::new(Outlook::new(&class, kubelet, free))).clone();
        Some(Devices { class, kubelet, free, outlook, slots: seen.slots.clone() })
    }

    fn known(&mut self, wiring: &Wiring) -> Option<&mut Known> {
        if !self.0.contains_key(wiring) {
            if self.0.len() >= CLASSES_MAX {
                self.0.clear();
            }
            let class = TopologyClass::new(wiring).map(Arc::new);
            let known = class.map(|class| Known { class, outlooks: BTreeMap::new() });
            self.0.insert(wiring.clone(), known);
        }
        self.0.get_mut(wiring)?.as_mut()
    }
}
