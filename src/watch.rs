//! Kubernetes objects → [`Event`]s: pods, nodes, Jobs (for the walk to a gang's owner) and the owners of gangs.
//!
//! Sources follow the API server and push what they see into one channel; one `Observer` turns it into events
//! for the engine, in the order seen. Invariant: [`Event::Synced`] is told once, after every list was read, so
//! that nothing is planned on half a cluster; what disappeared while we did not look is told as gone. A kind
//! that may not be read or does not exist is complained of once and holds up nobody, but pods and nodes must
//! be readable. Does not decide anything and keeps no objects, except pods whose owner has not been seen.

mod kinds;
mod nodes;
mod observer;
mod owners;
mod pods;
mod relist;
mod source;
mod volumes;

use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, future};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Client, Resource};
use tokio::sync::mpsc;

use self::observer::Observer;
use self::source::{Source, follow};
use crate::engine::{EngineGone, Handle};
use crate::recognise::{GangKind, Owners};
use crate::translate::SchedulerNames;

/// What a source saw.
#[derive(Debug)]
enum Seen {
    Pod(Box<watcher::Event<Pod>>),
    Node(Box<watcher::Event<Node>>),
    Job(watcher::Event<PartialObjectMeta<Job>>),
    Pvc(Box<watcher::Event<PersistentVolumeClaim>>),
    Pv(Box<watcher::Event<PersistentVolume>>),
    StorageClass(Box<watcher::Event<StorageClass>>),
    CsiNode(watcher::Event<CSINode>),
    Owner(GangKind, watcher::Event<DynamicObject>),
    /// The kind is not served.
    Absent(GangKind),
    /// The source may not be read; it goes on trying.
    Closed(Source),
}

/// Objects on their way from the sources to the observer.
const IN_FLIGHT: usize = 256;

/// Follows the API server for ever. Ends only with the engine.
///
/// # Errors
/// The engine is gone.
pub async fn run(
    client: Client,
    handle: Handle,
    owners: Arc<Owners>,
    schedulers: SchedulerNames,
) -> Result<(), EngineGone> {
    let (out, mut seen) = mpsc::channel(IN_FLIGHT);
    let mut sources = FuturesUnordered::new();
    sources.push(follow(all::<Pod>(&client), Source::Pods, |e| Seen::Pod(Box::new(e)), out.clone()).boxed());
    sources
        .push(follow(all::<Node>(&client), Source::Nodes, |e| Seen::Node(Box::new(e)), out.clone()).boxed());
    sources
        .push(follow(all::<PartialObjectMeta<Job>>(&client), Source::Jobs, Seen::Job, out.clone()).boxed());
    sources.push(follow(all(&client), Source::Pvcs, |e| Seen::Pvc(Box::new(e)), out.clone()).boxed());
    sources.push(follow(all(&client), Source::Pvs, |e| Seen::Pv(Box::new(e)), out.clone()).boxed());
    sources.push(
        follow(all(&client), Source::StorageClasses, |e| Seen::StorageClass(Box::new(e)), out.clone())
            .boxed(),
    );
    sources.push(follow(all(&client), Source::CsiNodes, Seen::CsiNode, out.clone()).boxed());
    for kind in GangKind::ALL {
        sources.push(kinds::follow(client.clone(), kind, out.clone()).boxed());
    }
    drop(out);
    let followed = async { while sources.next().await.is_some() {} };
    let mut observer = Observer::new(handle, owners, schedulers);
    let observed = async {
        while let Some(next) = seen.recv().await {
            observer.observe(next).await?;
        }
        Ok(())
    };
    // Sources end when nobody listens any more, so the observer's word is the last.
    let observed = observed.boxed();
    match future::select(observed, followed.boxed()).await {
        future::Either::Left((end, _)) => end,
        future::Either::Right(((), observed)) => observed.await,
    }
}

fn all<K>(client: &Client) -> Api<K>
where
    K: Resource,
    K::DynamicType: Default,
{
    Api::all(client.clone())
}
