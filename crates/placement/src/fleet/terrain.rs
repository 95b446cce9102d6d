//! Which nodes form which domain, level by level: a tree, laid out so that every domain is a range.
//!
//! Nodes stand in *places*: ordered by the values of their labels from the widest level to the narrowest, then by name.
//! Depth 0 is the whole cluster, the last depth is the hosts. A domain is known by its whole path, so equal rack names in two blocks are two racks. A
//! node without the label of a level is a domain of its own there: an unknown place is not a near one. Knows nothing of
//! what is free.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::ids::Name;
use crate::level::{Level, is_host};
use crate::node_state::NodeState;

/// A domain: how deep in the tree, and which one there, in order of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Domain {
    pub(crate) depth: usize,
    pub(crate) index: usize,
}

/// The domains of some nodes.
#[derive(Clone, Debug, Default)]
pub struct Terrain {
    /// Levels that a node carries, the widest first; level `n` has depth `n + 1`.
    levels: Vec<Level>,
    /// Position among the nodes, by place.
    at: Vec<usize>,
    /// Place, by position.
    places: Vec<usize>,
    /// By depth, hosts left out.
    layers: Vec<Layer>,
}

/// The domains of one depth.
#[derive(Clone, Debug, Default)]
struct Layer {
    /// First place of each domain, and the end of the last one.
    starts: Vec<usize>,
    /// Domain, by place.
    of: Vec<u32>,
}

impl Terrain {
    /// Orders nodes, given by name, by their domains.
    pub fn new(nodes: &[Arc<NodeState>], levels: &[Level]) -> Terrain {
        let carried = |level: &&Level| nodes.iter().any(|s| s.node.labels.contains_key(level.key.as_str()));
        let levels: Vec<Level> = levels.iter().filter(carried).cloned().collect();
        let columns: Vec<Vec<u32>> = levels.iter().map(|level| column(nodes, &level.key)).collect();
        let path = |at: usize| columns.iter().map(move |column| column.get(at).copied().unwrap_or_default());
        let mut at: Vec<usize> = (0..nodes.len()).collect();
        if !levels.is_empty() {
            at.sort_by(|a, b| path(*a).cmp(path(*b)).then(a.cmp(b)));
        }
        let mut places = alloc::vec![0; nodes.len()];
        for (place, position) in at.iter().enumerate() {
            if let Some(slot) = places.get_mut(*position) {
                *slot = place;
            }
        }
        let layers = (0..=levels.len()).map(|depth| Layer::new(&at, columns.get(..depth))).collect();
        Terrain { levels, at, places, layers }
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    /// The depth of the hosts.
    pub(crate) fn hosts(&self) -> usize {
        self.layers.len()
    }

    /// The depth of a level, by its name or label; `None` if no node carries it.
    pub(crate) fn depth(&self, word: &Name) -> Option<usize> {
        if is_host(word) {
            return Some(self.hosts());
        }
        self.levels.iter().position(|level| level.is(word)).map(|at| at.saturating_add(1))
    }

    /// Position among the nodes of a place.
    pub(crate) fn at(&self, place: usize) -> usize {
        self.at.get(place).copied().unwrap_or(usize::MAX)
    }

    /// Place of a position among the nodes.
    pub(crate) fn place(&self, at: usize) -> usize {
        self.places.get(at).copied().unwrap_or(usize::MAX)
    }

    /// The domain of a place at a depth.
    pub(crate) fn index(&self, depth: usize, place: usize) -> usize {
        let layer = self.layers.get(depth);
        layer.map_or(place, |layer| layer.of.get(place).map_or(usize::MAX, |index| *index as usize))
    }

    /// Places of a domain.
    pub(crate) fn range(&self, domain: Domain) -> Range<usize> {
        let next = domain.index.saturating_add(1);
        let Some(layer) = self.layers.get(domain.depth) else { return domain.index..next };
        let start = |index: usize| layer.starts.get(index).copied().unwrap_or(self.len());
        start(domain.index)..start(next)
    }

    /// The domains of a deeper level, or of the same, that a domain consists of.
    pub(crate) fn inside(&self, domain: Domain, depth: usize) -> Range<usize> {
        let range = self.range(domain);
        match range.end.checked_sub(1).filter(|last| *last >= range.start) {
            Some(last) => self.index(depth, range.start)..self.index(depth, last).saturating_add(1),
            None => 0..0,
        }
    }

    /// How many domains a depth above the hosts has.
    pub(crate) fn count(&self, depth: usize) -> usize {
        self.layers.get(depth).map_or(self.len(), |layer| layer.starts.len().saturating_sub(1))
    }
}

/// A number for the value of a label on each node, in order of values. A node without it has a number of its own.
fn column(nodes: &[Arc<NodeState>], key: &Name) -> Vec<u32> {
    let mut numbers: BTreeMap<&Name, u32> =
        nodes.iter().filter_map(|s| s.node.labels.get(key.as_str())).map(|value| (value, 0)).collect();
    for (number, slot) in (0..).zip(numbers.values_mut()) {
        *slot = number;
    }
    let mut alone = u32::try_from(numbers.len()).unwrap_or(u32::MAX)..;
    let number = |s: &Arc<NodeState>| {
        let shared = s.node.labels.get(key.as_str()).and_then(|value| numbers.get(value).copied());
        shared.or_else(|| alone.next()).unwrap_or(u32::MAX)
    };
    nodes.iter().map(number).collect()
}

impl Layer {
    /// The domains of places by these columns of numbers, which are by position.
    fn new(at: &[usize], columns: Option<&[Vec<u32>]>) -> Layer {
        let columns = columns.unwrap_or_default();
        let path = |at: usize| columns.iter().map(move |column| column.get(at).copied());
        let mut layer = Layer::default();
        let mut last: Option<usize> = None;
        for (place, position) in at.iter().enumerate() {
            if last.is_none_or(|last| !path(last).eq(path(*position))) {
                layer.starts.push(place);
            }
            last = Some(*position);
            layer.of.push(u32::try_from(layer.starts.len().saturating_sub(1)).unwrap_or(u32::MAX));
        }
        layer.starts.push(at.len());
        layer
    }
}
