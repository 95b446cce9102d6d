//! The smallest changes after which there is room for a waiting gang: one thing at a time, each checked by the planner.
//! Whose turn it then is, is the queue's word: an earlier gang may want the same room.
//!
//! Bounded: of every kind of change so many are tried, the one that costs least first, so that an answer takes
//! planning times a constant. Nothing here is decided: a change that is named is one after which [`plan`] says yes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::request::Request;
use super::{Holder, holder};
use crate::fleet::Terrain;
use crate::gang::{Gang, Phase};
use crate::ids::{GpuUuid, Name, NodeName, PodUid};
use crate::inventory::{Health, Inventory};
use crate::ledger::Claim;
use crate::level::Nearness;
use crate::node::Node;
use crate::node_state::NodeState;
use crate::planner::{Site, plan};
use crate::pod::Pod;
use crate::pool::{PoolRule, Strength, rule_for};
use crate::taint::untolerated;
use crate::view::View;

/// So many changes of one kind are tried, fewer where nodes are many: somebody waits for the answer.
const TRIES: (usize, usize) = (6, 48);
/// Looks at a node that one kind of change may cost.
const LOOKS: usize = 100_000;
/// So many of one kind are named.
const NAMED: usize = 3;

/// One change after which there is room for the gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A gang or pod that has GPUs here ends.
    Ends {
        /// Who.
        holder: Holder,
        /// GPUs that it has.
        gpus: u64,
    },
    /// A GPU becomes healthy again.
    Heals {
        /// Its node.
        node: NodeName,
        /// The GPU.
        gpu: GpuUuid,
        /// What is wrong with it, in the agent's words.
        fault: Name,
    },
    /// A node is uncordoned.
    Uncordoned(NodeName),
    /// A node's taint goes, or is tolerated.
    Untainted {
        /// The node.
        node: NodeName,
        /// Key of the taint.
        taint: Name,
    },
    /// A node that kube-scheduler refused for this gang is tried again.
    TriedAgain(NodeName),
    /// The gang may use nodes outside the pools of its purpose.
    OutsidePools(Name),
    /// Its members need not be in one domain of the level that they require.
    Apart {
        /// The level.
        level: Name,
    },
    /// The gang starts with fewer members.
    FewerMembers {
        /// Its minimum now.
        from: u64,
        /// The minimum with which it would start.
        to: u64,
    },
}

impl Change {
    /// Stable name in `PascalCase`.
    pub fn label(&self) -> &'static str {
        match self {
            Change::Ends { .. } => "Ends",
            Change::Heals { .. } => "Heals",
            Change::Uncordoned(_) => "Uncordoned",
            Change::Untainted { .. } => "Untainted",
            Change::TriedAgain(_) => "TriedAgain",
            Change::OutsidePools(_) => "OutsidePools",
            Change::Apart { .. } => "Apart",
            Change::FewerMembers { .. } => "FewerMembers",
        }
    }

    /// One sentence for a person.
    pub fn sentence(&self) -> String {
        match self {
            Change::Ends { holder: Holder { namespace, kind, name }, gpus } => {
                let s = if *gpus == 1 { "" } else { "s" };
                format!("It has room when {kind} {namespace}/{name} ends, which has {gpus} GPU{s}.")
            }
            Change::Heals { node, gpu, fault } => {
                format!("It has room when GPU {gpu} on {node} is healthy again ({fault}).")
            }
            Change::Uncordoned(node) => format!("It has room when {node} is uncordoned."),
            Change::Untainted { node, taint } => {
                format!("It has room when the taint {taint} on {node} is gone, or its pods tolerate it.")
            }
            Change::TriedAgain(node) => {
                format!("It has room when {node} is tried again, which kube-scheduler refused a while ago.")
            }
            Change::OutsidePools(purpose) => {
                format!("It has room if it may use nodes outside the pools for {purpose}.")
            }
            Change::Apart { level } => {
                format!("It has room if it prefers one {level} instead of requiring it.")
            }
            Change::FewerMembers { from, to } => {
                format!("It has room with a minimum of {to} members instead of {from}.")
            }
        }
    }
}

/// The changes after which there is room for a gang that waits, those that cost others nothing first.
pub fn changes(view: &View, gang: &Gang) -> Vec<Change> {
    let Some(trial) = Trial::new(view, gang) else { return Vec::new() };
    let mut changes = Vec::new();
    changes.extend(trial.nodes_tried_again());
    changes.extend(trial.heals());
    changes.extend(trial.opened());
    changes.extend(trial.outside_pools());
    changes.extend(trial.apart());
    changes.extend(trial.fewer_members());
    changes.extend(trial.ends());
    changes
}

