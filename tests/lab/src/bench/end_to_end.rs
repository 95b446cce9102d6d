//! From the creation of pods to their last bind, through the real control plane: with Muster gated and ungated, by
//! kube-scheduler alone, and with an extender that decides nothing. The last two are the peers. The ways take turns.
//!
//! The peers have an easier job, since they know no gangs. The row `narrowed` is the floor of the gated way: pods that
//! name their node themselves, with neither an extender nor a release in the way.

use std::path::Path;

use anyhow::Result;

use super::figures::median;
use super::restart;
use super::trial::{Bench, Trial};
use super::ways::{NODES, Running, Way, node_names};
use super::workload::{Workload, gangs, narrowed, singles};

const ROUNDS: usize = 2;
const PODS: usize = 1_000;
const GANGS: usize = 50;
const GANG_SIZE: usize = 20;

/// Names of the workloads, in their order.
const SINGLES: &str = "1,000 pods";
const GANGED: &str = "50 gangs of 20";
const QUEUED: &str = "both, queued before";
const NARROWED: &str = "1,000 narrowed pods";

/// Prints a row for each trial, and at the end medians beside the peer's. The last control plane with Muster gated
/// also gives the figures of `restart`.
pub(super) async fn run(muster: &Path) -> Result<()> {
    println!(
        "\ncreation to last bind, {NODES} nodes of 8 GPUs; processor time in ms for one pod; release: creation → plan \
         annotation, bind: release (or creation) → bound, p50/p99; calls for one pod"
    );
    println!("{}", Trial::heads());
    let mut trials = Vec::new();
    for round in 1..=ROUNDS {
        for way in [Way::Plain, Way::Trivial, Way::Gated, Way::Ungated] {
            let running = Running::start(way, muster).await?;
            trials.extend(one_lab(&running, round == ROUNDS).await?);
        }
    }
    summary(&trials);
    Ok(())
}

async fn one_lab(running: &Running, last_round: bool) -> Result<Vec<Trial>> {
    let bench = Bench::new(running).await?;
    let mut trials = Vec::new();
    let mut add = |trial: Trial| {
        println!("{}", trial.row());
        trials.push(trial);
    };
    add(bench.live(Workload { name: SINGLES, pods: singles("pod", PODS) }).await?);
    add(bench.live(Workload { name: GANGED, pods: gangs("gang", GANGS, GANG_SIZE) }).await?);
    if last_round && running.way == Way::Gated {
        restart::measure(running).await?;
    }
    let mut both = singles("queued-pod", PODS);
    both.extend(gangs("queued-gang", GANGS, GANG_SIZE));
    add(bench.queued(Workload { name: QUEUED, pods: both }).await?);
    if running.way == Way::Plain {
        let pods = narrowed("narrow", PODS, &node_names())?;
        add(bench.live(Workload { name: NARROWED, pods }).await?);
    }
    Ok(trials)
}

/// Medians over the rounds, each beside the plain scheduler's.
fn summary(trials: &[Trial]) {
    println!(
        "\n{:8} {:22} {:>8} {:>10} | {:>9} {:>10} | {:>8} {:>8}",
        "way", "workload", "pods/s", "of plain", "sched ms", "of plain", "api ms", "extender"
    );
    let of = |way, workload, figure: fn(&Trial) -> f64| {
        let these = trials.iter().filter(|trial| trial.way == way && trial.workload == workload);
        median(&these.map(figure).collect::<Vec<_>>())
    };
    for workload in [SINGLES, GANGED, QUEUED] {
        let plain = [Trial::rate, scheduler_ms].map(|figure| of(Way::Plain, workload, figure));
        for way in [Way::Plain, Way::Trivial, Way::Gated, Way::Ungated] {
            let [rate, scheduler] = [Trial::rate, scheduler_ms].map(|figure| of(way, workload, figure));
            println!(
                "{:8} {workload:22} {rate:>8.0} {:>10.2} | {scheduler:>9.2} {:>10.2} | {:>8.2} {:>8.2}",
                way.name(),
                rate / plain[0],
                scheduler / plain[1],
                of(way, workload, |trial| trial.cpu_ms("kube-apiserver")),
                of(way, workload, |trial| trial.cpu_ms("muster")),
            );
        }
    }
    println!(
        "{:8} {NARROWED:22} {:>8.0}   the floor of gated",
        "plain",
        of(Way::Plain, NARROWED, Trial::rate)
    );
}

fn scheduler_ms(trial: &Trial) -> f64 {
    trial.cpu_ms("kube-scheduler")
}

/// A gated control plane with 2,000 bound pods, for `restart` alone.
pub(super) async fn filled(muster: &Path) -> Result<Running> {
    let running = Running::start(Way::Gated, muster).await?;
    let bench = Bench::new(&running).await?;
    bench.live(Workload { name: SINGLES, pods: singles("pod", PODS) }).await?;
    bench.live(Workload { name: GANGED, pods: gangs("gang", GANGS, GANG_SIZE) }).await?;
    drop(bench);
    Ok(running)
}
