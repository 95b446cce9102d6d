//! How the parts are put together: for one report, and for good.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::client::Sender;
use crate::clock::{Busy, Clock};
use crate::door::Door;
use crate::flags::Settings;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::reporter::{Latest, Reporter};
use crate::sampler::{Sampler, Wake};

/// How often one report looks whether there is something to report.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(5);

/// The thread that asks NVML, and what it fills.
struct Watched {
    latest: Latest,
    metrics: Arc<Metrics>,
    wake: mpsc::Sender<Wake>,
}

fn watch_gpus(settings: &Settings) -> Result<Watched> {
    let (clock, busy) = (Arc::new(Clock::start()?), Arc::new(Busy::default()));
    let metrics = Arc::new(Metrics::new()?);
    let node = Arc::new(watch::Sender::new(Node::default()));
    let (wake, woken) = mpsc::channel();
    let sampler = Sampler {
        library: settings.nvml_library.clone(),
        sysfs: settings.sysfs.clone(),
        interval: settings.interval,
        clock: clock.clone(),
        busy: busy.clone(),
        metrics: metrics.clone(),
        node: node.clone(),
        wake: wake.clone(),
    };
    sampler.start(woken).context("starting the thread that asks NVML")?;
    let (name, driver_timeout) = (Arc::from(settings.node.as_str()), settings.driver_timeout);
    Ok(Watched { latest: Latest { name, clock, busy, driver_timeout, node }, metrics, wake })
}

/// Prints one report and ends, whether or not there is a driver.
///
/// # Errors
/// If the report cannot be printed.
pub fn once(settings: &Settings) -> Result<()> {
    let Watched { latest, wake, .. } = watch_gpus(settings)?;
    let began = latest.clock.now();
    let is_over = || latest.clock.now().saturating_sub(began) > settings.driver_timeout;
    while !latest.node.borrow().is_known && !is_over() {
        std::thread::sleep(LOOK_EVERY);
    }
    let text = serde_json::to_string_pretty(&latest.report(1))?;
    writeln!(std::io::stdout(), "{text}").context("printing the report")?;
    // A thread that hangs does not hear it, and ends with the program.
    let _ = wake.send(Wake::Stop);
    Ok(())
}

/// Reports until `stop`.
///
/// # Errors
/// Why it could not start.
pub async fn serve(settings: Settings, stop: CancellationToken) -> Result<()> {
    info!(node = settings.node, extender = %settings.reports, interval = ?settings.interval, "starting");
    let Watched { latest, metrics, wake } = watch_gpus(&settings)?;
    let sender = Sender::new(settings.reports.clone()).context("making an HTTP client")?;
    let door = Door { latest: latest.clone(), metrics: metrics.clone() };
    let reporter = Reporter::new(latest, sender, metrics, wake.clone(), settings.interval);
    tokio::join!(door.run(settings.listen, stop.clone()), reporter.run(stop));
    // The thread may hang in the kernel, so nobody waits for it.
    let _ = wake.send(Wake::Stop);
    Ok(())
}
