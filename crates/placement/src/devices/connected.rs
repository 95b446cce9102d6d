//! A guess for nodes whose device plugin is not known: the best connected set of k free GPUs by the reported link
//! matrix.
//!
//! Exhaustive over subsets, since a node has at most 16 GPUs; a set's quality is the sum of the bandwidths
//! of its pairs, and ties go to the set with the lowest positions. The device plugin makes the real choice
//! (it cannot be told); the set chosen here is assumed until the node says otherwise.

use alloc::vec::Vec;

use crate::inventory::Inventory;

/// Subsets are enumerated only up to this many; beyond, the first free GPUs are taken.
const SUBSETS_MAX: u64 = 20_000;

/// The best connected `k` of the `free` positions, ascending. `None` if there are fewer than `k`.
pub fn best_set(inventory: &Inventory, free: &[usize], k: usize) -> Option<Vec<usize>> {
    if free.len() < k {
        return None;
    }
    let all_alike = inventory.link_gbps.is_empty() || k == 0 || k == free.len();
    if all_alike || binomial(free.len(), k) > SUBSETS_MAX {
        return Some(free.iter().copied().take(k).collect());
    }
    if k == 1 {
        return least_linked(inventory, free).map(|g| [g].to_vec());
    }
    let mut search = Search { inventory, free, k, chosen: Vec::with_capacity(k), best: None };
    search.extend(0, 0);
    search.best.map(|(_, set)| set)
}

/// The free GPU whose going hurts the others least: lowest sum of links to the other free ones.
fn least_linked(inventory: &Inventory, free: &[usize]) -> Option<usize> {
    let links = |g: usize| free.iter().map(|o| u64::from(inventory.link(g, *o))).fold(0, u64::saturating_add);
    free.iter().copied().min_by_key(|g| (links(*g), *g))
}

struct Search<'a> {
    inventory: &'a Inventory,
    free: &'a [usize],
    k: usize,
    chosen: Vec<usize>,
    best: Option<(u64, Vec<usize>)>,
}

impl Search<'_> {
    fn extend(&mut self, from: usize, sum: u64) {
        if self.chosen.len() == self.k {
            if self.best.as_ref().is_none_or(|(most, _)| sum > *most) {
                self.best = Some((sum, self.chosen.clone()));
            }
            return;
        }
        for at in from..self.free.len() {
            let Some(gpu) = self.free.get(at).copied() else { return };
            let added = self.chosen.iter().map(|o| u64::from(self.inventory.link(*o, gpu)));
            let sum = added.fold(sum, u64::saturating_add);
            self.chosen.push(gpu);
            self.extend(at.saturating_add(1), sum);
            self.chosen.pop();
        }
    }
}

fn binomial(n: usize, k: usize) -> u64 {
    let k = k.min(n.saturating_sub(k)) as u64;
    let n = n as u64;
    (1..=k).fold(1u64, |product, i| {
        product.saturating_mul(n.saturating_sub(k).saturating_add(i)).checked_div(i).unwrap_or(u64::MAX)
    })
}
