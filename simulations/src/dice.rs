//! Chance: one seeded stream per concern, so that a change in how users behave does not change how nodes fail.
//!
//! PCG is reproducible across machines and versions (`rand_pcg` documents its output as stable).

use muster_placement::time::Span;
use rand::Rng;
use rand_pcg::Pcg64Mcg;

/// A source of chance.
#[derive(Clone, Debug)]
pub struct Dice(Pcg64Mcg);

/// What chance is used for.
#[derive(Clone, Copy, Debug)]
pub enum Concern {
    /// Which jobs are submitted, and when.
    Users = 1,
    /// How long calls and watches take.
    Network,
    /// Which of equal nodes kube-scheduler takes.
    Ties,
    /// Which GPUs the device plugin hands out, how long pods take to start.
    Kubelet,
    /// What breaks.
    Faults,
}

impl Dice {
    /// The stream of one concern of one seed.
    pub fn new(seed: u64, concern: Concern) -> Dice {
        // The odd constant of SplitMix64 keeps neighbouring seeds and concerns apart.
        let spread = 0x9E37_79B9_7F4A_7C15_u128;
        let state = u128::from(seed).wrapping_mul(spread).wrapping_add(concern as u128);
        Dice(Pcg64Mcg::new(state.wrapping_mul(spread)))
    }

    /// A number below `n`; 0 if there is none.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.0.random_range(0..n) }
    }

    /// A span between two, both included.
    pub fn span(&mut self, from: u64, to: u64) -> Span {
        Span(from.saturating_add(self.below(to.saturating_sub(from).saturating_add(1))))
    }

    /// Whether something with so many chances in a thousand happens.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.below(from.len() as u64);
        from.get(usize::try_from(at).unwrap_or(usize::MAX))
    }

    /// Any order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            all.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream_and_concerns_are_apart() {
        let draw = |seed, concern| {
            let mut dice = Dice::new(seed, concern);
            (0..8).map(|_| dice.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, Concern::Users), draw(7, Concern::Users));
        assert_ne!(draw(7, Concern::Users), draw(8, Concern::Users));
        assert_ne!(draw(7, Concern::Users), draw(7, Concern::Ties));
    }

    #[test]
    fn every_order_comes_up() {
        let mut dice = Dice::new(1, Concern::Kubelet);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut three = [1, 2, 3];
            dice.shuffle(&mut three);
            seen.insert(three);
        }
        assert_eq!(seen.len(), 6);
    }
}
