//! What the sources see → events for the engine, in order, and the one moment at which all lists are read.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::runtime::watcher;
use muster_placement::Event;
use tracing::info;

use super::Seen;
use super::nodes::Nodes;
use super::owners::{Gangs, Jobs};
use super::pods::Pods;
use super::source::Source;
use super::volumes::Volumes;
use crate::engine::{EngineGone, Handle};
use crate::recognise::{GangKind, Owners};
use crate::translate::SchedulerNames;

/// Everything that the watch knows.
pub(super) struct Observer {
    handle: Handle,
    owners: Arc<Owners>,
    schedulers: SchedulerNames,
    pods: Pods,
    nodes: Nodes,
    jobs: Jobs,
    gangs: Gangs,
    volumes: Volumes,
    /// Sources that have not been read once; empty for ever after [`Event::Synced`].
    unread: BTreeSet<Source>,
}

impl Observer {
    pub(super) fn new(handle: Handle, owners: Arc<Owners>, schedulers: SchedulerNames) -> Self {
        let mut unread: BTreeSet<Source> = GangKind::ALL.into_iter().map(Source::Kind).collect();
        unread.extend([Source::Pods, Source::Nodes, Source::Jobs]);
        unread.extend([Source::Pvcs, Source::Pvs, Source::StorageClasses, Source::CsiNodes]);
        let (pods, nodes, jobs) = (Pods::default(), Nodes::default(), Jobs::default());
        let (gangs, volumes) = (Gangs::default(), Volumes::default());
        Self { handle, owners, schedulers, pods, nodes, jobs, gangs, volumes, unread }
    }

    pub(super) async fn observe(&mut self, seen: Seen) -> Result<(), EngineGone> {
        let read = read_by(&seen);
        for event in self.events(seen) {
            self.handle.tell(event).await?;
        }
        match read {
            Some(source) => self.read(source).await,
            None => Ok(()),
        }
    }

    fn events(&mut self, seen: Seen) -> Vec<Event> {
        match seen {
            Seen::Pod(event) => self.pods.observe(*event, &self.owners, &self.schedulers),
            Seen::Node(event) => self.nodes.observe(*event),
            Seen::Job(event) => match self.jobs.observe(event, &self.owners) {
                Some(uid) => self.pods.owner_seen(&uid, &self.owners, &self.schedulers),
                None => Vec::new(),
            },
            Seen::Pvc(event) => self.volumes.claim(*event),
            Seen::Pv(event) => self.volumes.volume(*event),
            Seen::StorageClass(event) => self.volumes.class(*event),
            Seen::CsiNode(event) => self.volumes.limits(event),
            Seen::Owner(kind, event) => self.gangs.observe(kind, event),
            Seen::Absent(kind) => self.gangs.vanished(kind),
            Seen::Closed(_) => Vec::new(),
        }
    }

    /// A source was read once. The last one makes the picture complete.
    async fn read(&mut self, source: Source) -> Result<(), EngineGone> {
        if self.unread.remove(&source) && self.unread.is_empty() {
            info!("the cluster has been read");
            self.handle.tell(Event::Synced).await?;
        }
        Ok(())
    }
}

/// The source that is read to the end with this, or that need not be waited for.
fn read_by(seen: &Seen) -> Option<Source> {
    match seen {
        Seen::Pod(event) => matches!(**event, watcher::Event::InitDone).then_some(Source::Pods),
        Seen::Node(event) => matches!(**event, watcher::Event::InitDone).then_some(Source::Nodes),
        Seen::Job(watcher::Event::InitDone) => Some(Source::Jobs),
        Seen::Pvc(event) => matches!(**event, watcher::Event::InitDone).then_some(Source::Pvcs),
        Seen::Pv(event) => matches!(**event, watcher::Event::InitDone).then_some(Source::Pvs),
        Seen::StorageClass(event) => {
            matches!(**event, watcher::Event::InitDone).then_some(Source::StorageClasses)
        }
        Seen::CsiNode(watcher::Event::InitDone) => Some(Source::CsiNodes),
        Seen::Owner(kind, watcher::Event::InitDone) | Seen::Absent(kind) => Some(Source::Kind(*kind)),
        Seen::Closed(source) => source.optional().then_some(*source),
        Seen::Job(_) | Seen::CsiNode(_) | Seen::Owner(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_placement::View;

    #[tokio::test]
    async fn synced_is_told_once_and_last() {
        let (handle, mut events) = Handle::fixed(View::default());
        let mut observer = Observer::new(handle, Arc::default(), SchedulerNames::default());
        for kind in GangKind::ALL {
            let seen =
                if kind == GangKind::MpiJob { Seen::Closed(Source::Kind(kind)) } else { Seen::Absent(kind) };
            observer.observe(seen).await.unwrap();
        }
        observer.observe(Seen::Owner(GangKind::TfJob, watcher::Event::InitDone)).await.unwrap();
        observer.observe(Seen::Closed(Source::Jobs)).await.unwrap();
        observer.observe(Seen::Node(Box::new(watcher::Event::InitDone))).await.unwrap();
        observer.observe(Seen::Pvc(Box::new(watcher::Event::InitDone))).await.unwrap();
        observer.observe(Seen::Pv(Box::new(watcher::Event::InitDone))).await.unwrap();
        observer.observe(Seen::StorageClass(Box::new(watcher::Event::InitDone))).await.unwrap();
        observer.observe(Seen::CsiNode(watcher::Event::InitDone)).await.unwrap();
        observer.observe(Seen::Closed(Source::Pods)).await.unwrap();
        assert!(events.try_recv().is_err(), "pods that cannot be read are waited for");
        observer.observe(Seen::Pod(Box::new(watcher::Event::InitDone))).await.unwrap();
        assert!(matches!(events.try_recv(), Ok(Event::Synced)));
        observer.observe(Seen::Pod(Box::new(watcher::Event::InitDone))).await.unwrap();
        observer.observe(Seen::Job(watcher::Event::InitDone)).await.unwrap();
        assert!(events.try_recv().is_err(), "once");
    }
}
