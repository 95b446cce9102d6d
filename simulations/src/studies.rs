//! Published results, run again with the very crate that the extender runs, beside the policies that they were
//! published for.
//!
//! Reading order: [`Study`] (what is run and what counts as reached) → [`run`] (every seed with every policy) →
//! [`report`] (table, page, plot, JSON). One file or folder per study; data are in `simulations/traces`.
//! A figure that was measured on another machine or another trace is context, never a row that is beaten.

mod clos_locality;
mod exact_trees;
mod knavigator_gang;
mod knavigator_topology;
mod muri_gangs;
pub mod openb;
pub mod plot;
mod replay;
pub mod report;
mod scale;
pub mod statistics;
mod study;
pub mod traces;

use std::ops::RangeInclusive;

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

pub use study::{Column, Goal, Line, Row, Size, Study, StudyError};

/// All studies, in the order in which they are listed.
pub fn all() -> Vec<Box<dyn Study>> {
    vec![
        Box::new(openb::saturation::Saturation),
        Box::new(openb::all_lists::AllLists),
        Box::new(knavigator_gang::KnavigatorGang),
        Box::new(knavigator_topology::KnavigatorTopology),
        Box::new(exact_trees::ExactTrees),
        Box::new(clos_locality::ClosLocality),
        Box::new(scale::Scale),
        Box::new(muri_gangs::MuriGangs { trace: 2 }),
        Box::new(muri_gangs::MuriGangs { trace: 1 }),
        Box::new(muri_gangs::MuriGangs { trace: 3 }),
    ]
}

/// The study of a name.
///
/// # Errors
/// There is none; the message lists those that there are.
pub fn by_name(name: &str) -> Result<Box<dyn Study>, StudyError> {
    let known = || all().iter().map(|study| study.name()).collect::<Vec<_>>().join(", ");
    all().into_iter().find(|study| study.name() == name).ok_or_else(|| StudyError::Unknown {
        what: "study",
        name: name.to_owned(),
        known: known(),
    })
}

/// Runs a study: every seed with every policy, side by side on all cores, rows in order of policy, then seed.
///
/// # Errors
/// The first run that could not be carried out.
pub fn run(
    study: &dyn Study,
    seeds: RangeInclusive<u64>,
    policies: &[&'static str],
    size: Size,
) -> Result<Vec<Row>, StudyError> {
    let orders: Vec<(&'static str, u64)> =
        policies.iter().flat_map(|policy| seeds.clone().map(move |seed| (*policy, seed))).collect();
    let bar = ProgressBar::new(orders.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(study.name());
    let rows = orders.par_iter().map(|(policy, seed)| {
        let row = study.run(*seed, policy, size);
        bar.inc(1);
        row
    });
    let rows = rows.collect();
    bar.finish_and_clear();
    rows
}
