//! The auditor's own books: the newest that was told of each object, Bindings on their way, plans known to be at the
//! API server. Kept by what crosses the door, not by what the core makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_placement::gang::GangSpec;
use muster_placement::ids::{Epoch, GangId, NodeName, PodUid};
use muster_placement::inventory::{Health, Inventory};
use muster_placement::node::Node;
use muster_placement::pod::{Membership, Pod, PodPhase, Stamp};
use muster_placement::resources::Resources;
use muster_placement::selector::has_labels;
use muster_placement::taint::untolerated;
use muster_placement::{Event, Outcome, Settings};

/// A plan that was released.
#[derive(Clone, Debug)]
struct Release {
    stamp: Stamp,
    /// The API server is known to have it.
    durable: bool,
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) settings: Option<Settings>,
    pub(super) nodes: BTreeMap<NodeName, Node>,
    pub(super) inventories: BTreeMap<NodeName, Inventory>,
    pub(super) owners: BTreeMap<GangId, GangSpec>,
    pub(super) pods: BTreeMap<PodUid, Arc<Pod>>,
    releases: BTreeMap<PodUid, Release>,
    /// Bindings posted, until the watch shows them or they are certain not to be.
    sent: BTreeMap<PodUid, (NodeName, Resources)>,
    /// Those of them that a process posted which died since.
    strays: BTreeSet<PodUid>,
    /// Pods whose plan is being taken off, or which are being deleted.
    voided: BTreeSet<PodUid>,
    /// What was known before the process was killed and has not been listed since.
    unlisted: (BTreeSet<NodeName>, BTreeSet<GangId>, BTreeSet<PodUid>),
}

fn is_bound(pod: &Pod) -> bool {
    (pod.node.is_some() && pod.alive() && !pod.terminating) || pod.phase == PodPhase::Succeeded
}

fn gang_of(pod: &Pod) -> Option<&GangId> {
    match &pod.membership {
        Membership::Member(member) => Some(&member.gang),
        Membership::Single | Membership::Unknown(_) => None,
    }
}

impl Books {
    /// Writes down what is told.
    pub(super) fn told(&mut self, event: &Event) {
        match event {
            Event::Configured(settings) => self.settings = Some(settings.clone()),
            Event::NodeSeen(node) => {
                self.unlisted.0.remove(&node.name);
                self.nodes.insert(node.name.clone(), Node::clone(node));
            }
            Event::NodeGone(name) => {
                self.nodes.remove(name);
                self.inventories.remove(name);
            }
            Event::Reported(name, inventory) => {
                self.inventories.insert(name.clone(), inventory.clone());
            }
            Event::GangSeen(spec) => {
                self.unlisted.1.remove(&spec.id);
                self.owners.insert(spec.id.clone(), spec.clone());
            }
            Event::GangGone(id) => drop(self.owners.remove(id)),
            Event::PodSeen(pod) => self.pod_seen(pod),
            Event::PodGone(uid) => self.pod_gone(uid),
            Event::Synced => self.listed(),
            _ => {}
        }
    }

    fn pod_seen(&mut self, pod: &Pod) {
        let uid = &pod.uid;
        self.unlisted.2.remove(uid);
        if pod.node.is_some() || !pod.alive() {
            self.sent.remove(uid);
            self.releases.remove(uid);
            self.voided.remove(uid);
        }
        if let Some(release) = self.releases.get_mut(uid) {
            release.durable |= pod.stamp.as_ref() == Some(&release.stamp);
        } else if pod.stamp.is_none() {
            self.voided.remove(uid);
        }
        self.pods.insert(uid.clone(), Arc::new(pod.clone()));
    }

    fn pod_gone(&mut self, uid: &PodUid) {
        self.pods.remove(uid);
        self.releases.remove(uid);
        self.sent.remove(uid);
        self.voided.remove(uid);
    }

    /// All lists were read: what is on none of them went while nobody looked.
    fn listed(&mut self) {
        let (nodes, owners, pods) = std::mem::take(&mut self.unlisted);
        self.nodes.retain(|name, _| !nodes.contains(name));
        self.owners.retain(|id, _| !owners.contains(id));
        for uid in &pods {
            self.pod_gone(uid);
        }
    }

