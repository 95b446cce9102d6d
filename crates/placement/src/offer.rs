//! The nodes that kube-scheduler offers for a pod: each name found in a view, in the order of the offer.
//!
//! Invariant: a [`Offered::Known`] is the place of the node that was named, in the very view that found it. Decides
//! nothing about the node.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::node_state::NodeState;

/// A node that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered<'a> {
    /// Its place among the nodes of the view.
    Known(usize),
    /// The name of one that the view does not have.
    Unknown(&'a str),
}

impl<'a> Offered<'a> {
    /// Place and state, if the view has it.
    pub(crate) fn known(self, nodes: &[Arc<NodeState>]) -> Option<(usize, &NodeState)> {
        match self {
            Offered::Known(place) => nodes.get(place).map(|state| (place, state.as_ref())),
            Offered::Unknown(_) => None,
        }
    }

    /// Its name; `nodes` are those of the view that found it.
    pub fn name<'n: 'a>(self, nodes: &'n [Arc<NodeState>]) -> &'a str {
        match self {
            Offered::Known(place) => nodes.get(place).map_or("", |state| state.node.name.as_str()),
            Offered::Unknown(name) => name,
        }
    }
}

/// Where the next name is looked for, as distances from the place expected.
const NEIGHBOURS: [isize; 5] = [0, 1, -1, 2, -2];

/// Finds one name after the other. Names come nearly in order, so the neighbours of the last hit are tried first: a
/// search of all names touches a dozen that no cache holds.
#[derive(Clone, Debug)]
pub struct Finder<'v> {
    nodes: &'v [Arc<NodeState>],
    expected: usize,
}

impl<'v> Finder<'v> {
    pub(crate) fn new(nodes: &'v [Arc<NodeState>]) -> Finder<'v> {
        Finder { nodes, expected: 0 }
    }

    /// The node whose name the text begins with, and what of the text comes after the name and `end`; only if the node
    /// is a neighbour of the last one. So names are found in a text without looking for where each of them ends.
    pub fn take_near<'t>(&mut self, text: &'t str, end: char) -> Option<(Offered<'t>, &'t str)> {
        let after = |at: &usize| {
            let name = self.nodes.get(*at)?.node.name.as_str();
            text.strip_prefix(name)?.strip_prefix(end).map(|rest| (*at, rest))
        };
        let near = NEIGHBOURS.iter().map(|offset| self.expected.wrapping_add_signed(*offset));
        let (at, rest) = near.into_iter().find_map(|at| after(&at))?;
        self.expected = at.saturating_add(1);
        Some((Offered::Known(at), rest))
    }

    /// The node of a name, wherever it is.
    pub fn find<'t>(&mut self, name: &'t str) -> Offered<'t> {
        let is = |at: &usize| self.nodes.get(*at).is_some_and(|s| s.node.name.as_str() == name);
        let near = NEIGHBOURS.iter().map(|offset| self.expected.wrapping_add_signed(*offset)).find(is);
        let Some(at) = near.or_else(|| position(self.nodes, name)) else { return Offered::Unknown(name) };
        self.expected = at.saturating_add(1);
        Offered::Known(at)
    }

    /// All of them.
    pub fn find_all<'t>(mut self, names: impl IntoIterator<Item = &'t str>) -> Vec<Offered<'t>> {
        names.into_iter().map(|name| self.find(name)).collect()
    }
}

/// The place of a name among nodes in order of name.
pub(crate) fn position(nodes: &[Arc<NodeState>], name: &str) -> Option<usize> {
    nodes.binary_search_by(|state| state.node.name.as_str().cmp(name)).ok()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may fail")]
mod tests {
    use super::*;
    use crate::ledger::Account;
    use crate::node::Node;
    use crate::resources::Resources;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    fn nodes(names: &[String]) -> Vec<Arc<NodeState>> {
        let node = |name: &String| Node {
            name: name.as_str().into(),
            labels: alloc::collections::BTreeMap::new(),
            taints: Vec::new(),
            cordoned: false,
            allocatable: Resources::default(),
            extended: alloc::collections::BTreeMap::new(),
        };
        let state = |name| NodeState::new(Arc::new(node(name)), None, Account::default(), Vec::new());
        names.iter().map(|name| Arc::new(state(name))).collect()
    }

    proptest! {
        /// Whatever came before, a name is found where a look at every node finds it, near or not; names that begin
        /// alike are not taken for each other.
        #[test]
        fn a_name_is_found_where_it_is(
            known in prop::collection::btree_set("a{0,3}b?", 0..8),
            asked in prop::collection::vec("a{0,3}b?", 0..20),
        ) {
            let known: Vec<String> = known.into_iter().collect();
            let nodes = nodes(&known);
            let mut finder = Finder::new(&nodes);
            for name in &asked {
                let naive = known.iter().position(|other| other == name);
                let text = format!("{name}\",rest");
                if let Some((node, rest)) = finder.clone().take_near(&text, '"') {
                    prop_assert_eq!((node, rest), (Offered::Known(naive.unwrap()), ",rest"));
                }
                let found = finder.find(name);
                prop_assert_eq!(found, naive.map_or(Offered::Unknown(name), Offered::Known));
                prop_assert_eq!(found.name(&nodes), name);
            }
        }
    }
}
