//! The thread that asks NVML: opens the driver, sweeps over the GPUs, and opens it again when that may help.
//!
//! Invariant: at most one sweep is under way, whoever asks for one; while it is, `busy` says since when.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::clock::{Busy, Clock};
use crate::driver::{self, Driver};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::pause::{self, Pause};
use crate::xids::Listener;

/// Without a driver, and with GPUs that are lost, the driver is opened again after this many sweeps' time: 30 s at
/// the default interval. NVML says of a lost GPU that it is lost until then.
const REOPEN_SWEEPS: u32 = 6;
/// That time doubles while it is in vain, up to so many sweeps' time: 5 min at the default interval. Without
/// persistence mode each opening takes seconds.
const REOPEN_SWEEPS_MAX: u32 = 60;
/// How often the links are read again, in sweeps: one can go down.
const LINKS_SWEEPS: u32 = 12;

/// What the thread may be told, weakest first. A wait that ends by itself says `Sweep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// Look now.
    Sweep,
    /// Initialise the driver again.
    Reopen,
    /// End.
    Stop,
}

/// Everything the thread needs.
pub(crate) struct Sampler {
    pub(crate) library: Option<PathBuf>,
    pub(crate) sysfs: PathBuf,
    pub(crate) interval: Duration,
    pub(crate) clock: Arc<Clock>,
    pub(crate) busy: Arc<Busy>,
    pub(crate) metrics: Arc<Metrics>,
    /// The latest state.
    pub(crate) node: Arc<watch::Sender<Node>>,
    /// For those who wake the thread.
    pub(crate) wake: mpsc::Sender<Wake>,
}

