//! What a node agent says to the extender, and what it hears back: versioned JSON over HTTP.
//!
//! Owns the bytes and nothing else. Invariant: a [`Report`] that [`decode`] returns has a version that this
//! build knows, at most [`GPUS_MAX`] GPUs with distinct UUIDs, a link matrix that fits them (or none), and no
//! text that is over-long. Whether the node exists, whether the report is old and what of it is believed is
//! not decided here: the extender's intake does that.
//!
//! Compatibility: inside a version fields are only added and unknown ones are ignored, so that an agent may
//! be newer than the extender. Anything else is a new version.

mod answer;
mod decode;
mod report;

pub use answer::Answer;
pub use decode::{BYTES_MAX, DecodeError, GPUS_MAX, TEXT_MAX, decode};
pub use report::{DevicePlugin, Driver, DriverState, Gpu, Health, Report, VERSION, encode};
