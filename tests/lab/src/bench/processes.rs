//! Processor time and memory of processes, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::Lab;

/// `USER_HZ`, which is 100 on every Linux that Rust runs on.
const TICK_MS: u64 = 10;
/// A machine at rest uses less than this of one core in [`WINDOW`].
const REST: Duration = Duration::from_millis(120);
const WINDOW: Duration = Duration::from_millis(600);
const REST_TIMEOUT: Duration = Duration::from_mins(1);

/// Processor time used so far, in user and kernel mode.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    // The name in parentheses may hold anything; after it user and system time are the 12th and 13th.
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let sum = ticks.sum::<Result<u64, _>>().context("no times in stat")?;
    Ok(Duration::from_millis(sum * TICK_MS))
}

/// Resident memory now and at its highest, in MiB.
pub(super) fn memory_mib(pid: u32) -> Result<(u64, u64)> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    let kib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next());
        line.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok((kib("VmRSS:") / 1024, kib("VmHWM:") / 1024))
}

/// What each program of a lab has used since the meter was started. One that starts later counts from its start,
/// unless the meter is told of it.
pub(super) struct Meter(BTreeMap<&'static str, (u32, Duration)>);

impl Meter {
    /// Starts at now for the programs of a lab, `muster` if it runs, and ourselves.
    pub(super) fn start(lab: &Lab, muster: Option<u32>) -> Result<Meter> {
        let mut pids: BTreeMap<&'static str, u32> = BTreeMap::from([("bench", std::process::id())]);
        for name in ["etcd", "kube-apiserver", "kube-controller-manager", "kwok"] {
            pids.extend(lab.process(name).map(|process| (name, process.pid())));
        }
        pids.extend(lab.scheduler_pid().map(|pid| ("kube-scheduler", pid)));
        pids.extend(muster.map(|pid| ("muster", pid)));
        let read = pids.into_iter().map(|(name, pid)| Ok((name, (pid, cpu(pid)?))));
        Ok(Meter(read.collect::<Result<_>>()?))
    }

    /// What each has used since the start.
    pub(super) fn read(&self) -> Result<BTreeMap<&'static str, Duration>> {
        let used = |(name, (pid, start)): (&&'static str, &(u32, Duration))| {
            Ok((*name, cpu(*pid)?.saturating_sub(*start)))
        };
        self.0.iter().map(used).collect()
    }
}

/// Waits until the programs of a lab are at rest, so that one figure does not pay for what came before it.
pub(super) async fn at_rest(lab: &Lab, muster: Option<u32>) -> Result<()> {
    let deadline = Instant::now() + REST_TIMEOUT;
    while Instant::now() < deadline {
        let meter = Meter::start(lab, muster)?;
        tokio::time::sleep(WINDOW).await;
        if meter.read()?.values().sum::<Duration>() < REST {
            return Ok(());
        }
    }
    Ok(())
}
