//! The ledger is a function of what the API server has: a second Muster that starts now and reads the same lists
//! claims the same. Compared only while nothing is under way, since what is on its way is on no list.

use muster_placement::ids::{NodeName, PodUid};
use muster_placement::ledger::ClaimKind;
use muster_placement::resources::Resources;
use muster_placement::{Cluster, Event};

use super::Auditor;

type Claims = Vec<(PodUid, NodeName, Resources, bool)>;

fn claims(cluster: &Cluster) -> Claims {
    let all = cluster.ledger().claims().iter();
    all.map(|(pod, c)| (pod.clone(), c.node.clone(), c.amount, c.kind == ClaimKind::Grant)).collect()
}

impl Auditor {
    /// Compares, if nothing is under way. Whether it did.
    pub(crate) fn compare_with_rebuilt(&mut self, live: &Cluster) -> bool {
        if !self.books.quiet() {
            return false;
        }
        let has = claims(live);
        let mut would = claims(&self.rebuilt());
        // It may plan anew, or take up a plan that a process which died had written last: it takes free room only.
        would.retain(|claim| {
            claim.3 || has.contains(claim) || self.books.planned_for(&claim.0) == Some(&claim.1)
        });
        if has != would {
            let lost = has.iter().find(|claim| !would.contains(claim));
            let new = would.iter().find(|claim| !has.contains(claim));
            let found = format!("only before a restart: {lost:?}, only after it: {new:?}");
            self.breach("RebuildDiffers", &found);
        }
        true
    }

    fn rebuilt(&self) -> Cluster {
        let books = &self.books;
        let mut cluster = Cluster::default();
        let mut tell = |event| drop(cluster.apply(event, self.now));
        books.settings.iter().cloned().for_each(|settings| tell(Event::Configured(settings)));
        books.nodes.values().cloned().for_each(|node| tell(Event::NodeSeen(Box::new(node))));
        books.owners.values().cloned().for_each(|owner| tell(Event::GangSeen(owner)));
        books.pods.values().for_each(|pod| tell(Event::PodSeen(Box::new(pod.as_ref().clone()))));
        tell(Event::Synced);
        // Agents report when they do, some time after the lists were read.
        let reports = books.inventories.iter();
        reports.for_each(|(node, said)| tell(Event::Reported(node.clone(), said.clone())));
        cluster
    }
}
