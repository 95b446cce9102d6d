//! A node as it is played now: what a profile and a scenario say of each GPU. Pure.

use crate::profile::{Ancestor, Profile, Remote};
use crate::scenario::{Gpu, Presence, Scenario, State};

/// The node.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    /// What is the matter with it.
    pub(crate) scenario: Scenario,
    /// The machine.
    pub(crate) profile: Profile,
    idle: Gpu,
}

/// One GPU of the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Card<'p> {
    /// Index in the profile, which does not change while others are gone.
    pub(crate) index: u32,
    /// The machine.
    pub(crate) profile: &'p Profile,
    /// What differs from an idle one.
    pub(crate) now: &'p Gpu,
    seed: &'p str,
}

impl Play {
    /// The node of a checked scenario.
    pub(crate) fn new((scenario, profile): (Scenario, Profile)) -> Play {
        Play { scenario, profile, idle: Gpu::default() }
    }

    /// Whether there is a kernel module.
    pub(crate) fn driver_loaded(&self) -> bool {
        self.scenario.driver.state == Presence::Loaded
    }

    /// A GPU by its index in the profile.
    pub(crate) fn card(&self, index: u32) -> Option<Card<'_>> {
        let now = self.scenario.gpus.get(&index).unwrap_or(&self.idle);
        let (profile, seed) = (&self.profile, self.scenario.node.as_str());
        (index < profile.gpus).then_some(Card { index, profile, now, seed })
    }

    /// All GPUs of the machine, those that are gone included.
    pub(crate) fn cards(&self) -> impl Iterator<Item = Card<'_>> {
        (0..self.profile.gpus).filter_map(|index| self.card(index))
    }

    /// Indices of the GPUs that are in a state.
    pub(crate) fn in_state(&self, state: State) -> impl Iterator<Item = u32> + '_ {
        self.cards().filter(move |card| card.now.state == state).map(|card| card.index)
    }
}

impl Card<'_> {
    /// `GPU-` and a UUID of version 8, made of the node's name and the index.
    pub(crate) fn uuid(self) -> String {
        let [a, b] = [self.hash("uuid a"), self.hash("uuid b")];
        let [version, variant] = [0x8000 | (a & 0xfff), 0x8000 | (b >> 50)];
        format!(
            "GPU-{:08x}-{:04x}-{version:04x}-{variant:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            b & 0xffff_ffff_ffff
        )
    }

    /// A serial number of thirteen digits.
    pub(crate) fn serial(self) -> String {
        format!("{:013}", self.hash("serial") % 10_000_000_000_000)
    }

    /// PCI bus number.
    pub(crate) fn bus(self) -> u32 {
        at(&self.profile.pci_buses, self.index).unwrap_or(self.index)
    }

    /// NUMA node.
    pub(crate) fn numa(self) -> u32 {
        at(&self.profile.numa_nodes, self.index).unwrap_or(0)
    }

    /// Temperature in degrees Celsius.
    pub(crate) fn temperature_c(self) -> u32 {
        self.now.temperature_c.unwrap_or(self.profile.idle.temperature_c)
    }

    /// Power in milliwatts.
    pub(crate) fn power_mw(self) -> u32 {
        self.now.power_mw.unwrap_or(self.profile.idle.power_mw)
    }

    /// Where a link leads and whether it is up; `None` if there is no such link.
    pub(crate) fn link(self, link: u32) -> Option<(Remote, bool)> {
        let remote = at(&self.profile.links(self.index), link)?;
        Some((remote, !self.now.links_down.contains(&link)))
    }

    /// Common PCIe ancestor with another GPU.
    pub(crate) fn ancestor(self, other: Card<'_>) -> Option<Ancestor> {
        (self.index != other.index).then(|| self.profile.ancestor(self.index, other.index))
    }

    /// FNV-1a: the same on every machine and in every release, unlike the standard library's.
    fn hash(self, purpose: &str) -> u64 {
        let bytes = self.seed.bytes().chain([0]).chain(purpose.bytes()).chain(self.index.to_le_bytes());
        let mixed = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The last bytes of FNV reach only the low bits: spread them, or neighbours differ in one digit.
        (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd)
    }
}

fn at<T: Copy>(values: &[T], index: u32) -> Option<T> {
    values.get(usize::try_from(index).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn play(node: &str) -> Play {
        Play::new(Scenario::parse(&format!("profile: dgx-h100\nnode: {node}\n")).unwrap())
    }

    #[test]
    fn uuids_differ_between_gpus_and_between_nodes_and_stay() {
        let all: Vec<String> =
            ["a", "b"].iter().flat_map(|n| play(n).cards().map(Card::uuid).collect::<Vec<_>>()).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 16);
        assert!(all.iter().all(|uuid| uuid.len() == 40 && uuid.is_ascii()), "{all:?}");
        assert_eq!(play("a").card(0).unwrap().uuid(), all[0]);
    }
}
