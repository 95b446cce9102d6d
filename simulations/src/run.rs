//! A run of a scenario: the world and the core step by step, and what came of it.

use muster_placement::time::Span;

use crate::bug::Bug;
use crate::direct::Direct;
use crate::scenario::Scenario;
use crate::storm::STORM;
use crate::tally::Tally;
use crate::world::World;

/// What is wanted must have come about so long after everything was mended...
const PATIENCE: Span = Span(3_600_000);
/// ... and nothing at all must not happen for so long.
const STILL: Span = Span(600_000);
/// After the last job has ended, deletions and calls come to their end.
const AFTERMATH: Span = Span(40_000);

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// What was counted; `broken` includes what the auditor and the core's own audit found.
    pub tally: Tally,
    /// Equal for equal runs: a number over everything told and everything done, with its time.
    pub fingerprint: u64,
    /// The last lines of the journal, if any were to be kept.
    pub story: Vec<String>,
    /// How often the ledger was compared with that of a core which starts anew.
    pub compared: u64,
    /// Jobs that had not ended although they would fit the empty world.
    pub unfinished: Vec<String>,
}

/// Runs a scenario for so long.
pub fn run(scenario: Scenario, span: Span) -> Run {
    let (mut world, mut muster) = start(scenario, None, 0);
    while world.next().is_some_and(|at| at.0 <= span.0) {
        step(&mut world, &mut muster);
    }
    finish(&world, muster)
}

/// How a storm is run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The storm is over after so many things happened, ticks not counted.
    pub events: u64,
    /// Lines of the journal to keep.
    pub keep: usize,
}

/// Runs a storm until so much has happened, mends everything, and waits until all that is wanted has come about.
pub fn weather_out(scenario: Scenario, bug: Option<&Bug>, limits: Limits) -> Run {
    let (mut world, mut muster) = start(scenario, bug, limits.keep);
    let happened = |world: &World| world.tally().happenings - world.tally().ticks;
    while happened(&world) < limits.events && world.next().is_some_and(|at| at.0 <= STORM.0) {
        step(&mut world, &mut muster);
    }
    world.calm(&mut muster);
    muster.deliver(&mut world);
    wait(&mut world, &mut muster);
    let over = world.now().after(AFTERMATH);
    while world.next().is_some_and(|at| at <= over) {
        step(&mut world, &mut muster);
    }
    let mut run = finish(&world, muster);
    let late = run.unfinished.iter().map(|job| format!("{} ms: Unfinished: {job}", world.now().0));
    run.tally.broken.extend(late);
    run
}

/// Until every job that fits has ended, or it is clear that one will not.
fn wait(world: &mut World, muster: &mut Direct) {
    let limit = world.now().after(PATIENCE);
    let mut progress = (world.now(), (0, 0));
    while world.now() < limit && world.now().since(progress.0) < STILL {
        let ticks = world.tally().ticks;
        while world.tally().ticks == ticks {
            step(world, muster);
        }
        let done = (world.tally().bound, world.tally().finished);
        if done != progress.1 {
            progress = (world.now(), done);
        } else if ticks.is_multiple_of(8) && world.unfinished().next().is_none() {
            return;
        }
    }
}

fn start(scenario: Scenario, bug: Option<&Bug>, keep: usize) -> (World, Direct) {
    let mut world = World::new(scenario);
    let mut muster = Direct::new(bug, keep);
    world.begin(&mut muster);
    muster.deliver(&mut world);
    (world, muster)
}

fn step(world: &mut World, muster: &mut Direct) {
    muster.now = world.next().unwrap_or(muster.now);
    world.step(muster);
    muster.deliver(world);
}

fn finish(world: &World, mut muster: Direct) -> Run {
    let mut tally = world.tally().clone();
    tally.broken.append(&mut muster.findings());
    let (fingerprint, story) = muster.journal.close();
    let unfinished = world.unfinished().map(ToString::to_string).collect();
    Run { tally, fingerprint, story, compared: muster.compared, unfinished }
}
