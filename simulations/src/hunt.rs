//! Seed after seed on all cores: `muster-sim worlds` and `muster-sim bug`. A seed that fails is told as a short story.

use std::fmt::Write;
use std::ops::RangeInclusive;

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::bug::Bug;
use crate::run::{Limits, Run, weather_out};
use crate::scenario::Scenario;
use crate::shrink::shrink;

/// Lines of a story that are shown.
const LINES: usize = 60;

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Hunt {
    /// Seeds run.
    pub seeds: u64,
    /// Seeds that broke a rule, with the first words, in order.
    pub failed: Vec<(u64, String)>,
    /// Counts over all seeds, with their names.
    pub counts: Vec<(&'static str, u64)>,
    /// A number over the fingerprints of all seeds: equal for equal hunts.
    pub fingerprint: u64,
}

/// Runs the storms of the seeds, with a bug planted or without, side by side; rows in order of seeds.
pub fn hunt(seeds: RangeInclusive<u64>, events: u64, bug: Option<&Bug>) -> Hunt {
    let bar = ProgressBar::new(seeds.end().saturating_sub(*seeds.start()).saturating_add(1));
    if let Ok(style) = ProgressStyle::with_template("worlds {bar:40} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    let seeds: Vec<u64> = seeds.collect();
    let runs = seeds.par_iter().map(|seed| {
        let run = weather_out(Scenario::storm(*seed), bug, Limits { events, keep: 0 });
        bar.inc(1);
        (*seed, run)
    });
    let runs: Vec<(u64, Run)> = runs.collect();
    bar.finish_and_clear();
    summary(&runs)
}

fn summary(runs: &[(u64, Run)]) -> Hunt {
    let sum = |of: fn(&Run) -> u64| runs.iter().map(|(_, run)| of(run)).sum::<u64>();
    let counts = vec![
        ("events", sum(|run| run.tally.happenings)),
        ("faults", sum(|run| run.tally.faults)),
        ("restarts of Muster", sum(|run| run.tally.restarts)),
        ("watches that listed again", sum(|run| run.tally.relists)),
        ("calls without an answer", sum(|run| run.tally.unanswered)),
        ("calls that met another write", sum(|run| run.tally.conflicts)),
        ("reports turned away", sum(|run| run.tally.reports_refused)),
        ("pods rejected by a kubelet", sum(|run| run.tally.rejected)),
        ("binds refused", sum(|run| run.tally.binds_refused)),
        ("gangs started", sum(|run| run.tally.started)),
        ("pods bound", sum(|run| run.tally.bound)),
        ("jobs finished", sum(|run| run.tally.finished)),
        ("ledgers compared with a rebuilt one", sum(|run| run.compared)),
    ];
    let first = |(seed, run): &(u64, Run)| Some((*seed, run.tally.broken.first()?.clone()));
    let mix = |hash: u64, (_, run): &(u64, Run)| (hash ^ run.fingerprint).wrapping_mul(0x0100_0000_01b3);
    Hunt {
        seeds: runs.len() as u64,
        failed: runs.iter().filter_map(first).collect(),
        counts,
        fingerprint: runs.iter().fold(0, mix),
    }
}

impl Hunt {
    /// The table for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{name:36} {value:>12}");
        };
        row("seeds", &self.seeds.to_string());
        self.counts.iter().for_each(|(name, count)| row(name, &count.to_string()));
        row("seeds that broke a rule", &self.failed.len().to_string());
        row("fingerprint", &format!("{:016x}", self.fingerprint));
        out
    }
}

/// A failing seed in short: what has to be there for it to fail, what broke, and the last things that happened.
pub fn story(seed: u64, events: u64, bug: Option<&Bug>) -> String {
    let limits = Limits { events, keep: 0 };
    let fails = |scenario: &Scenario| !weather_out(scenario.clone(), bug, limits).tally.broken.is_empty();
    let short = shrink(Scenario::storm(seed), &fails);
    let run = weather_out(short.clone(), bug, Limits { keep: usize::MAX, ..limits });
    let mut out = format!("seed {seed}, shortened\n");
    let mut line = |text: String| {
        let _ = writeln!(out, "  {text}");
    };
    line(format!("nodes   {:?}", short.nodes));
    for (at, job) in &short.jobs {
        line(format!(
            "job     {} ms: {} {}, {} pods, {} GPUs",
            at.0,
            job.kind,
            job.name,
            job.size(),
            job.gpus()
        ));
    }
    short.faults.iter().for_each(|(at, fault)| line(format!("fault   {} ms: {fault:?}", at.0)));
    line(format!("weather {:?}", short.weather));
    run.tally.broken.iter().take(3).for_each(|words| line(format!("broken  {words}")));
    // What happened after the first rule broke explains nothing.
    let broke = run.tally.broken.first().and_then(|words| time_of(words)).unwrap_or(u64::MAX);
    let before: Vec<&String> =
        run.story.iter().filter(|line| time_of(line).is_none_or(|at| at <= broke)).collect();
    before.iter().skip(before.len().saturating_sub(LINES)).for_each(|words| line((*words).clone()));
    out
}

/// The time in milliseconds that a line begins with.
fn time_of(line: &str) -> Option<u64> {
    line.split(' ').next()?.parse().ok()
}
