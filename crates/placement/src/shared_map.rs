//! A sorted map whose copies share what did not change, so that a view can be published after every event
//! however many pods there are.
//!
//! Entries stand in chunks behind `Arc`s: a copy copies the list of chunks, and a change copies the one chunk that
//! it is in. Invariant: chunks are sorted, none is empty, and the keys of one come before those of the next. With
//! `n` entries a copy costs `n / 32` to `n / 64` counters, a change at most 64 entries.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;

/// Entries of a chunk at most; one that grows beyond is cut in two.
const CHUNK_MAX: usize = 64;
/// Below this a chunk is joined to its neighbour, if both then fit one with room to grow.
const CHUNK_MIN: usize = 16;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// A sorted map, cheap to copy.
#[derive(Clone, Debug)]
pub struct SharedMap<K, V> {
    chunks: Vec<Chunk<K, V>>,
    len: usize,
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        SharedMap::new()
    }
}

impl<K, V> SharedMap<K, V> {
    /// A map without entries.
    pub const fn new() -> Self {
        SharedMap { chunks: Vec::new(), len: 0 }
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let at = position(chunk, key).ok()?;
        chunk.get(at).map(|(_, value)| value)
    }

    /// Whether a key is there.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let chunk_at = self.chunk_of(key)?;
        let chunk = self.chunks.get_mut(chunk_at)?;
        let at = position(chunk, key).ok()?;
        Arc::make_mut(chunk).get_mut(at).map(|(_, value)| value)
    }

    /// Sets the value of a key; returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(chunk_at) = self.chunk_of(&key) else {
            // Before all others, or the first of all.
            match self.chunks.first_mut() {
                Some(chunk) => Arc::make_mut(chunk).insert(0, (key, value)),
                None => self.chunks.push(Arc::new([(key, value)].to_vec())),
            }
            self.len = self.len.saturating_add(1);
            self.cut(0);
            return None;
        };
        let chunk = Arc::make_mut(self.chunks.get_mut(chunk_at)?);
        match position(chunk, &key) {
            Ok(at) => chunk.get_mut(at).map(|(_, old)| core::mem::replace(old, value)),
            Err(at) => {
                chunk.insert(at, (key, value));
                self.len = self.len.saturating_add(1);
                self.cut(chunk_at);
                None
            }
        }
    }

    /// Takes a key out; returns the value it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let chunk_at = self.chunk_of(key)?;
        let chunk = self.chunks.get_mut(chunk_at)?;
        let at = position(chunk, key).ok()?;
        let (_, value) = Arc::make_mut(chunk).remove(at);
        self.len = self.len.saturating_sub(1);
        self.join(chunk_at);
        Some(value)
    }

    /// Entries in order of key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    /// Keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Values in order of key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The last chunk that begins at or before a key.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let begins = |chunk: &Chunk<K, V>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
        self.chunks.partition_point(begins).checked_sub(1)
    }

    /// Cuts a chunk that is too long.
    fn cut(&mut self, at: usize) {
        let Some(chunk) = self.chunks.get_mut(at).filter(|chunk| chunk.len() > CHUNK_MAX) else { return };
        let later = Arc::make_mut(chunk).split_off(CHUNK_MAX / 2);
        self.chunks.insert(at.saturating_add(1), Arc::new(later));
    }

    /// Joins a chunk that is too short to a neighbour, if both then fit one with room to grow.
    fn join(&mut self, at: usize) {
        let len = |at: usize| self.chunks.get(at).map(|chunk| chunk.len());
        let Some(short) = len(at).filter(|short| *short < CHUNK_MIN) else { return };
        if short == 0 {
            self.chunks.remove(at);
            return;
        }
        let fits = |neighbour: usize| {
            len(neighbour).is_some_and(|other| other.saturating_add(short) <= CHUNK_MAX / 2)
        };
        let before = at.checked_sub(1).filter(|before| fits(*before));
        let Some(first) = before.or_else(|| fits(at.saturating_add(1)).then_some(at)) else { return };
        let second = self.chunks.remove(first.saturating_add(1));
        if let Some(chunk) = self.chunks.get_mut(first) {
            Arc::make_mut(chunk).extend(second.iter().cloned());
        }
    }
}

fn position<K: Borrow<Q>, V, Q: Ord + ?Sized>(chunk: &[(K, V)], key: &Q) -> Result<usize, usize> {
    chunk.binary_search_by(|(other, _)| other.borrow().cmp(key))
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = SharedMap::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        // Where entries are cut into chunks is not what they are.
        let ours = self.chunks.iter().flat_map(|chunk| chunk.iter());
        self.len == other.len && ours.eq(other.chunks.iter().flat_map(|chunk| chunk.iter()))
    }
}

impl<K: Eq, V: Eq> Eq for SharedMap<K, V> {}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may fail")]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u16, u8),
        Remove(u16),
        Change(u16, u8),
        Copy,
    }

    fn op() -> impl Strategy<Value = Op> {
        let key = 0u16..300;
        prop_oneof![
            5 => (key.clone(), any::<u8>()).prop_map(|(k, v)| Op::Insert(k, v)),
            4 => key.clone().prop_map(Op::Remove),
            2 => (key, any::<u8>()).prop_map(|(k, v)| Op::Change(k, v)),
            1 => Just(Op::Copy),
        ]
    }

    proptest! {
        /// It is the standard library's map, and a copy does not move with the original.
        #[test]
        fn it_is_a_map_and_copies_stand_still(ops in prop::collection::vec(op(), 0..1_500)) {
            let (mut ours, mut theirs) = (SharedMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for op in ops {
                match op {
                    Op::Insert(k, v) => prop_assert_eq!(ours.insert(k, v), theirs.insert(k, v)),
                    Op::Remove(k) => prop_assert_eq!(ours.remove(&k), theirs.remove(&k)),
                    Op::Change(k, v) => {
                        prop_assert_eq!(ours.get_mut(&k).map(|old| *old = v), theirs.get_mut(&k).map(|old| *old = v));
                    }
                    Op::Copy => copies.push((ours.clone(), theirs.clone())),
                }
                prop_assert!(ours.chunks.iter().all(|c| !c.is_empty() && c.len() <= CHUNK_MAX));
            }
            copies.push((ours, theirs));
            for (ours, theirs) in copies {
                prop_assert_eq!(ours.len(), theirs.len());
                prop_assert!(ours.iter().eq(theirs.iter()));
                for k in 0..300 {
                    prop_assert_eq!(ours.get(&k), theirs.get(&k));
                }
                prop_assert_eq!(&theirs.into_iter().collect::<SharedMap<_, _>>(), &ours);
            }
        }
    }

    #[test]
    fn chunks_stay_few_when_entries_go() {
        let mut map: SharedMap<u32, u32> = (0..10_000).map(|k| (k, k)).collect();
        assert!(map.chunks.len() <= 10_000 / (CHUNK_MAX / 2) + 1, "{}", map.chunks.len());
        for k in (0..10_000).filter(|k| k % 50 != 0) {
            map.remove(&k);
        }
        assert_eq!(map.len(), 200);
        assert!(map.chunks.len() <= 200 / (CHUNK_MIN / 2), "{}", map.chunks.len());
    }
}
