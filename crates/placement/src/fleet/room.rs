//! How many members of a class fit where: by place, and in sum by domain. Sums follow each change of a place, so
//! a question about a domain looks at one number.

use alloc::vec::Vec;

use super::terrain::{Domain, Terrain};

/// More of one class on one node than this are not counted.
const COPIES_MAX: u64 = 0xFFFF;

/// Copies of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// By place.
    copies: Vec<u16>,
    /// By depth and domain, hosts left out.
    sums: Vec<Vec<u32>>,
}

impl Room {
    /// Room nowhere.
    pub(crate) fn none(terrain: &Terrain) -> Room {
        let sums = (0..terrain.hosts()).map(|depth| alloc::vec![0; terrain.count(depth)]).collect();
        Room { copies: alloc::vec![0; terrain.len()], sums }
    }

    /// Sets how many fit at a place.
    pub(crate) fn set(&mut self, terrain: &Terrain, place: usize, copies: u64) {
        let copies = u16::try_from(copies.min(COPIES_MAX)).unwrap_or(u16::MAX);
        let Some(slot) = self.copies.get_mut(place) else { return };
        let before = core::mem::replace(slot, copies);
        if before == copies {
            return;
        }
        for (depth, sums) in self.sums.iter_mut().enumerate() {
            if let Some(sum) = sums.get_mut(terrain.index(depth, place)) {
                *sum = sum.saturating_sub(u32::from(before)).saturating_add(u32::from(copies));
            }
        }
    }

    /// How many fit at a place.
    pub(crate) fn at(&self, place: usize) -> u64 {
        self.copies.get(place).copied().map_or(0, u64::from)
    }

    /// How many fit in a domain.
    pub(crate) fn sum(&self, domain: Domain) -> u64 {
        match self.sums.get(domain.depth) {
            Some(sums) => sums.get(domain.index).copied().map_or(0, u64::from),
            None => self.at(domain.index),
        }
    }

    /// Copies by place.
    pub(crate) fn copies(&self) -> &[u16] {
        &self.copies
    }
}