    pub(super) fn released(&mut self, pod: &PodUid, stamp: &Stamp) {
        let durable = self.pods.get(pod).is_some_and(|told| told.stamp.as_ref() == Some(stamp));
        self.voided.remove(pod);
        self.releases.insert(pod.clone(), Release { stamp: stamp.clone(), durable });
    }

    pub(super) fn release_outcome(&mut self, pod: &PodUid, epoch: Epoch, done: bool) {
        if let Some(release) = self.releases.get_mut(pod).filter(|release| release.stamp.epoch == epoch) {
            release.durable |= done;
            if !done {
                // Until the watch says what became of the pod, the lists say less than the outcome.
                self.unplanned(pod);
            }
        }
    }

    pub(super) fn unplanned(&mut self, pod: &PodUid) {
        self.releases.remove(pod);
        self.voided.insert(pod.clone());
    }

    pub(super) fn posted(&mut self, pod: &Pod, stamp: &Stamp) {
        self.strays.remove(&pod.uid);
        self.sent.insert(pod.uid.clone(), (stamp.node.clone(), pod.request));
    }

    pub(super) fn bind_outcome(&mut self, pod: &PodUid, outcome: &Outcome) {
        if *outcome != Outcome::Done {
            self.sent.remove(pod);
        }
    }

    /// A new process can know of a Binding on its way only by the plan that the API server has.
    pub(super) fn killed(&mut self) {
        let durable = |pod: &PodUid| self.pods.get(pod).is_some_and(|told| told.stamp.is_some());
        let lost: Vec<PodUid> = self.sent.keys().filter(|pod| !durable(pod)).cloned().collect();
        for pod in lost {
            self.sent.remove(&pod);
        }
        self.strays = self.sent.keys().cloned().collect();
        self.releases.clear();
        self.voided.clear();
        self.unlisted = (
            self.nodes.keys().cloned().collect(),
            self.owners.keys().cloned().collect(),
            self.pods.keys().cloned().collect(),
        );
        // Agents report anew.
        self.inventories.clear();
    }

    /// What was on its way when the process died has landed, or never will.
    pub(super) fn forget_strays(&mut self) {
        for pod in std::mem::take(&mut self.strays) {
            self.sent.remove(&pod);
        }
    }

