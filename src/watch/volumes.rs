//! PersistentVolumeClaims, their volumes, storage classes and the drivers' limits → what each claim means for pods.
//!
//! Owns the join of the four, as far as placement needs it. Invariant: what was told last of a claim is what follows
//! from the objects seen so far; a change of any of the four is told for the claims that it touches, once.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use kube::ResourceExt;
use kube::runtime::watcher;
use muster_placement::Event;
use muster_placement::ids::Name;
use muster_placement::pvc::{Pvc, PvcName, Reach};

use super::relist::Relist;
use crate::translate::volume::{Claimed, Class, Made, Phase, claimed, class, limited_drivers, made};

/// What is known of volumes.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    claims: Known<PvcName, Claimed>,
    made: Known<String, Made>,
    classes: Known<String, Class>,
    /// Drivers that a node can attach only so many volumes of.
    limits: Known<String, BTreeSet<String>>,
    told: BTreeMap<PvcName, Pvc>,
}

/// Objects of one kind.
#[derive(Debug)]
struct Known<K, V> {
    objects: BTreeMap<K, V>,
    relist: Relist<K>,
    /// Whether anything changed in the list that is being read; it is told when the list is complete.
    listing: Option<bool>,
}

/// What changed.
enum Changed<K> {
    Nothing,
    One(K),
    Many,
}

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Known { objects: BTreeMap::new(), relist: Relist::default(), listing: None }
    }
}

impl<K: Ord + Clone, V: PartialEq> Known<K, V> {
    /// Takes in what was seen.
    fn observe<O>(&mut self, event: watcher::Event<O>, read: impl Fn(&O) -> (K, V)) -> Changed<K> {
        match event {
            watcher::Event::Init => {
                self.relist.begin();
                self.listing = Some(false);
                Changed::Nothing
            }
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                let (key, value) = read(&object);
                self.relist.seen(key.clone());
                let changed = self.objects.get(&key) != Some(&value);
                self.objects.insert(key.clone(), value);
                self.change(key, changed)
            }
            watcher::Event::Delete(object) => {
                let (key, _) = read(&object);
                let changed = self.relist.gone(&key) && self.objects.remove(&key).is_some();
                self.change(key, changed)
            }
            watcher::Event::InitDone => {
                let gone =
                    self.relist.finish().iter().filter(|key| self.objects.remove(key).is_some()).count();
                let changed = self.listing.take().unwrap_or(false);
                if changed || gone > 0 { Changed::Many } else { Changed::Nothing }
            }
        }
    }

    fn change(&mut self, key: K, changed: bool) -> Changed<K> {
        match &mut self.listing {
            _ if !changed => Changed::Nothing,
            Some(listing) => {
                *listing = true;
                Changed::Nothing
            }
            None => Changed::One(key),
        }
    }
}

impl Volumes {
    pub(super) fn claim(&mut self, event: watcher::Event<PersistentVolumeClaim>) -> Vec<Event> {
        match self.claims.observe(event, |pvc| (name_of(pvc), claimed(pvc))) {
            Changed::Nothing => Vec::new(),
            Changed::One(name) => self.tell(name).into_iter().collect(),
            Changed::Many => self.tell_all(),
        }
    }

    pub(super) fn volume(&mut self, event: watcher::Event<PersistentVolume>) -> Vec<Event> {
        let changed = self.made.observe(event, |pv| (pv.name_any(), made(pv)));
        self.of_all_claims(&changed)
    }

    pub(super) fn class(&mut self, event: watcher::Event<StorageClass>) -> Vec<Event> {
        let changed = self.classes.observe(event, |object| (object.name_any(), class(object)));
        self.of_all_claims(&changed)
    }

    pub(super) fn limits(&mut self, event: watcher::Event<CSINode>) -> Vec<Event> {
        let changed = self.limits.observe(event, |node| (node.name_any(), limited_drivers(node)));
        self.of_all_claims(&changed)
    }

    /// What is not a claim may touch any of them.
    fn of_all_claims(&mut self, changed: &Changed<String>) -> Vec<Event> {
        if matches!(changed, Changed::Nothing) { Vec::new() } else { self.tell_all() }
    }

    fn tell_all(&mut self) -> Vec<Event> {
        let names: BTreeSet<PvcName> = self.claims.objects.keys().chain(self.told.keys()).cloned().collect();
        names.into_iter().filter_map(|name| self.tell(name)).collect()
    }

    /// What is now true of a claim, if that is something else than was told last.
    fn tell(&mut self, name: PvcName) -> Option<Event> {
        let Some(claim) = self.claims.objects.get(&name) else {
            return self.told.remove(&name).map(|_| Event::PvcGone(name));
        };
        let pvc = self.meaning(claim);
        if self.told.get(&name) == Some(&pvc) {
            return None;
        }
        self.told.insert(name.clone(), pvc.clone());
        Some(Event::PvcSeen(name, pvc))
    }

    fn meaning(&self, claim: &Claimed) -> Pvc {
        let volume = claim.volume.as_ref().and_then(|name| self.made.objects.get(name));
        let counted = |driver: &String| self.limits.objects.values().any(|drivers| drivers.contains(driver));
        let reach = match claim.phase {
            Phase::Lost => Reach::Lost,
            Phase::Bound => volume.map_or(Reach::Unbound, |made| Reach::Bound(made.reach.clone())),
            Phase::Pending => self.pending(claim),
        };
        let counted = volume.and_then(|made| made.driver.as_ref()).is_some_and(counted);
        Pvc { reach, single_pod: claim.single_pod, counted }
    }