impl Sampler {
    /// Starts the thread. It is not joined: it may hang in the kernel.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(crate) fn start(self, woken: mpsc::Receiver<Wake>) -> Result<(), std::io::Error> {
        std::thread::Builder::new().name("nvml".to_owned()).spawn(move || self.run(&woken)).map(drop)
    }

    fn run(&self, woken: &mpsc::Receiver<Wake>) {
        let first = self.interval * REOPEN_SWEEPS;
        let mut pause = Pause::new(pause::random(), first, self.interval * REOPEN_SWEEPS_MAX);
        let mut patience = REOPEN_SWEEPS;
        loop {
            let next = match self.open() {
                Some(driver) => {
                    pause.reset();
                    let next = self.watch(driver, woken, &mut patience);
                    next.unwrap_or_else(|| wait(woken, pause.after_failure()))
                }
                None => wait(woken, pause.after_failure()),
            };
            if matches!(next, Wake::Stop) {
                return;
            }
        }
    }

    /// Opens the driver; if it cannot be used, the node says why.
    fn open(&self) -> Option<Driver> {
        self.busy.begin(self.clock.now());
        let opened = Driver::open(self.library.as_deref(), &self.sysfs);
        self.busy.end();
        match opened {
            Ok(driver) => Some(driver),
            Err(fault) => {
                self.gone(fault.to_string());
                None
            }
        }
    }

    /// Sweeps until the driver has to be opened again; `None` if it is gone, and there should be a pause.
    fn watch(&self, driver: Driver, woken: &mpsc::Receiver<Wake>, patience: &mut u32) -> Option<Wake> {
        self.take_over(&driver);
        let listener = Listener::start(&driver, self.tell_xid());
        if let Err(fault) = &listener {
            error!("XIDs are not heard of: there is no thread for them: {fault}");
        }
        let next = self.sweep_until(&driver, woken, patience);
        if let Ok(listener) = listener {
            listener.end();
        }
        self.busy.begin(self.clock.now());
        drop(driver);
        self.busy.end();
        next
    }

    /// Sweeps until told otherwise, or until GPUs have been missing for `patience` sweeps.
    fn sweep_until(&self, driver: &Driver, woken: &mpsc::Receiver<Wake>, patience: &mut u32) -> Option<Wake> {
        let (mut sweeps, mut in_vain): (u32, u32) = (0, 0);
        loop {
            if !self.sweep(driver, sweeps.is_multiple_of(LINKS_SWEEPS)) {
                return None;
            }
            sweeps = sweeps.wrapping_add(1);
            if self.node.borrow().misses_gpus() {
                in_vain = in_vain.saturating_add(1);
            } else {
                (in_vain, *patience) = (0, REOPEN_SWEEPS);
            }
            match wait(woken, self.interval) {
                Wake::Sweep if in_vain >= *patience => {
                    *patience = patience.saturating_mul(2).min(REOPEN_SWEEPS_MAX);
                    return Some(Wake::Reopen);
                }
                Wake::Sweep => {}
                next => return Some(next),
            }
        }
    }

    fn take_over(&self, driver: &Driver) {
        let found: Vec<_> = driver.gpus.iter().map(|(_, identity)| identity.clone()).collect();
        let (epoch, version, count) = (self.clock.since_boot_ms(), driver.version.clone(), driver.count);
        let was = self.node.borrow().driver().clone();
        // Silently: the first sweep follows, and a report between the two would show GPUs without readings.
        self.node.send_if_modified(|node| {
            node.opened(epoch, version, found, count);
            false
        });
        let node = self.node.borrow();
        if *node.driver() != was {
            info!(version = driver.version, gpus = driver.count, "the driver answers");
        }
        if node.nameless > 0 {
            let gpus = node.nameless;
            warn!(
                gpus,
                "some GPUs do not say who they are: they were lost before the agent started; reset them or reboot"
            );
        }
    }

    /// Whether the driver is still there.
    fn sweep(&self, driver: &Driver, with_links: bool) -> bool {
        let began = self.clock.now();
        self.busy.begin(began);
        let swept = driver::sweep(driver).and_then(|sweep| {
            let links = if with_links { Some(driver::read_links(driver)?) } else { None };
            Ok((sweep, links))
        });
        self.busy.end();
        self.metrics.sweep_seconds.observe(self.clock.now().saturating_sub(began).as_secs_f64());
        match swept {
            Ok((sweep, links)) => {
                let before: Vec<String> = self.node.borrow().lost().into_iter().map(str::to_owned).collect();
                self.node.send_modify(|node| {
                    node.swept(sweep);
                    if let Some(links) = links {
                        node.linked(links);
                    }
                });
                self.log_losses(&before);
                true
            }
            Err(error) => {
                self.gone(format!("the driver went away: {error}; it is opened again"));
                false
            }
        }
    }

    fn log_losses(&self, before: &[String]) {
        let node = self.node.borrow();
        let now = node.lost();
        for uuid in now.iter().filter(|uuid| !before.iter().any(|known| known == *uuid)) {
            warn!(uuid, "GPU is lost: new pods do not get it until it answers again");
        }
        for uuid in before.iter().filter(|uuid| !now.contains(uuid.as_str())) {
            info!(uuid, "GPU answers again");
        }
    }

    fn gone(&self, why: String) {
        use crate::node::DriverFound;
        let is_news =
            !matches!(self.node.borrow().driver(), DriverFound::Absent { why: known } if *known == why);
        if is_news {
            warn!("no driver: {why}");
        }
        let epoch = self.clock.since_boot_ms();
        self.node.send_modify(|node| node.driver_gone(epoch, why));
    }

    fn tell_xid(&self) -> impl Fn(&str, u64) + Send + 'static {
        let (node, metrics, wake) = (self.node.clone(), self.metrics.clone(), self.wake.clone());
        move |uuid, xid| {
            metrics.xids_total.with_label_values(&[&xid.to_string()]).inc();
            let mut is_fatal = false;
            node.send_modify(|node| is_fatal = node.raised(uuid, xid));
            if is_fatal {
                warn!(uuid, xid, "fatal XID: new pods do not get this GPU");
            } else {
                info!(uuid, xid, "XID");
            }
            // What it did to the GPU shows in a sweep. If the sampler has ended, so has this thread's use.
            let _ = wake.send(Wake::Sweep);
        }
    }
}

/// Waits for the time or for a word. Words that came meanwhile are one: a GPU can raise many XIDs at once.
fn wait(woken: &mpsc::Receiver<Wake>, time: Duration) -> Wake {
    let mut next = match woken.recv_timeout(time) {
        Ok(wake) => wake,
        Err(RecvTimeoutError::Timeout) => Wake::Sweep,
        Err(RecvTimeoutError::Disconnected) => Wake::Stop,
    };
    for wake in woken.try_iter() {
        next = next.max(wake);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_words_are_one_and_the_strongest_counts() {
        let (wake, woken) = mpsc::channel();
        for word in [Wake::Sweep, Wake::Reopen, Wake::Sweep] {
            wake.send(word).unwrap();
        }
        assert_eq!(wait(&woken, Duration::ZERO), Wake::Reopen);
        assert_eq!(wait(&woken, Duration::ZERO), Wake::Sweep, "the time is over");
        drop(wake);
        assert_eq!(wait(&woken, Duration::ZERO), Wake::Stop, "nobody can wake it any more");
    }
}
