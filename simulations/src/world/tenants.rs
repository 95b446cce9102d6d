//! Those who share the cluster without asking Muster: schedulers of others, static pods, and tenants who write
//! Muster's annotations themselves.

use std::collections::BTreeMap;

use muster_placement::affinity::Neighbours;
use muster_placement::extras::Extras;
use muster_placement::ids::{Epoch, GpuUuid, Name, NodeName, PodUid};
use muster_placement::level::Topology;
use muster_placement::pod::{Constraints, Gate, Membership, Pod, PodPhase, Scheduler, Stamp};
use muster_placement::resources::Resources;
use muster_placement::tenure::Tenure;
use muster_placement::time::{CreatedAt, Span};

use super::{Happening, World};
use crate::job::gpu_toleration;
use crate::machine::Machine;

/// A plan that a tenant wrote.
const EPOCHS: [u64; 3] = [1, 1 << 40, u64::MAX];

impl World {
    /// Another scheduler binds a pod of its own where it sees room; it does not know of plans.
    pub(crate) fn foreign_pod(&mut self, node: &NodeName, gpus: u64, span: Span) {
        let Some(machine) = self.machines.get(node).filter(|machine| machine.present) else { return };
        let there = machine.node.allocatable.gpus;
        let bound = |pod: &&Pod| pod.node.as_ref() == Some(node) && pod.alive();
        let used: u64 = self.pods.values().filter(bound).map(|pod| pod.request.gpus).sum();
        if used + gpus > there {
            return;
        }
        let pod = self.loose_pod("foreign", gpus);
        let pod = Pod { scheduler: Scheduler::Foreign, node: Some(node.clone()), ..pod };
        self.take_in(pod, span);
    }

    /// A static pod appears: the kubelet started it, whoever else is there.
    pub(crate) fn static_pod(&mut self, node: &NodeName, span: Span) {
        if self.machines.get(node).is_some_and(|machine| machine.present) {
            let pod = self.loose_pod("static", 0);
            let pod = Pod { scheduler: Scheduler::Foreign, node: Some(node.clone()), ..pod };
            self.take_in(pod, span);
        }
    }

    /// A pod with a plan that Muster never made.
    pub(crate) fn forged_pod(&mut self, node: &NodeName, variant: u64, span: Span) {
        let epoch = EPOCHS.get(usize::try_from(variant % 3).unwrap_or(0)).copied().unwrap_or(1);
        let gpus = self.machines.get(node).map(Machine::uuids).unwrap_or_default();
        let stamp = Some(Stamp { epoch: Epoch(epoch), node: node.clone(), gpus });
        let gate = if variant.is_multiple_of(2) { Gate::Open } else { Gate::Ours };
        let pod = Pod { stamp, gate, ..self.loose_pod("forged", 1 + variant % 4) };
        self.take_in(pod, span);
    }

    fn take_in(&mut self, pod: Pod, span: Span) {
        let uid = pod.uid.clone();
        if pod.node.is_some() {
            self.after(Span(50), Happening::Start(uid.clone()));
        }
        self.put(pod);
        self.after(span, Happening::Leave(uid));
    }

    /// Its owner deletes a pod that belongs to no job.
    pub(crate) fn leave(&mut self, uid: &PodUid) {
        self.take_devices(uid);
        self.remove(uid);
    }

    fn loose_pod(&mut self, name: &str, gpus: u64) -> Pod {
        let serial = self.next_serial();
        Pod {
            uid: PodUid::from(crate::job::uid(serial).as_str()),
            namespace: Name::from("others"),
            name: Name::from(format!("{name}-{serial}").as_str()),
            labels: BTreeMap::new(),
            created: CreatedAt(self.now.0 / 1_000),
            priority: 0,
            kind: Name::from("Pod"),
            controlled: false,
            tenure: Tenure::default(),
            split_gpus: false,
            neighbours: Neighbours::default(),
            gpu_models: Vec::new(),
            topology: Topology::default(),
            request: Resources { gpus, cpu_milli: 1_000, memory: 1 << 30, ephemeral: 0, pods: 1 },
            constraints: Constraints { tolerations: vec![gpu_toleration()], ..Constraints::default() },
            extras: Extras::default(),
            pvcs: Vec::new(),
            unmodelled: Vec::new(),
            scheduler: Scheduler::Ours,
            gate: Gate::Open,
            membership: Membership::Single,
            node: None,
            phase: PodPhase::Pending,
            terminating: false,
            stamp: None,
            verdict: None,
        }
    }
}

impl Machine {
    fn uuids(&self) -> Vec<GpuUuid> {
        self.devices.iter().map(|device| device.uuid.clone()).collect()
    }
}
