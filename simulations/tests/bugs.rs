//! Every planted bug is caught by its saved seeds, and the same seeds find nothing without it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::collections::BTreeSet;
use std::process::Command;

use muster_simulations::{BUGS, hunt};

const EVENTS: u64 = 1_000;

#[test]
fn each_is_caught_by_its_seeds_and_by_nothing_but_it() {
    assert!(BUGS.len() >= 10);
    for bug in BUGS {
        let go = |seed: u64, bug| hunt::hunt(seed..=seed, EVENTS, bug).failed;
        let caught = bug.seeds.iter().any(|seed| !go(*seed, Some(bug)).is_empty());
        assert!(caught, "{} is not caught by {:?}: find other seeds with --seeds", bug.name, bug.seeds);
        for seed in bug.seeds {
            assert_eq!(go(*seed, None), [], "seed {seed} without {}", bug.name);
        }
    }
}

#[test]
fn names_differ() {
    let names: BTreeSet<&str> = BUGS.iter().map(|bug| bug.name).collect();
    assert_eq!(names.len(), BUGS.len());
}

#[test]
fn the_command_ends_red_when_a_bug_is_caught() {
    let sim = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_muster-sim")).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, listed) = sim(&["bug", "--list"]);
    assert_eq!(code, Some(0));
    assert!(BUGS.iter().all(|bug| listed.contains(bug.name)), "{listed}");
    let (code, said) = sim(&["bug", "barrier-one-early"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("PartialGang") && said.contains("shortened"), "{said}");
    let (code, table) = sim(&["worlds", "--seeds", "0..3"]);
    assert_eq!(code, Some(0), "{table}");
    let (code, _) = sim(&["bug", "no-such-bug"]);
    assert_eq!(code, Some(1));
}
