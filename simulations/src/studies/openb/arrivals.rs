//! Which pods come, in which order: the list shuffled, then copies of its pods until 130 % of the cluster is asked for.
//! Nothing ever leaves.

use super::trace::{Pod, Trace};
use crate::dice::{Concern, Dice};

/// Demand in percent of the cluster's GPUs.
const DEMAND_PCT: u64 = 130;

/// The pods of a seed in order of arrival: the protocol of the artefact (`SortClusterPods`, `TunePods`) with another
/// generator than Go's, so the orders differ from the published ones and their distribution does not.
pub fn arrivals(trace: &Trace, seed: u64) -> Vec<Pod> {
    let mut dice = Dice::new(seed, Concern::Users);
    let mut pods = trace.pods.clone();
    dice.shuffle(&mut pods);
    let limit = trace.capacity_milli() * DEMAND_PCT / 100;
    let mut asked: u64 = pods.iter().map(|pod| pod.request.gpu_milli()).sum();
    while asked > limit {
        let at = usize::try_from(dice.below(pods.len() as u64)).unwrap_or(0);
        asked -= pods.remove(at).request.gpu_milli();
    }
    while let Some(pod) = dice.pick(&trace.pods) {
        // The artefact looks at one GPU's part of the request here.
        if asked + u64::from(pod.request.milli) > limit {
            break;
        }
        asked += pod.request.gpu_milli();
        pods.push(*pod);
    }
    pods
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_an_order_of_about_130_percent() {
        for list in ["default", "multigpu50"] {
            let trace = Trace::read(list).unwrap();
            let pods = arrivals(&trace, 42);
            let asked: u64 = pods.iter().map(|pod| pod.request.gpu_milli()).sum();
            let pct = asked * 1_000 / trace.capacity_milli();
            assert!((1_299..=1_301).contains(&pct), "{list}: {pct}");
            assert_eq!(pods, arrivals(&trace, 42));
            assert_ne!(pods, arrivals(&trace, 43));
        }
    }
}
