//! Who decides: the extender's own core, or one of the baselines on the same work.

use muster_placement::Settings;
use muster_placement::time::Time;

use super::{Coscheduling, Extender, Fill, Floor, KubeScheduler, Nearest, Packing, Tas, Whole};
use crate::studies::StudyError;

/// Decides which pods take which nodes, by telling the [`Floor`].
pub(crate) trait Policy {
    /// Before the first job: the nodes are there.
    fn opened(&mut self, _floor: &mut Floor) {}
    /// A job came and waits.
    fn submitted(&mut self, floor: &mut Floor, job: usize);
    /// A pod of a job that is over ended; what it had is free. The pods of a job end at one time, one after the other.
    fn pod_ended(&mut self, floor: &mut Floor, job: usize, pod: usize);
    /// All pods of a job ended.
    fn ended(&mut self, _floor: &mut Floor, _job: usize) {}
    /// When it wants to be woken, if it does.
    fn next(&self) -> Option<Time> {
        None
    }
    /// The time that it wanted to be woken at has come.
    fn woken(&mut self, _floor: &mut Floor) {}
    /// Whether a job waits because its tenant has what it may have.
    fn over_share(&self, _floor: &Floor, _job: usize) -> bool {
        false
    }
    /// Whether it promises that a waiting gang never holds a GPU.
    fn whole_gangs(&self) -> bool;
}

/// The policy of a name, with its own chance.
///
/// # Errors
/// There is none.
pub(crate) fn by_name(name: &str, seed: u64) -> Result<Box<dyn Policy>, StudyError> {
    Ok(match name {
        "muster" => Box::new(Extender::new(Settings::default())),
        "muster-deadlines" => Box::new(Extender::with_deadlines()),
        "coscheduling-least" => Box::new(Coscheduling::new(Fill::Least, seed)),
        "coscheduling-most" => Box::new(Coscheduling::new(Fill::Most, seed)),
        "kube-scheduler-least" => Box::new(KubeScheduler::new(Fill::Least, seed)),
        "kube-scheduler-most" => Box::new(KubeScheduler::new(Fill::Most, seed)),
        "fifo" => Box::new(Whole::strict(Packing::new(seed))),
        "packing" => Box::new(Whole::passing(Packing::new(seed))),
        "nearest" => Box::new(Whole::passing(Nearest)),
        "tas" => Box::new(Whole::passing(Tas)),
        _ => {
            let known = "muster, muster-deadlines, coscheduling-{least,most}, kube-scheduler-{least,most}, fifo, packing, nearest, tas";
            return Err(StudyError::Unknown {
                what: "policy",
                name: name.to_owned(),
                known: known.to_owned(),
            });
        }
    })
}
