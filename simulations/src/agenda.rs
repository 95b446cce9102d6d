//! What will happen, in order of time, and in order of entry at one time: a total order, so that a run is a
//! function of its seed.

use std::collections::BTreeMap;

use muster_placement::time::Time;

/// Things that will happen.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    entries: BTreeMap<(Time, u64), T>,
    serial: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Agenda { entries: BTreeMap::new(), serial: 0 }
    }
}

impl<T> Agenda<T> {
    /// Enters something; after all that was entered before for the same time.
    pub(crate) fn add(&mut self, at: Time, what: T) {
        self.serial += 1;
        self.entries.insert((at, self.serial), what);
    }

    /// When the next thing happens.
    pub(crate) fn next(&self) -> Option<Time> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    /// Strikes what will not happen.
    pub(crate) fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        self.entries.retain(|_, what| stays(what));
    }

    /// Takes the next thing out.
    pub(crate) fn pop(&mut self) -> Option<(Time, T)> {
        self.entries.pop_first().map(|((at, _), what)| (at, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_of_time_then_of_entry() {
        let mut agenda = Agenda::default();
        for (at, what) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            agenda.add(Time(at), what);
        }
        assert_eq!(agenda.next(), Some(Time(1)));
        let order: String = std::iter::from_fn(|| agenda.pop()).map(|(_, what)| what).collect();
        assert_eq!(order, "abcd");
    }
}
