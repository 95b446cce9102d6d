//! When each pod was first seen, released and bound: a watch that reads no more of a pod than that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, NotUsed, Object};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The annotation by which Muster releases a pod.
const PLAN: &str = "muster.dev/plan";

/// A pod as far as it matters here.
type Brief = Object<BriefSpec, NotUsed>;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BriefSpec {
    #[serde(default)]
    node_name: String,
}

/// What happened to one pod, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// First seen.
    pub(super) seen: Instant,
    /// Given its plan by Muster.
    pub(super) released: Option<Instant>,
    /// Bound to a node.
    pub(super) bound: Option<Instant>,
}

/// A running record, by pod name.
pub(super) struct Arrivals {
    pods: Arc<Mutex<BTreeMap<String, Times>>>,
    task: JoinHandle<()>,
}

impl Arrivals {
    /// Begins; returns once nothing can be missed.
    pub(super) async fn watch(client: Client) -> Result<Arrivals> {
        let pods = Arc::new(Mutex::new(BTreeMap::new()));
        let api: Api<Brief> = Api::all_with(client, &ApiResource::erase::<Pod>(&()));
        let (begun, has_begun) = oneshot::channel();
        let task = tokio::spawn(follow(api, pods.clone(), begun));
        has_begun.await.context("the watch of pods ended before it began")?;
        Ok(Arrivals { pods, task })
    }

    /// The record of these pods so far.
    pub(super) fn of(&self, names: &[String]) -> Vec<Times> {
        let pods = lock(&self.pods);
        names.iter().filter_map(|name| pods.get(name).copied()).collect()
    }

    /// Waits until all of these pods are bound and returns their record.
    pub(super) async fn all_bound(&self, names: &[String], timeout: Duration) -> Result<Vec<Times>> {
        let deadline = Instant::now() + timeout;
        loop {
            let times = self.of(names);
            let bound = times.iter().filter(|pod| pod.bound.is_some()).count();
            if bound == names.len() {
                return Ok(times);
            }
            ensure!(Instant::now() < deadline, "{bound} of {} pods are bound after {timeout:?}", names.len());
            // The record has the exact times; how often it is looked at does not matter.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(api: Api<Brief>, pods: Arc<Mutex<BTreeMap<String, Times>>>, begun: oneshot::Sender<()>) {
    let mut begun = Some(begun);
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => note(&mut lock(&pods), &pod),
            Ok(Event::InitDone) => drop(begun.take().map(|begun| begun.send(()))),
            // The watcher goes on where it was, or lists again.
            Ok(Event::Init | Event::Delete(_)) | Err(_) => {}
        }
    }
}

fn note(pods: &mut BTreeMap<String, Times>, pod: &Brief) {
    let now = Instant::now();
    let times = pods.entry(pod.name_any()).or_insert(Times { seen: now, released: None, bound: None });
    if times.released.is_none() && pod.annotations().contains_key(PLAN) {
        times.released = Some(now);
    }
    if times.bound.is_none() && !pod.spec.node_name.is_empty() {
        times.bound = Some(now);
    }
}

fn lock<T>(record: &Mutex<T>) -> MutexGuard<'_, T> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}
