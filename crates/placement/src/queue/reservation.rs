//! What keeps small gangs from starving a big one: once it has waited long enough, the first gang of the queue that
//! would fit the empty cluster gets a reservation.
//!
//! It holds nothing. Later gangs of the same or lower priority may start anywhere but on the nodes that the gang can
//! have first; there too, if the kubelet ends them before that (backfill behind a reservation, as EASY does it:
//! Lifka, JSSPP 1995). When that is follows from the deadlines of the pods that are in the way. Where one has none,
//! there is no such time: nobody starts there, but only for as long as the gang had to wait for its reservation, and
//! after that nothing is kept for it for as long, or a pod that never ends would idle its neighbours for ever.

use alloc::collections::BTreeSet;

use crate::ids::{GangId, NodeName};
use crate::pod::Pod;
use crate::time::{Span, Time};

/// A gang's precedence on some nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The gang.
    pub gang: GangId,
    /// Its priority; a higher one goes as always.
    pub priority: i32,
    /// Since when.
    pub since: Time,
    /// The nodes that it can have first.
    pub nodes: BTreeSet<NodeName>,
    /// When the kubelets will have ended everything that is in the way there, at the latest; `None` if something has no
    /// deadline.
    pub latest: Option<Time>,
}

impl Reservation {
    /// Whether a later pod keeps out of the gang's way on the reserved nodes. `start` is how long it may take until the
    /// kubelet starts it.
    pub fn lets(&self, pod: &Pod, now: Time, start: Span) -> bool {
        if pod.priority > self.priority {
            return true;
        }
        let end = pod.tenure.deadline.map(|span| now.after(start).after(span).after(pod.tenure.grace));
        end.zip(self.latest).is_some_and(|(end, latest)| end <= latest)
    }
}
