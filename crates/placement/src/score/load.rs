//! Load: free GPUs that work although nobody holds them. Somebody uses them outside Kubernetes, or a pod that was
//! deleted by force still runs; whoever comes there next shares memory and heat. Such nodes come last among equals.
//!
//! Momentary readings, so never a reason to refuse. Which GPUs pods have is a guess where claims do not name them: as
//! many busy ones are taken to be theirs.

use crate::inventory::{Gpu, Inventory};

/// From this share of time with a kernel running a GPU is busy, in percent.
const BUSY_PERCENT: u8 = 10;
/// From this share of memory in use a GPU is busy, in percent; the driver's own use is below 1 %.
const FILLED_PERCENT: u64 = 5;
/// From this temperature a GPU is hot, in degrees Celsius; idle ones have 30 to 50, and clocks fall from about 85.
const HOT_C: u16 = 75;

/// Free GPUs that are busy or hot with nobody's work; `free` of those at `assumed_free` are.
pub(crate) fn dirty(inventory: &Inventory, assumed_free: &[usize], free: u64) -> u64 {
    let busy = assumed_free.iter().filter(|at| inventory.gpus.get(**at).is_some_and(works)).count() as u64;
    let unnamed = (assumed_free.len() as u64).saturating_sub(free);
    busy.saturating_sub(unnamed)
}

fn works(gpu: &Gpu) -> bool {
    let filled = gpu.load.memory_used_mib.saturating_mul(100).checked_div(gpu.memory_mib).unwrap_or(0);
    gpu.load.utilisation_percent >= BUSY_PERCENT
        || filled >= FILLED_PERCENT
        || gpu.load.temperature_c >= HOT_C
}

/// How many of `k` GPUs may be dirty ones: the device plugin gives any.
pub(super) fn worst(dirty: u64, k: u64) -> u64 {
    dirty.min(k)
}