    pub(super) fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Why a pod must not be sent to a node, whatever is free there.
    pub(super) fn why_unsuitable(&self, pod: &Pod, name: &NodeName) -> Option<&'static str> {
        let Some(node) = self.nodes.get(name) else { return Some("is gone") };
        let constraints = &pod.constraints;
        let required = constraints.required.as_ref();
        if node.cordoned {
            Some("is cordoned")
        } else if untolerated(&node.taints, &constraints.tolerations).is_some() {
            Some("is tainted")
        } else if !has_labels(&constraints.node_selector, &node.labels)
            || required.is_some_and(|terms| !terms.iter().any(|t| t.admits(name, &node.labels)))
        {
            Some("has not the labels")
        } else {
            None
        }
    }

    /// What a pod may take on a node: allocatable and healthy, less bound pods and Bindings on their way.
    pub(super) fn free(&self, name: &NodeName, but: &PodUid) -> Resources {
        let Some(node) = self.nodes.get(name) else { return Resources::default() };
        let mut free = node.allocatable;
        if let Some(inventory) = self.inventories.get(name) {
            let healthy = inventory.gpus.iter().filter(|gpu| gpu.health == Health::Healthy).count();
            free.gpus = free.gpus.min(healthy as u64);
        }
        free.minus(self.taken(name, but))
    }

    fn taken(&self, name: &NodeName, but: &PodUid) -> Resources {
        let bound = self.pods.values().filter(|pod| pod.node.as_ref() == Some(name) && pod.alive());
        let bound = bound.filter(|pod| pod.uid != *but).map(|pod| pod.request);
        let sent = self.sent.iter().filter(|(pod, (node, _))| node == name && *pod != but);
        bound.chain(sent.map(|(_, (_, request))| *request)).fold(Resources::default(), Resources::plus)
    }

    /// The same, and less what pods of other gangs were planned for, whether or not their plans still hold.
    pub(super) fn taken_or_planned(&self, name: &NodeName, but: &GangId) -> Resources {
        let planned = |pod: &&Arc<Pod>| pod.node.is_none() && pod.alive() && gang_of(pod) != Some(but);
        let on_it = |pod: &Pod| {
            let released = self.releases.get(&pod.uid).map(|release| &release.stamp);
            released.or(pod.stamp.as_ref()).is_some_and(|stamp| stamp.node == *name)
        };
        let waiting = self.pods.values().filter(planned);
        let waiting = waiting.filter(|pod| on_it(pod) && !self.sent.contains_key(&pod.uid));
        let taken = self.taken(name, &PodUid::from(""));
        waiting.map(|pod| pod.request).fold(taken, Resources::plus)
    }

    pub(super) fn min_of(&self, gang: &GangId) -> Option<u64> {
        self.owners.get(gang).map(|spec| u64::from(spec.min))
    }

    /// Members bound or ended well.
    pub(super) fn bound(&self, gang: &GangId) -> u64 {
        self.members(gang).filter(|pod| is_bound(pod)).count() as u64
    }

    /// Members bound, or about to be, or ended well.
    pub(super) fn settled(&self, gang: &GangId) -> u64 {
        let counts = |pod: &Pod| is_bound(pod) || self.sent.contains_key(&pod.uid);
        self.members(gang).filter(|pod| counts(pod)).count() as u64
    }

    /// What bound pods have on a node, and what pods of other gangs have a plan for.
    pub(super) fn bound_or_planned(&self, name: &NodeName, but: &GangId) -> Resources {
        let counts = |pod: &&Arc<Pod>| match &pod.node {
            Some(node) => node == name && pod.alive(),
            None => pod.stamp.as_ref().is_some_and(|s| s.node == *name) && gang_of(pod) != Some(but),
        };
        self.pods.values().filter(counts).map(|pod| pod.request).fold(Resources::default(), Resources::plus)
    }

    pub(super) fn members<'a>(&'a self, gang: &'a GangId) -> impl Iterator<Item = &'a Arc<Pod>> {
        self.pods.values().filter(move |pod| gang_of(pod) == Some(gang))
    }

    /// A member released with the same plan of which it is not known that the API server has it.
    pub(super) fn not_durable(&self, gang: &GangId, epoch: Epoch) -> Option<String> {
        let open = |pod: &&Arc<Pod>| {
            let release = self.releases.get(&pod.uid).filter(|release| release.stamp.epoch == epoch);
            release.is_some_and(|release| !release.durable)
        };
        // Only the first Bindings must wait for the plan to be durable.
        (self.settled(gang) == 0)
            .then(|| self.members(gang).find(open))
            .flatten()
            .map(|pod| pod.name.to_string())
    }

    /// Whether a member of the gang was let go, or is being bound.
    pub(super) fn under_way(&self, gang: &GangId) -> bool {
        let on_its_way = |pod: &Arc<Pod>| {
            self.releases.contains_key(&pod.uid) || self.sent.contains_key(&pod.uid) || pod.stamp.is_some()
        };
        self.members(gang).any(on_its_way)
    }

    /// The node that a pod was let go to by the process that runs.
    pub(super) fn planned_for(&self, pod: &PodUid) -> Option<&NodeName> {
        self.releases.get(pod).map(|release| &release.stamp.node)
    }

    /// Whether all that Muster wanted is on the lists, or is certain not to be.
    pub(super) fn quiet(&self) -> bool {
        let written = |(pod, release): (&PodUid, &Release)| {
            self.pods.get(pod).is_some_and(|told| told.stamp.as_ref() == Some(&release.stamp))
        };
        self.sent.is_empty() && self.voided.is_empty() && self.releases.iter().all(written)
    }
}
