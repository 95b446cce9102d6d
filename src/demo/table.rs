//! What the demo prints: on a terminal a table that is drawn anew every second, elsewhere a line now and then.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use muster_placement::gang::{Gang, Phase};
use muster_placement::inventory::Health;
use muster_placement::node_state::NodeState;
use muster_placement::time::Time;
use muster_placement::{Refusal, View};
use muster_simulations::Tally;
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::tally::{Gpus, phase_of, waits};
use crate::clock::Clock;
use crate::engine::Handle;

const GANGS_SHOWN: usize = 14;
/// Seconds between two lines where there is no terminal.
const LINE_EVERY: u64 = 10;

/// What is shown where.
pub(super) struct Shown {
    /// Where the dashboard is.
    pub(super) address: SocketAddr,
    /// No table.
    pub(super) headless: bool,
    /// The most rules that an audit ever found broken.
    pub(super) worst: Arc<AtomicI64>,
}

/// Shows the state until `stop`.
pub(super) async fn show(
    stop: CancellationToken,
    shown: Shown,
    engine: Handle,
    counts: watch::Receiver<Tally>,
    violations: IntGauge,
    clock: Arc<Clock>,
) -> Result<()> {
    print(&format!(
        "Muster demo: http://{}/  (dashboard; API under /api/v1; Ctrl-C ends it)\n",
        shown.address
    ))?;
    let drawn = !shown.headless && io::stdout().is_terminal();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut seconds = 0u64;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = second.tick() => seconds += 1,
        }
        shown.worst.fetch_max(violations.get(), Ordering::Relaxed);
        let view = engine.view();
        let tally = counts.borrow().clone();
        if drawn {
            // Home, then the page, then whatever is left of the last one is cleared.
            print(&format!("\x1b[H\x1b[2J{}", page(&view, &tally, shown.address, clock.now())))?;
        } else if seconds.is_multiple_of(LINE_EVERY) {
            print(&format!("{}\n", headline(&view, &tally)))?;
        }
    }
}

/// What came of it all.
pub(super) fn summary(tally: &Tally) -> Result<()> {
    print(&format!("\n{tally}\n"))
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing to standard output")
}

fn headline(view: &View, tally: &Tally) -> String {
    let Gpus { capacity, free, unhealthy, .. } = Gpus::of(view);
    let waiting = view.gangs.values().filter(|gang| waits(gang)).count();
    format!(
        "GPUs: {capacity} in all, {free} free, {unhealthy} unhealthy | gangs: {waiting} wait, {} started, {} jobs done",
        tally.started, tally.finished
    )
}

fn page(view: &View, tally: &Tally, address: SocketAddr, now: Time) -> String {
    let mut page = format!("Muster demo  http://{address}/\n{}\n\n", headline(view, tally));
    for state in view.nodes.iter().filter(|state| state.has_gpus()) {
        let _ = writeln!(page, "{:10} {}", state.node.name, gpus(state));
    }
    let _ = writeln!(
        page,
        "           # in use  . free  ! unhealthy\n\n{:34} {:9} {:>7} {:>5}  WHY",
        "GANG", "STATE", "MEMBERS", "AGE"
    );
    let mut gangs: Vec<&Arc<Gang>> = view.gangs.values().filter(|gang| !gang.members.is_empty()).collect();
    gangs.sort_by_key(|gang| (gang.phase == Phase::Placed, std::cmp::Reverse(gang.since), &gang.id));
    for gang in gangs.into_iter().take(GANGS_SHOWN) {
        let why = gang.refusal.as_ref().map(Refusal::sentence).unwrap_or_default();
        let age = now.since(gang.since).0 / 1_000;
        let name = format!("{} {}", gang.id.kind, gang.id.name);
        let _ = writeln!(page, "{name:34} {:9} {:>7} {age:>4}s  {why}", phase_of(gang), gang.members.len());
    }
    page
}

/// One mark for each GPU.
fn gpus(state: &NodeState) -> String {
    let gpus = state.inventory.iter().flat_map(|inventory| &inventory.gpus);
    let mark = |gpu: &muster_placement::inventory::Gpu| match (
        &gpu.health,
        state.account.gpus.contains_key(&gpu.uuid),
    ) {
        (Health::Unhealthy(_), _) => '!',
        (Health::Healthy | Health::Degraded(_), true) => '#',
        (Health::Healthy | Health::Degraded(_), false) => '.',
    };
    gpus.map(mark).collect()
}
