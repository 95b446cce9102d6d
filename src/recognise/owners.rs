//! Owners seen so far, and the walk from a pod along its controllers to the object that describes its gang.
//!
//! Filled by the watch, read by translation. Only controllers count: any object may claim to own another,
//! but the API server allows one controller. An owner that is gone is kept for a while, since with background
//! deletion it goes before its pods, and they must not change gangs while they terminate.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::gang_kind::GangKind;

/// Longest chain of controllers followed.
const MAX_LEVELS: usize = 5;
/// Owners remembered after they are gone.
const REMEMBERED: usize = 4096;

/// A reference to a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRef {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `name`.
    pub name: String,
    /// `uid`.
    pub uid: String,
}

/// Owners by UID, each with its own controller.
#[derive(Debug, Default)]
pub struct Owners {
    controllers: DashMap<String, Option<OwnerRef>>,
    gone: Mutex<VecDeque<String>>,
}

/// Where the walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// At an object that describes a gang.
    Gang(GangKind, OwnerRef),
    /// At an object that cannot belong to a gang.
    Nowhere,
    /// At an owner that has not been seen.
    Unseen(OwnerRef),
    /// Not at all: the chain is a circle, or longer than any real one.
    Circle(OwnerRef),
}

/// The controller of an object.
pub fn controller(meta: &ObjectMeta) -> Option<OwnerRef> {
    let owner = meta.owner_references.iter().flatten().find(|o| o.controller == Some(true))?;
    Some(OwnerRef {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    })
}

impl Owners {
    /// An owner appeared or changed.
    pub fn seen(&self, meta: &ObjectMeta) {
        if let Some(uid) = &meta.uid {
            self.controllers.insert(uid.clone(), controller(meta));
        }
    }

    /// An owner is gone.
    pub fn gone(&self, uid: &str) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.push_back(uid.to_owned());
        if gone.len() > REMEMBERED
            && let Some(oldest) = gone.pop_front()
        {
            self.controllers.remove(&oldest);
        }
    }

    /// Owners remembered.
    pub fn len(&self) -> usize {
        self.controllers.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.controllers.is_empty()
    }

    pub(super) fn walk(&self, meta: &ObjectMeta) -> Walk {
        let mut next = controller(meta);
        let mut passed: Vec<String> = Vec::new();
        while let Some(owner) = next {
            if let Some(kind) = GangKind::of(&owner.api_version, &owner.kind).filter(|k| k.controls_pods()) {
                return Walk::Gang(kind, owner);
            }
            if !may_belong_to_a_gang(&owner) {
                return Walk::Nowhere;
            }
            if passed.len() >= MAX_LEVELS || passed.contains(&owner.uid) {
                return Walk::Circle(owner);
            }
            next = match self.controllers.get(&owner.uid) {
                Some(above) => above.clone(),
                None => return Walk::Unseen(owner),
            };
            passed.push(owner.uid);
        }
        Walk::Nowhere
    }
}

/// Kinds between a pod and its gang's owner. Other kinds are not watched, so the walk ends there.
fn may_belong_to_a_gang(owner: &OwnerRef) -> bool {
    owner.kind == "Job" && owner.api_version.starts_with("batch/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn meta(uid: &str, owner: &Value) -> ObjectMeta {
        let owners = if owner.is_null() { json!([]) } else { json!([owner]) };
        serde_json::from_value(json!({ "uid": uid, "name": uid, "ownerReferences": owners })).unwrap()
    }

    fn owned_by(api_version: &str, kind: &str, uid: &str) -> Value {
        json!({ "apiVersion": api_version, "kind": kind, "name": uid, "uid": uid, "controller": true })
    }

    fn job(uid: &str) -> Value {
        owned_by("batch/v1", "Job", uid)
    }

    #[test]
    fn where_the_walk_ends() {
        let owners = Owners::default();
        owners.seen(&meta("of-mpi", &owned_by("kubeflow.org/v2beta1", "MPIJob", "mpi")));
        owners.seen(&meta("plain", &Value::Null));
        owners.seen(&meta("a", &job("b")));
        owners.seen(&meta("b", &job("a")));
        owners.seen(&meta("self", &job("self")));
        for n in 1..9 {
            owners.seen(&meta(&format!("long{n}"), &job(&format!("long{}", n + 1))));
        }
        let ends = |owner: Value| match owners.walk(&meta("pod", &owner)) {
            Walk::Gang(kind, owner) => format!("{} {}", kind.name(), owner.uid),
            Walk::Nowhere => "nowhere".to_owned(),
            Walk::Unseen(owner) => format!("unseen {}", owner.uid),
            Walk::Circle(owner) => format!("circle {}", owner.uid),
        };
        assert_eq!(ends(Value::Null), "nowhere");
        assert_eq!(ends(job("plain")), "nowhere");
        assert_eq!(ends(job("of-mpi")), "MPIJob mpi");
        assert_eq!(ends(job("new")), "unseen new");
        assert_eq!(ends(job("a")), "circle a");
        assert_eq!(ends(job("self")), "circle self");
        assert_eq!(ends(job("long1")), "circle long6");
        assert_eq!(ends(owned_by("apps/v1", "ReplicaSet", "rs")), "nowhere");
        assert_eq!(ends(owned_by("kubeflow.org/v1", "TFJob", "tf")), "TFJob tf");
        let mut not_controller = job("of-mpi");
        not_controller["controller"] = json!(false);
        assert_eq!(ends(not_controller), "nowhere");
    }

    #[test]
    fn an_owner_is_remembered_after_it_is_gone_but_not_for_ever() {
        let owners = Owners::default();
        owners.seen(&meta("first", &Value::Null));
        owners.gone("first");
        assert_eq!(owners.walk(&meta("pod", &job("first"))), Walk::Nowhere);
        for n in 0..REMEMBERED {
            owners.seen(&meta(&n.to_string(), &Value::Null));
            owners.gone(&n.to_string());
        }
        assert!(matches!(owners.walk(&meta("pod", &job("first"))), Walk::Unseen(_)));
        assert_eq!(owners.len(), REMEMBERED);
    }
}
