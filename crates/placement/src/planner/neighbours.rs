//! What the rules among pods say of a node, as kube-scheduler's `InterPodAffinity` and `PodTopologySpread` would.
//!
//! [`Neighbourhood`] holds the pods that have a place and that a rule can be about: bound ones and those of released
//! plans. Without one, no rule concerns the gang and nothing here runs. [`Tally`] is what upstream calls the `PreFilter`
//! state of one pod: how often each place is taken by pods that matter to it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{Name, NodeName};
use crate::node_state::NodeState;
use crate::pod::Pod;

/// Pods that have a place, as far as a rule of the gang speaks of them or a rule of theirs of the gang.
#[derive(Clone, Debug, Default)]
pub struct Neighbourhood {
    placed: Vec<(NodeName, Arc<Pod>)>,
}

/// The rule that keeps a pod from a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// Pod affinity by this key.
    Near(Name),
    /// The pod's own anti-affinity by this key.
    Apart(Name),
    /// Anti-affinity of a pod that is there.
    Unwelcome(Name),
    /// Topology spread by this key.
    Spread(Name),
}

impl Neighbourhood {
    /// The pods among those placed that matter to `members`; `None` if neither a member has a rule nor a placed pod
    /// has one that speaks of a member. `apart` are the placed pods that have anti-affinity terms.
    pub fn of<'p>(
        members: &[Arc<Pod>],
        mut apart: impl Iterator<Item = &'p Arc<Pod>>,
        placed: impl Iterator<Item = (&'p NodeName, &'p Arc<Pod>)>,
    ) -> Option<Neighbourhood> {
        let concerned = members.iter().any(|m| !m.neighbours.is_empty())
            || apart.any(|other| members.iter().any(|m| unwelcome(other, m)));
        if !concerned {
            return None;
        }
        // Members of one template have the same rules, and whom they mean does not depend on the member.
        let mut speakers: Vec<&Arc<Pod>> = Vec::new();
        for member in members.iter().filter(|m| !m.neighbours.is_empty()) {
            if !speakers.iter().any(|s| s.neighbours == member.neighbours && s.namespace == member.namespace)
            {
                speakers.push(member);
            }
        }
        let matters = |other: &Pod| {
            speakers.iter().any(|s| s.neighbours.mean(s, other))
                || members.iter().any(|member| unwelcome(other, member))
        };
        let placed = placed.filter(|(_, other)| matters(other));
        Some(Neighbourhood { placed: placed.map(|(node, pod)| (node.clone(), pod.clone())).collect() })
    }

    /// The pods.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.placed.iter().map(|(_, pod)| pod)
    }

    /// The pods and their positions in `nodes`, which are sorted by name.
    pub(super) fn positions(&self, nodes: &[Arc<NodeState>]) -> Vec<(usize, &Arc<Pod>)> {
        let at = |name: &NodeName| nodes.binary_search_by(|s| s.node.name.cmp(name)).ok();
        self.placed.iter().filter_map(|(node, pod)| Some((at(node)?, pod))).collect()
    }
}

/// Whether a pod that has a place keeps others like `pod` away.
fn unwelcome(placed: &Pod, pod: &Pod) -> bool {
    placed.neighbours.apart.iter().any(|term| term.means(pod))
}

/// Pods counted by place: a label key of nodes and its value.
type Places = BTreeMap<(Name, Name), u64>;

/// How often each place is taken, from the view of one pod.
#[derive(Clone)]
pub(super) struct Tally<'a> {
    pod: &'a Pod,
    nodes: &'a [Arc<NodeState>],
    /// Pods of which all affinity terms speak.
    near: Places,
    /// Pods of which one of its anti-affinity terms speaks.
    apart: Places,
    /// Anti-affinity terms of others that speak of it.
    unwelcome: Places,
    /// For each spread constraint the pods in each of its domains.
    spread: Vec<BTreeMap<Name, u64>>,
}

