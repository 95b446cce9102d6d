//! What the API server and the agents say: facts, and the claims that follow from bound pods.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Cluster;
use crate::effect::Effect;
use crate::gang::{Gang, GangSpec};
use crate::ids::{Epoch, GangId, Name, NodeName, PodUid};
use crate::inventory::Inventory;
use crate::ledger::{Claim, ClaimKind};
use crate::node::Node;
use crate::pod::{Gate, Membership, Pod};
use crate::pod_state::PodState;
use crate::pvc::{Pvc, PvcName};
use crate::refusal::{MARK, Refusal};
use crate::settings::Settings;
use crate::time::Time;

impl Cluster {
    pub(super) fn pod_seen(&mut self, pod: Pod, now: Time, effects: &mut Vec<Effect>) {
        let uid = pod.uid.clone();
        let old = self.pods.remove(&uid);
        if let Some(stamp) = pod.stamp.as_ref().filter(|stamp| stamp.epoch < Epoch::BEYOND) {
            self.epoch = self.epoch.max(stamp.epoch);
        }
        let gang = gang_of(&pod, old.as_deref());
        if let Some(id) = &gang {
            self.change_gang(id, now, |gang| gang.members.extend([uid.clone()]));
        }
        self.mark(gang.as_ref());
        if let Some(left) = old.as_ref().and_then(|o| o.gang.clone()).filter(|g| Some(g) != gang.as_ref()) {
            self.leave(&left, &uid);
        }
        self.follow_neighbour(&pod, old.as_ref().map(|old| old.pod.as_ref()));
        let pod = Arc::new(pod);
        let mut entry = match old {
            Some(old) => PodState { pod: pod.clone(), gang, ..PodState::clone(&old) },
            None => PodState::new(pod.clone(), gang),
        };
        entry.bound_since = pod.node.is_some().then(|| entry.bound_since.unwrap_or(now));
        entry.leaving_since = pod.terminating.then(|| entry.leaving_since.unwrap_or(now));
        entry.published |= entry.stamp.is_some() && entry.stamp == pod.stamp;
        self.pods.insert(uid.clone(), Arc::new(entry));
        self.follow_binding(&pod);
        self.note_verdict(&uid, now);
        self.review_asks_of(&uid, effects);
    }

    /// A bound pod holds what it asks for on its node until it ended or is gone. Its annotation only says
    /// which GPUs, never how many: that is the pod's own request.
    fn follow_binding(&mut self, pod: &Pod) {
        if !pod.alive() {
            self.unclaim(&pod.uid);
            return;
        }
        let Some(node) = pod.node.clone() else { return };
        let assumed = self.ledger.claim(&pod.uid).filter(|c| c.node == node).map(|c| c.gpus.clone());
        let stamped = || pod.stamp.as_ref().filter(|s| s.node == node).map(|s| s.gpus.clone());
        let gpus = assumed.filter(|g| !g.is_empty()).or_else(stamped).unwrap_or_default();
        let claim =
            Claim { node, amount: pod.request, extras: pod.extras.clone(), gpus, kind: ClaimKind::Grant };
        if self.ledger.claim(&pod.uid) != Some(&claim) {
            self.claim(&pod.uid, claim);
        }
        if let Some(entry) = self.pod_mut(&pod.uid) {
            entry.binding = false;
        }
    }

    /// Notes since when kube-scheduler refuses a released pod for reasons of its own.
    fn note_verdict(&mut self, uid: &PodUid, now: Time) {
        let Some(entry) = self.pod_mut(uid) else { return };
        let planned = entry.stamp.is_some() && entry.pod.node.is_none() && !entry.binding;
        let not_offered = Refusal::PlannedNodeNotOffered.label();
        let foreign = |m: &Name| !m.as_str().contains(MARK) || m.as_str().contains(not_offered);
        let verdict = entry.pod.verdict.as_ref();
        let news = verdict.filter(|m| foreign(m) && entry.verdict_at_release.as_ref() != Some(*m));
        entry.refused_since = news.filter(|_| planned).map(|_| entry.refused_since.unwrap_or(now));
    }

    pub(super) fn pod_gone(&mut self, uid: &PodUid, effects: &mut Vec<Effect>) {
        self.unclaim(uid);
        self.apart.remove(uid);
        if let Some(entry) = self.pods.remove(uid)
            && let Some(gang) = &entry.gang
        {
            self.leave(gang, uid);
        }
        self.answer_asks_of(uid, &Err(Refusal::PodUnknown), effects);
    }

    /// Takes a pod out of a gang. A gang without members and without owner is forgotten.
    fn leave(&mut self, id: &GangId, uid: &PodUid) {
        let Some(gang) = self.gang_mut(id) else { return };
        gang.members.remove(uid);
        if gang.members.is_empty() && gang.spec.is_none() {
            self.gangs.remove(id);
        } else {
            self.mark(Some(id));
        }
    }

