//! Whole gangs or nothing, by counting: first come, first served, with or without younger gangs passing one that waits.
//! Where a gang goes is for a [`Choice`].

use super::{Floor, Hold, Policy};

/// Chooses nodes for all pods of a job.
pub(crate) trait Choice {
    /// A node for each pod in order of index, or nothing if they do not all fit.
    fn nodes(&mut self, floor: &Floor, job: usize) -> Option<Vec<usize>>;
}

/// Starts whole gangs.
pub(crate) struct Whole<C> {
    choice: C,
    passing: bool,
}

impl<C: Choice> Whole<C> {
    /// Younger gangs pass those that do not fit.
    pub(crate) fn passing(choice: C) -> Whole<C> {
        Whole { choice, passing: true }
    }

    /// Nobody passes a gang that waits.
    pub(crate) fn strict(choice: C) -> Whole<C> {
        Whole { choice, passing: false }
    }

    fn start(&mut self, floor: &mut Floor, job: usize) -> bool {
        let Some(nodes) = self.choice.nodes(floor, job) else { return false };
        for (pod, node) in nodes.into_iter().enumerate() {
            floor.take(job, pod, node, Hold::Bound);
        }
        true
    }

    fn serve(&mut self, floor: &mut Floor) {
        let waiting: Vec<usize> = floor.waiting().iter().copied().collect();
        for job in waiting {
            if !self.start(floor, job) && !self.passing {
                return;
            }
        }
    }
}

impl<C: Choice> Policy for Whole<C> {
    fn submitted(&mut self, floor: &mut Floor, job: usize) {
        if self.passing {
            self.start(floor, job);
        } else {
            self.serve(floor);
        }
    }

    fn pod_ended(&mut self, floor: &mut Floor, _job: usize, _pod: usize) {
        self.serve(floor);
    }

    fn whole_gangs(&self) -> bool {
        true
    }
}
