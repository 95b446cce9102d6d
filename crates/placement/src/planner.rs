//! Places a whole gang or nothing, on a draft: nothing outside changes, and a draft that is dropped leaves
//! no trace.
//!
//! Members that ask for the same and may use the same nodes form a class. Classes that are narrowed to one
//! node go first, then the largest (GPUs, then CPU, then memory), so that CPU-only companions never take a GPU worker's place. A class fills nodes
//! best-fit: the node that the pods and pools prefer, then one where all remaining members fit with least
//! left over, then the one that takes most of them, so a gang uses few nodes and leaves large holes whole.
//! Greedy per class, deterministic: every order ends in the node's name.

mod diagnose;
mod draft;
mod shelf;
mod volumes;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::ids::{GpuUuid, Name, NodeName, PodUid};
use crate::node_state::NodeState;
use crate::pod::{Membership, Pod};
use crate::pool::{PoolRule, Strength, rule_for};
use crate::pvc::{Pvc, PvcName, out_of_reach};
use crate::refusal::Refusal;
use crate::score::{self, Tie};
use crate::shared_map::SharedMap;
use draft::Draft;
use shelf::Shelf;

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
}

static NO_NODES: BTreeSet<NodeName> = BTreeSet::new();
static NO_PVCS: SharedMap<PvcName, Arc<Pvc>> = SharedMap::new();
static NONE_IN_USE: BTreeSet<PvcName> = BTreeSet::new();

impl<'a> Site<'a> {
    /// These nodes, without rules, volumes or anything left out.
    pub fn new(nodes: &'a [Arc<NodeState>]) -> Site<'a> {
        Site { nodes, rules: &[], excluded: &NO_NODES, pvcs: &NO_PVCS, pvcs_in_use: &NONE_IN_USE }
    }
}

/// A place for every member, or why not.
///
/// # Errors
/// The refusal says what is missing on the nodes that the gang may use.
pub fn plan(site: Site<'_>, members: &[Arc<Pod>]) -> Result<Vec<Placement>, Refusal> {
    volumes::check(site, members)?;
    let zones = volumes::outside_each_zone(site, members);
    let mut tries = zones.iter().map(|outside| plan_within(Site { excluded: outside, ..site }, members));
    let Some(first) = tries.next() else { return plan_within(site, members) };
    // The first zone's reason stands for all.
    first.or_else(|refusal| tries.find_map(Result::ok).ok_or(refusal))
}

fn plan_within(site: Site<'_>, members: &[Arc<Pod>]) -> Result<Vec<Placement>, Refusal> {
    let mut draft = Draft::new(site.nodes);
    let mut placements = Vec::with_capacity(members.len());
    for class in classes(site, members) {
        place_class(site, &mut draft, members, &class, &mut placements)?;
    }
    Ok(placements)
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
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

fn rank(pod: &Pod) -> (Name, u32) {
    match &pod.membership {
        Membership::Member(m) => (m.role.clone(), m.index),
        Membership::Single | Membership::Unknown(_) => (pod.name.clone(), 0),
    }
}

/// Whether two pods ask for the same and may use the same nodes.
pub(crate) fn alike(rules: &[PoolRule], a: &Pod, b: &Pod) -> bool {
    a.request == b.request
        && a.extras == b.extras
        && a.constraints == b.constraints
        && a.pvcs == b.pvcs
        && rule_for(rules, a) == rule_for(rules, b)
}

fn place_class(
    site: Site<'_>,
    draft: &mut Draft<'_>,
    members: &[Arc<Pod>],
    class: &[&Arc<Pod>],
    placements: &mut Vec<Placement>,
) -> Result<(), Refusal> {
    let Some(first) = class.first() else { return Ok(()) };
    let candidates = eligible(site, first);
    let mut shelf = Shelf::new(draft, &candidates, first);
    let mut rest = class;
    while !rest.is_empty() {
        let Some(best) = shelf.take(rest.len() as u64) else {
            let placed = class.len().saturating_sub(rest.len()) as u64;
            return Err(diagnose::refusal(site, draft, members, class, placed, &candidates));
        };
        let here = usize::try_from(draft.copies(best.at, first)).unwrap_or(usize::MAX).min(rest.len());
        let (now, later) = rest.split_at(here);
        draft.take(best.at, now, placements);
        shelf.put(draft, best, first);
        rest = later;
    }
    Ok(())
}
