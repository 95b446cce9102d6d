//! Fragmentation: how much of a node's idle GPU time the pods that usually come could not use, and how much a
//! placement adds to it.
//!
//! The measure is that of Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation
//! Gradient Descent" (USENIX ATC 2023): `F(node) = Σ p(m) · f(node, m)` over the classes `m` of the usual workload,
//! where `f` is all that is idle if `m` cannot run there (too little CPU, too few GPUs, not admitted) or wants no GPU, and
//! otherwise what is idle on GPUs with less left than `m` wants of one. Integers: GPUs in thousandths, shares of the
//! workload in millionths, so `F` is in 10⁻⁹ GPU.
//!
//! Invariant: `F` depends on the [`Shape`] and nothing else, so equal shapes need one computation.
//! Does not know what a pod may use besides: see [`super::order`].

use alloc::vec::Vec;

/// Thousandths of a GPU that are a whole one.
pub const WHOLE: u32 = 1_000;

/// Classes of a workload at most: one bit each of [`Shape::admits`].
pub const CLASSES_MAX: usize = 128;

/// Shares of the workload add up to so many parts.
const PARTS: u64 = 1_000_000;

/// What one pod asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// GPUs.
    pub gpus: u32,
    /// Thousandths of each GPU; [`WHOLE`] unless it shares one with others. A pod that shares wants one GPU.
    pub milli: u32,
    /// CPU in thousandths of a core.
    pub cpu_milli: u64,
}

impl Request {
    /// Thousandths of GPUs in all.
    pub fn gpu_milli(&self) -> u64 {
        u64::from(self.gpus).saturating_mul(u64::from(self.milli))
    }

    /// Whether it asks for a part of one GPU.
    pub fn shares(&self) -> bool {
        self.gpus == 1 && self.milli < WHOLE
    }
}

/// What is free on a node, as far as fragmentation goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// GPUs that nobody uses.
    pub whole: u32,
    /// Thousandths left of each GPU that is used in part, ascending.
    pub partial: Vec<u32>,
    /// Free CPU in thousandths of a core.
    pub cpu_milli: u64,
    /// The classes of the workload that may use the node whatever is free there, one bit each.
    pub admits: u128,
}

impl Shape {
    /// Thousandths of GPUs that are free.
    pub fn idle_milli(&self) -> u64 {
        let partial = self.partial.iter().fold(0u64, |sum, left| sum.saturating_add(u64::from(*left)));
        partial.saturating_add(u64::from(self.whole).saturating_mul(u64::from(WHOLE)))
    }

    /// Whether CPU and GPUs suffice.
    pub fn fits(&self, request: &Request) -> bool {
        let gpus = if request.shares() {
            self.whole > 0 || self.partial.last().is_some_and(|left| *left >= request.milli)
        } else {
            self.whole >= request.gpus
        };
        gpus && self.cpu_milli >= request.cpu_milli
    }

    /// What is left if the request takes whole GPUs, or its share of one with so much left.
    #[must_use]
    pub fn after(&self, request: &Request, left: Option<u32>) -> Shape {
        let mut shape = self.clone();
        shape.cpu_milli = shape.cpu_milli.saturating_sub(request.cpu_milli);
        let Some(left) = left else {
            shape.whole = shape.whole.saturating_sub(request.gpus);
            return shape;
        };
        match shape.partial.iter().position(|other| *other == left) {
            Some(at) => {
                shape.partial.remove(at);
            }
            None => shape.whole = shape.whole.saturating_sub(1),
        }
        let rest = left.saturating_sub(request.milli);
        let at = shape.partial.partition_point(|other| *other < rest);
        shape.partial.insert(at, rest);
        shape
    }

    /// The GPUs that a share may come from, by what is left of them; equal ones once. [`WHOLE`] is an unused one.
    pub fn sharable(&self, request: &Request) -> Vec<u32> {
        let mut lefts: Vec<u32> =
            self.partial.iter().copied().filter(|left| *left >= request.milli).collect();
        lefts.dedup();
        if self.whole > 0 {
            lefts.push(WHOLE);
        }
        lefts
    }
}

/// One class of the usual workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class {
    request: Request,
    /// Its share of all pods in millionths.
    parts: u64,
}

/// The pods that usually come: classes of equal requests with their shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    classes: Vec<Class>,
}

