//! Looking at pods and ending them.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::Lab;
use crate::history::Watch;

/// How a pod is to end: see [`Lab::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every container exits with 0.
    Complete,
    /// Every container exits with 1.
    Fail,
}

impl Lab {
    /// All pods of a namespace, by name.
    pub async fn pods(&self, namespace: &str) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// Waits until a namespace has exactly `count` pods, all of them running, and returns them.
    pub async fn wait_running(&self, namespace: &str, count: usize) -> Result<Vec<Pod>> {
        let what = format!("{count} running pods in {namespace}");
        self.wait(&what, Duration::from_secs(30), async || {
            let pods = self.pods(namespace).await?;
            let running = pods.iter().filter(|pod| phase(pod) == "Running").count();
            ensure!(running == count && pods.len() == count, "{running} of {} pods are running", pods.len());
            Ok(Some(pods))
        })
        .await
    }

    /// Ends a running pod: kwok sets its phase to Succeeded or Failed. Without this a pod runs for ever.
    pub async fn finish(&self, namespace: &str, pod: &str, end: End) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let value = match end {
            End::Complete => "complete",
            End::Fail => "fail",
        };
        let annotation = json!({"metadata": {"annotations": {"muster.test/end": value}}});
        api.patch(pod, &PatchParams::default(), &Patch::Merge(annotation)).await?;
        Ok(())
    }

    /// Deletes all pods of a namespace at once, without grace.
    pub async fn delete_pods(&self, namespace: &str) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        api.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
        Ok(())
    }

    /// Starts recording every change of every pod from now on.
    pub async fn watch_pods(&self) -> Result<Watch> {
        Watch::start(self.client()).await
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}
