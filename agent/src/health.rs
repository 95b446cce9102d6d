//! Whether a GPU may be given to new pods: a pure function of what is known of it.
//!
//! The table of XIDs follows NVIDIA's catalogue (docs.nvidia.com/deploy/xid-errors): an error whose immediate
//! action is "reset GPU" or worse takes the GPU out; faults of the application and follow-on messages are only
//! counted, because the next pod is not hurt by them.

use muster_report::Health;

/// What is known of a GPU that bears on its health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// Whether it answers.
    pub(crate) presence: Presence,
    /// The first XID since it last came back that takes it out.
    pub(crate) fatal_xid: Option<u64>,
    /// Uncorrected memory errors since the driver was loaded, if it counts them.
    pub(crate) ecc_uncorrected: Option<u64>,
}

/// Whether a GPU answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It does.
    #[default]
    Answers,
    /// NVML says that it is lost, or no longer counts it.
    Lost,
    /// The driver is gone, with all of its GPUs.
    NoDriver,
    /// The driver has not returned from a call for too long.
    DriverStuck,
}

/// The verdict, with its reason. Where several things are wrong, the cause comes before the effect.
pub(crate) fn judge(signs: &Signs) -> Health {
    let unhealthy = |reason: String| Health::Unhealthy { reason };
    if let Some(xid) = signs.fatal_xid {
        return unhealthy(format!("XID {xid}: {}", fatal(xid).unwrap_or("see NVIDIA's XID catalogue")));
    }
    match signs.presence {
        Presence::Lost => return unhealthy("GPU is lost: it does not answer the driver".to_owned()),
        Presence::NoDriver => return unhealthy("the node's driver is gone".to_owned()),
        Presence::DriverStuck => return unhealthy("the node's driver does not respond".to_owned()),
        Presence::Answers => {}
    }
    match signs.ecc_uncorrected {
        Some(count @ 1..) => {
            unhealthy(format!("{count} uncorrected memory errors since the driver was loaded"))
        }
        _ => Health::Healthy,
    }
}

/// What a fatal XID means; `None` for one that is only counted.
pub(crate) fn fatal(xid: u64) -> Option<&'static str> {
    Some(match xid {
        46 => "GPU stopped processing",
        48 => "double-bit memory error",
        54 => "auxiliary power is not connected",
        61 | 62 => "internal microcontroller halted",
        64 => "memory row could not be remapped",
        74 => "NVLink error",
        79 => "GPU has fallen off the bus",
        95 => "uncontained memory error",
        109 => "context switch timed out",
        110 => "security fault",
        119 | 120 => "GPU system processor failed",
        136 => "link training failed",
        140 => "unrecovered memory error",
        142 | 143 => "GPU could not be initialised",
        155 | 156 | 158 => "fatal fault of the NVLink or memory controller",
        167 => "PCIe fatal timeout",
        171 | 172 => "uncorrectable memory error",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_verdict_for_each_sign() {
        let well = Signs { ecc_uncorrected: Some(0), ..Signs::default() };
        let table = [
            (Signs::default(), None),
            (well, None),
            (Signs { ecc_uncorrected: Some(2), ..well }, Some("2 uncorrected memory errors")),
            (Signs { presence: Presence::Lost, ..well }, Some("GPU is lost")),
            (Signs { presence: Presence::NoDriver, ..well }, Some("driver is gone")),
            (Signs { presence: Presence::DriverStuck, ..well }, Some("does not respond")),
            (Signs { fatal_xid: Some(79), ..well }, Some("XID 79: GPU has fallen off the bus")),
            // An XID says more than its effects.
            (
                Signs { fatal_xid: Some(48), presence: Presence::Lost, ecc_uncorrected: Some(1) },
                Some("XID 48"),
            ),
        ];
        for (signs, expected) in table {
            match (judge(&signs), expected) {
                (Health::Healthy, None) => {}
                (Health::Unhealthy { reason }, Some(part)) => assert!(reason.contains(part), "{reason}"),
                (verdict, _) => panic!("{signs:?} gives {verdict:?}"),
            }
        }
    }

    #[test]
    fn faults_of_applications_are_only_counted() {
        for xid in [13, 31, 43, 45, 63, 68, 94, 0, 999] {
            assert_eq!(fatal(xid), None, "XID {xid}");
        }
        for xid in [48, 62, 64, 74, 79, 95, 119, 120] {
            assert!(fatal(xid).is_some(), "XID {xid}");
        }
    }
}
