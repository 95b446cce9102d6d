//! How long to wait before trying again: longer after every failure, and never for all agents the same.

use std::time::Duration;

use rand::Rng;

/// A pause that doubles up to a limit. Its length is drawn between half of it and all of it: when an extender
/// comes back, 5,000 agents must not come at the same moment.
#[derive(Debug)]
pub(crate) struct Pause<R> {
    random: R,
    first: Duration,
    most: Duration,
    next: Duration,
}

impl<R: Rng> Pause<R> {
    /// From `first` to `most`.
    pub(crate) fn new(random: R, first: Duration, most: Duration) -> Pause<R> {
        Pause { random, first, most, next: first }
    }

    /// The pause after one more failure.
    pub(crate) fn after_failure(&mut self) -> Duration {
        let all = self.next;
        self.next = all.saturating_mul(2).min(self.most);
        self.random.random_range(all / 2..=all)
    }

    /// It went well: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A source of random numbers that differs from agent to agent, seeded by the standard library's hash keys.
pub(crate) fn random() -> rand::rngs::SmallRng {
    use std::hash::{BuildHasher as _, RandomState};
    rand::SeedableRng::seed_from_u64(RandomState::new().hash_one("pause"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    #[test]
    fn it_doubles_up_to_the_limit_and_starts_anew() {
        let (first, most) = (Duration::from_secs(1), Duration::from_secs(30));
        let mut pause = Pause::new(SmallRng::seed_from_u64(7), first, most);
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            let (expected, drawn) = (Duration::from_secs(expected), pause.after_failure());
            assert!(drawn >= expected / 2 && drawn <= expected, "{drawn:?} of {expected:?}");
        }
        pause.reset();
        assert!(pause.after_failure() <= first);
    }

    #[test]
    fn agents_differ() {
        let draw = |seed| {
            Pause::new(SmallRng::seed_from_u64(seed), Duration::from_secs(30), Duration::from_secs(30))
                .after_failure()
        };
        assert_ne!(draw(1), draw(2));
    }
}
