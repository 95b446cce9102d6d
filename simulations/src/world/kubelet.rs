//! Kubelets, device plugins and node agents: GPUs handed out, pods that start, and reports.
//!
//! The stock device plugin hands out any free GPUs (its ties are random), whatever was planned; a pod for which
//! too few work is rejected, as with `UnexpectedAdmissionError`.

use muster_placement::Event;
use muster_placement::ids::{NodeName, PodUid};
use muster_placement::inventory::Load;
use muster_placement::pod::{Pod, PodPhase};

use super::{Happening, Muster, World};

impl World {
    /// The kubelet starts a pod, or rejects it.
    pub(crate) fn start(&mut self, uid: &PodUid) {
        let Some(pod) = self.pods.get(uid).filter(|pod| pod.phase == PodPhase::Pending).cloned() else {
            return;
        };
        let Some(machine) = pod.node.as_ref().and_then(|node| self.machines.get_mut(node)) else { return };
        let mut free = machine.free();
        self.kubelet.shuffle(&mut free);
        let wanted = usize::try_from(pod.request.gpus).unwrap_or(usize::MAX);
        if free.len() < wanted {
            self.tally.rejected += 1;
            self.pod_lost(uid);
            return;
        }
        for at in free.into_iter().take(wanted) {
            if let Some(device) = machine.devices.get_mut(at) {
                device.pod = Some(uid.clone());
            }
        }
        self.put(Pod { phase: PodPhase::Running, ..pod });
        if let Some((job, _)) = self.place_of(uid) {
            self.pod_runs(&job);
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

    /// An agent reports, and does so again after a while.
    pub(crate) fn report(&mut self, node: &NodeName, muster: &mut dyn Muster) {
        self.measure(node);
        if let Some(machine) = self.machines.get(node) {
            muster.tell(Event::Reported(node.clone(), machine.inventory()));
        }
        self.after(self.pace.report, Happening::Report(node.clone()));
    }

    /// What NVML would say now: busy where a job works, quiet where it waits for its members or nobody is.
    fn measure(&mut self, node: &NodeName) {
        let jobs = self.jobs.values().filter(|job| job.running.is_some() && !job.ended);
        let working: std::collections::BTreeSet<&PodUid> = jobs.flat_map(|job| job.pods.values()).collect();
        let Some(machine) = self.machines.get_mut(node) else { return };
        let total = machine.kind.product_memory_mib();
        for device in &mut machine.devices {
            let works = device.pod.as_ref().is_some_and(|pod| working.contains(pod));
            let share = if works { self.kubelet.span(72, 99).0 } else { 0 };
            let held = if device.pod.is_some() { total * 7 / 10 + share * total / 500 } else { 0 };
            device.load = Load {
                utilisation_percent: u8::try_from(share).unwrap_or(100),
                memory_used_mib: held.min(total),
                temperature_c: u16::try_from(31 + share * 2 / 5).unwrap_or(u16::MAX),
                power_mw: u32::try_from(60_000 + share * 6_000).unwrap_or(u32::MAX),
                ..Load::default()
            };
        }
    }
}
