//! The only reader of time in the agent, and of the boot that it counts from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const UPTIME: &str = "/proc/uptime";

/// Why the boot cannot be told.
#[derive(Debug, Error)]
#[error("cannot read {path}: {why}; reports are ordered by it, so mount /proc")]
pub struct BootError {
    path: &'static str,
    why: String,
}

/// A monotonic clock that knows which boot it runs in.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// Milliseconds from the machine's boot to `start`.
    booted_ms: u64,
    /// Another one means that the machine was started again.
    pub boot_id: String,
}

impl Clock {
    /// Starts the clock.
    ///
    /// # Errors
    /// If `/proc` does not say when the machine was started.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn start() -> Result<Clock, BootError> {
        let boot_id = read(BOOT_ID)?.trim().to_owned();
        let uptime = read(UPTIME)?;
        let seconds = uptime.split_whitespace().next().and_then(|first| first.parse().ok());
        let booted = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let booted =
            booted.ok_or_else(|| BootError { path: UPTIME, why: format!("{uptime:?} has no seconds") })?;
        Ok(Clock { start: Instant::now(), booted_ms: millis(booted), boot_id })
    }

    /// Time since the agent started.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Milliseconds since the machine was started. It goes on over restarts of the agent, so that a later epoch is
    /// a higher one.
    pub fn since_boot_ms(&self) -> u64 {
        self.booted_ms.saturating_add(millis(self.now()))
    }
}

fn read(path: &'static str) -> Result<String, BootError> {
    std::fs::read_to_string(path).map_err(|source| BootError { path, why: source.to_string() })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a thread is inside a call that may never return, and since when.
#[derive(Debug, Default)]
pub struct Busy(AtomicU64);

impl Busy {
    /// It is about to call.
    pub fn begin(&self, now: Duration) {
        // One more, because zero means idle.
        self.0.store(millis(now).saturating_add(1), Ordering::Relaxed);
    }

    /// It has returned.
    pub fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// How long the call has been under way; `None` if none is.
    pub fn length(&self, now: Duration) -> Option<Duration> {
        let since = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_millis(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_timed_from_its_begin_to_its_end() {
        let busy = Busy::default();
        assert_eq!(busy.length(Duration::from_secs(9)), None);
        busy.begin(Duration::from_secs(9));
        assert_eq!(busy.length(Duration::from_secs(12)), Some(Duration::from_secs(3)));
        busy.end();
        assert_eq!(busy.length(Duration::from_secs(12)), None);
    }

    #[test]
    fn the_boot_is_known() {
        let clock = Clock::start().unwrap();
        assert!(clock.since_boot_ms() > 0);
        assert_eq!(clock.boot_id.len(), 36);
    }
}
