//! One workload on one control plane, from the first creation to the last bind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;

use super::arrivals::{Arrivals, Times};
use super::figures::{ms, number, percentile};
use super::processes::{Meter, at_rest};
use super::ways::{Running, Way};
use super::workload::{self, Workload};

/// Nothing here takes as long; a trial that does has failed.
const TIMEOUT: Duration = Duration::from_mins(3);

/// What a trial found.
pub(super) struct Trial {
    pub(super) way: Way,
    pub(super) workload: &'static str,
    pub(super) pods: usize,
    /// From the first creation to the last one's answer; zero if that was before the begin.
    pub(super) created: Duration,
    /// From the begin to the last bind.
    pub(super) wall: Duration,
    /// Processor time by program.
    pub(super) cpu: BTreeMap<&'static str, Duration>,
    /// From a pod's creation to its release: median and 99th percentile.
    pub(super) to_release: [Duration; 2],
    /// From a pod's release, or its creation if there was none, to its bind.
    pub(super) to_bind: [Duration; 2],
    /// Filter and bind calls for one pod.
    pub(super) calls: [f64; 2],
}

/// A place to run trials one after the other.
pub(super) struct Bench<'a> {
    pub(super) running: &'a Running,
    pub(super) arrivals: Arrivals,
    pub(super) owner: OwnerReference,
}

impl<'a> Bench<'a> {
    /// Prepares a control plane.
    pub(super) async fn new(running: &'a Running) -> Result<Bench<'a>> {
        let owner = workload::create_owner(&running.lab).await?;
        let arrivals = Arrivals::watch(running.lab.client()).await?;
        Ok(Bench { running, arrivals, owner })
    }

    /// Creates pods while kube-scheduler runs: what a user sees.
    pub(super) async fn live(&self, workload: Workload) -> Result<Trial> {
        let names: Vec<String> = workload.pods.iter().map(ResourceExt::name_any).collect();
        let begun = self.begin().await?;
        workload::create(&self.running.lab, &self.owner, workload.pods).await?;
        let created = begun.at.elapsed();
        let times = self.arrivals.all_bound(&names, TIMEOUT).await.context(workload.name)?;
        let wall = last_bound(&times).saturating_duration_since(begun.at);
        self.end(begun, workload.name, created, wall, &times).await
    }

    /// Creates pods while kube-scheduler is stopped, then starts it: the creation is not measured. Wall time is from
    /// the first bind to the last.
    pub(super) async fn queued(&self, workload: Workload) -> Result<Trial> {
        let names: Vec<String> = workload.pods.iter().map(ResourceExt::name_any).collect();
        self.running.lab.stop_scheduler().await?;
        workload::create(&self.running.lab, &self.owner, workload.pods).await?;
        at_rest(&self.running.lab, self.running.extender_pid()).await?;
        self.running.start_scheduler().await?;
        let begun = self.start_meter().await?;
        let times = self.arrivals.all_bound(&names, TIMEOUT).await.context(workload.name)?;
        let first = times.iter().filter_map(|pod| pod.bound).min().unwrap_or(begun.at);
        let wall = last_bound(&times).saturating_duration_since(first);
        self.end(begun, workload.name, Duration::ZERO, wall, &times).await
    }

    async fn begin(&self) -> Result<Begun> {
        at_rest(&self.running.lab, self.running.extender_pid()).await?;
        self.start_meter().await
    }

    async fn start_meter(&self) -> Result<Begun> {
        let calls = self.running.calls().await?;
        let meter = Meter::start(&self.running.lab, self.running.extender_pid())?;
        Ok(Begun { at: Instant::now(), meter, calls })
    }

    async fn end(
        &self,
        begun: Begun,
        workload: &'static str,
        created: Duration,
        wall: Duration,
        times: &[Times],
    ) -> Result<Trial> {
        let cpu = begun.meter.read()?;
        let calls = self.running.calls().await?;
        let pods = times.len();
        let per_pod = |at: usize| -> f64 {
            let read = |from: &[f64; 2]| from.get(at).copied().unwrap_or_default();
            (read(&calls) - read(&begun.calls)) / number(pods)
        };
        let mut release: Vec<_> =
            times.iter().filter_map(|pod| Some(pod.released?.duration_since(pod.seen))).collect();
        let mut bind: Vec<_> = times
            .iter()
            .filter_map(|pod| Some(pod.bound?.duration_since(pod.released.unwrap_or(pod.seen))))
            .collect();
        Ok(Trial {
            way: self.running.way,
            workload,
            pods,
            created,
            wall,
            cpu,
            to_release: [percentile(&mut release, 50), percentile(&mut release, 99)],
            to_bind: [percentile(&mut bind, 50), percentile(&mut bind, 99)],
            calls: [per_pod(0), per_pod(1)],
        })
    }
}

struct Begun {
    at: Instant,
    meter: Meter,
    calls: [f64; 2],
}

fn last_bound(times: &[Times]) -> Instant {
    times.iter().filter_map(|pod| pod.bound).max().unwrap_or_else(Instant::now)
}

impl Trial {
    /// Column heads for [`Trial::row`].
    pub(super) fn heads() -> String {
        format!(
            "{:8} {:22} {:>6} {:>7} {:>7} | {:>6} {:>6} {:>6} {:>6} | {:>6} | {:>13} {:>13} | {:>6} {:>5}",
            "way",
            "workload",
            "made s",
            "bound s",
            "pods/s",
            "sched",
            "api",
            "muster",
            "etcd",
            "all s",
            "release ms",
            "bind ms",
            "filter",
            "bind"
        )
    }

    /// One line of the table; processor time of programs is in milliseconds for one pod.
    pub(super) fn row(&self) -> String {
        let two = |[p50, p99]: [Duration; 2]| format!("{:.0}/{:.0}", ms(p50), ms(p99));
        format!(
            "{:8} {:22} {:>6.1} {:>7.1} {:>7.0} | {:>6.2} {:>6.2} {:>6.2} {:>6.2} | {:>6.1} | {:>13} {:>13} | {:>6.2} {:>5.2}",
            self.way.name(),
            self.workload,
            self.created.as_secs_f64(),
            self.wall.as_secs_f64(),
            self.rate(),
            self.cpu_ms("kube-scheduler"),
            self.cpu_ms("kube-apiserver"),
            self.cpu_ms("muster"),
            self.cpu_ms("etcd"),
            self.cpu.values().sum::<Duration>().as_secs_f64(),
            two(self.to_release),
            two(self.to_bind),
            self.calls[0],
            self.calls[1],
        )
    }

    /// Pods for each second.
    pub(super) fn rate(&self) -> f64 {
        number(self.pods) / self.wall.as_secs_f64()
    }

    /// Milliseconds of processor time for one pod.
    pub(super) fn cpu_ms(&self, program: &str) -> f64 {
        self.cpu.get(program).copied().map_or(0.0, ms) / number(self.pods)
    }
}
