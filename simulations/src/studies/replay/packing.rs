//! Each pod on the fullest node that takes it, wherever that is: packing that knows no network. Ties at random, as
//! kube-scheduler breaks them.

use super::whole::Choice;
use super::{Fill, Floor};
use crate::dice::{Concern, Dice};

/// Best fit by count.
pub(crate) struct Packing(Dice);

impl Packing {
    pub(crate) fn new(seed: u64) -> Packing {
        Packing(Dice::new(seed, Concern::Ties))
    }
}

impl Choice for Packing {
    fn nodes(&mut self, floor: &Floor, job: usize) -> Option<Vec<usize>> {
        let work = floor.work(job);
        if floor.copies(work.each) < work.pods {
            return None;
        }
        let mut free = floor.free().to_vec();
        let mut by_free = floor.by_free().to_vec();
        let mut place = || {
            let (at, left) = Fill::Most.choose(&free, &by_free, work.each, &mut self.0)?;
            let after = left - usize::try_from(work.each).ok()?;
            by_free[left] -= 1;
            by_free[after] += 1;
            free[at] -= work.each;
            Some(at)
        };
        (0..work.pods).map(|_| place()).collect()
    }
}
