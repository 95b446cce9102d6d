//! One watched kind: the stream, its back-off, and what to do when it may not be read.
//!
//! A stream never ends by itself: it is resumed, or listed again. Refusals are logged once, with what to do,
//! and once more when they are over.

use std::fmt::Debug;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::{Api, ObjectMeta, Resource};
use kube::runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::Seen;
use crate::recognise::GangKind;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Pods,
    Nodes,
    Jobs,
    Pvcs,
    Pvs,
    StorageClasses,
    CsiNodes,
    Kind(GangKind),
}

impl Source {
    /// Whether Muster can work without it.
    pub(super) fn optional(self) -> bool {
        matches!(self, Source::Jobs | Source::Kind(_))
    }

    fn resource(self) -> String {
        match self {
            Source::Pods => "pods".to_owned(),
            Source::Nodes => "nodes".to_owned(),
            Source::Jobs => "jobs.batch".to_owned(),
            Source::Pvcs => "persistentvolumeclaims".to_owned(),
            Source::Pvs => "persistentvolumes".to_owned(),
            Source::StorageClasses => "storageclasses.storage.k8s.io".to_owned(),
            Source::CsiNodes => "csinodes.storage.k8s.io".to_owned(),
            Source::Kind(kind) => kind.crd(),
        }
    }
}

/// Objects of a kind, without the fields that nobody reads, with the default back-off.
pub(super) fn stream<K>(
    api: Api<K>,
    config: watcher::Config,
) -> BoxStream<'static, watcher::Result<watcher::Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, config).modify(strip).default_backoff().boxed()
}

fn strip<K: Resource>(object: &mut K) {
    let ObjectMeta { managed_fields, .. } = object.meta_mut();
    *managed_fields = None;
}

/// Follows a kind until nobody listens.
pub(super) async fn follow<K>(
    api: Api<K>,
    source: Source,
    wrap: impl Fn(watcher::Event<K>) -> Seen,
    out: mpsc::Sender<Seen>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = stream(api, watcher::Config::default());
    let mut refusal = Refusal::new(source);
    while let Some(next) = events.next().await {
        let seen = match next {
            Ok(event) => {
                refusal.over();
                wrap(event)
            }
            Err(error) if refusal.is(&error) => Seen::Closed(source),
            Err(_) => continue,
        };
        if out.send(seen).await.is_err() {
            return;
        }
    }
}

/// Whether a source may be read, so that it is complained of once.
pub(super) struct Refusal {
    source: Source,
    said: bool,
}

impl Refusal {
    pub(super) fn new(source: Source) -> Self {
        Self { source, said: false }
    }

    /// The source was read.
    pub(super) fn over(&mut self) {
        if std::mem::take(&mut self.said) {
            info!(resource = self.source.resource(), "can be read again");
        }
    }

    /// Whether the error says that the source may not be read or is not there. Other errors pass by themselves.
    pub(super) fn is(&mut self, error: &watcher::Error) -> bool {
        let resource = self.source.resource();
        match code(error) {
            Some(403) if !self.said => warn!(
                resource,
                %error,
                "may not be read: give Muster's ServiceAccount get, list and watch on it with a ClusterRole"
            ),
            Some(404) if !self.said => warn!(
                resource,
                %error,
                "is not served by the API server: gangs that need it are refused until it is"
            ),
            Some(403 | 404) => {}
            _ => {
                warn!(resource, %error, "the watch failed and is tried again");
                return false;
            }
        }
        self.said = true;
        true
    }
}

fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}
