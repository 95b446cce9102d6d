//! The whole state and the only door to it: [`Cluster::apply`].
//!
//! Order inside: an event first changes facts (`observe`), then the ledger follows, then the gangs that it
//! touches are looked at again (`gather`), then the queue is planned (`release`), and binds that became
//! possible are committed (`commit`). Nothing here reads a clock, draws a number or depends on hash order:
//! the same events at the same times give the same effects.

mod commit;
mod elastic;
mod gather;
mod neighbours;
mod observe;
mod parties;
mod preempt;
mod rebuild;
mod release;
mod reserve;

pub(crate) use elastic::in_order_of_need;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::audit::{Violation, audit};
use crate::devices::Classes;
use crate::effect::Effect;
use crate::event::Event;
use crate::fleet::Terrain;
use crate::gang::Gang;
use crate::ids::{AskId, Epoch, GangId, NodeName, PodUid};
use crate::inventory::Inventory;
use crate::ledger::Ledger;
use crate::node::Node;
use crate::node_state::NodeState;
use crate::pod_state::PodState;
use crate::preempt::{Preemptions, Promise};
use crate::pvc::{Pvc, PvcName};
use crate::queue::Reservation;
use crate::settings::Settings;
use crate::shared_map::SharedMap;
use crate::time::Time;
use crate::view::View;

/// Everything we believe about the cluster.
#[derive(Debug, Default)]
pub struct Cluster {
    settings: Arc<Settings>,
    /// All lists were read; before that nothing is planned and nobody is bound.
    synced: bool,
    ledger: Ledger,
    facts: BTreeMap<NodeName, Facts>,
    nodes: BTreeMap<NodeName, Arc<NodeState>>,
    /// Kinds of machines; a memory only.
    classes: Classes,
    /// The domains that the nodes form; `None` after one came, went or has other labels.
    terrain: Option<Arc<Terrain>>,
    pods: SharedMap<PodUid, Arc<PodState>>,
    gangs: SharedMap<GangId, Arc<Gang>>,
    pvcs: SharedMap<PvcName, Arc<Pvc>>,
    /// Pods that require others to stay apart from them; usually none.
    apart: BTreeSet<PodUid>,
    /// A gang was refused for a rule about other pods, so that a pod which gets a place may help it.
    awaits_neighbours: bool,
    /// Parked bind requests by pod.
    asks: BTreeMap<PodUid, Vec<Ask>>,
    /// Promises to gangs that others make room for.
    preemptions: Preemptions,
    /// The gang that others must not delay.
    reservation: Option<Arc<Reservation>>,
    /// The state in which the reservation was looked for: capacity, claims, the gangs that may have it.
    reserved_for: Option<(u64, u64, Vec<GangId>)>,
    /// Gangs that get no reservation for a while, and until when.
    lapsed: BTreeMap<GangId, Time>,
    /// Highest plan number used or seen.
    epoch: Epoch,
    /// Rises whenever something that was in the way of a plan may have gone.
    capacity: u64,
    /// Gangs to look at before the current event is done.
    dirty: BTreeSet<GangId>,
    /// Gangs that may be in phase `Waiting`; no other one is.
    waiting: BTreeSet<GangId>,
    /// Waiting gangs are to be tried before the current event is done.
    replan: bool,
    /// Version of the state, for readers.
    version: u64,
    /// When the last event was applied.
    now: Time,
}

/// What is said of a node by its two sources.
#[derive(Debug, Default)]
struct Facts {
    node: Option<Arc<Node>>,
    inventory: Option<Arc<Inventory>>,
}

/// A parked bind request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) id: AskId,
    pub(crate) node: NodeName,
    pub(crate) since: Time,
}

impl Cluster {
    /// Applies one event and says what is to be done.
    pub fn apply(&mut self, event: Event, now: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.version = self.version.saturating_add(1);
        self.now = now;
        match event {
            Event::PodSeen(pod) => self.pod_seen(*pod, now, &mut effects),
            Event::PodGone(uid) => self.pod_gone(&uid, &mut effects),
            Event::NodeSeen(node) => self.node_seen(*node),
            Event::NodeGone(name) => self.node_gone(&name),
            Event::GangSeen(spec) => self.gang_seen(spec, now),
            Event::GangGone(id) => self.gang_gone(&id),
            Event::PvcSeen(name, pvc) => self.pvc_seen(&name, pvc),
            Event::PvcGone(name) => self.pvc_gone(&name),
            Event::Reported(node, inventory) => self.reported(&node, inventory),
            Event::Synced => self.rebuild(&mut effects),
            Event::Configured(settings) => self.configured(settings),
            Event::BindAsked { ask, pod, node } => self.bind_asked(ask, &pod, node, now, &mut effects),
            Event::BindWithdrawn(ask) => self.bind_withdrawn(ask),
            Event::BindOutcome(pod, node, outcome) => self.bind_outcome(&pod, &node, outcome, &mut effects),
            Event::ReleaseOutcome(pod, epoch, outcome) => {
                self.release_outcome(&pod, epoch, &outcome, now, &mut effects);
            }
            Event::EvictOutcome(gang, number, outcome) => {
                self.evict_outcome(&gang, number, outcome, now, &mut effects);
            }
            Event::Tick => self.tick(now, &mut effects),
        }
        if self.synced {
            self.settle(now, &mut effects);
        }
        effects
    }

