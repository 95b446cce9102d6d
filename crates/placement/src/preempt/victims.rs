//! Who has to go so that a gang fits: the least damage.
//!
//! Damage is compared in this order: pods on lent nodes before others, the highest priority hit, pods with GPUs, pods,
//! the age of the oldest victim (young ones have lost least), identity. The highest priority hit is exactly the lowest
//! possible, as far as the planner can tell. Among sets that hit it two searches are made, one by victim and one by
//! node, and each is freed of victims that turn out unneeded; so no victim can be spared without another one taking its
//! place, but a smaller set may exist: the exact one is a covering problem. Decides for whom the caller plans.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::ids::{NodeName, PodUid};
use crate::planner::Placement;
use crate::time::CreatedAt;

/// Looks at a node that one choice may cost; the rest of the victims are then taken as needed. Every plan looks at all
/// nodes, and the writer of the state waits for the choice.
const LOOKS: usize = 1 << 18;

/// Plans made for one choice at most; where nodes are many so many at least, or victims would go who are not needed.
const TRIES: (usize, usize) = (64, 1_000);

/// Somebody who can be sent away: a gang, a pod of no gang, or a member that its gang can do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// It is on nodes of the preemptor's own pool, lent to it: such go first.
    pub lent: bool,
    /// Priority.
    pub priority: i32,
    /// When its oldest pod was made.
    pub created: CreatedAt,
    /// Its pods, with their nodes.
    pub pods: BTreeMap<PodUid, NodeName>,
    /// How many of them have GPUs.
    pub gpu_pods: u64,
    /// Parts of one gang have the same number.
    pub gang: usize,
    /// Among equal parts of one gang, which goes first.
    pub turn: usize,
    /// What the gang cannot do without: the rest of the gang goes with it.
    pub core: bool,
}

/// Whom to send away, and the places that this gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Pods to evict, with their nodes; empty if the gang fits without.
    pub pods: BTreeMap<PodUid, NodeName>,
    /// How many gangs and single pods they belong to.
    pub parties: u64,
    /// Where the gang then goes.
    pub placements: Vec<Placement>,
}

/// The choice with least damage; `None` if the gang does not fit even without all of them. `fits` plans the gang as
/// if these pods were not there, on so many nodes.
pub fn choose(
    mut victims: Vec<Victim>,
    nodes: usize,
    fits: impl FnMut(&BTreeSet<PodUid>) -> Option<Vec<Placement>>,
) -> Option<Choice> {
    victims.sort_by(|a, b| weight(a).cmp(&weight(b)).then_with(|| (a.turn, &a.pods).cmp(&(b.turn, &b.pods))));
    let (least, most) = TRIES;
    let tries_left = LOOKS.checked_div(nodes).unwrap_or(most).clamp(least, most);
    let mut search = Search { victims: &victims, fits, tries_left };
    if let Some(placements) = search.without(&BTreeSet::new()) {
        return Some(Choice { pods: BTreeMap::new(), parties: 0, placements });
    }
    let mut levels: Vec<(bool, i32)> = victims.iter().map(level).collect();
    levels.dedup();
    let within = |k: usize| {
        victims.partition_point(|v| k.checked_sub(1).is_some_and(|k| levels.get(k) >= Some(&level(v))))
    };
    let (k, _) = search.smallest(levels.len(), |k| (0..within(k)).collect())?;
    let pool = within(k);
    let found = [search.by_victim(pool), search.by_node(pool)];
    let found = found.into_iter().flatten().map(|(set, places)| search.spare(set, places));
    let found: Vec<(Set, Vec<Placement>)> = found.collect();
    let (set, placements) = found.into_iter().min_by_key(|(set, _)| damage(&victims, set))?;
    let chosen = || set.iter().filter_map(|at| victims.get(*at));
    let parties = chosen().map(|v| v.gang).collect::<BTreeSet<usize>>().len() as u64;
    let pods = chosen().flat_map(|v| v.pods.clone()).collect();
    Some(Choice { pods, parties, placements })
}

/// Positions of victims, in order of their weight.
type Set = BTreeSet<usize>;

fn level(victim: &Victim) -> (bool, i32) {
    (!victim.lent, victim.priority)
}

/// What one victim weighs; the lighter goes first.
fn weight(victim: &Victim) -> ((bool, i32), u64, usize, Reverse<CreatedAt>) {
    (level(victim), victim.gpu_pods, victim.pods.len(), Reverse(victim.created))
}

/// Level, pods with GPUs, pods, age of the oldest, identity.
type Damage = (Option<(bool, i32)>, u64, usize, Reverse<Option<CreatedAt>>, Set);

