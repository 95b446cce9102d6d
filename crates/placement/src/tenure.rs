//! How long a pod may stay and whom it may send away: the fields of its spec that preemption and backfill ask for.

use crate::time::Span;

/// The kubelet's default for `spec.terminationGracePeriodSeconds`.
const GRACE: Span = Span(30_000);

/// A pod's claim to its place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// `spec.preemptionPolicy: Never`: it waits, whatever its priority.
    pub never_preempts: bool,
    /// `spec.activeDeadlineSeconds`: the kubelet ends the pod so long after it was started there.
    pub deadline: Option<Span>,
    /// `spec.terminationGracePeriodSeconds`: how long it may take to leave.
    pub grace: Span,
}

impl Default for Tenure {
    fn default() -> Self {
        Tenure { never_preempts: false, deadline: None, grace: GRACE }
    }
}