impl Workload {
    /// Classes with how many pods of each there are. Those beyond [`CLASSES_MAX`] are left out.
    pub fn new(counts: impl IntoIterator<Item = (Request, u64)>) -> Workload {
        let counts: Vec<(Request, u64)> = counts.into_iter().take(CLASSES_MAX).collect();
        let all = counts.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
        let parts = |count: u64| count.saturating_mul(PARTS).checked_div(all).unwrap_or(0);
        let class = |(request, count): &(Request, u64)| Class { request: *request, parts: parts(*count) };
        Workload { classes: counts.iter().map(class).collect() }
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether nothing is known of the workload.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// `F` of a node in 10⁻⁹ GPU.
    pub fn fragmented(&self, shape: &Shape) -> u64 {
        let idle = shape.idle_milli();
        let unusable = |(at, class): (usize, &Class)| {
            let admitted =
                shape.admits.checked_shr(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or(0) & 1 == 1;
            let runs = class.request.gpus > 0 && admitted && shape.fits(&class.request);
            let milli = if runs { too_small(shape, class.request.milli) } else { idle };
            class.parts.saturating_mul(milli)
        };
        self.classes.iter().enumerate().map(unusable).fold(0, u64::saturating_add)
    }

    /// What a placement takes off `F`, in 10⁻⁹ GPU: below zero where it adds to it.
    pub fn gradient(&self, before: &Shape, after: &Shape) -> i64 {
        self.fragmented(before).cast_signed().saturating_sub(self.fragmented(after).cast_signed())
    }
}

/// What is idle on GPUs with less left than a pod wants of one.
fn too_small(shape: &Shape, milli: u32) -> u64 {
    let small = shape.partial.iter().take_while(|left| **left < milli);
    small.fold(0, |sum, left| sum.saturating_add(u64::from(*left)))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may fail")]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    /// The formula of the paper, GPU by GPU.
    fn by_the_book(classes: &[(Request, u64)], gpus: &[u32], cpu_milli: u64) -> u64 {
        let idle: u64 = gpus.iter().map(|left| u64::from(*left)).sum();
        let all: u64 = classes.iter().map(|(_, count)| count).sum();
        let lost = |m: &Request| {
            let enough = gpus.iter().filter(|left| **left >= m.milli).count() >= m.gpus as usize;
            let small: u64 = gpus.iter().filter(|left| **left < m.milli).map(|left| u64::from(*left)).sum();
            if m.gpus > 0 && enough && cpu_milli >= m.cpu_milli { small } else { idle }
        };
        classes.iter().map(|(m, count)| count * PARTS / all * lost(m)).sum()
    }

    fn request() -> impl Strategy<Value = Request> {
        let gpus = prop_oneof![
            Just((0, 0)),
            (1u32..1000).prop_map(|milli| (1, milli)),
            (1u32..9).prop_map(|n| (n, WHOLE))
        ];
        (gpus, 0u64..100).prop_map(|((gpus, milli), cpu_milli)| Request { gpus, milli, cpu_milli })
    }

    proptest! {
        #[test]
        fn it_is_the_formula_of_the_paper(
            classes in prop::collection::vec((request(), 1u64..9), 1..9),
            gpus in prop::collection::vec(prop_oneof![Just(0u32), Just(WHOLE), 1u32..1000], 0..9),
            cpu_milli in 0u64..120,
        ) {
            let mut partial: Vec<u32> = gpus.iter().copied().filter(|g| *g > 0 && *g < WHOLE).collect();
            partial.sort_unstable();
            let whole = u32::try_from(gpus.iter().filter(|g| **g == WHOLE).count()).unwrap_or(0);
            let shape = Shape { whole, partial, cpu_milli, admits: u128::MAX };
            prop_assert_eq!(Workload::new(classes.clone()).fragmented(&shape), by_the_book(&classes, &gpus, cpu_milli));
        }
    }

    #[test]
    fn where_a_class_may_not_go_all_is_lost_to_it() {
        let one = Request { gpus: 1, milli: WHOLE, cpu_milli: 1 };
        let usual = Workload::new([(one, 1), (one, 1)]);
        let shape = |admits| Shape { whole: 2, partial: vec![], cpu_milli: 9, admits };
        assert_eq!(
            [0b11, 0b01, 0].map(|admits| usual.fragmented(&shape(admits))),
            [0, 1_000_000_000, 2_000_000_000]
        );
    }
}
