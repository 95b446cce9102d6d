//! Operators of the cluster: nodes cordoned, drained, tainted, relabelled, taken out and put back, and rebooted;
//! kubelets, plugins and agents that are started again; Muster's configuration and its restarts.

use std::collections::BTreeMap;

use muster_placement::ids::{Name, NodeName, PodUid};
use muster_placement::pod::{Pod, PodPhase};
use muster_placement::taint::{Taint, TaintEffect};
use muster_placement::time::Span;
use muster_placement::{Event, Settings};

use super::watches::Kind;
use super::{Happening, Muster, World};
use crate::machine::{Device, Machine};

const PRODUCT: &str = "nvidia.com/gpu.product";

impl World {
    pub(crate) fn cordon(&mut self, node: &NodeName, cordoned: bool) {
        self.change_node(node, |machine| machine.node.cordoned = cordoned);
    }

    /// `kubectl drain`: no new pods, and those that are there are asked to go.
    pub(crate) fn drain(&mut self, node: &NodeName) {
        self.cordon(node, true);
        for uid in self.pods_on(node) {
            self.delete(&uid);
        }
    }

    pub(crate) fn taint(&mut self, node: &NodeName, tainted: bool) {
        let key = Name::from("maintenance");
        self.change_node(node, |machine| {
            machine.node.taints.retain(|taint| taint.key != key);
            if tainted {
                let effect = TaintEffect::NoSchedule;
                machine.node.taints.push(Taint { key: key.clone(), value: Name::from(""), effect });
            }
        });
    }

    /// GPU feature discovery loses its label, or finds it again.
    pub(crate) fn relabel(&mut self, node: &NodeName, labelled: bool) {
        let product = self.machines.get(node).and_then(|machine| machine.kind.product_label());
        self.change_node(node, |machine| {
            machine.node.labels.remove(&Name::from(PRODUCT));
            if let Some(product) = product.filter(|_| labelled) {
                machine.node.labels.insert(Name::from(PRODUCT), product);
            }
        });
    }

    fn change_node(&mut self, node: &NodeName, change: impl FnOnce(&mut Machine)) {
        if let Some(machine) = self.machines.get_mut(node) {
            change(machine);
            if machine.present {
                self.node_changed(node);
            }
        }
    }

    /// The Node object is deleted; its pods are, some time after, if it does not come back.
    pub(crate) fn remove_node(&mut self, node: &NodeName) {
        if let Some(machine) = self.machines.get_mut(node).filter(|machine| machine.present) {
            machine.present = false;
            self.node_changed(node);
            let delay = self.kubelet.span(20_000, 60_000);
            self.after(delay, Happening::Reap(node.clone()));
        }
    }

    pub(crate) fn reap(&mut self, node: &NodeName) {
        if self.machines.get(node).is_some_and(|machine| !machine.present) {
            for uid in self.pods_on(node) {
                self.pod_lost(&uid);
            }
        }
    }

    pub(crate) fn add_node(&mut self, node: &NodeName) {
        if let Some(machine) = self.machines.get_mut(node).filter(|machine| !machine.present) {
            machine.present = true;
            self.node_changed(node);
            self.start_what_waits(node);
            self.report_soon(node);
        }
    }

    /// Pods bound while the kubelet did not look are started.
    fn start_what_waits(&mut self, node: &NodeName) {
        for uid in self.pods_on(node) {
            let delay = self.kubelet.span(100, 2_000);
            self.after(delay, Happening::Start(uid));
        }
    }

    /// Everything on the machine starts anew; pods that ran there are rejected.
    pub(crate) fn reboot(&mut self, node: &NodeName) {
        let Some(machine) = self.machines.get_mut(node) else { return };
        machine.boot += 1;
        machine.sequence = 0;
        machine.devices.iter_mut().for_each(Device::start_anew);
        for uid in self.pods_on(node) {
            if let Some(pod) = self.pods.get(&uid).filter(|pod| pod.phase == PodPhase::Running).cloned() {
                self.pod_fails(pod);
            }
        }
        self.status_soon(node);
        self.report_soon(node);
    }

