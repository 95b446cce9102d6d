//! The total order of waiting gangs: those whose Bindings keep failing behind the others for a while, then priority
//! (highest first), age, identity. Nothing else, so that two gangs can never wait for each other.

mod reservation;

pub use reservation::Reservation;

use core::cmp::Reverse;

use crate::ids::GangId;
use crate::time::{CreatedAt, Span, Time};

/// Sort key of a waiting gang; smaller goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// It has lost its rank for a while: see [`Setback`].
    pub behind: bool,
    /// Highest priority among the members.
    pub priority: Reverse<i32>,
    /// Creation time of the oldest member, by the API server's clock.
    pub created: CreatedAt,
    /// Identity, which ends every tie.
    pub gang: GangId,
}

/// A gang that had its place and could not be bound there. It goes behind all others for a while, twice as long each
/// time up to a limit, so that it cannot take their room again and again; its rank is as before once it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setback {
    /// How often since it last ran.
    pub count: u8,
    /// Until when it goes behind the others.
    pub until: Time,
}

impl Setback {
    /// The first setback's length; the fifth and later ones are sixteen times as long.
    const FIRST: Span = Span(10_000);
    const DOUBLINGS_MAX: u8 = 4;

    /// One more than before.
    pub(crate) fn after(before: Option<Setback>, now: Time) -> Setback {
        let past = before.map_or(0, |setback| setback.count);
        let span = Self::FIRST.0.saturating_mul(1 << past.min(Self::DOUBLINGS_MAX));
        Setback { count: past.saturating_add(1), until: now.after(Span(span)) }
    }
}
