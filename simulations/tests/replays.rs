//! A slice of every replayed study: the extender's core keeps every rule on it, and one seed is one row.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use muster_simulations::studies::{Row, Size, by_name};

fn row(study: &str, policy: &str) -> Row {
    let study = by_name(study).unwrap();
    let row = study.run(1, policy, Size::Slice).unwrap();
    let again = study.run(1, policy, Size::Slice).unwrap();
    // As text, in which a figure that a slice does not have equals itself.
    assert_eq!(format!("{row:?}"), format!("{again:?}"), "one seed is one row");
    assert_eq!(row.values.len(), study.columns().len());
    row
}

fn value(row: &Row, column: &str) -> f64 {
    let columns = by_name(row.scenario).unwrap().columns();
    row.values[columns.iter().position(|c| c.name == column).unwrap()]
}

fn nothing_held(row: &Row) {
    for column in ["held_waste_gpu_h", "partial_starts", "standstills", "never_started"] {
        assert!(value(row, column).abs() < 1e-9, "{column}");
    }
}

#[test]
fn knavigator_gangs_fill_every_wave() {
    let ours = row("knavigator-gang", "muster");
    nothing_held(&ours);
    assert!((value(&ours, "makespan_s") - 240.0).abs() < 1e-9);
    assert!((value(&ours, "occupancy_pct") - 100.0).abs() < 1e-9);
}

#[test]
fn muri_gangs_hold_nothing_while_they_wait() {
    let ours = row("muri-gangs", "muster");
    nothing_held(&ours);
    let alone = row("muri-gangs", "kube-scheduler-least");
    assert!(value(&alone, "held_waste_gpu_h") > 0.0, "this slice must be a hard one");
    assert!(value(&ours, "large_fragmentation_gpu_h") < value(&alone, "large_fragmentation_gpu_h"));
}

#[test]
fn knavigator_topology_has_one_best_answer() {
    assert!(value(&row("knavigator-topology", "muster"), "nodes_off_optimum").abs() < 1e-9);
    assert!(
        value(&row("knavigator-topology", "nearest"), "nodes_off_optimum") > 0.0,
        "this case must be a hard one"
    );
}

#[test]
fn trees_are_placed_as_well_as_can_be() {
    let ours = row("exact-trees", "muster");
    assert!(value(&ours, "trees_off_optimum_pct") <= 1.0);
    assert!(value(&ours, "trees_refused_though_fits").abs() < 1e-9);
    assert!(
        value(&row("exact-trees", "packing"), "trees_off_optimum_pct") > 10.0,
        "these cases must be hard ones"
    );
}

#[test]
fn gangs_stay_on_few_leaves_of_a_clos() {
    let (ours, blind) = (row("clos-locality", "muster"), row("clos-locality", "packing"));
    assert!(value(&ours, "one_leaf_missed_at_60").abs() < 1e-9);
    assert!(value(&blind, "leaves_used_mean_at_60") > 1.67 * value(&ours, "leaves_used_mean_at_60"));
}

#[test]
fn every_shape_of_scale_is_decided() {
    let study = by_name("scale").unwrap();
    let row = study.run(1, "muster", Size::Slice).unwrap();
    assert!(row.values.iter().all(|figure| *figure > 0.0), "{:?}", row.values);
}