    pub(super) fn node_seen(&mut self, node: Node) {
        let name = node.name.clone();
        let facts = self.facts.entry(name.clone()).or_default();
        if facts.node.as_deref() == Some(&node) {
            return;
        }
        facts.node = Some(Arc::new(node));
        self.node_changed(&name);
    }

    /// What the agent said goes with the node; claims stay until their pods are gone.
    pub(super) fn node_gone(&mut self, name: &NodeName) {
        if let Some(facts) = self.facts.get_mut(name) {
            facts.node = None;
        }
        self.node_changed(name);
        self.facts.remove(name);
    }

    /// A report for a node that has not been seen yet waits for it: intake has checked the sender.
    pub(super) fn reported(&mut self, name: &NodeName, inventory: Inventory) {
        let facts = self.facts.entry(name.clone()).or_default();
        let inventory = Arc::new(inventory);
        let before = facts.inventory.replace(inventory.clone());
        if before.is_some_and(|b| same_devices(&b, &inventory)) {
            self.touch(name);
        } else {
            self.node_changed(name);
        }
    }

    /// Plans on the node must be looked at, and waiting gangs tried: it may have become better or worse.
    fn node_changed(&mut self, name: &NodeName) {
        self.touch(name);
        self.freed();
        let planned =
            self.gangs.values().filter(|g| g.plan().is_some_and(|p| p.places.values().any(|n| n == name)));
        let planned: Vec<GangId> = planned.map(|g| g.id.clone()).collect();
        self.dirty.extend(planned);
    }

    pub(super) fn gang_seen(&mut self, spec: GangSpec, now: Time) {
        let id = spec.id.clone();
        self.change_gang(&id, now, |gang| gang.spec = Some(spec));
        self.mark(Some(&id));
    }

    pub(super) fn pvc_seen(&mut self, name: &PvcName, pvc: Pvc) {
        let pvc = Arc::new(pvc);
        if self.pvcs.insert(name.clone(), pvc.clone()) != Some(pvc) {
            self.pvc_changed(name);
        }
    }

    pub(super) fn pvc_gone(&mut self, name: &PvcName) {
        if self.pvcs.remove(name).is_some() {
            self.pvc_changed(name);
        }
    }

    /// Plans of pods that use it must be looked at, and waiting gangs tried.
    fn pvc_changed(&mut self, name: &PvcName) {
        self.freed();
        let users = self.pods.values().filter(|state| state.pod.pvcs.contains(name));
        let gangs: Vec<GangId> = users.filter_map(|state| state.gang.clone()).collect();
        self.dirty.extend(gangs);
    }

    /// Changes a gang, which may be new.
    fn change_gang(&mut self, id: &GangId, now: Time, change: impl FnOnce(&mut Gang)) {
        if let Some(gang) = self.gang_mut(id) {
            return change(gang);
        }
        let mut gang = Gang::new(id.clone(), now);
        change(&mut gang);
        self.gangs.insert(id.clone(), Arc::new(gang));
    }

    pub(super) fn gang_gone(&mut self, id: &GangId) {
        let Some(gang) = self.gang_mut(id) else { return };
        gang.spec = None;
        if gang.members.is_empty() {
            self.gangs.remove(id);
        } else {
            self.mark(Some(id));
        }
    }

    pub(super) fn configured(&mut self, settings: Settings) {
        self.settings = Arc::new(settings);
        self.terrain = None;
        let names: Vec<NodeName> = self.nodes.keys().cloned().collect();
        for name in names {
            self.touch(&name);
        }
        self.freed();
    }
}

/// Whether two inventories differ in momentary readings only.
fn same_devices(a: &Inventory, b: &Inventory) -> bool {
    a.link_gbps == b.link_gbps
        && a.seen == b.seen
        && a.gpus.len() == b.gpus.len()
        && a.gpus.iter().zip(&b.gpus).all(|(x, y)| x.uuid == y.uuid && x.health == y.health)
}

/// The gang of a pod. A single pod that waits behind our gate, or was released from it, is a gang of one.
fn gang_of(pod: &Pod, old: Option<&PodState>) -> Option<GangId> {
    match &pod.membership {
        Membership::Member(m) => Some(m.gang.clone()),
        Membership::Unknown(_) => None,
        Membership::Single => {
            let before =
                old.and_then(|o| o.gang.clone()).filter(|g| g.incarnation.as_str() == pod.uid.as_str());
            let ours = pod.gate == Gate::Ours || (pod.stamp.is_some() && pod.node.is_none());
            before.or_else(|| ours.then(|| gang_of_one(pod)))
        }
    }
}

/// Identity of the gang of a single pod.
fn gang_of_one(pod: &Pod) -> GangId {
    GangId {
        namespace: pod.namespace.clone(),
        kind: Name::from("Pod"),
        name: pod.name.clone(),
        incarnation: Name::from(pod.uid.as_str()),
    }
}
