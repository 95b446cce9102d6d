//! Kueue's topology aware scheduling, best fit, preferred all the way up.
//!
//! As its `FindTopologyAssignments` has it: the lowest
//! level at which one domain takes the whole gang, there the domain with least room that does; if none does, the
//! fewest domains of the widest level, roomiest first and the last one as tight as will do; then the same inside
//! each, level by level. Counters are reckoned anew for each gang.

use std::collections::BTreeMap;

use super::whole::Choice;
use super::{Floor, Site, Work};

/// Kueue-like best fit.
pub(crate) struct Tas;

impl Choice for Tas {
    fn nodes(&mut self, floor: &Floor, job: usize) -> Option<Vec<usize>> {
        let work = floor.work(job);
        if floor.copies(work.each) < work.pods {
            return None;
        }
        let fit: Vec<usize> = floor.free().iter().map(|free| copies(*free, work)).collect();
        let site = floor.site();
        let all: Vec<usize> = (0..site.spots.len()).collect();
        let mut start = vec![(all.clone(), work.pods)];
        for level in (0..=site.levels.len()).rev() {
            let domains = groups(site, &all, level);
            let room = |nodes: &Vec<usize>| nodes.iter().map(|at| fit[*at]).sum::<usize>();
            let tightest = domains.into_iter().filter(|d| room(d) >= work.pods).min_by_key(room);
            if let Some(nodes) = tightest {
                start = vec![(nodes, work.pods)];
                break;
            }
        }
        Some(descend(site, &fit, start))
    }
}

fn copies(free: u64, work: &Work) -> usize {
    usize::try_from(free / work.each.max(1)).unwrap_or(usize::MAX)
}

/// Nodes of each domain of a level; below the last one each node is a domain.
fn groups(site: &Site, nodes: &[usize], level: usize) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for at in nodes {
        groups.entry(site.spots[*at].domain(level)).or_default().push(*at);
    }
    groups.into_values().collect()
}

/// Hands pods out down to the nodes, domain by domain.
fn descend(site: &Site, fit: &[usize], mut domains: Vec<(Vec<usize>, usize)>) -> Vec<usize> {
    for level in 0..=site.levels.len() {
        let inside = |(nodes, pods): &(Vec<usize>, usize)| spread(groups(site, nodes, level), fit, *pods);
        domains = domains.iter().flat_map(inside).collect();
    }
    domains
        .iter()
        .flat_map(|(nodes, pods)| nodes.iter().copied().flat_map(|at| std::iter::repeat_n(at, *pods)))
        .collect()
}

/// The fewest of these domains: the roomiest first, the last one as tight as will do.
fn spread(mut domains: Vec<Vec<usize>>, fit: &[usize], mut pods: usize) -> Vec<(Vec<usize>, usize)> {
    let room = |nodes: &Vec<usize>| nodes.iter().map(|at| fit[*at]).sum::<usize>();
    let mut chosen = Vec::new();
    while pods > 0 && !domains.is_empty() {
        let takes_all =
            (0..domains.len()).filter(|at| room(&domains[*at]) >= pods).min_by_key(|at| room(&domains[*at]));
        let roomiest = || (0..domains.len()).max_by_key(|at| (room(&domains[*at]), std::cmp::Reverse(*at)));
        let Some(at) = takes_all.or_else(roomiest) else { break };
        let nodes = domains.remove(at);
        let here = room(&nodes).min(pods);
        pods -= here;
        if here > 0 {
            chosen.push((nodes, here));
        }
    }
    chosen
}
