//! The order of one node's reports, which the network may lose, double and reorder.
//!
//! Inside a boot (epoch, sequence) rises from report to report. A boot that is not the last one starts anew,
//! except the boot before it: that is a report which was long on its way.

use muster_report::Report;
use thiserror::Error;

/// The last accepted report of a node, as far as its order goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    boot_id: String,
    epoch: u64,
    sequence: u64,
    previous_boot_id: Option<String>,
}

/// Why a report is too old.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum Stale {
    /// From before the machine was last started.
    #[error("boot_id: the machine was started again since this report")]
    Boot,
    /// From before the driver was last initialised.
    #[error("epoch: {said} is before {last}, the last one of this boot")]
    Epoch {
        /// The report's epoch.
        said: u64,
        /// The session's.
        last: u64,
    },
    /// Not after the last one.
    #[error("sequence: {said} is not after {last}, the last one of this epoch")]
    Sequence {
        /// The report's sequence.
        said: u64,
        /// The session's.
        last: u64,
    },
}

impl Stale {
    /// What the agent should do.
    pub(super) fn next(&self) -> &'static str {
        match self {
            Stale::Boot => "Drop this report and send a new one.",
            Stale::Epoch { .. } | Stale::Sequence { .. } => {
                "Drop this report and send a new one; an agent that has lost count raises its epoch."
            }
        }
    }
}

impl Session {
    /// The session once this report is accepted.
    pub(super) fn after(last: Option<&Session>, report: &Report) -> Result<Session, Stale> {
        let started = |previous_boot_id| Session {
            boot_id: report.boot_id.clone(),
            epoch: report.epoch,
            sequence: report.sequence,
            previous_boot_id,
        };
        let Some(last) = last else { return Ok(started(None)) };
        if last.boot_id != report.boot_id {
            let before = last.previous_boot_id.as_ref() == Some(&report.boot_id);
            return if before { Err(Stale::Boot) } else { Ok(started(Some(last.boot_id.clone()))) };
        }
        if report.epoch < last.epoch {
            return Err(Stale::Epoch { said: report.epoch, last: last.epoch });
        }
        if report.epoch == last.epoch && report.sequence <= last.sequence {
            return Err(Stale::Sequence { said: report.sequence, last: last.sequence });
        }
        Ok(started(last.previous_boot_id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(boot_id: &str, epoch: u64, sequence: u64) -> Report {
        Report {
            version: muster_report::VERSION,
            node: "n".into(),
            boot_id: boot_id.into(),
            epoch,
            sequence,
            gpus: Vec::new(),
            link_gbps: Vec::new(),
            device_plugin: None,
            driver: None,
        }
    }

    /// Feeds reports in order and says which were taken.
    fn check(reports: &[(&str, u64, u64)], taken: &[bool]) {
        let mut session = None;
        let took: Vec<bool> = reports
            .iter()
            .map(|(boot, epoch, sequence)| {
                let next = Session::after(session.as_ref(), &report(boot, *epoch, *sequence));
                let ok = next.is_ok();
                session = next.ok().or(session.take());
                ok
            })
            .collect();
        assert_eq!(took, taken, "{reports:?}");
    }

    #[test]
    fn order_is_epoch_then_sequence() {
        check(&[("a", 1, 1), ("a", 1, 2), ("a", 1, 9)], &[true, true, true]);
        check(&[("a", 1, 5), ("a", 1, 5), ("a", 1, 4)], &[true, false, false]);
        check(&[("a", 1, 5), ("a", 2, 0), ("a", 1, 6), ("a", 2, 1)], &[true, true, false, true]);
    }

    #[test]
    fn a_new_boot_starts_anew_and_the_one_before_is_over() {
        check(&[("a", 9, 9), ("b", 1, 1), ("a", 10, 10), ("b", 1, 2)], &[true, true, false, true]);
        check(&[("a", 9, 9), ("b", 1, 1), ("b", 1, 2), ("a", 99, 0)], &[true, true, true, false]);
        check(&[("a", 1, 1), ("b", 1, 1), ("c", 1, 1)], &[true, true, true]);
    }

    #[test]
    fn the_refusal_says_what_was_last() {
        let last = Session::after(None, &report("a", 3, 7)).unwrap();
        let stale = Session::after(Some(&last), &report("a", 3, 7)).unwrap_err();
        assert_eq!(stale, Stale::Sequence { said: 7, last: 7 });
        let stale = Session::after(Some(&last), &report("a", 2, 8)).unwrap_err();
        assert_eq!(stale.to_string(), "epoch: 2 is before 3, the last one of this boot");
    }
}
