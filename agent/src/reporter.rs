//! When a report is sent: at the extender's interval, and at once when the health of a GPU, the driver's state or
//! the epoch changes. After a failure not before the pause is over, whatever happens.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use muster_report::{Answer, DriverState, Health, Report};
use rand::rngs::SmallRng;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::client::{SendError, Sender};
use crate::clock::{Busy, Clock};
use crate::metrics::Metrics;
use crate::node::{Header, Node};
use crate::pause::Pause;
use crate::sampler::Wake;

/// Bounds of the interval that an extender may wish for.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_mins(10);
/// First and longest pause after a failure.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What everybody may ask of the node's latest state.
#[derive(Clone)]
pub(crate) struct Latest {
    pub(crate) name: Arc<str>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) busy: Arc<Busy>,
    pub(crate) driver_timeout: Duration,
    pub(crate) node: Arc<watch::Sender<Node>>,
}

impl Latest {
    /// The report as of now.
    pub(crate) fn report(&self, sequence: u64) -> Report {
        let stuck = self.busy.length(self.clock.now()).filter(|length| *length > self.driver_timeout).map(|_| {
            let limit = self.driver_timeout;
            format!("a call into the driver has not returned for over {limit:?}; see dmesg, and drain the node if it stays so")
        });
        let header = Header { node: &self.name, boot_id: &self.clock.boot_id, sequence, stuck };
        self.node.borrow().report(header)
    }
}

/// Sends reports for ever.
pub(crate) struct Reporter {
    latest: Latest,
    sender: Sender,
    metrics: Arc<Metrics>,
    wake: mpsc::Sender<Wake>,
    interval: Duration,
    pause: Pause<SmallRng>,
    sequence: u64,
    /// Part of the last report sent whose change is urgent.
    sent: Option<Urgent>,
    /// Label of the last failure; each is logged when it begins, and the success that ends it.
    failing: Option<String>,
    was_stuck: bool,
}

/// What must be told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Urgent {
    epoch: u64,
    driver: Option<DriverState>,
    health: Vec<(String, Health)>,
}

impl Reporter {
    /// A reporter that has sent nothing.
    pub(crate) fn new(
        latest: Latest,
        sender: Sender,
        metrics: Arc<Metrics>,
        wake: mpsc::Sender<Wake>,
        interval: Duration,
    ) -> Reporter {
        let pause = Pause::new(crate::pause::random(), PAUSE_FIRST.min(interval), PAUSE_MAX);
        let (sent, failing) = (None, None);
        Reporter {
            latest,
            sender,
            metrics,
            wake,
            interval,
            pause,
            sequence: 0,
            sent,
            failing,
            was_stuck: false,
        }
    }

    /// Reports until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.latest.node.subscribe();
        // Nothing is known before the first sweep; a driver that does not answer must not keep the node silent.
        let first = changes.wait_for(|node| node.is_known);
        let first = tokio::time::timeout(self.latest.driver_timeout, first);
        tokio::select! { () = stop.cancelled() => return, first = first => drop(first) }
        let mut due = Instant::now();
        let mut is_paused = false;
        loop {
            let report = self.latest.report(self.sequence.saturating_add(1));
            let urgent = urgent(&report);
            self.log_stuck(&report);
            let is_news = !is_paused && self.sent.as_ref() != Some(&urgent);
            if is_news || Instant::now() >= due {
                let wait = tokio::select! {
                    () = stop.cancelled() => return,
                    wait = self.send(report) => wait,
                };
                is_paused = wait.is_err();
                if !is_paused {
                    self.sent = Some(urgent);
                }
                due = Instant::now() + wait.unwrap_or_else(|pause| pause);
                continue;
            }
            // A driver that hangs changes nothing: it has to be looked at.
            let look = due.min(Instant::now() + self.latest.driver_timeout / 2);
            tokio::select! {
                () = stop.cancelled() => return,
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(look) => {}
            }
        }
    }

    /// Sends one report; how long to wait for the next one, which is a pause if this one was not taken.
    async fn send(&mut self, report: Report) -> Result<Duration, Duration> {
        self.sequence = report.sequence;
        match self.sender.send(&report).await {
            Ok(answer) => Ok(self.accepted(answer)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn accepted(&mut self, answer: Answer) -> Duration {
        self.metrics.reports_total.with_label_values(&["accepted"]).inc();
        self.pause.reset();
        if self.failing.take().is_some() || self.sent.is_none() {
            info!("the extender takes the reports");
        }
        if answer.resync {
            info!("the extender asks for a new epoch: the driver is initialised again");
            let _ = self.wake.send(Wake::Reopen);
        }
        match answer.interval_ms {
            0 => self.interval,
            wished => Duration::from_millis(wished).clamp(INTERVAL_MIN, INTERVAL_MAX),
        }
    }

    fn failed(&mut self, error: &SendError) -> Duration {
        self.metrics.reports_total.with_label_values(&[error.label()]).inc();
        let text = error.to_string();
        if self.failing.as_ref() != Some(&text) {
            warn!("{text}");
            self.failing = Some(text);
        }
        if error.is_stale() {
            // Another agent of this node, or one whose clock was ahead: only a later epoch is taken.
            let epoch = self.latest.clock.since_boot_ms();
            self.latest.node.send_modify(|node| node.raise_epoch(epoch));
        }
        self.pause.after_failure()
    }

    fn log_stuck(&mut self, report: &Report) {
        let driver = report.driver.as_ref();
        let is_stuck = driver.is_some_and(|driver| driver.state == DriverState::Unresponsive);
        if is_stuck && !self.was_stuck {
            let why = driver.and_then(|driver| driver.why.as_deref()).unwrap_or_default();
            warn!("driver unresponsive: {why}");
        } else if self.was_stuck && !is_stuck {
            info!("the driver responds again");
        }
        self.was_stuck = is_stuck;
    }
}

fn urgent(report: &Report) -> Urgent {
    Urgent {
        epoch: report.epoch,
        driver: report.driver.as_ref().map(|driver| driver.state),
        health: report.gpus.iter().map(|gpu| (gpu.uuid.clone(), gpu.health.clone())).collect(),
    }
}
