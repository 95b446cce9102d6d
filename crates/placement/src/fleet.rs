//! The nodes of the cluster, by name, with the tree of domains that they form.
//!
//! Nodes keep their positions while none comes or goes. Invariant: whatever is derived here equals what is derived from
//! the nodes alone. Decides nothing.

mod room;
mod terrain;

pub(crate) use room::Room;
pub(crate) use terrain::{Domain, Terrain};
