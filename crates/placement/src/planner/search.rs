//! A bounded, deterministic depth-first search, member by member: for gangs whose members have rules about other pods,
//! and for mixed gangs that do not fit when placed class by class.
//!
//! Members that are alike to every rule form a kind. The kind whose turn it is tries its nodes in the order in which
//! they are wanted; a state (how many of which kind on which node) that came to nothing is not entered again. The
//! work is bounded by a number of looks at a node, so "no" can mean "not found": [`Search::stuck`] says where the way
//! ended. Places nothing itself: the answer is taken on a draft.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::neighbours::{Rule, Tally};
use super::{Candidate, Site, Wish, eligible};
use crate::extras::ExtrasSum;
use crate::ids::Name;
use crate::pod::Pod;
use crate::resources::Resources;
use crate::score::Tie;

/// Looks at a node beyond those of one straight way down: some milliseconds.
const LOOKS: usize = 50_000;

/// Members that are alike.
struct Kind<'a> {
    pods: Vec<&'a Arc<Pod>>,
    candidates: Vec<Candidate>,
    /// Who is placed already, from the view of these pods; `None` where no rule concerns the gang.
    around: Option<Tally<'a>>,
    placed: usize,
}

/// Where the way ended: how many members were placed, for which kind there was no node, and what kept it from how
/// many nodes with room.
pub(super) struct Stuck<'a> {
    pub(super) placed: usize,
    pub(super) pod: &'a Arc<Pod>,
    pub(super) rules: BTreeMap<Rule, u64>,
}

/// A search in progress.
pub(super) struct Search<'a> {
    site: Site<'a>,
    /// Positions of nodes on which the gang is already: it grows there first.
    home_nodes: BTreeSet<usize>,
    kinds: Vec<Kind<'a>>,
    way: Vec<Step>,
    taken: BTreeMap<usize, (Resources, ExtrasSum)>,
    /// States that came to nothing.
    dead: BTreeSet<Vec<Step>>,
    looks_left: usize,
    /// The deepest place where the way ended.
    pub(super) stuck: Option<Stuck<'a>>,
}

/// Members on a node.
pub(super) type Group<'a> = (usize, Vec<&'a Arc<Pod>>);

/// One more member of a kind on a node: positions of both.
type Step = (usize, usize);

/// Why a node is taken first; the smaller is better. Field order is weight.
type Key = (Wish, (bool, u64), u64, bool, (bool, u64), Tie, usize);

/// What can still be tried from one state.
struct Turn {
    /// Nodes for the kind at `kind`, the best last.
    nodes: Vec<usize>,
    kind: usize,
}

