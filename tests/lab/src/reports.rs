//! Speaks the agents' wire for simulated nodes: invents GPUs and reports them, where no real agent does (see [`crate::agents`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use muster_report::{Gpu, Health, Report, VERSION, encode};
use tokio::task::JoinHandle;

use crate::http;
use crate::wait::until;

/// How long the extender may refuse them.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often every node reports, besides at once after a change.
const PERIOD: Duration = Duration::from_secs(1);

/// Reports that are sent until dropped.
pub struct Reports {
    nodes: Arc<Mutex<BTreeMap<String, Report>>>,
    url: String,
    client: reqwest::Client,
    task: JoinHandle<()>,
}

impl Reports {
    /// Begins to report for nodes of so many GPUs each.
    pub fn start(base: &str, nodes: impl IntoIterator<Item = (String, u32)>) -> Reports {
        let nodes: BTreeMap<_, _> =
            nodes.into_iter().map(|(name, gpus)| (name.clone(), report(&name, gpus))).collect();
        let nodes = Arc::new(Mutex::new(nodes));
        let url = format!("{base}/v1/reports");
        let client = reqwest::Client::new();
        let task = tokio::spawn(send_for_ever(nodes.clone(), url.clone(), client.clone()));
        Reports { nodes, url, client, task }
    }

    /// UUIDs of the GPUs of a node.
    pub fn uuids(&self, node: &str) -> Vec<String> {
        lock(&self.nodes)
            .get(node)
            .map(|r| r.gpus.iter().map(|g| g.uuid.clone()).collect())
            .unwrap_or_default()
    }

    /// Reports a GPU dead, or healthy again, and returns when the extender has taken the report.
    pub async fn set_health(&self, node: &str, gpu: usize, health: Health) -> Result<()> {
        let report = {
            let mut nodes = lock(&self.nodes);
            let report = nodes.get_mut(node).ok_or_else(|| anyhow!("no node {node} reports"))?;
            let gpu = report.gpus.get_mut(gpu).ok_or_else(|| anyhow!("{node} has no GPU {gpu}"))?;
            gpu.health = health;
            report.sequence += 1;
            report.clone()
        };
        http::post(&self.client, &self.url, encode(&report)?).await.map(drop)
    }

    /// Reports every node until all reports were taken: right after a start the extender may not know every node.
    pub async fn send_all(&self) -> Result<()> {
        until(TIMEOUT, Duration::from_millis(50), async || {
            for body in next_bodies(&self.nodes) {
                http::post(&self.client, &self.url, body).await?;
            }
            Ok(Some(()))
        })
        .await
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send_for_ever(nodes: Arc<Mutex<BTreeMap<String, Report>>>, url: String, client: reqwest::Client) {
    let mut every = tokio::time::interval(PERIOD);
    loop {
        every.tick().await;
        for body in next_bodies(&nodes) {
            // The extender may be down: an agent goes on and reports again.
            let _ = http::post(&client, &url, body).await;
        }
    }
}

fn next_bodies(nodes: &Mutex<BTreeMap<String, Report>>) -> Vec<Vec<u8>> {
    let mut nodes = lock(nodes);
    let next = nodes.values_mut().map(|report| {
        report.sequence += 1;
        encode(report)
    });
    next.filter_map(Result::ok).collect()
}

fn lock(nodes: &Mutex<BTreeMap<String, Report>>) -> MutexGuard<'_, BTreeMap<String, Report>> {
    nodes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A node with GPUs in linked pairs.
pub(crate) fn report(node: &str, gpus: u32) -> Report {
    let link = |a: u32, b: u32| {
        if a == b {
            0
        } else if a / 2 == b / 2 {
            400
        } else {
            100
        }
    };
    Report {
        version: VERSION,
        node: node.to_owned(),
        boot_id: "b3a7c1de-0000-4000-8000-000000000001".to_owned(),
        epoch: 1,
        sequence: 0,
        gpus: (0..gpus).map(|i| gpu(node, i)).collect(),
        link_gbps: (0..gpus).map(|a| (0..gpus).map(|b| link(a, b)).collect()).collect(),
        device_plugin: None,
        driver: None,
    }
}

fn gpu(node: &str, index: u32) -> Gpu {
    Gpu {
        uuid: format!("GPU-{node}-{index}"),
        model: "NVIDIA A100-SXM4-80GB".to_owned(),
        memory_mib: 81_920,
        pci_address: format!("0000:{:02x}:00.0", index + 1),
        numa_node: Some(u8::from(index >= 4)),
        health: Health::Healthy,
        utilisation_percent: 0,
        memory_used_mib: 0,
        temperature_c: 35,
        power_mw: 60_000,
        ecc_corrected: None,
        ecc_uncorrected: None,
    }
}
