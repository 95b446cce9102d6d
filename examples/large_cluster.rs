//! A cluster of 2,000 nodes with 8 GPUs each behind the real engine, API and dashboard, for figures of scale: every
//! node is reported once a second with other readings, nine of ten nodes run members of gangs of four pods.
//!
//! `cargo run --release --example large_cluster -- 127.0.0.1:7070 [NODES]`. Has no API server: nothing is bound.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use muster::clock::{Beat, Clock};
use muster::engine::{Engine, Handle, Parts};
use muster::metrics::Metrics;
use muster::recognise::Owners;
use muster::supervisor::Supervisor;
use muster::translate::{self, SchedulerNames};
use muster::{api, dashboard};
use muster_placement::Event;
use muster_placement::ids::{Name, NodeName};
use muster_placement::inventory::{Gpu, Health, Inventory, Load};
use muster_placement::node::Node;
use muster_placement::pod::Pod;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const NODES: &str = "2000";
const GPUS: u64 = 8;
const PODS_PER_GANG: u64 = 4;
const REPORT_EVERY: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7070".into());
    let address: SocketAddr = address.parse().with_context(|| format!("{address} is not ADDRESS:PORT"))?;
    let nodes = std::env::args().nth(2).unwrap_or_else(|| NODES.into());
    let nodes: u64 = nodes.parse().with_context(|| format!("{nodes} is not a number of nodes"))?;
    let metrics = Metrics::new()?;
    let (effects, mut unused) = mpsc::unbounded_channel();
    let (clock, beat) = (Arc::new(Clock::start()), Arc::new(Beat::default()));
    let (engine, handle) =
        Engine::new(Parts { effects, clock, beat, violations: metrics.audit_violations.clone() });
    let router = Router::new().merge(api::router(handle.clone())).merge(dashboard::router());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    let stop = CancellationToken::new();
    let mut tasks = Supervisor::default();
    tasks.start("engine", engine.run(stop.clone()));
    tasks.start("reports", report(handle, nodes));
    tasks.start("http", async move { Ok(axum::serve(listener, router).await?) });
    tasks.start("effects", async move {
        while unused.recv().await.is_some() {}
        Ok(())
    });
    tasks.start("signal", async move {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        terminate.recv().await;
        std::process::exit(0)
    });
    tasks.run(stop).await
}

async fn report(handle: Handle, nodes: u64) -> Result<()> {
    for at in 0..nodes {
        handle.tell(Event::NodeSeen(Box::new(node(at)?))).await?;
        handle.tell(Event::Reported(name(at), inventory(at, 0))).await?;
        if at % 10 != 9 {
            handle.tell(Event::PodSeen(Box::new(pod(at)?))).await?;
        }
    }
    handle.tell(Event::Synced).await?;
    let mut every = tokio::time::interval(REPORT_EVERY);
    for round in 1_u64.. {
        every.tick().await;
        for at in 0..nodes {
            handle.tell(Event::Reported(name(at), inventory(at, round))).await?;
        }
    }
    Ok(())
}

fn name(at: u64) -> NodeName {
    NodeName::from(format!("gpu-{at:04}").as_str())
}

fn model(at: u64) -> &'static str {
    if at.is_multiple_of(2) { "NVIDIA H100 80GB HBM3" } else { "NVIDIA A100-SXM4-80GB" }
}

fn node(at: u64) -> Result<Node> {
    let amounts = json!({"nvidia.com/gpu": "8", "cpu": "128", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "110"});
    let node = json!({
        "metadata": {"name": name(at).as_str()},
        "spec": {"unschedulable": at.is_multiple_of(97)},
        "status": {"allocatable": amounts},
    });
    Ok(translate::node(&serde_json::from_value(node)?))
}

fn inventory(at: u64, round: u64) -> Inventory {
    let gpu = |index: u64| {
        // Any reading that changes will do.
        let percent = u8::try_from((at * 37 + index * 11 + round * 7) % 101).unwrap_or(0);
        let busy = at % 10 != 9;
        let sick = at.is_multiple_of(211) && index == 3;
        Gpu {
            uuid: format!("GPU-{at:04}-{index}").as_str().into(),
            model: Name::from(model(at)),
            memory_mib: 81_920,
            numa: None,
            health: if sick { Health::Unhealthy("XID 79".into()) } else { Health::Healthy },
            load: Load {
                utilisation_percent: if busy { percent } else { 0 },
                memory_used_mib: u64::from(percent) * 800,
                temperature_c: 60,
                power_mw: 500_000,
                ..Load::default()
            },
        }
    };
    Inventory { gpus: (0..GPUS).map(gpu).collect(), ..Inventory::default() }
}

fn pod(at: u64) -> Result<Pod> {
    let job = format!("train-{}", at / PODS_PER_GANG);
    let labels = json!({"muster.dev/gang-name": job, "muster.dev/gang-size": PODS_PER_GANG.to_string()});
    let amounts = json!({"nvidia.com/gpu": "8", "cpu": "64"});
    let pod = json!({
        "metadata": {"uid": format!("uid-{at}"), "namespace": "ml", "name": format!("{job}-{at}"), "labels": labels},
        "spec": {"nodeName": name(at).as_str(), "containers": [
            {"name": "c", "resources": {"limits": amounts, "requests": amounts}},
        ]},
        "status": {"phase": "Running"},
    });
    let schedulers = SchedulerNames::from_iter(["muster"]);
    Ok(translate::pod(&serde_json::from_value(pod)?, &Owners::default(), &schedulers))
}
