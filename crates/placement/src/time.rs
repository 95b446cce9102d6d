//! Time as an argument: milliseconds since the caller's own start, and spans between two of them.
//!
//! Owns nothing that ticks. The shell reads a monotonic clock once per event and passes the reading in;
//! a simulator passes whatever it likes. Times of two machines are never compared: the age of an object
//! is [`CreatedAt`], which only the API server writes.

/// A point on the caller's monotonic clock, in milliseconds since the caller's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

/// When the API server created an object, in seconds since 1970. Used for order only, never for durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CreatedAt(pub u64);

impl Time {
    /// The span since `earlier`; zero if `earlier` is in the future.
    pub fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// This time moved forward by `span`.
    #[must_use]
    pub fn after(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}
