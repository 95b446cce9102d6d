//! Nodes as a tree of domains ([`Terrain`]), and how much fits in each of them. Decides nothing.

mod room;
mod terrain;

pub(crate) use room::Room;
pub(crate) use terrain::Domain;
pub use terrain::Terrain;
