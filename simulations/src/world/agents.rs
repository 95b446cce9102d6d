//! Node agents, the network between them and Muster, and the order that Muster's door keeps.
//!
//! Reports may be lost, doubled, late and out of order. Inside a boot their numbers rise; what is not after the
//! last report taken is turned away at the door, and so is one of the boot before, as `intake` does.

use std::collections::BTreeSet;

use muster_placement::Event;
use muster_placement::ids::{NodeName, PodUid};
use muster_placement::inventory::{Inventory, Load};
use muster_placement::time::Span;

use super::{Happening, Muster, World};

/// Until the agent's event thread has told the extender of an XID.
const EVENT: Span = Span(20);

/// A report on its way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    node: NodeName,
    boot: u64,
    sequence: u64,
    inventory: Inventory,
}

/// The last report taken of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    boot: u64,
    sequence: u64,
    previous: Option<u64>,
}

impl Session {
    /// The session once a report is taken; `None` if it is too old.
    fn after(last: Option<Session>, letter: &Letter) -> Option<Session> {
        let (boot, sequence) = (letter.boot, letter.sequence);
        match last {
            None => Some(Session { boot, sequence, previous: None }),
            Some(last) if last.boot == boot => {
                (sequence > last.sequence).then_some(Session { sequence, ..last })
            }
            Some(last) => {
                let new = last.previous != Some(boot);
                new.then_some(Session { boot, sequence, previous: Some(last.boot) })
            }
        }
    }
}

impl World {
    /// What the agent of a node says now; nothing where there is no GPU.
    pub(crate) fn letter(&mut self, node: &NodeName) -> Option<Letter> {
        let machine = self.machines.get_mut(node).filter(|machine| !machine.devices.is_empty())?;
        machine.sequence += 1;
        let (boot, sequence) = (machine.boot, machine.sequence);
        Some(Letter { node: node.clone(), boot, sequence, inventory: machine.inventory() })
    }

    /// An agent reports, and does so again after a while.
    pub(crate) fn report(&mut self, node: &NodeName) {
        self.measure(node);
        self.post(node, Span(0));
        self.after(self.pace.report, Happening::Report(node.clone()));
    }

    /// An event is reported at once, apart from the reports at intervals.
    pub(crate) fn report_soon(&mut self, node: &NodeName) {
        self.post(node, EVENT);
    }

    /// Sends a report through a network that may lose, double and delay it.
    fn post(&mut self, node: &NodeName, at_least: Span) {
        let silent = self.machines.get(node).is_none_or(|machine| machine.agent_gone || !machine.present);
        if silent || self.network.chance(self.weather.reports_lost_per_mille) {
            return;
        }
        let Some(letter) = self.letter(node) else { return };
        let copies = 1 + u64::from(self.network.chance(self.weather.reports_doubled_per_mille));
        for _ in 0..copies {
            let late = self.network.span(0, self.weather.report_delay_ms);
            let at = self.now.after(at_least).after(late);
            self.agenda.add(at, Happening::Arrive(Box::new(letter.clone())));
        }
    }

    /// A report reaches Muster's door.
    pub(crate) fn arrive(&mut self, letter: Letter, muster: &mut dyn Muster) {
        if !self.watches.knows(&letter.node) {
            return;
        }
        let last = self.sessions.get(&letter.node).copied();
        let next = Session::after(last, &letter);
        let event = Event::Reported(letter.node.clone(), letter.inventory);
        if let Some(session) = next {
            self.sessions.insert(letter.node, session);
            muster.tell(event);
        } else {
            self.tally.reports_refused += 1;
            muster.withhold(event);
        }
    }

    /// What NVML would say now: busy where a job works, quiet where it waits for its members or nobody is.
    fn measure(&mut self, node: &NodeName) {
        let jobs = self.jobs.values().filter(|job| job.running.is_some() && !job.ended);
        let working: BTreeSet<&PodUid> = jobs.flat_map(|job| job.pods.values()).collect();
        let Some(machine) = self.machines.get_mut(node) else { return };
        let total = machine.kind.product_memory_mib();
        for device in &mut machine.devices {
            let works = device.pod.as_ref().is_some_and(|pod| working.contains(pod));
            let share = if works { self.kubelet.span(72, 99).0 } else { 0 };
            let held = if device.pod.is_some() { total * 7 / 10 + share * total / 500 } else { 0 };
            device.load = Load {
                utilisation_percent: u8::try_from(share).unwrap_or(100),
                memory_used_mib: held.min(total),
                temperature_c: u16::try_from(31 + share * 2 / 5).unwrap_or(u16::MAX),
                power_mw: u32::try_from(60_000 + share * 6_000).unwrap_or(u32::MAX),
                ..Load::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_reports_are_turned_away() {
        let letter = |boot, sequence| {
            let (node, inventory) = (NodeName::from("a"), Inventory::default());
            Letter { node, boot, sequence, inventory }
        };
        let mut last = None;
        let mut takes = |boot, sequence| {
            let next = Session::after(last, &letter(boot, sequence));
            last = next.or(last);
            next.is_some()
        };
        let said = [(0, 2), (0, 2), (0, 1), (0, 3), (1, 1), (0, 9), (1, 2)];
        let taken = said.map(|(boot, sequence)| takes(boot, sequence));
        assert_eq!(taken, [true, false, false, true, true, false, true]);
    }
}
