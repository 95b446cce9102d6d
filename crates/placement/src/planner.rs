//! Places a whole gang or nothing, on a draft: nothing outside changes, and a draft that is dropped leaves
//! no trace.
//!
//! Members that ask for the same and may use the same nodes form a class. Classes that are narrowed to one
//! node go first, then the largest (GPUs, then CPU, then memory), so that CPU-only companions never take a GPU
//! worker's place. A class uses the nodes that the pods and pools prefer, and among those the narrowest domain that
//! takes all its members with least left over (`near`), so a gang is close together, uses few nodes and leaves large
//! holes whole. Required and preferred levels choose the domain for the whole gang first (`scope`).
//! Greedy per class, deterministic: every order ends in the node's name. A mixed gang that does not fit so is given a
//! second thought (`orders`); one that rules among pods concern is placed member by member (`ruled`).

mod diagnose;
mod draft;
mod making;
mod models;
mod near;
mod neighbours;
mod orders;
mod ruled;
mod scope;
mod search;
mod split;
mod standing;
mod volumes;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::fleet::Terrain;
use crate::ids::{GpuUuid, Name, NodeName, PodUid};
use crate::node_state::NodeState;
use crate::pod::{Membership, Pod};
use crate::pool::{PoolRule, Strength, rule_for};
use crate::pvc::{Pvc, PvcName, out_of_reach};
use crate::refusal::Refusal;
use crate::score::{self, Tie};
use crate::shared_map::SharedMap;
use draft::Draft;
use making::Class;
pub(crate) use models::listed;
pub use neighbours::Neighbourhood;

/// A place for one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The pod.
    pub pod: PodUid,
    /// Its node.
    pub node: NodeName,
    /// The GPUs it is assumed to get; empty where no agent reports.
    pub gpus: Vec<GpuUuid>,
}

/// Where pods may go.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// All nodes, by name.
    pub nodes: &'a [Arc<NodeState>],
    /// Pool rules.
    pub rules: &'a [PoolRule],
    /// Nodes left out for this gang.
    pub excluded: &'a BTreeSet<NodeName>,
    /// PersistentVolumeClaims by name.
    pub pvcs: &'a SharedMap<PvcName, Arc<Pvc>>,
    /// Claims for one pod at a time that pods outside this gang have.
    pub pvcs_in_use: &'a BTreeSet<PvcName>,
    /// The domains that exactly these nodes form; without it each host is by itself.
    pub terrain: Option<&'a Terrain>,
    /// Role and node of members that have their place for good.
    pub bound: &'a [(Name, NodeName)],
    /// Pods with a place, where rules among pods concern the gang.
    pub neighbours: Option<&'a Neighbourhood>,
    /// GPU models that GPU members may use; all of them if `None`.
    pub models: Option<&'a BTreeSet<Name>>,
}

static NO_NODES: BTreeSet<NodeName> = BTreeSet::new();
static NO_PVCS: SharedMap<PvcName, Arc<Pvc>> = SharedMap::new();
static NONE_IN_USE: BTreeSet<PvcName> = BTreeSet::new();

impl<'a> Site<'a> {
    /// These nodes, without rules, volumes or anything left out.
    pub fn new(nodes: &'a [Arc<NodeState>]) -> Site<'a> {
        Site {
            nodes,
            rules: &[],
            excluded: &NO_NODES,
            pvcs: &NO_PVCS,
            pvcs_in_use: &NONE_IN_USE,
            terrain: None,
            bound: &[],
            neighbours: None,
            models: None,
        }
    }
}

impl Site<'_> {
    /// Positions of the nodes on which the gang is already.
    fn home(&self) -> BTreeSet<usize> {
        let at = |node: &NodeName| self.nodes.binary_search_by(|s| s.node.name.cmp(node)).ok();
        self.bound.iter().filter_map(|(_, node)| at(node)).collect()
    }
}

/// A place for every member, or why not.
///
/// # Errors
/// The refusal says what is missing on the nodes that the gang may use.
pub fn plan(site: Site<'_>, members: &[Arc<Pod>]) -> Result<Vec<Placement>, Refusal> {
    volumes::check(site, members)?;
    models::on_one_model(site, members, |site| plan_in_one_zone(site, members))
}

fn plan_in_one_zone(site: Site<'_>, members: &[Arc<Pod>]) -> Result<Vec<Placement>, Refusal> {
    let zones = volumes::outside_each_zone(site, members);
    let mut tries = zones.iter().map(|outside| plan_within(Site { excluded: outside, ..site }, members));
    let Some(first) = tries.next() else { return plan_within(site, members) };
    // The first zone's reason stands for all.
    first.or_else(|refusal| tries.find_map(Result::ok).ok_or(refusal))
}

