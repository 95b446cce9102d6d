//! What is known of a kind, so that what vanished while nobody looked is noticed.
//!
//! Invariant: after [`Relist::finish`] the known keys are those seen in the list or since, and every key that
//! was known before and is not known now has been returned as gone exactly once.

use std::collections::BTreeSet;

/// Known keys of one kind of object.
#[derive(Debug)]
pub(super) struct Relist<K> {
    known: BTreeSet<K>,
    /// Keys not seen yet in the list that is being read.
    missing: BTreeSet<K>,
}

impl<K> Default for Relist<K> {
    fn default() -> Self {
        Self { known: BTreeSet::new(), missing: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Relist<K> {
    /// A list begins; one that was not finished is forgotten.
    pub(super) fn begin(&mut self) {
        self.missing = self.known.clone();
    }

    /// An object was seen.
    pub(super) fn seen(&mut self, key: K) {
        self.missing.remove(&key);
        self.known.insert(key);
    }

    /// An object is gone. Whether it was known.
    pub(super) fn gone(&mut self, key: &K) -> bool {
        self.missing.remove(key);
        self.known.remove(key)
    }

    /// The list is complete: the keys that it lacks are gone.
    pub(super) fn finish(&mut self) -> BTreeSet<K> {
        let gone = std::mem::take(&mut self.missing);
        for key in &gone {
            self.known.remove(key);
        }
        gone
    }

    /// The kind itself is gone, and all its objects with it.
    pub(super) fn clear(&mut self) -> BTreeSet<K> {
        self.begin();
        self.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knows(keys: &[u8]) -> Relist<u8> {
        let mut relist = Relist::default();
        relist.begin();
        for key in keys {
            relist.seen(*key);
        }
        assert!(relist.finish().is_empty());
        relist
    }

    #[test]
    fn what_a_list_lacks_is_gone_once() {
        let mut relist = knows(&[1, 2, 3]);
        relist.begin();
        relist.seen(2);
        assert_eq!(relist.finish(), [1, 3].into());
        relist.begin();
        relist.seen(2);
        assert!(relist.finish().is_empty());
    }

    #[test]
    fn a_list_that_breaks_off_tells_nothing() {
        let mut relist = knows(&[1, 2]);
        relist.begin();
        relist.seen(1);
        relist.begin();
        relist.seen(2);
        assert_eq!(relist.finish(), [1].into());
    }

    #[test]
    fn deleted_between_lists() {
        let mut relist = knows(&[1, 2]);
        assert!(relist.gone(&1));
        assert!(!relist.gone(&1));
        relist.begin();
        assert!(relist.gone(&2));
        assert!(relist.finish().is_empty());
    }

    #[test]
    fn the_kind_vanishes() {
        let mut relist = knows(&[1, 2]);
        assert_eq!(relist.clear(), [1, 2].into());
        assert!(relist.clear().is_empty());
    }
}