/// What a set of victims weighs.
fn damage(victims: &[Victim], set: &Set) -> Damage {
    let chosen = || set.iter().filter_map(|at| victims.get(*at));
    let gpu_pods = chosen().fold(0u64, |sum, v| sum.saturating_add(v.gpu_pods));
    let pods = chosen().fold(0usize, |sum, v| sum.saturating_add(v.pods.len()));
    (chosen().map(level).max(), gpu_pods, pods, Reverse(chosen().map(|v| v.created).min()), set.clone())
}

struct Search<'v, F> {
    victims: &'v [Victim],
    fits: F,
    tries_left: usize,
}

impl<F: FnMut(&BTreeSet<PodUid>) -> Option<Vec<Placement>>> Search<'_, F> {
    /// Plans the gang as if a set of victims had gone.
    fn without(&mut self, set: &Set) -> Option<Vec<Placement>> {
        self.tries_left = self.tries_left.saturating_sub(1);
        let pods = set.iter().filter_map(|at| self.victims.get(*at)).flat_map(|v| v.pods.keys().cloned());
        (self.fits)(&pods.collect())
    }

    /// A set with everybody who goes along: a gang that loses what it cannot do without goes whole.
    fn whole(&self, mut set: Set) -> Set {
        let lost = set.iter().filter_map(|at| self.victims.get(*at)).filter(|v| v.core).map(|v| v.gang);
        let lost: BTreeSet<usize> = lost.collect();
        if !lost.is_empty() {
            set.extend(
                self.victims.iter().enumerate().filter(|(_, v)| lost.contains(&v.gang)).map(|(at, _)| at),
            );
        }
        set
    }

    /// The smallest `k` in `1..=n` for which the gang fits without `set(k)`, which grows with `k`.
    fn smallest(&mut self, n: usize, set: impl Fn(usize) -> Set) -> Option<(usize, (Set, Vec<Placement>))> {
        let (mut low, mut high) = (0, n);
        let all = self.whole(set(n));
        let mut best = (all.clone(), self.without(&all)?);
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            let part = self.whole(set(middle));
            match self.without(&part) {
                Some(places) => (high, best) = (middle, (part, places)),
                None => low = middle,
            }
        }
        (n > 0).then_some((high, best))
    }

    /// The lightest victims, as many as are needed.
    fn by_victim(&mut self, pool: usize) -> Option<(Set, Vec<Placement>)> {
        self.smallest(pool, |k| (0..k).collect()).map(|(_, found)| found)
    }

    /// The victims on the nodes that are cleared with least damage, as many nodes as are needed.
    fn by_node(&mut self, pool: usize) -> Option<(Set, Vec<Placement>)> {
        let mut nodes: BTreeMap<&NodeName, Set> = BTreeMap::new();
        for (at, victim) in self.victims.iter().enumerate().take(pool) {
            for node in victim.pods.values() {
                nodes.entry(node).or_default().insert(at);
            }
        }
        let mut order: Vec<Set> = nodes.into_values().map(|set| self.whole(set)).collect();
        order.sort_by_cached_key(|set| damage(self.victims, set));
        self.smallest(order.len(), |k| order.iter().take(k).flatten().copied().collect())
            .map(|(_, found)| found)
    }

    /// Spares those who are not needed, the heaviest first: those away from the nodes that the gang would use at
    /// once, then by halves.
    fn spare(&mut self, set: Set, places: Vec<Placement>) -> (Set, Vec<Placement>) {
        let nodes: BTreeSet<&NodeName> = places.iter().map(|p| &p.node).collect();
        let near = |v: &Victim| v.pods.values().any(|node| nodes.contains(node));
        let near: Set = set.iter().copied().filter(|at| self.victims.get(*at).is_some_and(near)).collect();
        let near = self.whole(near);
        let (mut set, mut places) = match self.without(&near) {
            Some(places) => (near, places),
            None => (set, places),
        };
        let mut order: Vec<usize> = set.iter().copied().collect();
        // A surplus member can only be spared after its gang's core has been.
        order.sort_by_key(|at| (self.victims.get(*at).is_none_or(|v| !v.core), Reverse(*at)));
        let mut open: Vec<Vec<usize>> = [order].to_vec();
        while let Some(part) = open.pop() {
            if self.tries_left == 0 {
                break;
            }
            let rest = self.whole(set.iter().copied().filter(|at| !part.contains(at)).collect());
            if rest.len() == set.len() {
                continue;
            }
            if let Some(found) = self.without(&rest) {
                (set, places) = (rest, found);
            } else if part.len() > 1 {
                let (heavy, light) = part.split_at(part.len().div_ceil(2));
                open.push(light.to_vec());
                open.push(heavy.to_vec());
            }
        }
        (set, places)
    }
}