    /// The plugin registers again and takes every GPU for healthy.
    pub(crate) fn restart_kubelet(&mut self, node: &NodeName) {
        if let Some(machine) = self.machines.get_mut(node) {
            machine.devices.iter_mut().for_each(|device| device.marked = false);
        }
        self.status_soon(node);
    }

    pub(crate) fn plugin(&mut self, node: &NodeName, down: bool) {
        if let Some(machine) = self.machines.get_mut(node) {
            machine.plugin_down = down;
        }
        if !down {
            self.restart_kubelet(node);
        }
        self.status_soon(node);
    }

    pub(crate) fn agent(&mut self, node: &NodeName, gone: bool) {
        if let Some(machine) = self.machines.get_mut(node) {
            machine.agent_gone = gone;
        }
        if !gone {
            self.report_soon(node);
        }
    }

    /// Pods of a node that have not ended.
    pub(crate) fn pods_on(&self, node: &NodeName) -> Vec<PodUid> {
        let here = |pod: &&Pod| pod.node.as_ref() == Some(node) && pod.alive();
        self.pods.values().filter(here).map(|pod| pod.uid.clone()).collect()
    }

    /// Muster is killed and starts with nothing. What was on its way to or from it is lost or strays.
    pub(crate) fn restart_muster(&mut self, muster: &mut dyn Muster) {
        self.tally.restarts += 1;
        self.disturbed = self.now;
        muster.restart();
        self.forget_calls();
        self.sessions.clear();
        self.scheduler_lost_muster();
        self.relist(muster);
        let nodes: Vec<NodeName> = self.machines.keys().cloned().collect();
        for node in &nodes {
            self.report_soon(node);
        }
    }

    /// Counts down to a restart between two Bindings.
    pub(crate) fn binding_landed(&mut self) {
        if let Some(left) = self.restart_after.as_mut() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.restart_after = None;
                self.after(Span(0), Happening::Fault(super::Fault::Restart));
            }
        }
    }

    /// Everything is mended, and the weather is fine: what is wanted must come about now.
    pub fn calm(&mut self, muster: &mut dyn Muster) {
        let planned = |what: &Happening| {
            matches!(what, Happening::Fault(_) | Happening::Submit(_) | Happening::Arrival)
        };
        self.agenda.retain(|what| !planned(what));
        self.users = None;
        self.restart_after = None;
        self.weather = crate::scenario::Weather::default();
        self.calls.outage = false;
        self.disturbed = self.now;
        let nodes: Vec<NodeName> = self.machines.keys().cloned().collect();
        for node in &nodes {
            self.add_node(node);
            self.mend(node);
            self.taint(node, false);
            self.relabel(node, true);
            self.cordon(node, false);
            self.agent(node, false);
            self.plugin(node, false);
        }
        for kind in [Kind::Nodes, Kind::Owners, Kind::Pods] {
            self.cut(kind, Span(200));
        }
        muster.tell(Event::Configured(Settings::default()));
    }

    /// All GPUs of a node work again, and the plugin knows.
    pub(crate) fn mend(&mut self, node: &NodeName) {
        if let Some(machine) = self.machines.get_mut(node) {
            for device in &mut machine.devices {
                device.broken = None;
                device.vanished = false;
                device.marked = false;
            }
        }
        self.status_soon(node);
        self.report_soon(node);
    }
}

/// Jobs of an index that may lie beyond the end.
pub(crate) fn nth<T: Clone>(all: &[T], at: usize) -> Option<T> {
    all.get(at.checked_rem(all.len())?).cloned()
}

/// Names of pods that are there, to see whether one is taken.
pub(crate) fn taken(pods: &BTreeMap<PodUid, Pod>, namespace: &Name, name: &Name) -> bool {
    pods.values().any(|pod| pod.name == *name && pod.namespace == *namespace)
}

/// A configuration file that an operator may write.
pub(crate) fn configured(variant: u64) -> Event {
    let barrier = Span(6_000 + variant % 3 * 6_000);
    let exclusion = Span(10_000 + variant % 5 * 12_500);
    Event::Configured(Settings { barrier, exclusion, ..Settings::default() })
}
