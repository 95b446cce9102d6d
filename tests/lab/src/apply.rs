//! `kubectl apply --server-side`, for whole files of manifests.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use crate::Lab;

impl Lab {
    /// Applies all manifests of a file: see [`Lab::apply`].
    pub async fn apply_file(&self, file: impl AsRef<Path>) -> Result<Vec<DynamicObject>> {
        let file = file.as_ref();
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        self.apply(&text).await.with_context(|| format!("apply {}", file.display()))
    }

    /// Applies YAML documents in their order, as the administrator, and returns what the API server made of them.
    ///
    /// A manifest without a namespace goes to `default`. After a Namespace it waits until pods can be created in
    /// it, and after a `CustomResourceDefinition` until its kind is served.
    pub async fn apply(&self, manifests: &str) -> Result<Vec<DynamicObject>> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(manifests).context("parse YAML")?;
        let mut applied = Vec::new();
        for document in documents {
            let object: DynamicObject = serde_json::from_value(document).context("not a manifest")?;
            applied.push(self.apply_object(&object).await?);
        }
        Ok(applied)
    }

    async fn apply_object(&self, object: &DynamicObject) -> Result<DynamicObject> {
        let name = object.metadata.name.as_deref().context("a manifest has no metadata.name")?;
        let types = object.types.as_ref().context("a manifest has no apiVersion and kind")?;
        let context = || format!("apply {} {name}", types.kind);
        let gvk = GroupVersionKind::try_from(types).with_context(context)?;
        let (resource, capabilities) = pinned_kind(&self.client(), &gvk).await.with_context(context)?;
        let api = self.api_for(&resource, &capabilities.scope, object);
        let params = PatchParams::apply("muster-lab").force();
        let applied = api.patch(name, &params, &Patch::Apply(object)).await.with_context(context)?;
        match types.kind.as_str() {
            "Namespace" => self.wait_namespace(name).await?,
            "CustomResourceDefinition" => self.wait_crd(&applied).await?,
            _ => {}
        }
        Ok(applied)
    }

    fn api_for(&self, resource: &ApiResource, scope: &Scope, object: &DynamicObject) -> Api<DynamicObject> {
        match scope {
            Scope::Cluster => Api::all_with(self.client(), resource),
            Scope::Namespaced => {
                let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
                Api::namespaced_with(self.client(), &namespace, resource)
            }
        }
    }

    /// Applies every `CustomResourceDefinition` of a folder.
    pub(crate) async fn install_crds(&self, folder: &Path) -> Result<()> {
        let context = || format!("definitions in {}", folder.display());
        let entries = fs::read_dir(folder).with_context(context)?;
        let files =
            entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>().with_context(context)?;
        futures::future::try_join_all(files.iter().map(|file| self.apply_file(file))).await?;
        Ok(())
    }

    /// Waits until every served version of a definition's kind is found by discovery. (Reading the definition
    /// itself again and again, half a MiB each, would slow the API server down.)
    async fn wait_crd(&self, definition: &DynamicObject) -> Result<()> {
        let definition: CustomResourceDefinition = definition.clone().try_parse()?;
        let spec = definition.spec;
        let what = format!("definition of {} is served", spec.names.kind);
        self.wait(&what, Duration::from_secs(30), async || {
            for version in spec.versions.iter().filter(|version| version.served) {
                let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
                pinned_kind(&self.client(), &kind).await?;
            }
            Ok(Some(()))
        })
        .await
    }
}
