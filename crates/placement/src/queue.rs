//! The total order of waiting gangs: priority (highest first), age, identity. Nothing else, so that two
//! gangs can never wait for each other.

use core::cmp::Reverse;

use crate::ids::GangId;
use crate::time::CreatedAt;

/// Sort key of a waiting gang; smaller goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// Highest priority among the members.
    pub priority: Reverse<i32>,
    /// Creation time of the oldest member, by the API server's clock.
    pub created: CreatedAt,
    /// Identity, which ends every tie.
    pub gang: GangId,
}