/// A gang and the cluster as it is, to be changed in one point.
struct Trial<'v> {
    view: &'v View,
    gang: &'v Gang,
    request: Request,
    /// No change moves a node.
    terrain: Terrain,
}

impl<'v> Trial<'v> {
    /// Nothing unless the gang waits for nothing but room.
    fn new(view: &'v View, gang: &'v Gang) -> Option<Trial<'v>> {
        let request = (gang.phase == Phase::Waiting).then(|| Request::of(view, gang))??;
        let terrain = Terrain::new(&view.nodes, &view.settings.levels);
        Some(Trial { view, gang, request, terrain })
    }

    fn fits(&self, nodes: &[Arc<NodeState>], rules: &[PoolRule], request: &Request) -> bool {
        let site = Site {
            rules,
            excluded: &request.excluded,
            pvcs: &self.view.pvcs,
            pvcs_in_use: &request.pvcs_in_use,
            terrain: Some(&self.terrain),
            bound: &request.bound,
            neighbours: request.neighbours.as_ref(),
            ..Site::new(nodes)
        };
        let all = plan(site, &request.members).is_ok();
        all || request.least().is_some_and(|least| plan(site, least).is_ok())
    }

    /// Whether it fits with one node's row in place of what is there.
    fn fits_with(&self, rows: impl IntoIterator<Item = (usize, NodeState)>) -> bool {
        let mut nodes = self.view.nodes.clone();
        for (at, row) in rows {
            if let Some(place) = nodes.get_mut(at) {
                *place = Arc::new(row);
            }
        }
        self.fits(&nodes, &self.view.settings.rules, &self.request)
    }

    fn tries(&self) -> usize {
        let (least, most) = TRIES;
        LOOKS.checked_div(self.view.nodes.len()).unwrap_or(most).clamp(least, most)
    }

    /// Nodes that no member may use whatever is free; a change there changes nothing.
    fn barred(&self, state: &NodeState) -> bool {
        self.request.members.iter().all(|pod| state.excludes(pod))
    }

    fn heals(&self) -> Vec<Change> {
        let sick = self.view.nodes.iter().enumerate().filter(|(_, state)| !self.barred(state));
        let sick = sick.filter_map(|(at, state)| Some((at, state, first_sick(state)?))).take(self.tries());
        let healed = sick.filter(|(at, state, (gpu, _))| self.fits_with([(*at, healed(state, *gpu))]));
        let change = |(_, state, (gpu, fault)): (usize, &Arc<NodeState>, (usize, Name))| {
            Some(Change::Heals { node: state.node.name.clone(), gpu: state.uuid(gpu)?, fault })
        };
        healed.filter_map(change).take(NAMED).collect()
    }

    /// Nodes that somebody closed: cordoned, or tainted with what no member tolerates.
    fn opened(&self) -> Vec<Change> {
        let closed = self.view.nodes.iter().enumerate().filter(|(_, state)| self.barred(state));
        let open = closed.filter_map(|(at, state)| {
            let (node, change) = self.open(state)?;
            let row =
                state.with(Arc::new(node), state.inventory.clone(), state.account.clone(), state.promised);
            (!self.barred(&row)).then_some((at, row, change))
        });
        let works = open
            .take(self.tries())
            .filter_map(|(at, row, change)| self.fits_with([(at, row)]).then_some(change));
        works.take(NAMED).collect()
    }

    fn open(&self, state: &NodeState) -> Option<(Node, Change)> {
        let node = Node::clone(&state.node);
        let name = node.name.clone();
        if node.cordoned {
            // kube-controller-manager sets this taint along with `spec.unschedulable`.
            let taints = node.taints.iter().filter(|t| t.key.as_str() != "node.kubernetes.io/unschedulable");
            let taints = taints.cloned().collect();
            return Some((Node { cordoned: false, taints, ..node }, Change::Uncordoned(name)));
        }
        let tolerations = &self.request.members.first()?.constraints.tolerations;
        let taint = untolerated(&node.taints, tolerations)?.clone();
        let taints = node.taints.iter().filter(|t| **t != taint).cloned().collect();
        Some((Node { taints, ..node }, Change::Untainted { node: name, taint: taint.key }))
    }

    fn nodes_tried_again(&self) -> Vec<Change> {
        let fits_with = |node: &NodeName| {
            let mut request = self.request.clone();
            request.excluded.remove(node);
            self.fits(&self.view.nodes, &self.view.settings.rules, &request)
        };
        let left_out = self.gang.excluded.keys().take(self.tries()).filter(|node| fits_with(node));
        left_out.take(NAMED).cloned().map(Change::TriedAgain).collect()
    }

    fn outside_pools(&self) -> Option<Change> {
        let rules = &self.view.settings.rules;
        let required = |pod| rule_for(rules, pod).filter(|rule| rule.strength == Strength::Required);
        let rule = self.request.members.iter().find_map(|pod| required(pod))?;
        let wider = |rule: &PoolRule| PoolRule { strength: Strength::Preferred, ..rule.clone() };
        let rules: Vec<PoolRule> = rules.iter().map(wider).collect();
        self.fits(&self.view.nodes, &rules, &self.request).then(|| Change::OutsidePools(rule.purpose.clone()))
    }

    /// The required level, as a preference only.
    fn apart(&self) -> Option<Change> {
        let required = |pod: &Arc<Pod>| {
            pod.topology.gang.required.clone().or_else(|| pod.topology.role.required.clone())
        };
        let level = self.request.members.iter().find_map(required)?;
        let loosen = |wish: &mut Nearness| wish.preferred = wish.required.take().or(wish.preferred.take());
        let mut request = self.request.clone();
        for pod in request.members.iter_mut().map(Arc::make_mut) {
            loosen(&mut pod.topology.gang);
            loosen(&mut pod.topology.role);
        }
        self.fits(&self.view.nodes, &self.view.settings.rules, &request).then_some(Change::Apart { level })
    }

    /// The greatest number with which it would start, by halving: with fewer members it fits at least as well.
    fn fewer_members(&self) -> Option<Change> {
        let (mut low, mut high) = (0, self.request.needed);
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            let request = Request { needed: middle, ..self.request.clone() };
            let fits = self.fits(&self.view.nodes, &self.view.settings.rules, &request);
            (low, high) = if fits { (middle, high) } else { (low, middle) };
        }
        let settled = self.request.settled;
        let total = |members: usize| settled.saturating_add(members as u64);
        (low > 0).then(|| Change::FewerMembers { from: total(self.request.needed), to: total(low) })
    }

    /// Who must end, those with the fewest GPUs first.
    fn ends(&self) -> Vec<Change> {
        let mut holders: Vec<(u64, Holder)> = self.holders();
        holders.sort();
        let works =
            holders.into_iter().take(self.tries()).filter(|(_, holder)| self.fits_with(self.without(holder)));
        works.map(|(gpus, holder)| Change::Ends { holder, gpus }).take(NAMED).collect()
    }

    fn holders(&self) -> Vec<(u64, Holder)> {
        let mut sums = BTreeMap::<Holder, u64>::new();
        let own = Holder::from(&self.gang.id);
        // What they leave is promised already.
        let leaving = self.view.promises.iter().flat_map(|promise| promise.leaving.values().flatten());
        let leaving: BTreeSet<Holder> = leaving.filter_map(|uid| holder(self.view, uid)).collect();
        for (node, held) in super::holders(self.view) {
            if self.view.node(node.as_str()).is_none_or(|state| self.barred(state)) {
                continue;
            }
            for (holder, gpus) in held.into_iter().filter(|(h, _)| *h != own && !leaving.contains(h)) {
                let sum = sums.entry(holder).or_default();
                *sum = sum.saturating_add(gpus);
            }
        }
        sums.into_iter().map(|(holder, gpus)| (gpus, holder)).collect()
    }

    /// The rows of the nodes on which somebody has something, as they are without it.
    fn without(&self, who: &Holder) -> Vec<(usize, NodeState)> {
        let theirs = |uid: &PodUid| holder(self.view, uid).as_ref() == Some(who);
        let claims = self.view.claims.iter().filter(|(uid, _)| theirs(uid)).map(|(_, claim)| claim.as_ref());
        let claims: Vec<&Claim> = claims.collect();
        let nodes: BTreeSet<&NodeName> = claims.iter().map(|claim| &claim.node).collect();
        let row = |name: &NodeName| {
            let at = self.view.position(name.as_str())?;
            let state = self.view.nodes.get(at)?;
            Some((at, state.without(claims.iter().copied(), state.promised)))
        };
        nodes.into_iter().filter_map(row).collect()
    }
}

/// Position of the first GPU that is sick, and why.
fn first_sick(state: &NodeState) -> Option<(usize, Name)> {
    let gpus = state.inventory.as_deref()?.gpus.iter().enumerate();
    let mut sick = gpus.filter_map(|(at, gpu)| match &gpu.health {
        Health::Unhealthy(why) => Some((at, why.clone())),
        Health::Healthy | Health::Degraded(_) => None,
    });
    sick.next()
}

fn healed(state: &NodeState, at: usize) -> NodeState {
    let mut inventory = state.inventory.as_deref().map_or_else(Inventory::default, Inventory::clone);
    if let Some(gpu) = inventory.gpus.get_mut(at) {
        gpu.health = Health::Healthy;
    }
    state.with(state.node.clone(), Some(Arc::new(inventory)), state.account.clone(), state.promised)
}
