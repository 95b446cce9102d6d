//! What happens in the demo: the guide's jobs, a stream of gangs somewhat larger than the cluster, and every now
//! and then a GPU that dies and comes back.

use muster_placement::ids::NodeName;
use muster_placement::time::{Span, Time};
use muster_simulations::{Fault, JobSpec, Pace, Scenario, Users, Weather};

/// When the guide's jobs come first.
const GUIDE_AT: Time = Time(1_500);
/// They come again after so long, as long as the story is told.
const GUIDE_EVERY: Span = Span(120_000);
/// The first GPU dies when the cluster is full.
const FIRST_DEATH: Time = Time(25_000);
const DEATH_EVERY: Span = Span(75_000);
const DEAD_FOR: Span = Span(35_000);
/// The longest that `--seconds` allows.
const STORY: Time = Time(86_400_000);

/// The demo's world.
pub(super) fn scenario(seed: u64, guide: &[JobSpec]) -> Scenario {
    let nodes = Scenario::demo_nodes();
    let pace =
        Pace { report: Span(1_000), pod_start: Span(1_500), job_kept: Span(6_000), slow_calls_per_mille: 2 };
    // About 9 GPUs a job, 35 s each, every 3 s: a little more than the 100 GPUs that there are.
    let mut users = Users::new(seed, Scenario::shapes(), 5_500, (15_000, 55_000), STORY);
    users.burst = 8;
    let mut faults = Vec::new();
    let gpu_nodes: Vec<NodeName> = nodes
        .iter()
        .filter(|(name, _)| !name.starts_with("cpu"))
        .map(|(name, _)| NodeName::from(name.as_str()))
        .collect();
    for (at, round) in times(FIRST_DEATH, DEATH_EVERY).zip(0_usize..) {
        let Some(node) = gpu_nodes.get((round * 5 + 1) % gpu_nodes.len().max(1)).cloned() else { break };
        let why = if round % 2 == 0 {
            "XID 79: the GPU has fallen off the bus"
        } else {
            "XID 48: double-bit ECC error"
        };
        faults.push((at, Fault::GpuDies { node: node.clone(), gpu: (round * 3 + 2) % 4, why }));
        faults.push((at.after(DEAD_FOR), Fault::GpusRecover(node)));
    }
    let again = times(GUIDE_AT, GUIDE_EVERY);
    let jobs = again.flat_map(|at| guide.iter().map(move |job| (at, job.clone()))).collect();
    Scenario { seed, pace, weather: Weather::default(), nodes, jobs, users: Some(users), faults }
}

fn times(first: Time, every: Span) -> impl Iterator<Item = Time> {
    std::iter::successors(Some(first), move |at| Some(at.after(every))).take_while(|at| *at < STORY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_simulations::run;

    #[test]
    fn ten_minutes_of_the_demo_in_virtual_time() {
        let run = run(scenario(1, &crate::demo::guide::jobs().unwrap()), Span(600_000));
        assert_eq!(run.tally.broken, Vec::<String>::new());
        assert!(run.tally.started > 60, "{}", run.tally);
        assert!(run.tally.faults > 10, "{}", run.tally);
        // A cluster that nobody waits for shows nothing.
        assert!(run.tally.wait_ms(95) > 5_000, "{}", run.tally);
    }
}
