//! Figures of `make bench`, each beside its floor or its peer from the same run.
//!
//! Wall time on a shared machine moves twofold, so every figure has processor time beside it, what is compared
//! takes turns (A B A B), and only ratios mean something elsewhere. Nothing here passes or fails.
#![allow(clippy::print_stdout, reason = "printing figures is what it is for")]

mod agent;
mod arrivals;
mod caller;
mod constant;
mod end_to_end;
#[path = "../../../benches/figure/mod.rs"]
mod figure;
mod figures;
mod filter;
mod floor;
mod processes;
mod restart;
mod still;
mod trial;
mod trivial;
mod ways;
mod workload;

use std::path::Path;

use anyhow::{Result, bail};

/// Runs all of them, or only `filter`, `e2e`, `agent` or `restart`. (`constant` and `trivial` are not for people: they serve what
/// others are measured against, each in a process of its own.)
pub async fn run(muster: &Path, only: Option<String>) -> Result<()> {
    if only.as_deref() == Some(constant::NAME) {
        return constant::serve().await;
    }
    if only.as_deref() == Some(trivial::NAME) {
        return trivial::serve().await;
    }
    println!("{}", machine());
    match only.as_deref() {
        None => {
            filter::run(muster).await?;
            agent::run(muster).await?;
            end_to_end::run(muster).await
        }
        Some("filter") => filter::run(muster).await,
        Some("e2e") => end_to_end::run(muster).await,
        Some("agent") => agent::run(muster).await,
        Some("restart") => restart::run(muster).await,
        Some(other) => bail!("there are no figures named {other:?}: filter, e2e, agent, restart"),
    }
}

/// The machine, since absolute figures mean nothing without it.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("machine: {cores} cores, {model}; everything runs on it, so programs compete")
}