impl<'a> Tally<'a> {
    /// Counts the pods that have a place.
    pub(super) fn new<'p>(
        nodes: &'a [Arc<NodeState>],
        pod: &'a Pod,
        placed: impl IntoIterator<Item = (usize, &'p Arc<Pod>)>,
    ) -> Tally<'a> {
        let mut tally = Tally {
            pod,
            nodes,
            near: Places::new(),
            apart: Places::new(),
            unwelcome: Places::new(),
            spread: domains(nodes, pod),
        };
        for (at, other) in placed {
            tally.add(at, other);
        }
        tally
    }

    /// Counts one more pod that has a place.
    pub(super) fn add(&mut self, at: usize, other: &Pod) {
        let Some(state) = self.nodes.get(at) else { return };
        let rules = &self.pod.neighbours;
        let near = !rules.near.is_empty() && rules.near.iter().all(|term| term.means(other));
        count(&mut self.near, state, rules.near.iter().filter(|_| near).map(|term| &term.topology_key));
        let apart = rules.apart.iter().filter(|term| term.means(other));
        count(&mut self.apart, state, apart.map(|term| &term.topology_key));
        let unwelcome = other.neighbours.apart.iter().filter(|term| term.means(self.pod));
        count(&mut self.unwelcome, state, unwelcome.map(|term| &term.topology_key));
        if !has_all_keys(state, self.pod) {
            return;
        }
        for (spread, domains) in rules.spread.iter().zip(&mut self.spread) {
            if spread.includes(self.pod, state)
                && spread.counts(self.pod, other)
                && let Some(pods) = value(state, &spread.topology_key).and_then(|v| domains.get_mut(v))
            {
                *pods = pods.saturating_add(1);
            }
        }
    }

    /// The first rule that keeps the pod from a node.
    pub(super) fn forbids(&self, at: usize) -> Option<Rule> {
        let state = self.nodes.get(at)?;
        let rules = &self.pod.neighbours;
        let taken = |places: &Places, key: &Name| taken(places, state, key);
        if let Some(term) = rules.near.iter().find(|term| !taken(&self.near, &term.topology_key)) {
            // The first pod of a series whose pods want each other may go anywhere with such labels.
            let first = self.near.is_empty()
                && rules.near.iter().all(|t| t.means(self.pod) && value(state, &t.topology_key).is_some());
            if !first {
                return Some(Rule::Near(term.topology_key.clone()));
            }
        }
        if let Some(term) = rules.apart.iter().find(|term| taken(&self.apart, &term.topology_key)) {
            return Some(Rule::Apart(term.topology_key.clone()));
        }
        if let Some((key, _)) = self.unwelcome.keys().find(|(key, _)| taken(&self.unwelcome, key)) {
            return Some(Rule::Unwelcome(key.clone()));
        }
        let skewed = rules.spread.iter().zip(&self.spread).find(|(spread, domains)| {
            let Some(value) = value(state, &spread.topology_key) else { return true };
            let few = (domains.len() as u64) < spread.min_domains;
            let emptiest = if few { 0 } else { domains.values().copied().min().unwrap_or(0) };
            let own = u64::from(spread.pods.admits(&self.pod.labels));
            let here = domains.get(value).copied().unwrap_or(0).saturating_add(own);
            here.saturating_sub(emptiest) > spread.max_skew
        });
        skewed.map(|(spread, _)| Rule::Spread(spread.topology_key.clone()))
    }

    /// Pods that share a domain of a spread constraint with this node: the fewer, the longer the spread stays even.
    pub(super) fn crowd(&self, at: usize) -> u64 {
        let Some(state) = self.nodes.get(at) else { return 0 };
        let pods = |(spread, domains): (&crate::spread::Spread, &BTreeMap<Name, u64>)| {
            value(state, &spread.topology_key).and_then(|value| domains.get(value)).copied().unwrap_or(0)
        };
        self.pod.neighbours.spread.iter().zip(&self.spread).map(pods).fold(0, u64::saturating_add)
    }
}

/// The domains of each spread constraint, with no pods yet: those of nodes that have the keys of all constraints.
fn domains(nodes: &[Arc<NodeState>], pod: &Pod) -> Vec<BTreeMap<Name, u64>> {
    let of = |spread: &crate::spread::Spread| {
        let counted = nodes.iter().filter(|s| has_all_keys(s, pod) && spread.includes(pod, s));
        counted.filter_map(|s| Some((value(s, &spread.topology_key)?.clone(), 0))).collect()
    };
    pod.neighbours.spread.iter().map(of).collect()
}

fn has_all_keys(state: &NodeState, pod: &Pod) -> bool {
    pod.neighbours.spread.iter().all(|spread| value(state, &spread.topology_key).is_some())
}

fn value<'s>(state: &'s NodeState, key: &Name) -> Option<&'s Name> {
    state.node.labels.get(key)
}

fn count<'k>(places: &mut Places, state: &NodeState, keys: impl Iterator<Item = &'k Name>) {
    for key in keys {
        if let Some(value) = value(state, key) {
            let pods = places.entry((key.clone(), value.clone())).or_default();
            *pods = pods.saturating_add(1);
        }
    }
}

fn taken(places: &Places, state: &NodeState, key: &Name) -> bool {
    value(state, key).is_some_and(|value| places.contains_key(&(key.clone(), value.clone())))
}
