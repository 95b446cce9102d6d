//! The oracle against the device plugin's own answers, and what must hold of every answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::sync::LazyLock;

use muster_placement::devices::{GpuSet, Pairs};
use muster_placement::oracle::Oracle;
use proptest::prelude::*;

const GOLDEN: [(&str, &str); 4] = [
    ("dgx1v", include_str!("gpuallocator/dgx1v.txt")),
    ("a100-nvswitch", include_str!("gpuallocator/a100-nvswitch.txt")),
    ("pcie-bridged", include_str!("gpuallocator/pcie-bridged.txt")),
    ("l40s", include_str!("gpuallocator/l40s.txt")),
];

fn points(text: &str) -> Pairs {
    let row = |line: &str| line.split(' ').map(|cell| cell.parse().unwrap()).collect::<Vec<u32>>();
    let rows: Vec<Vec<u32>> = text.lines().take(8).map(row).collect();
    Pairs::new(8, |a, b| rows[a][b])
}

#[test]
fn every_golden_vector_is_answered_exactly() {
    for (profile, text) in GOLDEN {
        let oracle = Oracle::new(&points(text)).unwrap();
        let set = |word: &str| GpuSet(u16::from_str_radix(word, 16).unwrap());
        let mut vectors = 0;
        for line in text.lines().skip(8) {
            let (question, answers) = line.split_once(": ").unwrap();
            let [free, required, size] = question.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let found = oracle.possible(set(free), set(required), size.parse().unwrap());
            let expected: Vec<GpuSet> = answers.split(' ').map(set).collect();
            assert_eq!(found[..], expected, "{profile}: {line}");
            vectors += 1;
        }
        assert_eq!(vectors, 1_324, "{profile}");
    }
}

/// All partitions of a set into parts of a size and at most one smaller part, the part with the first GPU first: the
/// rule as it is written, without any short cut.
fn partitions(set: GpuSet, size: usize) -> Vec<Vec<GpuSet>> {
    if set == GpuSet::EMPTY {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for part in [size, set.len() % size] {
        if part == 0 || part > set.len() {
            continue;
        }
        set.minus(set.lowest()).each_subset(part - 1, &mut |others| {
            let first = others.or(set.lowest());
            all.extend(
                partitions(set.minus(first), size).into_iter().map(|rest| [vec![first], rest].concat()),
            );
        });
    }
    all
}

fn by_the_rule(points: &Pairs, free: GpuSet, required: GpuSet, size: usize) -> Vec<GpuSet> {
    if size == 1 {
        return if required == GpuSet::EMPTY { free } else { required }.singles().collect();
    }
    let all = partitions(free, size);
    let has =
        |part: &&GpuSet| required.is_within(**part) && (required == GpuSet::EMPTY || part.len() == size);
    let all = all.iter().filter(|parts| parts.iter().any(|part| has(&part)));
    let sum = |parts: &Vec<GpuSet>| parts.iter().map(|part| points.sum(*part)).sum::<u32>();
    let most = all.clone().map(sum).max();
    let mut answers = Vec::new();
    for parts in all.filter(|parts| Some(sum(parts)) == most) {
        let best = parts.iter().filter(has).map(|part| points.sum(*part)).max();
        answers.extend(parts.iter().filter(has).filter(|part| Some(points.sum(**part)) == best));
    }
    answers.sort_unstable();
    answers.dedup();
    answers
}

/// Levels of points, so that symmetric machines are frequent: by pair, by half, else.
fn machine() -> impl Strategy<Value = Pairs> {
    let few = prop::sample::select(vec![10u32, 20, 40, 110, 210]);
    let any = prop::collection::vec(few.clone(), 36).prop_map(|cells| Pairs::new(6, |a, b| cells[a * 6 + b]));
    let tree = (few.clone(), few.clone(), few, 4usize..=7).prop_map(|(pair, half, far, gpus)| {
        Pairs::new(gpus, |a, b| {
            if a / 2 == b / 2 {
                pair
            } else if a / 4 == b / 4 {
                half
            } else {
                far
            }
        })
    });
    prop_oneof![any, tree]
}

proptest! {
    #[test]
    fn the_answers_are_those_of_the_rule(points in machine(), free: u16, required: u16, size in 1usize..7) {
        let oracle = Oracle::new(&points).unwrap();
        let free = GpuSet(free).and(GpuSet::first(points.gpus()));
        for required in [GpuSet::EMPTY, GpuSet(required).and(free)] {
            if free.len() < size || required.len() > size {
                prop_assert!(oracle.possible(free, required, size).is_empty());
                continue;
            }
            let found = oracle.possible(free, required, size);
            prop_assert_eq!(&found[..], &by_the_rule(&points, free, required, size)[..]);
        }
    }

    #[test]
    fn an_answer_of_a_large_machine_is_within_what_is_free(free: u16, required: u16, size in 1usize..17, wide: bool) {
        let free = GpuSet(free);
        for required in [GpuSet::EMPTY, GpuSet(free.0 & required & (required >> 3))] {
            let answers = LARGE[usize::from(wide)].possible(free, required, size);
            prop_assert_eq!(answers.is_empty(), size > free.len() || required.len() > size);
            for set in answers.iter() {
                let full = set.len() == size || (required == GpuSet::EMPTY && set.len() == free.len() % size);
                prop_assert!(full && set.is_within(free) && required.is_within(*set), "{set:?}");
            }
        }
    }
}

/// 16 GPUs in pairs, and in quads.
static LARGE: LazyLock<[Oracle; 2]> = LazyLock::new(|| {
    [2, 4].map(|block| {
        let points = Pairs::new(16, |a, b| match (a / block == b / block, a / 8 == b / 8) {
            (true, _) => 40,
            (false, true) => 20,
            (false, false) => 10,
        });
        Oracle::new(&points).unwrap()
    })
});

/// More GPUs and less symmetry than can be worked out: said, not guessed.
#[test]
fn a_machine_without_symmetry_is_unknown_beyond_twelve_gpus() {
    let irregular = |gpus| Pairs::new(gpus, |a, b| 10 + u32::try_from(a.min(b) * 16 + a.max(b)).unwrap());
    assert!(Oracle::new(&irregular(13)).is_none());
    assert!(Oracle::new(&irregular(9)).is_some());
}