impl<'a> Search<'a> {
    /// A search over members in classes, in the order in which they are to be tried.
    pub(super) fn new(site: Site<'a>, classes: &[Vec<&'a Arc<Pod>>]) -> Search<'a> {
        let mut kinds = Vec::new();
        let placed = site.neighbours.map(|n| n.positions(site.nodes));
        let keys = label_keys(site, classes);
        for class in classes {
            let Some(first) = class.first() else { continue };
            let candidates = eligible(site, first);
            for pods in alike_to_rules(&keys, class) {
                let around = placed.as_ref().zip(pods.first());
                let around = around.map(|(placed, pod)| Tally::new(site.nodes, pod, placed.iter().copied()));
                kinds.push(Kind { pods, candidates: candidates.clone(), around, placed: 0 });
            }
        }
        let straight = |kind: &Kind<'_>| kind.pods.len().saturating_mul(kind.candidates.len());
        // A gang without rules has been tried in a straight way before.
        let ruled = kinds.iter().filter(|kind| kind.around.is_some());
        let looks_left = ruled.map(straight).fold(LOOKS, usize::saturating_add);
        let (way, taken, dead) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Search { site, home_nodes: site.home(), kinds, way, taken, dead, looks_left, stuck: None }
    }

    /// Members on their nodes, those of one kind and node together; `None` if nothing was found.
    pub(super) fn run(&mut self) -> Option<Vec<Group<'a>>> {
        let members: usize = self.kinds.iter().map(|kind| kind.pods.len()).sum();
        let mut turns = Vec::from([Turn { nodes: Vec::new(), kind: 0 }]);
        self.fill(turns.first_mut()?);
        while self.way.len() < members {
            let turn = turns.last_mut()?;
            if let Some(at) = turn.nodes.pop() {
                self.put((turn.kind, at));
                if self.dead.contains(&self.state()) {
                    self.take_back();
                } else {
                    let mut next = Turn { nodes: Vec::new(), kind: 0 };
                    self.fill(&mut next);
                    turns.push(next);
                }
            } else if self.looks_left == 0 {
                return None;
            } else if self.order_matters() && turn.kind.saturating_add(1) < self.kinds.len() {
                turn.kind = turn.kind.saturating_add(1);
                self.fill(turn);
            } else {
                self.dead.insert(self.state());
                self.take_back();
                turns.pop();
            }
        }
        Some(self.answer())
    }

    /// Whether a kind for which there is no node now may find one after others were placed.
    fn order_matters(&self) -> bool {
        let depends = |kind: &Kind<'_>| kind.pods.first().is_some_and(|p| p.neighbours.depend_on_order());
        self.kinds.iter().any(|kind| kind.around.is_some() && depends(kind))
    }

    fn state(&self) -> Vec<Step> {
        let mut state = self.way.clone();
        state.sort_unstable();
        state
    }

    /// Looks up the nodes for the next kind, from `turn.kind` on, that has members left.
    fn fill(&mut self, turn: &mut Turn) {
        while self.kinds.get(turn.kind).is_some_and(|kind| kind.placed >= kind.pods.len()) {
            turn.kind = turn.kind.saturating_add(1);
        }
        let Some(kind) = self.kinds.get(turn.kind) else { return };
        let Some(pod) = kind.pods.get(kind.placed).copied() else { return };
        if kind.candidates.len() > self.looks_left {
            self.looks_left = 0;
            return;
        }
        self.looks_left = self.looks_left.saturating_sub(kind.candidates.len());
        let around = self.around(kind);
        let mut rules: BTreeMap<Rule, u64> = BTreeMap::new();
        let mut nodes: Vec<(Candidate, u64)> = Vec::new();
        for candidate in &kind.candidates {
            let copies = self.copies(candidate.at, pod);
            match around.as_ref().filter(|_| copies > 0).and_then(|around| around.forbids(candidate.at)) {
                Some(rule) => {
                    let count = rules.entry(rule).or_default();
                    *count = count.saturating_add(1);
                }
                None if copies > 0 => nodes.push((*candidate, copies)),
                None => {}
            }
        }
        let placed = self.way.len();
        if nodes.is_empty() && self.stuck.as_ref().is_none_or(|stuck| stuck.placed < placed) {
            self.stuck = Some(Stuck { placed, pod, rules });
        }
        turn.nodes = self.wanted(kind, pod, around.as_ref(), &nodes);
    }

    /// The nodes, the one wanted most last.
    fn wanted(
        &self,
        kind: &Kind<'_>,
        pod: &Pod,
        around: Option<&Tally<'_>>,
        nodes: &[(Candidate, u64)],
    ) -> Vec<usize> {
        let left = kind.pods.len().saturating_sub(kind.placed) as u64;
        let fit = |copies: u64| {
            (copies < left, if copies < left { u64::MAX.saturating_sub(copies) } else { copies })
        };
        let homes = self.homes(pod, nodes);
        let home = |at: usize| self.home(pod, at).and_then(|name| homes.get(name)).map(|room| fit(*room));
        let key = |(c, copies): &(Candidate, u64)| -> Key {
            let crowd = around.map_or(0, |around| around.crowd(c.at));
            let new = !self.taken.contains_key(&c.at) && !self.home_nodes.contains(&c.at);
            (c.wish, home(c.at).unwrap_or_default(), crowd, new, fit(*copies), c.tie, c.at)
        };
        let mut keys: Vec<Key> = nodes.iter().map(key).collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys.into_iter().map(|(.., at)| at).collect()
    }

    /// For a pod that wants others near: how many like it fit into each place. The first one decides for all.
    fn homes(&self, pod: &Pod, nodes: &[(Candidate, u64)]) -> BTreeMap<&'a Name, u64> {
        let mut homes = BTreeMap::new();
        for (candidate, copies) in nodes {
            if let Some(name) = self.home(pod, candidate.at) {
                let room: &mut u64 = homes.entry(name).or_default();
                *room = room.saturating_add(*copies);
            }
        }
        homes
    }

    fn home(&self, pod: &Pod, at: usize) -> Option<&'a Name> {
        let key = &pod.neighbours.near.first()?.topology_key;
        let nodes: &'a [_] = self.site.nodes;
        nodes.get(at)?.node.labels.get(key)
    }

    fn around(&self, kind: &Kind<'a>) -> Option<Tally<'a>> {
        let mut around = kind.around.clone()?;
        for (other, at) in &self.way {
            if let Some(pod) = self.kinds.get(*other).and_then(|k| k.pods.first()) {
                around.add(*at, pod);
            }
        }
        Some(around)
    }

    fn copies(&self, at: usize, pod: &Pod) -> u64 {
        let Some(state) = self.site.nodes.get(at) else { return 0 };
        match self.taken.get(&at) {
            None => state.copies(pod, &state.free, &ExtrasSum::default()),
            Some((amount, extras)) => state.copies(pod, &state.free.minus(*amount), extras),
        }
    }

    fn put(&mut self, (kind, at): Step) {
        let Some(placed) = self.kinds.get_mut(kind) else { return };
        let Some(pod) = placed.pods.first() else { return };
        placed.placed = placed.placed.saturating_add(1);
        let (amount, extras) = self.taken.entry(at).or_default();
        *amount = amount.plus(pod.request);
        extras.add(&pod.extras, 1);
        self.way.push((kind, at));
    }

    fn take_back(&mut self) {
        let Some((kind, at)) = self.way.pop() else { return };
        let Some(placed) = self.kinds.get_mut(kind) else { return };
        placed.placed = placed.placed.saturating_sub(1);
        let Some(pod) = placed.pods.first() else { return };
        if self.way.iter().all(|(_, other)| *other != at) {
            self.taken.remove(&at);
        } else if let Some((amount, extras)) = self.taken.get_mut(&at) {
            *amount = amount.minus(pod.request);
            extras.remove(&pod.extras);
        }
    }

    /// The members of each kind in their order, nodes in the order in which the way came to them.
    fn answer(&self) -> Vec<Group<'a>> {
        let mut answer: Vec<Group<'a>> = Vec::new();
        for (position, kind) in self.kinds.iter().enumerate() {
            let mut nodes: Vec<(usize, usize)> = Vec::new();
            for (_, at) in self.way.iter().filter(|(k, _)| *k == position) {
                match nodes.iter_mut().find(|(node, _)| node == at) {
                    Some((_, count)) => *count = count.saturating_add(1),
                    None => nodes.push((*at, 1)),
                }
            }
            let mut pods = kind.pods.iter().copied();
            answer.extend(nodes.into_iter().map(|(at, count)| (at, pods.by_ref().take(count).collect())));
        }
        answer
    }
}

/// Label keys of members at which some rule looks.
fn label_keys(site: Site<'_>, classes: &[Vec<&Arc<Pod>>]) -> BTreeSet<Name> {
    let Some(neighbours) = site.neighbours else { return BTreeSet::new() };
    let members = classes.iter().flatten().flat_map(|pod| pod.neighbours.keys());
    members.chain(neighbours.pods().flat_map(|pod| pod.neighbours.keys())).cloned().collect()
}

/// A class cut into pods with the same labels as far as rules look at them, each part in the order of the class.
fn alike_to_rules<'a>(keys: &BTreeSet<Name>, class: &[&'a Arc<Pod>]) -> Vec<Vec<&'a Arc<Pod>>> {
    let mut kinds: Vec<Vec<&'a Arc<Pod>>> = Vec::new();
    for pod in class {
        let alike = |other: &&Arc<Pod>| keys.iter().all(|k| other.labels.get(k) == pod.labels.get(k));
        match kinds.iter_mut().find(|kind| kind.first().is_some_and(alike)) {
            Some(kind) => kind.push(pod),
            None => kinds.push([*pod].to_vec()),
        }
    }
    kinds
}
