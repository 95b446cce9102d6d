//! Pod by pod, the node nearest to those that the gang has already, the fullest of equals: soft network topology as
//! Volcano's `network-topology-aware` plugin scores it (lowest common ancestor of the candidate and the job so far).
//! Gangs are whole or nothing. The first pod goes to the fullest node, wherever that is.

use super::whole::Choice;
use super::{Floor, Site};

/// Greedy by lowest common ancestor.
pub(crate) struct Nearest;

impl Choice for Nearest {
    fn nodes(&mut self, floor: &Floor, job: usize) -> Option<Vec<usize>> {
        let work = floor.work(job);
        if floor.copies(work.each) < work.pods {
            return None;
        }
        let mut free = floor.free().to_vec();
        let mut nodes: Vec<usize> = Vec::with_capacity(work.pods);
        for _ in 0..work.pods {
            let order = |at: &usize| (distance(floor.site(), &nodes, *at), free[*at], *at);
            let at = (0..free.len()).filter(|at| free[*at] >= work.each).min_by_key(order)?;
            free[at] -= work.each;
            nodes.push(at);
        }
        Some(nodes)
    }
}

/// Levels between a node and the nearest that holds all of the job so far and it: 0 is the node itself.
fn distance(site: &Site, nodes: &[usize], at: usize) -> usize {
    if nodes.iter().all(|other| *other == at) {
        return 0;
    }
    let shared = |level: &usize| {
        nodes.iter().all(|other| site.spots[*other].domain(*level) == site.spots[at].domain(*level))
    };
    let levels = site.levels.len();
    (0..levels).rev().find(shared).map_or(levels + 1, |level| levels - level)
}
