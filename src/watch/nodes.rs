//! Nodes → events.

use k8s_openapi::api::core::v1::Node;
use kube::runtime::watcher;
use muster_placement::Event;
use muster_placement::ids::NodeName;

use super::relist::Relist;
use crate::translate;

/// Nodes known.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    relist: Relist<NodeName>,
}

impl Nodes {
    pub(super) fn observe(&mut self, event: watcher::Event<Node>) -> Vec<Event> {
        match event {
            watcher::Event::Init => {
                self.relist.begin();
                Vec::new()
            }
            watcher::Event::InitApply(node) | watcher::Event::Apply(node) => {
                let node = translate::node(&node);
                self.relist.seen(node.name.clone());
                vec![Event::NodeSeen(Box::new(node))]
            }
            watcher::Event::Delete(node) => {
                let name = NodeName::from(node.metadata.name.as_deref().unwrap_or_default());
                if self.relist.gone(&name) { vec![Event::NodeGone(name)] } else { Vec::new() }
            }
            watcher::Event::InitDone => self.relist.finish().into_iter().map(Event::NodeGone).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_that_a_new_list_lacks_is_gone() {
        let node =
            |name: &str| -> Node { serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap() };
        let mut nodes = Nodes::default();
        nodes.observe(watcher::Event::Init);
        nodes.observe(watcher::Event::InitApply(node("a")));
        nodes.observe(watcher::Event::InitApply(node("b")));
        assert!(nodes.observe(watcher::Event::InitDone).is_empty());
        nodes.observe(watcher::Event::Init);
        nodes.observe(watcher::Event::InitApply(node("b")));
        let events = nodes.observe(watcher::Event::InitDone);
        assert!(matches!(events.as_slice(), [Event::NodeGone(name)] if name.as_str() == "a"));
        let events = nodes.observe(watcher::Event::Delete(node("b")));
        assert!(matches!(events.as_slice(), [Event::NodeGone(name)] if name.as_str() == "b"));
        assert!(nodes.observe(watcher::Event::Delete(node("b"))).is_empty());
    }
}
