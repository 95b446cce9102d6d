//! The only reader of time in this program. Everything else is told what time it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use muster_placement::time::{Span, Time};

/// A monotonic clock that starts at zero.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts the clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Time since the start.
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// When something last showed that it is alive.
#[derive(Debug, Default)]
pub struct Beat(AtomicU64);

impl Beat {
    /// It is alive now.
    pub fn mark(&self, now: Time) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    /// How long it has shown nothing.
    pub fn silence(&self, now: Time) -> Span {
        now.since(Time(self.0.load(Ordering::Relaxed)))
    }
}
