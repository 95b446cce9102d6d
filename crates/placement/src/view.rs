//! An immutable picture of the state. One request reads one view, so it never sees half a change.
//!
//! Filter and prioritize are functions of the view and write nothing: kube-scheduler may call them any number
//! of times, for simulations, with one node or a subset, and never says that it rolled back.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::gang::{Gang, Phase};
use crate::ids::{GangId, PodUid};
use crate::ledger::Claim;
use crate::node_state::NodeState;
use crate::offer::{Finder, Offered, position};
use crate::pod::{Membership, Pod};
use crate::pod_state::PodState;
use crate::pool::{PoolRule, Strength, rule_for};
use crate::preempt::Promise;
use crate::pvc::{Pvc, PvcName};
use crate::queue::Reservation;
use crate::refusal::Refusal;
use crate::score;
use crate::settings::Settings;
use crate::shared_map::SharedMap;
use crate::time::Time;

/// A version of the state.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Rises with every event.
    pub version: u64,
    /// When the last event was applied.
    pub at: Time,
    /// Whether the cluster has been read.
    pub ready: bool,
    /// Settings in force.
    pub settings: Arc<Settings>,
    /// Nodes by name.
    pub nodes: Vec<Arc<NodeState>>,
    /// Pods by UID.
    pub pods: SharedMap<PodUid, Arc<PodState>>,
    /// Gangs by identity; those without members have only been declared.
    pub gangs: SharedMap<GangId, Arc<Gang>>,
    /// PersistentVolumeClaims by name.
    pub pvcs: SharedMap<PvcName, Arc<Pvc>>,
    /// Who holds what.
    pub claims: SharedMap<PodUid, Arc<Claim>>,
    /// The gang that others must not delay.
    pub reservation: Option<Arc<Reservation>>,
    /// Promises to gangs that others make room for.
    pub promises: Vec<Arc<Promise>>,
}

/// Answer to a filter call. Positions are those of the names offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterAnswer {
    /// Every node will do.
    All,
    /// Just these, best first.
    These(Vec<usize>),
    /// One verdict per name offered.
    Each(Vec<Result<(), Refusal>>),
    /// None, all for one reason, which is the gang's if there is one.
    None(Refusal, Option<GangId>),
}

/// How many nodes a single GPU pod is offered at most, so that kube-scheduler's own preferences still have a say.
const SHORTLIST: usize = 32;

impl View {
    /// Which of the nodes of these names the pod may use.
    pub fn filter(&self, pod: &Pod, names: &[&str]) -> FilterAnswer {
        self.filter_offered(pod, &self.finder().find_all(names.iter().copied()))
    }

