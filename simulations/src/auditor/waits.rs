//! Nobody waits without need: a gang that has had a place for long, by all that was told, has been let go, and one
//! that waits has a reason.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_placement::View;
use muster_placement::gang::Phase;
use muster_placement::ids::GangId;
use muster_placement::ledger::Account;
use muster_placement::node_state::NodeState;
use muster_placement::planner::{Site, plan};
use muster_placement::pod::Pod;
use muster_placement::time::{Span, Time};

use super::Auditor;

const LOOK_EVERY: Span = Span(15_000);
/// Twice the longest time for which a node may be left out for a gang.
const LONG: Span = Span(120_000);
/// Members that are still on their way need no reason.
const FRESH: Span = Span(10_000);

impl Auditor {
    /// Looks at those who wait, now and then.
    pub(crate) fn look_at_waits(&mut self, view: &dyn Fn() -> View) {
        if self.now.since(self.looked_at_waits) < LOOK_EVERY {
            return;
        }
        self.looked_at_waits = self.now;
        let view = view();
        // Room that is kept for another gang is not free.
        let kept = view.reservation.is_some() || !view.promises.is_empty();
        let fitting = if kept { BTreeSet::new() } else { self.could_start() };
        self.refused_since.retain(|gang, _| fitting.contains(gang));
        let mut long = Vec::new();
        for gang in fitting {
            let since = self.refused_since.entry(gang.clone()).or_insert(self.now);
            if self.now.since(*since) >= LONG {
                *since = Time(u64::MAX);
                long.push(gang);
            }
        }
        for gang in long {
            self.breach("RoomRefused", &format!("{gang} has had a place for {} ms", LONG.0));
        }
        self.look_for_reasons(&view);
    }

    /// Gangs all of whose members wait, none let go, and which have a place.
    fn could_start(&self) -> BTreeSet<GangId> {
        let waits = |gang: &&GangId| {
            let size = self.books.owners.get(*gang).and_then(|spec| spec.size.clone().ok());
            let members: Vec<&Arc<Pod>> = self.books.members(gang).collect();
            size.is_some_and(|size| members.len() == size as usize)
                && members.iter().all(|pod| pod.awaits_node())
                && !self.books.under_way(gang)
        };
        let fits = |gang: &&GangId| {
            let members: Vec<Arc<Pod>> = self.books.members(gang).cloned().collect();
            plan(Site::new(&self.nodes_for(gang)), &members).is_ok()
        };
        self.books.owners.keys().filter(waits).filter(fits).cloned().collect()
    }

    fn nodes_for(&self, gang: &GangId) -> Vec<Arc<NodeState>> {
        let state = |node: &muster_placement::node::Node| {
            let claimed = self.books.taken_or_planned(&node.name, gang);
            let inventory = self.books.inventories.get(&node.name).cloned().map(Arc::new);
            let account = Account { claimed, ..Account::default() };
            Arc::new(NodeState::new(Arc::new(node.clone()), inventory, account, Vec::new()))
        };
        self.books.nodes.values().map(state).collect()
    }

    fn look_for_reasons(&mut self, view: &View) {
        let unplanned =
            view.gangs.values().filter(|gang| matches!(gang.phase, Phase::Gathering | Phase::Waiting));
        let mute = unplanned.filter(|gang| gang.refusal.is_none() && self.now.since(gang.since) >= FRESH);
        let waits = |uid| view.pods.get(uid).is_some_and(|state| state.pod.awaits_node());
        let mute: Vec<GangId> =
            mute.filter(|gang| gang.members.iter().any(waits)).map(|gang| gang.id.clone()).collect();
        for gang in mute {
            self.breach("NoReason", &format!("{gang} waits"));
        }
    }
}
