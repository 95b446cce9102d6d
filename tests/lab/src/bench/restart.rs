//! Memory of Muster with 1,000 nodes and 2,000 bound pods, and how long it takes from its start until it answers,
//! each time from nothing: all it knows is read from the API server. The floor of the second is one client that lists
//! the same nodes and pods and throws them away; the peer of the first is kube-scheduler.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::caller::{Caller, Request};
use super::end_to_end;
use super::figures::{ms, percentile};
use super::processes::{at_rest, cpu, memory_mib};
use super::ways::{NODES, Running};
use crate::http;

const STARTS: usize = 5;
const TIMEOUT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(2);

/// Fills a control plane and prints the figures.
pub(super) async fn run(muster: &Path) -> Result<()> {
    println!("\nfilling a control plane of {NODES} nodes with 2,000 pods …");
    let running = end_to_end::filled(muster).await?;
    measure(&running).await
}

/// Prints the figures of a control plane that is filled.
pub(super) async fn measure(running: &Running) -> Result<()> {
    let (muster, url) = running.muster()?;
    let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).context("no port")?;
    at_rest(&running.lab, Some(muster.pid())).await?;
    let scheduler = running.lab.scheduler_pid().context("no scheduler runs")?;
    let [ours, peer] = [memory_mib(muster.pid())?, memory_mib(scheduler)?];
    println!(
        "memory after binding 2,000 pods on {NODES} nodes: muster {} MiB (highest {}), kube-scheduler {} MiB (highest {})",
        ours.0, ours.1, peer.0, peer.1
    );
    let (mut starts, mut cpus, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let begin = Instant::now();
        muster.restart()?;
        ready(port).await?;
        starts.push(begin.elapsed());
        cpus.push(cpu(muster.pid())?);
        let begin = Instant::now();
        let client = running.lab.client();
        let (nodes, pods) =
            tokio::try_join!(http::get(&client, "/api/v1/nodes"), http::get(&client, "/api/v1/pods"))?;
        lists.push(begin.elapsed());
        drop((nodes, pods));
    }
    let fresh = memory_mib(muster.pid())?;
    let [start, cpu, list] = [&mut starts, &mut cpus, &mut lists].map(|times| percentile(times, 50));
    println!(
        "start to ready: {:.0} ms (cpu {:.0} ms); floor, lists alone: {:.0} ms; ratio {:.1}; memory then {} MiB",
        ms(start),
        ms(cpu),
        ms(list),
        ms(start) / ms(list),
        fresh.0
    );
    Ok(())
}

async fn ready(port: u16) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let request = Request::get("/readyz");
    loop {
        if Caller::connect(port).and_then(|mut caller| caller.call(&request).map(drop)).is_ok() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "muster is not ready after {TIMEOUT:?}");
        tokio::time::sleep(INTERVAL).await;
    }
}
