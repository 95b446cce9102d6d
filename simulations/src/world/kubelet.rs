//! Kubelets and device plugins: GPUs handed out, pods that start, are rejected or stop, and nodes' status.
//!
//! The stock device plugin hands out free GPUs that it believes healthy by its own rule (`plugin`), whatever was
//! planned. What it believes is not the truth: it hears of XIDs only, and forgets them when it or the kubelet
//! starts again. A pod for which too few are left is rejected (`UnexpectedAdmissionError`), as is every GPU pod of
//! a node with a GPU that is lost without an XID; where the topology manager is `restricted`, also one that does
//! not fit into the NUMA node that it could fit into (`TopologyAffinityError`).

use muster_placement::devices::GpuSet;
use muster_placement::ids::{NodeName, PodUid};
use muster_placement::pod::{Pod, PodPhase};
use muster_placement::time::Span;

use super::{Happening, World};
use crate::machine::{Device, Machine};
use crate::plugin;

impl World {
    /// The kubelet starts a pod, or rejects it.
    pub(crate) fn start(&mut self, uid: &PodUid) {
        let starts = |pod: &&Pod| pod.phase == PodPhase::Pending && !pod.terminating;
        let Some(pod) = self.pods.get(uid).filter(starts).cloned() else { return };
        let Some(node) = pod.node.clone() else { return };
        let Some(machine) = self.machines.get_mut(&node).filter(|machine| machine.present) else { return };
        let wanted = usize::try_from(pod.request.gpus).unwrap_or(usize::MAX);
        let possible = machine.possible(wanted, self.weather.restricted);
        let Some(given) = self.kubelet.pick(&possible).copied() else {
            self.tally.rejected += 1;
            return self.pod_fails(pod);
        };
        let devices = machine.devices.iter_mut().enumerate();
        let mut works = true;
        for (_, device) in devices.filter(|(at, _)| GpuSet::single(*at).is_within(given)) {
            device.pod = Some(uid.clone());
            works &= device.broken.is_none();
        }
        if !works {
            // The container does not find its GPU.
            self.tally.rejected += 1;
            return self.pod_fails(pod);
        }
        self.put(Pod { phase: PodPhase::Running, ..pod });
        if let Some((job, _)) = self.place_of(uid) {
            self.pod_runs(&job);
        }
    }

    /// A pod ends badly; its controller makes a new one after a while.
    pub(crate) fn pod_fails(&mut self, pod: Pod) {
        let uid = pod.uid.clone();
        self.take_devices(&uid);
        if let Some((job, _)) = self.place_of(&uid) {
            self.interrupt(&job);
        }
        self.put(Pod { phase: PodPhase::Failed, ..pod });
        // `pod_lost` sees whether enough others are left.
        let delay = self.network.span(200, 1_500);
        self.after(delay, Happening::Discard(uid));
    }

    /// The controller deletes a pod that failed.
    pub(crate) fn discard(&mut self, uid: &PodUid) {
        if self.pods.get(uid).is_some_and(|pod| pod.phase == PodPhase::Failed) {
            self.pod_lost(uid);
        }
    }

    /// A pod gives its GPUs back.
    pub(crate) fn take_devices(&mut self, uid: &PodUid) {
        let Some(node) = self.pods.get(uid).and_then(|pod| pod.node.clone()) else { return };
        let devices = self.machines.get_mut(&node).into_iter().flat_map(|machine| &mut machine.devices);
        for device in devices.filter(|device| device.pod.as_ref() == Some(uid)) {
            device.pod = None;
        }
    }

    /// A pod is deleted. One that has been started keeps all it has until its containers have stopped.
    pub(crate) fn delete(&mut self, uid: &PodUid) {
        let Some(pod) = self.pods.get(uid).filter(|pod| !pod.terminating).cloned() else { return };
        if pod.node.is_none() || !pod.alive() {
            return self.pod_lost(uid);
        }
        if let Some((job, _)) = self.place_of(uid) {
            self.interrupt(&job);
        }
        self.put(Pod { terminating: true, ..pod });
        let grace = self.kubelet.span(300, 30_000);
        self.after(grace, Happening::Stopped(uid.clone()));
    }

    /// The containers of a pod that is being deleted have stopped. Without its node nobody can say so: then the
    /// pod stays until the node's pods are reaped.
    pub(crate) fn stopped(&mut self, uid: &PodUid) {
        let Some(pod) = self.pods.get(uid).filter(|pod| pod.terminating) else { return };
        let node = pod.node.as_ref().and_then(|node| self.machines.get(node));
        if node.is_some_and(|machine| machine.present) {
            self.pod_lost(uid);
        } else {
            self.after(Span(5_000), Happening::Stopped(uid.clone()));
        }
    }

    /// What the plugin believes comes into the node's status with the kubelet's next write, a second or two later.
    pub(crate) fn status_soon(&mut self, node: &NodeName) {
        let delay = self.kubelet.span(900, 2_000);
        self.after(delay, Happening::Status(node.clone()));
    }

    pub(crate) fn node_status(&mut self, node: &NodeName) {
        let Some(machine) = self.machines.get_mut(node) else { return };
        let gpus = machine.believed_healthy();
        if machine.node.allocatable.gpus != gpus {
            machine.node.allocatable.gpus = gpus;
            if machine.present {
                self.node_changed(node);
            }
        }
    }
}

impl Machine {
    /// GPUs that the plugin counts as healthy; none while it is down.
    fn believed_healthy(&self) -> u64 {
        let healthy = self.devices.iter().filter(|device| !device.marked).count() as u64;
        if self.plugin_down { 0 } else { healthy }
    }

    /// The sets that a pod may be handed; none if it is rejected, one that is empty if it asks for no GPU.
    fn possible(&self, wanted: usize, restricted: bool) -> Vec<GpuSet> {
        let lost = self.devices.iter().any(|device| device.vanished);
        if wanted == 0 {
            return vec![GpuSet::EMPTY];
        }
        if self.plugin_down || lost {
            return Vec::new();
        }
        let free = |(_, device): &(usize, &Device)| !device.marked && device.pod.is_none();
        let free: GpuSet = self.devices.iter().enumerate().filter(free).map(|(at, _)| at).collect();
        plugin::possible(self.kind, restricted, free, wanted)
    }
}