fn plan_within(site: Site<'_>, members: &[Arc<Pod>]) -> Result<Vec<Placement>, Refusal> {
    let groups = classes(site, members);
    let flat;
    let terrain = if let Some(terrain) = site.terrain {
        terrain
    } else {
        flat = Terrain::new(site.nodes, &[]);
        &flat
    };
    if site.neighbours.is_some() {
        return ruled::plan_ruled(site, terrain, members, &groups);
    }
    plan_freely(site, terrain, members, &groups)
}

/// Places a gang that no rule among pods concerns.
fn plan_freely(
    site: Site<'_>,
    terrain: &Terrain,
    members: &[Arc<Pod>],
    groups: &[Vec<&Arc<Pod>>],
) -> Result<Vec<Placement>, Refusal> {
    let standings = scope::standings(site, terrain, groups);
    let class = |(members, standing)| Class { members, standing };
    let classes: Vec<Class<'_>> = groups.iter().map(Vec::as_slice).zip(&standings).map(class).collect();
    scope::place_all(site, terrain, members, &classes).or_else(|refusal| {
        orders::another_way(site, terrain, members, groups, &classes, &refusal).ok_or(refusal)
    })
}

/// A node that a pod may use, whatever is free there.
#[derive(Clone, Copy)]
struct Candidate {
    wish: Wish,
    /// What decides between nodes that are wished for and filled alike.
    tie: Tie,
    /// Position in `site.nodes`.
    at: usize,
}

/// How much a pod wants a node, whatever is free there; smaller is better. Field order is weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wish {
    outside_pool: bool,
    /// It has GPUs that the pod would not use.
    gpus_unused: bool,
    /// Weight of the pod's preferred node affinity.
    preference: Reverse<u64>,
}

/// The nodes that a pod may use.
fn eligible(site: Site<'_>, pod: &Pod) -> Vec<Candidate> {
    let rule = rule_for(site.rules, pod);
    let required = rule.is_some_and(|r| r.strength == Strength::Required);
    let candidate = |(at, s): (usize, &Arc<NodeState>)| {
        let outside_pool = rule.is_some_and(|r| !s.purposes.contains(&r.purpose));
        let out = (outside_pool && required) || site.excluded.contains(&s.node.name) || s.excludes(pod);
        let out = out || out_of_reach(site.pvcs, pod, &s.node).is_some();
        let out = out || (pod.wants_gpus() && site.models.is_some_and(|models| !models.contains(&s.model)));
        let gpus_unused = !pod.wants_gpus() && s.has_gpus();
        let wish = || Wish { outside_pool, gpus_unused, preference: Reverse(s.preference(pod)) };
        (!out).then(|| Candidate { wish: wish(), tie: score::tie(s, pod), at })
    };
    site.nodes.iter().enumerate().filter_map(candidate).collect()
}

/// Members in classes of equals, narrowed ones first, then the largest requests, each class in order of role and index.
fn classes<'p>(site: Site<'_>, members: &'p [Arc<Pod>]) -> Vec<Vec<&'p Arc<Pod>>> {
    let mut sorted: Vec<&Arc<Pod>> = members.iter().collect();
    sorted.sort_by_cached_key(|p| (!p.narrowed(), Reverse(p.request), rank(p), p.uid.clone()));
    let mut classes: Vec<Vec<&Arc<Pod>>> = Vec::new();
    for pod in sorted {
        match classes.iter_mut().find(|c| c.first().is_some_and(|first| alike(site.rules, first, pod))) {
            Some(class) => class.push(pod),
            None => classes.push([pod].to_vec()),
        }
    }
    classes
}

/// Role and index of a member.
pub(crate) fn rank(pod: &Pod) -> (Name, u32) {
    match &pod.membership {
        Membership::Member(m) => (m.role.clone(), m.index),
        Membership::Single | Membership::Unknown(_) => (pod.name.clone(), 0),
    }
}

/// Whether two pods ask for the same and may use the same nodes.
pub(crate) fn alike(rules: &[PoolRule], a: &Pod, b: &Pod) -> bool {
    a.request == b.request
        && a.extras == b.extras
        && a.split_gpus == b.split_gpus
        && a.constraints == b.constraints
        && a.neighbours == b.neighbours
        && a.gpu_models == b.gpu_models
        && a.pvcs == b.pvcs
        && a.topology == b.topology
        && (!a.topology.role.is_some() || rank(a).0 == rank(b).0)
        && rule_for(rules, a) == rule_for(rules, b)
}
