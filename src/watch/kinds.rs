//! A kind of gang owner, which appears and vanishes with its `CustomResourceDefinition`.
//!
//! Each kind watches its own definition by name, so that the (often huge) definitions of others are never read,
//! and follows the objects in the version that is served and that we can read.

use futures::StreamExt;
use futures::future;
use futures::stream::BoxStream;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Object};
use kube::runtime::watcher;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::info;

use super::Seen;
use super::source::{Refusal, Source, stream};
use crate::recognise::GangKind;

/// A definition without its schema.
type Definition = Object<DefinitionSpec, DefinitionStatus>;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct DefinitionSpec {
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Version {
    name: String,
    #[serde(default)]
    served: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct DefinitionStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

type Objects = BoxStream<'static, watcher::Result<watcher::Event<DynamicObject>>>;

/// The objects of a kind while it is served.
struct Follower {
    client: Client,
    kind: GangKind,
    /// The version that is followed, and its objects.
    followed: Option<(&'static str, Objects)>,
    refusal: Refusal,
    /// Version found in the list of definitions that is being read.
    listed: Option<&'static str>,
}

/// Follows a kind until nobody listens.
pub(super) async fn follow(client: Client, kind: GangKind, out: mpsc::Sender<Seen>) {
    let definitions: Api<Definition> =
        Api::all_with(client.clone(), &ApiResource::erase::<CustomResourceDefinition>(&()));
    let by_name = watcher::Config::default().fields(&format!("metadata.name={}", kind.crd()));
    let mut definitions = stream(definitions, by_name);
    let refusal = Refusal::new(Source::Kind(kind));
    let mut state = Follower { client, kind, followed: None, refusal, listed: None };
    loop {
        let seen = tokio::select! {
            Some(definition) = definitions.next() => state.definition(definition),
            Some(object) = next(&mut state.followed) => state.object(object),
        };
        if let Some(seen) = seen
            && out.send(seen).await.is_err()
        {
            return;
        }
    }
}

async fn next(
    followed: &mut Option<(&'static str, Objects)>,
) -> Option<watcher::Result<watcher::Event<DynamicObject>>> {
    match followed {
        Some((_, objects)) => objects.next().await,
        None => future::pending().await,
    }
}

impl Follower {
    fn definition(&mut self, event: watcher::Result<watcher::Event<Definition>>) -> Option<Seen> {
        match event {
            Ok(watcher::Event::Init) => {
                self.listed = None;
                None
            }
            Ok(watcher::Event::InitApply(definition)) => {
                self.listed = version(self.kind, &definition);
                None
            }
            Ok(watcher::Event::InitDone) => self.switch(self.listed),
            Ok(watcher::Event::Apply(definition)) => self.switch(version(self.kind, &definition)),
            Ok(watcher::Event::Delete(_)) => self.switch(None),
            // Without the definitions nobody knows; objects that are followed already go on.
            Err(error) => self.refusal.is(&error).then_some(Seen::Closed(Source::Kind(self.kind))),
        }
    }

    /// Follows another version, or none.
    fn switch(&mut self, version: Option<&'static str>) -> Option<Seen> {
        if version.is_some() && self.followed.as_ref().map(|f| f.0) == version {
            return None;
        }
        let kind = self.kind.name();
        self.followed = version.map(|version| {
            info!(kind, version, "gangs of this kind are recognised");
            (version, self.objects(version))
        });
        version.is_none().then_some(Seen::Absent(self.kind))
    }

    fn objects(&self, version: &str) -> Objects {
        let gvk = GroupVersionKind::gvk(self.kind.group(), version, self.kind.name());
        let resource = ApiResource::from_gvk_with_plural(&gvk, self.kind.plural());
        stream(Api::all_with(self.client.clone(), &resource), watcher::Config::default())
    }

    fn object(&mut self, event: watcher::Result<watcher::Event<DynamicObject>>) -> Option<Seen> {
        match event {
            Ok(event) => {
                self.refusal.over();
                Some(Seen::Owner(self.kind, event))
            }
            Err(error) => self.refusal.is(&error).then_some(Seen::Closed(Source::Kind(self.kind))),
        }
    }
}

/// The version to follow: served, established, and one that we can read.
fn version(kind: GangKind, definition: &Definition) -> Option<&'static str> {
    let conditions = definition.status.iter().flat_map(|s| &s.conditions);
    let established = conditions.into_iter().any(|c| c.type_ == "Established" && c.status == "True");
    let served = |v: &&str| definition.spec.versions.iter().any(|s| s.served && s.name == *v);
    kind.versions().iter().copied().find(|v| established && served(v))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_version_that_is_served_and_known() {
        let picks = |kind, versions: &[(&str, bool)], established: &str| {
            let versions: Vec<_> =
                versions.iter().map(|(n, s)| json!({ "name": n, "served": s, "schema": {} })).collect();
            let definition = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "x" },
                "spec": { "group": "g", "names": {}, "versions": versions },
                "status": { "conditions": [{ "type": "Established", "status": established, "reason": "r" }] } });
            version(kind, &serde_json::from_value(definition).unwrap())
        };
        assert_eq!(picks(GangKind::TfJob, &[("v1", true)], "True"), Some("v1"));
        assert_eq!(picks(GangKind::MpiJob, &[("v1", true)], "True"), Some("v1"));
        assert_eq!(picks(GangKind::MpiJob, &[("v1", false), ("v2beta1", true)], "True"), Some("v2beta1"));
        assert_eq!(picks(GangKind::MpiJob, &[("v1", true), ("v2beta1", true)], "True"), Some("v2beta1"));
        assert_eq!(picks(GangKind::MpiJob, &[("v2", true)], "True"), None);
        assert_eq!(picks(GangKind::TfJob, &[("v1", true)], "False"), None);
    }

    #[test]
    fn a_definition_may_lack_its_status() {
        let definition = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {}, "spec": { "versions": [{ "name": "v1", "served": true }] } });
        assert_eq!(version(GangKind::TfJob, &serde_json::from_value(definition).unwrap()), None);
    }
}