    /// Looks at every gang that the event touched and plans those that wait, until nothing changes.
    fn settle(&mut self, now: Time, effects: &mut Vec<Effect>) {
        // A void plan frees room, which may let another gang start; each round releases or ends at least one plan.
        while !self.dirty.is_empty() || self.replan {
            let touched = core::mem::take(&mut self.dirty);
            for id in &touched {
                self.look_at(id, now, effects);
            }
            // Without news that concern all of them, nobody else can have come to fit.
            let candidates = if core::mem::take(&mut self.replan) { self.all_waiting() } else { touched };
            self.plan_queue(&candidates, now, effects);
        }
    }

    /// An immutable picture of the state for readers.
    pub fn view(&self) -> View {
        View {
            version: self.version,
            at: self.now,
            ready: self.synced,
            settings: self.settings.clone(),
            nodes: self.nodes.values().cloned().collect(),
            pods: self.pods.clone(),
            gangs: self.gangs.clone(),
            pvcs: self.pvcs.clone(),
            claims: self.ledger.claims().clone(),
            reservation: self.reservation.clone(),
            promises: self.preemptions.promises.values().cloned().collect(),
        }
    }

    /// Every broken safety rule; empty when all is well.
    pub fn audit(&self) -> Vec<Violation> {
        audit(self)
    }

    /// Who holds what.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn gangs(&self) -> &SharedMap<GangId, Arc<Gang>> {
        &self.gangs
    }

    pub(crate) fn pod_states(&self) -> &SharedMap<PodUid, Arc<PodState>> {
        &self.pods
    }

    pub(crate) fn node_states(&self) -> &BTreeMap<NodeName, Arc<NodeState>> {
        &self.nodes
    }

    pub(crate) fn promises(&self) -> impl Iterator<Item = &Promise> {
        self.preemptions.promises.values().map(Arc::as_ref)
    }

    /// Derives a node's row again after one of its sources changed.
    fn touch(&mut self, name: &NodeName) {
        let Some(facts) = self.facts.get(name) else { return };
        let Some(node) = facts.node.clone() else {
            self.nodes.remove(name);
            self.terrain = None;
            return;
        };
        let purposes = crate::pool::purposes_of(&self.settings.pools, &node.labels);
        let mut state = NodeState::new(node, facts.inventory.clone(), self.ledger.account(name), purposes);
        state.devices = self.classes.devices(&state);
        let state = Arc::new(state.keeping(self.preemptions.kept_free(name, &self.ledger, None)));
        let before = self.nodes.insert(name.clone(), state.clone());
        let same = |a: &Arc<Node>, b: &Arc<Node>| Arc::ptr_eq(a, b) || a.labels == b.labels;
        if before.is_none_or(|before| !same(&before.node, &state.node)) {
            self.terrain = None;
        }
    }

    /// Sets a claim and brings the nodes' rows up to date.
    fn claim(&mut self, pod: &PodUid, claim: crate::ledger::Claim) {
        let node = claim.node.clone();
        self.neighbour_changed();
        self.preemptions.claims = self.preemptions.claims.saturating_add(1);
        if let Some(left) = self.ledger.set(pod, claim) {
            self.touch(&left);
            self.freed();
        }
        self.touch(&node);
    }

    /// Ends a claim; what it frees may let a waiting gang start.
    fn unclaim(&mut self, pod: &PodUid) {
        if let Some(node) = self.ledger.remove(pod) {
            self.touch(&node);
            self.freed();
        }
    }

    /// Waiting gangs must be tried again.
    fn freed(&mut self) {
        self.capacity = self.capacity.saturating_add(1);
        self.replan = true;
    }

    fn mark(&mut self, gang: Option<&GangId>) {
        self.dirty.extend(gang.cloned());
    }
}
