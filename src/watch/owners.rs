//! Owners of gangs → events, and Jobs → the index that the walk from pod to owner reads.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher;
use muster_placement::Event;
use muster_placement::ids::GangId;

use super::relist::Relist;
use crate::recognise::{GangKind, Owners, gang_id, gang_spec};

/// Owners of gangs known, per kind.
#[derive(Debug, Default)]
pub(super) struct Gangs {
    kinds: BTreeMap<GangKind, Relist<GangId>>,
}

impl Gangs {
    pub(super) fn observe(&mut self, kind: GangKind, event: watcher::Event<DynamicObject>) -> Vec<Event> {
        let relist = self.kinds.entry(kind).or_default();
        match event {
            watcher::Event::Init => {
                relist.begin();
                Vec::new()
            }
            watcher::Event::InitApply(owner) | watcher::Event::Apply(owner) => {
                let spec = gang_spec(kind, &owner);
                relist.seen(spec.id.clone());
                vec![Event::GangSeen(spec)]
            }
            watcher::Event::Delete(owner) => {
                let id = gang_id(kind, &owner);
                if relist.gone(&id) { vec![Event::GangGone(id)] } else { Vec::new() }
            }
            watcher::Event::InitDone => relist.finish().into_iter().map(Event::GangGone).collect(),
        }
    }

    /// The kind is not served any more.
    pub(super) fn vanished(&mut self, kind: GangKind) -> Vec<Event> {
        let gone = self.kinds.remove(&kind).map(|mut relist| relist.clear()).unwrap_or_default();
        gone.into_iter().map(Event::GangGone).collect()
    }
}

/// Jobs known.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    relist: Relist<String>,
}

impl Jobs {
    /// Brings the index up to date. The UID of a Job that was seen, for pods that may wait for it.
    pub(super) fn observe(
        &mut self,
        event: watcher::Event<PartialObjectMeta<Job>>,
        owners: &Owners,
    ) -> Option<String> {
        match event {
            watcher::Event::Init => {
                self.relist.begin();
                None
            }
            watcher::Event::InitApply(job) | watcher::Event::Apply(job) => {
                owners.seen(&job.metadata);
                let uid = job.metadata.uid?;
                self.relist.seen(uid.clone());
                Some(uid)
            }
            watcher::Event::Delete(job) => {
                let uid = job.metadata.uid?;
                if self.relist.gone(&uid) {
                    owners.gone(&uid);
                }
                None
            }
            watcher::Event::InitDone => {
                self.relist.finish().iter().for_each(|uid| owners.gone(uid));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tf_job(name: &str, uid: &str) -> DynamicObject {
        let spec = json!({ "tfReplicaSpecs": { "Worker": { "replicas": 2 } } });
        let meta = json!({ "name": name, "namespace": "ns", "uid": uid });
        serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap()
    }

    #[test]
    fn a_job_created_again_under_its_name_is_another_gang() {
        let mut gangs = Gangs::default();
        let seen = gangs.observe(GangKind::TfJob, watcher::Event::Apply(tf_job("a", "1")));
        assert!(matches!(seen.as_slice(), [Event::GangSeen(spec)] if spec.size == Ok(2)));
        gangs.observe(GangKind::TfJob, watcher::Event::Init);
        gangs.observe(GangKind::TfJob, watcher::Event::InitApply(tf_job("a", "2")));
        let gone = gangs.observe(GangKind::TfJob, watcher::Event::InitDone);
        assert!(matches!(gone.as_slice(), [Event::GangGone(id)] if id.incarnation.as_str() == "1"));
    }

    #[test]
    fn a_pod_group_created_again_under_its_name_is_the_same_gang() {
        let group = |uid: &str| -> DynamicObject {
            serde_json::from_value(
                json!({ "metadata": { "name": "g", "uid": uid }, "spec": { "minMember": 2 } }),
            )
            .unwrap()
        };
        let mut gangs = Gangs::default();
        gangs.observe(GangKind::PodGroup, watcher::Event::Apply(group("1")));
        gangs.observe(GangKind::PodGroup, watcher::Event::Init);
        gangs.observe(GangKind::PodGroup, watcher::Event::InitApply(group("2")));
        assert!(gangs.observe(GangKind::PodGroup, watcher::Event::InitDone).is_empty());
    }

    #[test]
    fn a_kind_vanishes_with_its_definition() {
        let mut gangs = Gangs::default();
        gangs.observe(GangKind::TfJob, watcher::Event::Apply(tf_job("a", "1")));
        assert!(matches!(gangs.vanished(GangKind::TfJob).as_slice(), [Event::GangGone(_)]));
        assert!(gangs.vanished(GangKind::TfJob).is_empty());
        assert!(gangs.vanished(GangKind::PodGroup).is_empty());
    }

    #[test]
    fn jobs_fill_the_index() {
        let job = |uid: &str| -> PartialObjectMeta<Job> {
            serde_json::from_value(json!({ "metadata": { "uid": uid } })).unwrap()
        };
        let (mut jobs, owners) = (Jobs::default(), Owners::default());
        assert_eq!(jobs.observe(watcher::Event::Apply(job("1")), &owners).as_deref(), Some("1"));
        assert_eq!(owners.len(), 1);
        jobs.observe(watcher::Event::Delete(job("1")), &owners);
        assert_eq!(owners.len(), 1, "its pods may still terminate");
    }
}
