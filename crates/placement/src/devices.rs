//! The GPUs of one node: sets of them, how fast a set is, which set of so many is best, and what the node's
//! device plugin may hand out.
//!
//! Nobody may choose devices on a node with the stock device plugin: the kubelet asks the plugin, and the plugin's
//! ties are random. So a node is judged by the worst of the sets that are possible ([`Outlook`], from
//! [`crate::oracle`]) and by what that set leaves whole, never by the set that we would like. What depends on the
//! machine alone is worked out once for a [`TopologyClass`] and shared by all nodes of the class. Where an agent does
//! not say what the plugin sees, nothing is known of its answers: sets are then guessed from the link matrix
//! ([`best_set`]) and nothing is scored by them.

mod assumed;
mod best;
mod class;
mod classes;
mod connected;
mod outlook;
mod pairs;
mod rings;
mod set;

pub(crate) use assumed::assumed_sets;
pub use class::TopologyClass;
pub(crate) use classes::Classes;
pub use connected::best_set;
pub use outlook::{Devices, Outlook, Prospect};
pub use pairs::Pairs;
pub use rings::{QUALITY_MAX, Rings};
pub use set::GpuSet;