    fn pending(&self, claim: &Claimed) -> Reach {
        let class = claim.class.as_ref().and_then(|name| Some((name, self.classes.objects.get(name)?)));
        let Some((name, class)) = class.filter(|(_, class)| class.waits) else { return Reach::Unbound };
        if class.provisions {
            return Reach::FirstConsumer(class.allowed.clone());
        }
        // Nobody makes volumes of this class: one of those that are there must do.
        let free = self.made.objects.values().filter(|made| made.free_of(name));
        let terms: Option<Vec<_>> = free.map(|made| made.reach.clone()).collect();
        Reach::FirstConsumer(terms.map(|terms| terms.into_iter().flatten().collect()))
    }
}

fn name_of(pvc: &PersistentVolumeClaim) -> PvcName {
    let text = |text: Option<String>| Name::from(text.as_deref().unwrap_or_default());
    PvcName { namespace: text(pvc.namespace()), name: text(Some(pvc.name_any())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn seen<O: DeserializeOwned>(object: Value) -> watcher::Event<O> {
        watcher::Event::Apply(serde_json::from_value(object).unwrap())
    }

    fn claim(phase: &str, volume: &str) -> watcher::Event<PersistentVolumeClaim> {
        seen(json!({ "metadata": { "namespace": "ns", "name": "data" },
            "spec": { "volumeName": volume, "storageClassName": "fast", "accessModes": ["ReadWriteOncePod"] },
            "status": { "phase": phase } }))
    }

    fn storage_class(mode: &str, provisioner: &str) -> watcher::Event<StorageClass> {
        seen(json!({ "metadata": { "name": "fast" }, "provisioner": provisioner, "volumeBindingMode": mode,
            "allowedTopologies": [{ "matchLabelExpressions": [{ "key": "zone", "values": ["a", "b"] }] }] }))
    }

    fn volume(phase: &str, zone: &str) -> watcher::Event<PersistentVolume> {
        let term = json!({ "matchExpressions": [{ "key": "zone", "operator": "In", "values": [zone] }] });
        seen(json!({ "metadata": { "name": format!("pv-{zone}") },
            "spec": { "storageClassName": "fast", "csi": { "driver": "disk.csi", "volumeHandle": zone },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [term] } } },
            "status": { "phase": phase } }))
    }

    fn only(events: &[Event]) -> Pvc {
        match events {
            [Event::PvcSeen(name, pvc)] if name.to_string() == "ns/data" => pvc.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_claim_goes_from_unbound_to_bound() {
        let mut volumes = Volumes::default();
        let first = only(&volumes.claim(claim("Pending", "")));
        assert_eq!((first.reach, first.single_pod), (Reach::Unbound, true), "its class is not known");
        assert!(
            volumes.class(storage_class("Immediate", "disk.csi")).is_empty(),
            "it does not wait for a pod"
        );
        let waits = only(&volumes.class(storage_class("WaitForFirstConsumer", "disk.csi")));
        assert!(matches!(&waits.reach, Reach::FirstConsumer(Some(terms)) if terms.len() == 1));
        assert!(volumes.volume(volume("Available", "a")).is_empty(), "another one's");
        let bound = only(&volumes.claim(claim("Bound", "pv-a")));
        assert!(matches!(&bound.reach, Reach::Bound(Some(terms)) if terms.len() == 1));
        assert!(bound.settled());
        let limits = json!({ "metadata": { "name": "n1" }, "spec": { "drivers": [
            { "name": "disk.csi", "nodeID": "n1", "allocatable": { "count": 25 } }] } });
        assert!(only(&volumes.limits(seen(limits))).counted);
        assert_eq!(only(&volumes.claim(claim("Lost", "pv-a"))).reach, Reach::Lost);
    }

    #[test]
    fn without_a_provisioner_the_free_volumes_say_where() {
        let mut volumes = Volumes::default();
        volumes.claim(claim("Pending", ""));
        let none =
            only(&volumes.class(storage_class("WaitForFirstConsumer", "kubernetes.io/no-provisioner")));
        assert_eq!(none.reach, Reach::FirstConsumer(Some(vec![])), "there is none");
        let one = only(&volumes.volume(volume("Available", "b")));
        assert!(matches!(&one.reach, Reach::FirstConsumer(Some(terms)) if terms.len() == 1));
        assert_eq!(only(&volumes.volume(volume("Bound", "b"))).reach, Reach::FirstConsumer(Some(vec![])));
    }

    #[test]
    fn a_claim_that_a_new_list_lacks_is_gone() {
        let mut volumes = Volumes::default();
        volumes.claim(claim("Pending", ""));
        volumes.claim(watcher::Event::Init);
        let watcher::Event::Apply(other) = claim("Lost", "pv") else { panic!("not an object") };
        assert!(
            volumes.claim(watcher::Event::InitApply(other)).is_empty(),
            "a list is told when it is complete"
        );
        assert!(matches!(volumes.claim(watcher::Event::InitDone).as_slice(), [Event::PvcSeen(..)]));
        volumes.claim(watcher::Event::Init);
        assert!(matches!(volumes.claim(watcher::Event::InitDone).as_slice(), [Event::PvcGone(_)]));
    }
}
