//! Pods → events.
//!
//! A pod whose owner has not been seen yet is kept as it came, by the owner that it waits for, and translated
//! again when that owner appears. Nothing else is kept but UIDs.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use muster_placement::Event;
use muster_placement::ids::PodUid;
use muster_placement::pod::Membership;

use super::relist::Relist;
use crate::recognise::{Owners, recognise};
use crate::translate::{self, SchedulerNames};

/// Pods known.
#[derive(Debug, Default)]
pub(super) struct Pods {
    relist: Relist<PodUid>,
    /// Pods by the UID of the owner that they wait for.
    waiting: HashMap<String, HashMap<PodUid, Pod>>,
    /// The owner that a pod waits for.
    awaited: HashMap<PodUid, String>,
}

impl Pods {
    pub(super) fn observe(
        &mut self,
        event: watcher::Event<Pod>,
        owners: &Owners,
        schedulers: &SchedulerNames,
    ) -> Vec<Event> {
        match event {
            watcher::Event::Init => {
                self.relist.begin();
                Vec::new()
            }
            watcher::Event::InitApply(pod) | watcher::Event::Apply(pod) => {
                vec![self.seen(pod, owners, schedulers)]
            }
            watcher::Event::Delete(pod) => {
                let uid = PodUid::from(pod.metadata.uid.as_deref().unwrap_or_default());
                if self.relist.gone(&uid) { vec![self.gone(uid)] } else { Vec::new() }
            }
            watcher::Event::InitDone => self.relist.finish().into_iter().map(|uid| self.gone(uid)).collect(),
        }
    }

    /// An owner appeared: the pods that waited for it are told again.
    pub(super) fn owner_seen(
        &mut self,
        uid: &str,
        owners: &Owners,
        schedulers: &SchedulerNames,
    ) -> Vec<Event> {
        let waited = self.waiting.remove(uid).unwrap_or_default();
        waited.into_values().map(|pod| self.seen(pod, owners, schedulers)).collect()
    }

    fn seen(&mut self, pod: Pod, owners: &Owners, schedulers: &SchedulerNames) -> Event {
        let translated = translate::pod(&pod, owners, schedulers);
        let uid = translated.uid.clone();
        self.relist.seen(uid.clone());
        self.forget(&uid);
        if matches!(translated.membership, Membership::Unknown(_))
            && let Some(owner) = recognise(&pod, owners).awaits
        {
            self.waiting.entry(owner.clone()).or_default().insert(uid.clone(), pod);
            self.awaited.insert(uid, owner);
        }
        Event::PodSeen(Box::new(translated))
    }

    fn gone(&mut self, uid: PodUid) -> Event {
        self.forget(&uid);
        Event::PodGone(uid)
    }

    fn forget(&mut self, uid: &PodUid) {
        let Some(owner) = self.awaited.remove(uid) else { return };
        if let Some(pods) = self.waiting.get_mut(&owner) {
            pods.remove(uid);
            if pods.is_empty() {
                self.waiting.remove(&owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(uid: &str, job: &str) -> Pod {
        let owner =
            json!({ "apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": job, "controller": true });
        serde_json::from_value(json!({ "metadata": { "uid": uid, "name": uid, "ownerReferences": [owner] } }))
            .unwrap()
    }

    fn membership(event: &Event) -> &Membership {
        let Event::PodSeen(pod) = event else { panic!("{event:?}") };
        &pod.membership
    }

    #[test]
    fn a_pod_is_told_again_when_its_owner_is_seen() {
        let (owners, schedulers) = (Owners::default(), SchedulerNames::default());
        let mut pods = Pods::default();
        let told = pods.observe(watcher::Event::Apply(pod("p", "launcher")), &owners, &schedulers);
        assert!(matches!(membership(&told[0]), Membership::Unknown(_)));
        let mpi = json!([{ "apiVersion": "kubeflow.org/v2beta1", "kind": "MPIJob", "name": "m", "uid": "m", "controller": true }]);
        owners.seen(&serde_json::from_value(json!({ "uid": "launcher", "ownerReferences": mpi })).unwrap());
        let told = pods.owner_seen("launcher", &owners, &schedulers);
        assert!(matches!(membership(&told[0]), Membership::Member(_)));
        assert!(pods.owner_seen("launcher", &owners, &schedulers).is_empty());
        assert!(pods.waiting.is_empty() && pods.awaited.is_empty(), "nothing is kept");
    }

    #[test]
    fn a_waiting_pod_that_is_gone_is_forgotten() {
        let (owners, schedulers) = (Owners::default(), SchedulerNames::default());
        let mut pods = Pods::default();
        pods.observe(watcher::Event::Apply(pod("p", "job")), &owners, &schedulers);
        pods.observe(watcher::Event::Apply(pod("p", "job")), &owners, &schedulers);
        let told = pods.observe(watcher::Event::Delete(pod("p", "job")), &owners, &schedulers);
        assert!(matches!(told.as_slice(), [Event::PodGone(_)]));
        assert!(pods.waiting.is_empty() && pods.awaited.is_empty());
        assert!(pods.owner_seen("job", &owners, &schedulers).is_empty());
    }

    #[test]
    fn what_a_new_list_lacks_is_gone() {
        let (owners, schedulers) = (Owners::default(), SchedulerNames::default());
        let mut pods = Pods::default();
        let mut observe = |event| pods.observe(event, &owners, &schedulers);
        observe(watcher::Event::Init);
        observe(watcher::Event::InitApply(pod("a", "job")));
        observe(watcher::Event::InitDone);
        observe(watcher::Event::Apply(pod("b", "job")));
        observe(watcher::Event::Init);
        observe(watcher::Event::InitApply(pod("b", "job")));
        let told = observe(watcher::Event::InitDone);
        assert!(matches!(told.as_slice(), [Event::PodGone(uid)] if uid.as_str() == "a"));
    }
}
