//! What the authors' artefact published: means over ten seeds.

use serde::Deserialize;

use crate::studies::{StudyError, traces};

#[derive(Deserialize)]
struct PublishedRow {
    metric: String,
    trace: String,
    policy: String,
    arrived_load_pct: u32,
    mean: f64,
}

/// Published mean of allocated GPUs in percent, when so much demand has arrived.
///
/// # Errors
/// The table cannot be read, or has no such row.
pub fn allocated(list: &str, policy: &str, demand_pct: u32) -> Result<f64, StudyError> {
    const FILE: &str = "alibaba-openb-2023/published_mean_sd.csv.gz";
    let rows: Vec<PublishedRow> = traces::rows(FILE)?;
    let name = match policy {
        "random" => "Random",
        "packing" => "GpuPacking",
        "best-fit" => "BestFit",
        "dot-product" => "DotProd",
        "clustering" => "GpuClustering",
        _ => "FGD",
    };
    let is = |row: &&PublishedRow| {
        row.metric == "alloc_pct"
            && row.trace == list
            && row.policy == name
            && row.arrived_load_pct == demand_pct
    };
    let missing = || StudyError::Trace {
        file: FILE.to_owned(),
        why: format!("no row for {list}, {name}, {demand_pct}"),
    };
    rows.iter().find(is).map(|row| row.mean).ok_or_else(missing)
}
