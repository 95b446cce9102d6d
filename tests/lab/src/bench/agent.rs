//! What the node agent costs its node, and what its reports cost the extender.
//!
//! The agent runs on the fake driver. That one looks at its scenario before every call, which is most of a sweep's
//! time, and ten times a second in the thread that waits for XIDs, which a real driver lets sleep: that thread is
//! shown by itself. The floor is the same program on a node without a driver. The floor of the intake is a server that reads the same bytes, looks at
//! nothing and answers the same.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use muster_report::encode;

use super::caller::{Caller, Request};
use super::constant;
use super::figures::{median, ms, number, us};
use super::processes::{at_rest, cpu, memory_mib};
use super::still;
use crate::agents::{Agent, AgentPrograms};
use crate::http;
use crate::reports::report;
use crate::wait::until;

/// What the fake driver plays.
const MACHINE: &str = "profile: dgx-h100";
/// Sweeps and reports of the agents.
const PERIOD: &str = "10s";
const ANSWER: &[u8] = br#"{"interval_ms":10000,"resync":false}"#;
/// How long their processor time is read: six periods.
const WINDOW: Duration = Duration::from_mins(1);
/// Sweeps of the agent that only sweeps.
const SWEEPS: f64 = 500.0;
const TIMEOUT: Duration = Duration::from_mins(1);

/// Nodes whose reports are taken in turn.
const NODES: usize = 1_000;
/// Reports to one server before the other one has its turn.
const TURN: usize = 5_000;
const TURNS: u64 = 7;

/// Prints both tables.
pub(super) async fn run(muster: &Path) -> Result<()> {
    let folder = muster.parent().context("muster is in no folder")?;
    agents(&AgentPrograms::built_into(folder)?).await?;
    intake(muster).await
}

async fn agents(programs: &AgentPrograms) -> Result<()> {
    let constant = constant::start()?;
    Caller::connect(constant.port)?.call(&Request::post(constant::SET, ANSWER))?;
    let extender = format!("http://127.0.0.1:{}", constant.port);
    let folder = tempfile::tempdir()?;
    let start = |node: &str, scenario: &str, interval: &str| {
        let arguments = ["--extender", &extender, "--interval", interval];
        Agent::start(programs, folder.path(), node, scenario, &arguments)
    };
    let loaded = start("loaded", MACHINE, PERIOD)?;
    let floor = start("floor", &format!("{MACHINE}\ndriver: {{state: absent}}"), PERIOD)?;
    for agent in [&loaded, &floor] {
        agent.process.wait_ready(&format!("{}/readyz", agent.url), TIMEOUT).await?;
    }
    let before = [&loaded, &floor].map(|agent| precise_cpu(agent.process.pid()));
    tokio::time::sleep(WINDOW).await;
    println!("\nnode agent, a sweep and a report each {PERIOD}; floor: the same without a driver");
    println!(
        "{:28} {:>12} {:>12} {:>14} {:>16}",
        "agent", "memory MiB", "highest MiB", "cpu ms/period", "waiting for XIDs"
    );
    let periods = WINDOW.as_secs_f64() / 10.0;
    for ((name, agent), before) in
        [("8 GPUs, fake driver", &loaded), ("floor", &floor)].into_iter().zip(before)
    {
        let (before, after) = (before?, precise_cpu(agent.process.pid())?);
        let [work, waiting] = [after.0.saturating_sub(before.0), after.1.saturating_sub(before.1)];
        let (now, highest) = memory_mib(agent.process.pid())?;
        let [work, waiting] = [work, waiting].map(|used| ms(used) / periods);
        println!("{name:28} {now:>12} {highest:>12} {work:>14.2} {waiting:>16.2}");
    }
    let often = start("often", MACHINE, "10ms")?;
    let swept = until(TIMEOUT, Duration::from_millis(100), async || {
        let sweeps = Sweeps::read(&often.url).await?;
        Ok((sweeps.count >= SWEEPS).then_some(sweeps))
    });
    let Sweeps { count, seconds } = swept.await?;
    println!(
        "one sweep over 8 GPUs: {:.0} us on average of {count}, links every twelfth time",
        seconds / count * 1e6
    );
    Ok(())
}

/// The agent's histogram of sweeps.
struct Sweeps {
    count: f64,
    seconds: f64,
}

impl Sweeps {
    async fn read(url: &str) -> Result<Sweeps> {
        let text = http::get_text(&format!("{url}/metrics")).await?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            line.with_context(|| format!("no {name} in the metrics"))
        };
        let (count, seconds) =
            (value("muster_agent_sweep_seconds_count ")?, value("muster_agent_sweep_seconds_sum ")?);
        Ok(Sweeps { count, seconds })
    }
}

/// Processor time of all threads but the one that waits for XIDs, and of that one, to the nanosecond: what is
/// measured is less than a tick.
fn precise_cpu(pid: u32) -> Result<(Duration, Duration)> {
    let mut sums = (Duration::ZERO, Duration::ZERO);
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let folder = task?.path();
        let text = fs::read_to_string(folder.join("schedstat"))?;
        let used =
            text.split_whitespace().next().and_then(|first| first.parse().ok()).context("schedstat")?;
        let is_waiting = fs::read_to_string(folder.join("comm"))?.trim() == "xids";
        let sum = if is_waiting { &mut sums.1 } else { &mut sums.0 };
        *sum += Duration::from_nanos(used);
    }
    Ok(sums)
}

async fn intake(program: &Path) -> Result<()> {
    let (lab, muster, port) = still::start(program, (0..NODES).map(node_name)).await?;
    let constant = constant::start()?;
    let (mut ours, mut floor) = (Caller::connect(port)?, Caller::connect(constant.port)?);
    let first = bodies(0)?;
    let answer = ours.call(&Request::post("/v1/reports", first.first().context("no body")?))?.to_vec();
    floor.call(&Request::post(constant::SET, &answer))?;
    at_rest(&lab, Some(muster.pid())).await?;
    let mut used: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for turn in 1..=TURNS {
        let bodies = bodies(turn)?;
        let sides = [(&mut ours, muster.pid(), "/v1/reports"), (&mut floor, constant.pid(), constant::ASK)];
        for ((caller, pid, path), used) in sides.into_iter().zip(&mut used) {
            let requests: Vec<Request> = bodies.iter().map(|body| Request::post(path, body)).collect();
            let before = cpu(pid)?;
            for request in &requests {
                caller.call(request)?;
            }
            used.push(us(cpu(pid)?.saturating_sub(before)) / number(requests.len()));
        }
    }
    let [ours, floor] = used.map(|used| median(&used));
    println!(
        "\nreports of {NODES} nodes with 8 GPUs, {} bytes each, one caller; floor: axum, constant answer",
        first.first().map_or(0, Vec::len)
    );
    println!("{:10} {:>12} {:>18}", "server", "cpu us", "reports/s/core");
    for (name, cost) in [("muster", ours), ("floor", floor)] {
        println!("{name:10} {cost:>12.0} {:>18.0}", 1e6 / cost);
    }
    println!("ratio of processor time: {:.2}", ours / floor);
    Ok(())
}

/// A turn's reports: every node several times, in order, each later than all before.
fn bodies(turn: u64) -> Result<Vec<Vec<u8>>> {
    (0..TURN)
        .map(|at| {
            let mut report = report(&node_name(at % NODES), 8);
            report.epoch += turn;
            report.sequence = u64::try_from(at)?;
            Ok(encode(&report)?)
        })
        .collect()
}

fn node_name(at: usize) -> String {
    format!("gpu-{at:04}")
}
