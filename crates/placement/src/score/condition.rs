//! Condition: free GPUs that are degraded. Which of the free GPUs a pod gets is the device plugin's word, so what
//! counts is what it may get.
//!
//! A gang, and a pod of several GPUs, runs at the pace of its weakest GPU: one that it may get is as bad as several. A
//! single GPU pod hurts nobody else, so for it the chance counts; it too goes to such a node last among equals, since
//! nothing is gained by giving it a slow GPU while a good one is as well placed.

/// Chance that counts as certain.
const CERTAIN: u64 = 256;

/// Badness in 256ths if `k` of `free` GPUs are asked for, of which so many are degraded.
pub(super) fn worst(degraded: u64, free: u64, k: u64, of_gang: bool) -> u64 {
    if k == 0 || degraded == 0 {
        return 0;
    }
    if of_gang || k > 1 {
        return CERTAIN;
    }
    degraded.saturating_mul(CERTAIN).checked_div(free).unwrap_or(CERTAIN).min(CERTAIN)
}
