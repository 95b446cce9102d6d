//! The best that a gang can be placed: fewest domains of the widest level, then fewest of the next, down to nodes.
//!
//! Exact, by dynamic programming over the tree: how cheaply each domain takes k pods follows from how cheaply its parts
//! do, since the counts of different parts add up and adding keeps the order.

use std::collections::BTreeMap;

use crate::studies::replay::Site;

/// Domains used at each level, widest first, then nodes; compared in this order.
pub(super) type Cost = Vec<usize>;

/// The least cost of so many pods of so many units, if they fit.
pub(super) fn least(site: &Site, pods: usize, each: u64) -> Option<Cost> {
    let all: Vec<usize> = (0..site.spots.len()).collect();
    inside(site, &all, 0, pods, each).pop().flatten()
}

/// The least cost of 0, 1, … pods on these nodes, which are one domain of the level above `level`.
fn inside(site: &Site, nodes: &[usize], level: usize, pods: usize, each: u64) -> Vec<Option<Cost>> {
    let depth = site.levels.len() + 1;
    let mut least: Vec<Option<Cost>> = vec![None; pods + 1];
    least[0] = Some(vec![0; depth]);
    for part in parts(site, nodes, level) {
        let mut costs = match part.as_slice() {
            [node] if level == site.levels.len() => on_node(site, *node, pods, each, depth),
            nodes => inside(site, nodes, level + 1, pods, each),
        };
        for cost in costs.iter_mut().skip(1).flatten() {
            cost[level] += 1;
        }
        least = together(&least, &costs);
    }
    least
}

fn on_node(site: &Site, node: usize, pods: usize, each: u64, depth: usize) -> Vec<Option<Cost>> {
    let fit = usize::try_from(site.spots[node].gpus / each.max(1)).unwrap_or(usize::MAX);
    (0..=pods).map(|k| (k <= fit).then(|| vec![0; depth])).collect()
}

/// The nodes of each domain of a level; below the last level each node by itself.
fn parts(site: &Site, nodes: &[usize], level: usize) -> Vec<Vec<usize>> {
    let mut parts: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for node in nodes {
        parts.entry(site.spots[*node].domain(level)).or_default().push(*node);
    }
    parts.into_values().collect()
}

fn together(a: &[Option<Cost>], b: &[Option<Cost>]) -> Vec<Option<Cost>> {
    let sum = |a: &Cost, b: &Cost| a.iter().zip(b).map(|(a, b)| a + b).collect::<Cost>();
    let split = |k: usize, i: usize| Some(sum(a[i].as_ref()?, b[k - i].as_ref()?));
    (0..a.len()).map(|k| (0..=k).filter_map(|i| split(k, i)).min()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::{Concern, Dice};
    use crate::studies::exact_trees::{cost_of, random_tree};

    /// Every way to hand the pods out.
    fn by_trying_all(site: &Site, pods: usize, each: u64) -> Option<Cost> {
        fn go(
            site: &Site,
            node: usize,
            pods: usize,
            each: u64,
            taken: &mut Vec<usize>,
            best: &mut Option<Cost>,
        ) {
            let Some(spot) = site.spots.get(node) else {
                if pods == 0 {
                    let cost = cost_of(site, taken);
                    if best.as_ref().is_none_or(|b| cost < *b) {
                        *best = Some(cost);
                    }
                }
                return;
            };
            let fit = usize::try_from(spot.gpus / each).unwrap().min(pods);
            for here in 0..=fit {
                taken.extend(std::iter::repeat_n(node, here));
                go(site, node + 1, pods - here, each, taken, best);
                taken.truncate(taken.len() - here);
            }
        }
        let mut best = None;
        go(site, 0, pods, each, &mut Vec::new(), &mut best);
        best
    }

    #[test]
    fn nothing_is_better() {
        let mut dice = Dice::new(1, Concern::Users);
        let mut fit = 0;
        for _ in 0..150 {
            let site = random_tree(&mut dice);
            let (pods, each) = (2 + usize::try_from(dice.below(5)).unwrap(), 1 << dice.below(4));
            let least = least(&site, pods, each);
            fit += usize::from(least.is_some());
            assert_eq!(least, by_trying_all(&site, pods, each), "{site:?} {pods} x {each}");
        }
        assert!(fit > 50, "{fit} of 150 trees have room");
    }
}
