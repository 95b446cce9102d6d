//! What goes wrong, and is mended.

use muster_placement::ids::NodeName;
use muster_placement::pod::PodPhase;
use muster_placement::time::Span;

use super::operators::{configured, nth};
use super::watches::Kind;
use super::{Happening, Muster, World};

/// Something that breaks, is mended, or is done by people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A GPU dies with an XID; its pod dies with it. The plugin takes it out of what the kubelet offers.
    GpuDies {
        /// The node.
        node: NodeName,
        /// Position of the GPU.
        gpu: usize,
        /// What the agent says of it.
        why: &'static str,
    },
    /// A GPU is lost without an XID: the kubelet goes on offering it, and rejects every GPU pod of the node.
    GpuVanishes {
        /// The node.
        node: NodeName,
        /// Position of the GPU.
        gpu: usize,
    },
    /// All GPUs of a node work again.
    GpusRecover(NodeName),
    /// `kubectl cordon`.
    Cordon(NodeName),
    /// `kubectl uncordon`.
    Uncordon(NodeName),
    /// `kubectl drain`.
    Drain(NodeName),
    /// A taint that our pods do not tolerate comes (`true`) or goes.
    Taint(NodeName, bool),
    /// The label with the GPUs' model is there (`true`) or not.
    Labelled(NodeName, bool),
    /// The Node object is deleted.
    NodeGone(NodeName),
    /// The Node object is there again.
    NodeBack(NodeName),
    /// The machine starts anew.
    Reboot(NodeName),
    /// The kubelet starts anew, and the plugin forgets which GPUs are sick.
    KubeletRestart(NodeName),
    /// The device plugin is down (`true`) or up again.
    PluginDown(NodeName, bool),
    /// The agent is gone (`true`) or back.
    AgentGone(NodeName, bool),
    /// Muster is killed and started again.
    Restart,
    /// Muster is killed right after so many Bindings have come about, and started again.
    RestartAfterBindings(u32),
    /// kube-scheduler is killed and started again.
    SchedulerRestart,
    /// A watch of Muster is cut for so long.
    WatchCut(Kind, Span),
    /// The API server answers no call (`true`), or does again.
    ApiDown(bool),
    /// Admission refuses what is done to members of this index, or (`None`) nothing any more.
    AdmissionDenies(Option<u32>),
    /// Muster gets another configuration.
    Configure(u64),
    /// A job of those submitted is deleted; `true`: and submitted again under the same name.
    DeleteJob(usize, bool),
    /// A pod of those there is deleted; `true`: by force, without waiting for its containers.
    DeletePod(usize, bool),
    /// Another scheduler binds a pod with so many GPUs that stays so long.
    ForeignPod(NodeName, u64, Span),
    /// A static pod comes for so long.
    StaticPod(NodeName, Span),
    /// A tenant writes a plan of its own on a pod, which stays so long.
    ForgedPod(NodeName, u64, Span),
}

impl World {
    pub(crate) fn fault(&mut self, fault: Fault, muster: &mut dyn Muster) {
        self.tally.faults += 1;
        match fault {
            Fault::GpuDies { node, gpu, why } => self.gpu_breaks(&node, gpu, why, false),
            Fault::GpuVanishes { node, gpu } => self.gpu_breaks(&node, gpu, "the GPU is lost", true),
            Fault::GpusRecover(node) => self.mend(&node),
            Fault::Cordon(node) => self.cordon(&node, true),
            Fault::Uncordon(node) => self.cordon(&node, false),
            Fault::Drain(node) => self.drain(&node),
            Fault::Taint(node, tainted) => self.taint(&node, tainted),
            Fault::Labelled(node, labelled) => self.relabel(&node, labelled),
            Fault::NodeGone(node) => self.remove_node(&node),
            Fault::NodeBack(node) => self.add_node(&node),
            Fault::Reboot(node) => self.reboot(&node),
            Fault::KubeletRestart(node) => self.restart_kubelet(&node),
            Fault::PluginDown(node, down) => self.plugin(&node, down),
            Fault::AgentGone(node, gone) => self.agent(&node, gone),
            Fault::Restart => self.restart_muster(muster),
            Fault::RestartAfterBindings(count) => self.restart_after = Some(count),
            Fault::SchedulerRestart => self.restart_scheduler(muster),
            Fault::WatchCut(kind, span) => self.cut(kind, span),
            Fault::ApiDown(down) => {
                self.calls.outage = down;
                self.disturbed = self.now;
            }
            Fault::AdmissionDenies(index) => self.weather.denied_index = index,
            Fault::Configure(variant) => muster.tell(configured(variant)),
            Fault::DeleteJob(at, again) => self.delete_job(at, again),
            Fault::DeletePod(at, forced) => self.delete_pod(at, forced),
            Fault::ForeignPod(node, gpus, span) => self.foreign_pod(&node, gpus, span),
            Fault::StaticPod(node, span) => self.static_pod(&node, span),
            Fault::ForgedPod(node, variant, span) => self.forged_pod(&node, variant, span),
        }
    }

    fn gpu_breaks(&mut self, node: &NodeName, gpu: usize, why: &'static str, silently: bool) {
        let device = self.machines.get_mut(node).and_then(|machine| machine.devices.get_mut(gpu));
        let Some(device) = device else { return };
        device.broken = Some(why);
        device.vanished = silently;
        device.marked = !silently;
        if let Some(pod) = device.pod.clone().and_then(|uid| self.pods.get(&uid).cloned()) {
            self.pod_fails(pod);
        }
        self.status_soon(node);
        self.report_soon(node);
    }

    fn delete_job(&mut self, at: usize, again: bool) {
        let Some(job) = nth(&self.submitted, at).and_then(|id| self.jobs.get(&id)) else { return };
        let (id, spec) = (job.id.clone(), job.spec.clone());
        self.withdraw(&id);
        if again {
            let delay = self.network.span(10, 3_000);
            self.after(delay, Happening::Submit(Box::new(spec)));
        }
    }

    fn delete_pod(&mut self, at: usize, forced: bool) {
        let alive = |pod: &&muster_placement::pod::Pod| pod.alive() && pod.phase != PodPhase::Failed;
        let all: Vec<_> = self.pods.values().filter(alive).map(|pod| pod.uid.clone()).collect();
        let Some(uid) = nth(&all, at) else { return };
        if forced {
            self.pod_lost(&uid);
        } else {
            self.delete(&uid);
        }
    }
}
