//! The Alibaba cluster "openb" filled to the brim: the evaluation of fragmentation gradient descent (Weng et al.,
//! USENIX ATC 2023) run again, with its policies and with ours.
//!
//! Reading order: [`trace`] (nodes and pods) → [`arrivals`] (which pods come, in which order) → [`cluster`] (what
//! is free) → [`policies`] (the published ones) under a [`kube_scheduler`] → [`replay`] (one run) → the studies [`saturation`] and [`all_lists`].

pub mod all_lists;
pub mod arrivals;
pub mod cluster;
pub mod kube_scheduler;
pub mod policies;
pub mod published;
pub mod replay;
pub mod saturation;
pub mod trace;