    /// Which of the offered nodes the pod may use. `pod` is the pod as kube-scheduler sent it; what the watch
    /// knows of it counts more.
    pub fn filter_offered(&self, pod: &Pod, offered: &[Offered<'_>]) -> FilterAnswer {
        if !self.ready {
            return FilterAnswer::None(Refusal::NotReady, None);
        }
        let state = self.pods.get(&pod.uid);
        if let Some(stamp) = state.and_then(|s| s.stamp.as_ref()) {
            let gang = || state.and_then(|s| s.gang.clone());
            let planned = self.finder().find(stamp.node.as_str());
            return match offered.iter().position(|node| *node == planned) {
                Some(at) => FilterAnswer::These([at].to_vec()),
                None => FilterAnswer::None(Refusal::PlannedNodeNotOffered, gang()),
            };
        }
        match (&pod.membership, state.and_then(|s| s.gang.as_ref())) {
            (_, Some(id)) => FilterAnswer::None(self.gang_refusal(id), Some(id.clone())),
            (Membership::Member(m), None) => {
                FilterAnswer::None(self.gang_refusal(&m.gang), Some(m.gang.clone()))
            }
            (Membership::Unknown(fault), None) => {
                FilterAnswer::None(Refusal::OwnerUnreadable(fault.clone()), None)
            }
            (Membership::Single, None) => self.filter_single(pod, offered),
        }
    }

    /// Why a gang without a plan waits.
    fn gang_refusal(&self, id: &GangId) -> Refusal {
        let gang = self.gangs.get(id);
        let refusal = gang.and_then(|g| g.refusal.clone());
        refusal.unwrap_or(match gang.map(|g| &g.phase) {
            Some(Phase::Waiting | Phase::Released(_) | Phase::Placed) => Refusal::Queued,
            Some(Phase::Gathering) | None => Refusal::WaitingForMembers { have: 0, need: 0 },
        })
    }

    /// A pod of no gang: every node with room that nobody holds, or the best of them. kube-scheduler has checked
    /// all the rest.
    fn filter_single(&self, pod: &Pod, offered: &[Offered<'_>]) -> FilterAnswer {
        let rule = rule_for(&self.settings.rules, pod);
        let may = |state: Option<(usize, &NodeState)>| {
            let state = state.map(|(_, s)| s);
            let reserved = state.is_some_and(|s| self.reserved(s, pod));
            if reserved { Err(Refusal::ReservedForOther) } else { single_may_use(state, pod, rule) }
        };
        let mut passed = Vec::with_capacity(if pod.wants_gpus() { offered.len() } else { 0 });
        let mut all = true;
        let states = || offered.iter().map(|node| node.known(&self.nodes));
        for (at, state) in states().enumerate() {
            match may(state) {
                Ok(()) if pod.wants_gpus() => {
                    passed.extend(state.map(|(place, s)| (score::rank(s, pod, rule), place, at)));
                }
                Ok(()) => {}
                Err(_) => all = false,
            }
        }
        if passed.len() > SHORTLIST {
            return FilterAnswer::These(shortlist(passed));
        }
        if all {
            return FilterAnswer::All;
        }
        FilterAnswer::Each(states().map(may).collect())
    }

    /// Whether a GPU pod of no gang would be in the way of the gang with the reservation.
    fn reserved(&self, state: &NodeState, pod: &Pod) -> bool {
        let here = self.reservation.as_deref().filter(|r| r.nodes.contains(&state.node.name));
        pod.wants_gpus() && here.is_some_and(|r| !r.lets(pod, self.at, self.settings.barrier))
    }

    /// A score from 0 to 10 for each of the nodes of these names.
    pub fn prioritize(&self, pod: &Pod, names: &[&str]) -> Vec<u8> {
        self.prioritize_offered(pod, &self.finder().find_all(names.iter().copied()))
    }

    /// A score from 0 to 10 for each offered node, with one best node alone at the top where the pod has GPUs.
    pub fn prioritize_offered(&self, pod: &Pod, offered: &[Offered<'_>]) -> Vec<u8> {
        let states: Vec<_> = offered.iter().map(|node| node.known(&self.nodes)).collect();
        score::scores(pod, rule_for(&self.settings.rules, pod), &states)
    }

    /// Finds nodes by name, many in a row.
    pub fn finder(&self) -> Finder<'_> {
        Finder::new(&self.nodes)
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        position(&self.nodes, name)
    }

    /// The node of a name.
    pub fn node(&self, name: &str) -> Option<&NodeState> {
        self.position(name).and_then(|at| self.nodes.get(at)).map(Arc::as_ref)
    }
}

/// Whether a pod of no gang may go to a node.
fn single_may_use(state: Option<&NodeState>, pod: &Pod, rule: Option<&PoolRule>) -> Result<(), Refusal> {
    let required = rule.filter(|r| r.strength == Strength::Required);
    let Some(state) = state else {
        // kube-scheduler may know a node before we do; a pod that asks nothing of us may go there.
        let indifferent = !pod.wants_gpus() && required.is_none();
        return if indifferent { Ok(()) } else { Err(Refusal::NodeUnknown) };
    };
    if required.is_some_and(|r| !state.purposes.contains(&r.purpose)) {
        return Err(Refusal::PoolMismatch);
    }
    if !state.model_suits(pod) {
        let tried = crate::planner::listed(&pod.gpu_models);
        return Err(Refusal::NoGpuModel { tried, why: None });
    }
    // Without holds kube-scheduler's own count of CPU and memory is as good as ours.
    let reserved = state.account.held.pods > 0;
    if pod.wants_gpus() || reserved { state.room_for(pod) } else { Ok(()) }
}

/// The best of the nodes that passed, best first: kube-scheduler's own scoring of a thousand nodes, and the names
/// and scores of a thousand nodes on the wire, cost more than everything else about a pod.
fn shortlist(mut ranked: Vec<(score::Rank, usize, usize)>) -> Vec<usize> {
    if ranked.len() > SHORTLIST {
        ranked.select_nth_unstable(SHORTLIST);
        ranked.truncate(SHORTLIST);
    }
    ranked.sort_unstable();
    ranked.into_iter().map(|(.., at)| at).collect()
}
