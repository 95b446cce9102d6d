//! What goes wrong, and is mended.

use muster_placement::ids::NodeName;
use muster_placement::time::Span;

use super::{Muster, World};

/// Something that breaks, or is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A GPU dies; its pod dies with it. The kubelet goes on offering it, as it does for a GPU that is lost
    /// without an XID event.
    GpuDies {
        /// The node.
        node: NodeName,
        /// Position of the GPU.
        gpu: usize,
        /// What the agent says of it.
        why: &'static str,
    },
    /// All GPUs of a node work again.
    GpusRecover(NodeName),
    /// `kubectl cordon`.
    Cordon(NodeName),
    /// `kubectl uncordon`.
    Uncordon(NodeName),
    /// Muster is killed and started again.
    Restart,
}

/// Until the agent's event thread has told the extender of an XID.
const EVENT: Span = Span(20);

impl World {
    pub(crate) fn fault(&mut self, fault: Fault, muster: &mut dyn Muster) {
        self.tally.faults += 1;
        match fault {
            Fault::GpuDies { node, gpu, why } => self.gpu_dies(&node, gpu, why),
            Fault::GpusRecover(node) => {
                if let Some(machine) = self.machines.get_mut(&node) {
                    machine.devices.iter_mut().for_each(|device| device.broken = None);
                }
                self.report_soon(&node);
            }
            Fault::Cordon(node) => self.cordon(&node, true),
            Fault::Uncordon(node) => self.cordon(&node, false),
            Fault::Restart => {
                muster.restart();
                self.forget_muster();
                self.relist(muster);
                let nodes: Vec<NodeName> = self.machines.keys().cloned().collect();
                for node in &nodes {
                    self.report_soon(node);
                }
            }
        }
    }

    fn gpu_dies(&mut self, node: &NodeName, gpu: usize, why: &'static str) {
        let device = self.machines.get_mut(node).and_then(|machine| machine.devices.get_mut(gpu));
        let Some(device) = device else { return };
        device.broken = Some(why);
        if let Some(pod) = device.pod.clone() {
            self.pod_lost(&pod);
        }
        self.report_soon(node);
    }

    fn cordon(&mut self, node: &NodeName, cordoned: bool) {
        if let Some(machine) = self.machines.get_mut(node) {
            machine.node.cordoned = cordoned;
        }
        self.node_changed(node);
    }

    /// An event is reported at once, apart from the reports at intervals.
    fn report_soon(&mut self, node: &NodeName) {
        if let Some(machine) = self.machines.get(node).filter(|machine| !machine.devices.is_empty()) {
            let event = muster_placement::Event::Reported(node.clone(), machine.inventory());
            self.after(EVENT, super::Happening::Watch(Box::new(event)));
        }
    }

    /// What was on its way to or from the process that died is lost; kube-scheduler's requests fail.
    fn forget_muster(&mut self) {
        self.calls.clear();
        self.scheduler_lost_muster();
    }
}
