//! How good a node is for a pod, and the scores of that order.
//!
//! Three terms in 10⁻⁹ GPU: the gradient of `fragmentation`; the skew between free GPUs and free CPU, since the one is
//! stranded when the other runs out first; and the GPUs that stay free on the node, since a best fit leaves large holes
//! whole. The weights were chosen on seeds 1 to 10 of the study `openb-saturation`, which reports others.
//!
//! Invariant: the order is a function of shapes alone. Does not know names, pools or links: those decide between equals.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::SCORE_MAX;
use super::fragmentation::{Request, Shape, WHOLE, Workload};

/// What a node whose free GPUs are all without CPU, or the reverse, weighs: an eighth of a GPU.
const SKEW: i64 = 125;

/// How much of the skew that is there already is taken off, in percent. All of it would let a skewed node attract more of
/// the same; none would keep pods away that it can still take.
const SKEW_EXCUSED_PCT: i64 = 60;

/// What eight free GPUs left on a node weigh: a sixteenth of a GPU.
const LEFT: i64 = 62;

/// GPUs of a large node in thousandths, the measure of what is left.
const LARGE: u64 = 8_000;

/// How good a node is for a pod; larger is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worth(i64);

/// What a node has when it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// GPUs.
    pub gpus: u32,
    /// CPU in thousandths of a core.
    pub cpu_milli: u64,
}

impl Size {
    /// Share of GPUs that is free less share of CPU that is free, without sign, in millionths.
    fn skew(self, shape: &Shape) -> i64 {
        let gpus = u64::from(self.gpus).saturating_mul(u64::from(WHOLE));
        millionths(shape.idle_milli(), gpus)
            .abs_diff(millionths(shape.cpu_milli, self.cpu_milli))
            .cast_signed()
    }
}

fn millionths(part: u64, of: u64) -> u64 {
    part.saturating_mul(1_000_000).checked_div(of).unwrap_or(0)
}

/// How good it is if a placement turns one shape into another.
fn worth(workload: &Workload, size: Size, before: &Shape, after: &Shape) -> Worth {
    let excused = size.skew(before).saturating_mul(SKEW_EXCUSED_PCT).saturating_div(100);
    let skew = size.skew(after).saturating_sub(excused).saturating_mul(SKEW);
    let left = millionths(after.idle_milli(), LARGE).cast_signed().saturating_mul(LEFT);
    Worth(workload.gradient(before, after).saturating_sub(skew).saturating_sub(left))
}

/// How good a node with room is for a request and, for a share, how much is left of the GPU that it takes best; of
/// equals the tightest.
pub fn best(
    workload: &Workload,
    size: Size,
    shape: &Shape,
    request: &Request,
) -> Option<(Worth, Option<u32>)> {
    if !shape.fits(request) {
        return None;
    }
    let worth = |left| worth(workload, size, shape, &shape.after(request, left));
    if !request.shares() {
        return Some((worth(None), None));
    }
    let lefts = shape.sharable(request).into_iter();
    let best = lefts.map(|left| (worth(Some(left)), Reverse(left))).max()?;
    Some((best.0, Some(best.1.0)))
}

/// A score from 0 to 10 for each node, 0 for those without worth: the best alone on top, of equals the first, since
/// kube-scheduler breaks ties at random; the others share 1 to 9 by their rank.
pub fn scores(worths: &[Option<Worth>]) -> Vec<u8> {
    let mut ranked: Vec<(Reverse<Worth>, usize)> =
        worths.iter().enumerate().filter_map(|(at, worth)| worth.map(|worth| (Reverse(worth), at))).collect();
    ranked.sort_unstable();
    let mut scores: Vec<u8> = worths.iter().map(|_| 0).collect();
    for (rank, (_, at)) in ranked.iter().enumerate() {
        let below = rank.saturating_mul(9).checked_div(ranked.len()).unwrap_or(0);
        let score = if rank == 0 { SCORE_MAX } else { 9u8.saturating_sub(u8::try_from(below).unwrap_or(8)) };
        if let Some(slot) = scores.get_mut(*at) {
            *slot = score;
        }
    }
    scores
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const SIZE: Size = Size { gpus: 8, cpu_milli: 96_000 };

    fn whole(gpus: u32, cpu_milli: u64) -> Request {
        Request { gpus, milli: WHOLE, cpu_milli }
    }

    fn free(whole: u32, partial: &[u32], cpu_milli: u64) -> Shape {
        Shape { whole, partial: partial.to_vec(), cpu_milli, admits: u128::MAX }
    }

    fn usual() -> Workload {
        Workload::new([
            (whole(1, 8_000), 6),
            (whole(8, 64_000), 1),
            (Request { gpus: 1, milli: 500, cpu_milli: 4_000 }, 3),
        ])
    }

    #[test]
    fn one_gpu_goes_where_eight_no_longer_fit() {
        let good = |shape: &Shape| best(&usual(), SIZE, shape, &whole(1, 8_000)).map(|(worth, _)| worth);
        assert!(good(&free(3, &[], 40_000)) > good(&free(8, &[], 96_000)));
        assert_eq!(good(&free(1, &[], 7_999)), None);
    }

    #[test]
    fn a_share_goes_to_the_gpu_that_it_fills() {
        let share = Request { gpus: 1, milli: 500, cpu_milli: 4_000 };
        assert_eq!(best(&usual(), SIZE, &free(4, &[500, 700], 60_000), &share).unwrap().1, Some(500));
        assert_eq!(best(&usual(), SIZE, &free(4, &[400], 60_000), &share).unwrap().1, Some(WHOLE));
    }

    proptest! {
        #[test]
        fn the_best_is_alone_on_top_and_scores_keep_the_order(
            worths in prop::collection::vec(prop::option::of((-3i64..3).prop_map(Worth)), 1..40),
        ) {
            let scores = scores(&worths);
            let any = worths.iter().any(Option::is_some);
            prop_assert_eq!(scores.iter().map(|s| usize::from(*s == SCORE_MAX)).sum::<usize>(), usize::from(any));
            for (a, b) in (0..worths.len()).flat_map(|a| (0..worths.len()).map(move |b| (a, b))) {
                prop_assert_eq!(worths[a].is_some(), scores[a] > 0);
                prop_assert!(worths[a] <= worths[b] || scores[a] >= scores[b], "{:?} {:?}", worths, scores);
            }
        }

        #[test]
        fn what_is_taken_is_what_was_asked(
            (whole_gpus, mut partial, milli) in (0u32..8, vec![1u32..1000; 3], 1u32..1000),
        ) {
            partial.sort_unstable();
            let shape = free(whole_gpus, &partial, 50_000);
            let share = Request { gpus: 1, milli, cpu_milli: 1_000 };
            for left in shape.sharable(&share) {
                let after = shape.after(&share, Some(left));
                prop_assert_eq!(after.idle_milli() + u64::from(milli), shape.idle_milli());
                prop_assert!(after.partial.is_sorted());
            }
        }
    }
}
