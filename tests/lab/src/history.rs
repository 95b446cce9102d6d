//! Every change of every pod, in the order in which the API server made them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::wait::until;

/// One state of one pod.
#[derive(Debug, Clone)]
pub struct Change {
    /// When it was seen, since the watch began.
    pub at: Duration,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: a pod made anew under an old name is another pod.
    pub uid: String,
    /// The version of this state.
    pub resource_version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The node that it is bound to.
    pub node: Option<String>,
    /// Its phase: Pending, Running, Succeeded or Failed.
    pub phase: String,
    /// Its scheduling gates.
    pub gates: Vec<String>,
    /// Somebody asked for its deletion.
    pub deleting: bool,
    /// It is gone; the other fields are its last state.
    pub gone: bool,
}

/// The pods that exist at one moment, by UID.
pub type Moment = BTreeMap<String, Change>;

/// A running record: see [`Lab::watch_pods`](crate::Lab::watch_pods).
pub struct Watch {
    client: Client,
    record: Arc<Mutex<Record>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Record {
    changes: Vec<Change>,
    /// The watch broke and began anew: what happened meanwhile is unknown.
    has_gap: bool,
}

impl Watch {
    /// Begins with the pods that exist, and returns once nothing can be missed any more.
    pub async fn start(client: Client) -> Result<Self> {
        let record = Arc::new(Mutex::new(Record::default()));
        let events = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default());
        let (begun, has_begun) = oneshot::channel();
        let task = tokio::spawn(follow(events, Arc::clone(&record), begun));
        has_begun.await.context("the watch of pods ended before it began")?;
        Ok(Self { client, record, task })
    }

    /// All changes so far. An error if the record has a gap, because a test must not trust it then.
    pub fn changes(&self) -> Result<Vec<Change>> {
        let record = lock(&self.record);
        ensure!(!record.has_gap, "the watch of pods broke: the record has a gap");
        Ok(record.changes.clone())
    }

    /// Shows `check` the pods of every moment, one after the other, up to its first error.
    pub fn replay(&self, mut check: impl FnMut(&Change, &Moment) -> Result<()>) -> Result<()> {
        let mut moment = Moment::new();
        for change in self.changes()? {
            advance(&mut moment, &change);
            check(&change, &moment)
                .with_context(|| format!("{:?} after the begin, with {change:?}", change.at))?;
        }
        Ok(())
    }

    /// Waits until the record has reached the present: all that was done before the call is in it.
    pub async fn catch_up(&self) -> Result<()> {
        let api = Api::<Pod>::all(self.client.clone());
        let caught_up = until(Duration::from_secs(20), Duration::from_millis(20), async || {
            // Listed first: a record that is ahead of the list is asked again, one that is behind is not done.
            let listed = api.list(&ListParams::default()).await?;
            let mut moment = Moment::new();
            self.changes()?.iter().for_each(|change| advance(&mut moment, change));
            let mut known: Vec<_> =
                moment.into_iter().map(|(uid, pod)| (uid, pod.resource_version)).collect();
            let mut real: Vec<_> = listed
                .iter()
                .map(|pod| (pod.uid().unwrap_or_default(), pod.resource_version().unwrap_or_default()))
                .collect();
            known.sort();
            real.sort();
            Ok((known == real).then_some(()))
        });
        caught_up.await.context("the record of pods does not reach the present")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    events: impl Stream<Item = watcher::Result<Event<Pod>>>,
    record: Arc<Mutex<Record>>,
    begun: oneshot::Sender<()>,
) {
    let start = Instant::now();
    let mut begun = Some(begun);
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let mut record = lock(&record);
        match event {
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => {
                record.changes.push(change(&pod, start.elapsed(), false));
            }
            Ok(Event::Delete(pod)) => record.changes.push(change(&pod, start.elapsed(), true)),
            Ok(Event::Init) => record.has_gap |= begun.is_none(),
            Ok(Event::InitDone) => {
                if let Some(begun) = begun.take() {
                    let _ = begun.send(());
                }
            }
            // The watcher goes on where it was, or says Init if it cannot.
            Err(_) => {}
        }
    }
}

fn change(pod: &Pod, at: Duration, gone: bool) -> Change {
    let spec = pod.spec.as_ref();
    let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
    let gates = spec.and_then(|spec| spec.scheduling_gates.as_ref());
    Change {
        at,
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        resource_version: pod.resource_version().unwrap_or_default(),
        labels: pod.labels().clone(),
        annotations: pod.annotations().clone(),
        node: spec.and_then(|spec| spec.node_name.clone()),
        phase: phase.unwrap_or_else(|| "Pending".to_owned()),
        gates: gates.into_iter().flatten().map(|gate| gate.name.clone()).collect(),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        gone,
    }
}

fn advance(moment: &mut Moment, change: &Change) {
    if change.gone {
        moment.remove(&change.uid);
    } else {
        moment.insert(change.uid.clone(), change.clone());
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}
