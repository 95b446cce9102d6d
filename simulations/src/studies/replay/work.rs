//! A job of a trace: when it comes, what it asks for, how long it runs.

use muster_placement::time::{Span, Time};

/// A job: pods that are alike and must run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// When it is submitted.
    pub(crate) submit: Time,
    /// Pods.
    pub(crate) pods: usize,
    /// GPUs of each pod.
    pub(crate) each: u64,
    /// How long it runs once every pod runs.
    pub(crate) duration: Span,
    /// Whose it is.
    pub(crate) tenant: usize,
}

impl Work {
    /// So many GPUs in pods of at most `most`, as many as fill one node. Sizes that do not divide are rounded up to
    /// pods that are alike.
    pub(crate) fn of_gpus(gpus: u64, most: u64, submit: Time, duration: Span) -> Work {
        let pods = gpus.div_ceil(most.max(1)).max(1);
        let each = gpus.div_ceil(pods);
        Work { submit, pods: usize::try_from(pods).unwrap_or(usize::MAX), each, duration, tenant: 0 }
    }

    /// GPUs of all pods.
    pub(crate) fn gpus(&self) -> u64 {
        self.each * self.pods as u64
    }
}
