//! The invented world over seeds: no rule is broken, whatever goes wrong; everything ends; one seed is one run.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use muster_placement::time::Span;
use muster_simulations::{Run, Scenario, run};

const USERS_SUBMIT: Span = Span(300_000);
/// Long enough for everything submitted to run, one job after the other on small worlds.
const ALL_ENDS: Span = Span(3_600_000);

fn go(seed: u64) -> Run {
    run(Scenario::random(seed, USERS_SUBMIT), ALL_ENDS)
}

#[test]
fn no_seed_breaks_a_rule_and_every_job_that_fits_ends() {
    let seeds = std::env::var("MUSTER_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    for seed in 0..seeds {
        let run = go(seed);
        assert_eq!(run.tally.broken, Vec::<String>::new(), "seed {seed}");
        assert_eq!(run.unfinished, Vec::<String>::new(), "seed {seed}");
        // What Muster cannot have heard of yet may cost a pod its start; what it has, never.
        assert!(run.tally.rejected <= run.tally.faults, "seed {seed}\n{}", run.tally);
    }
}

#[test]
fn one_seed_is_one_run() {
    let (once, again) = (go(7), go(7));
    assert!(once.journal.len() > 100, "{}", once.journal.len());
    assert_eq!(once, again);
    assert_ne!(once.journal, go(8).journal);
}
