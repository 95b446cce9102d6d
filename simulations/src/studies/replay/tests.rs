//! Replays small enough to be reckoned by hand.

use muster_placement::Settings;
use muster_placement::time::{Span, Time};

use super::*;

fn work(submit: u64, pods: usize, each: u64, duration: u64) -> Work {
    Work { submit: Time(submit), pods, each, duration: Span(duration), tenant: 0 }
}

fn starts(played: &Played) -> Vec<Option<u64>> {
    played.lots.iter().map(|lot| lot.started.map(|at| at.0)).collect()
}

fn sound(policy: &mut dyn Policy, nodes: usize, works: Vec<Work>) -> Played {
    let played = play(Site::flat(nodes, 8), works, policy);
    assert_eq!(played.breaches, Vec::<String>::new());
    played
}

#[test]
fn a_gang_waits_without_holding_and_a_small_job_passes() {
    let works = || vec![work(0, 1, 8, 10_000), work(1_000, 2, 8, 5_000), work(2_000, 1, 8, 2_000)];
    let ours = sound(&mut Extender::new(Settings::default()), 2, works());
    assert_eq!(starts(&ours), [Some(0), Some(10_000), Some(2_000)]);
    assert_eq!((ours.delays.held, ours.partial_starts()), (0, 0));
    assert_eq!(ours.delays.large.capacity, 16 * 9_000);
    let alone = sound(&mut KubeScheduler::new(Fill::Least, 1), 2, works());
    assert_eq!(starts(&alone), [Some(0), Some(10_000), Some(15_000)], "half a gang keeps the node");
    assert_eq!((alone.delays.held, alone.partial_starts()), (8 * 9_000, 1));
    let fifo = sound(&mut Whole::strict(Packing::new(1)), 2, works());
    assert_eq!(starts(&fifo), [Some(0), Some(10_000), Some(15_000)], "nobody passes");
    assert_eq!(fifo.delays.large.turn, 8 * 8_000);
}

#[test]
fn spreading_leaves_pieces_and_the_delay_says_so() {
    let works = || vec![work(0, 1, 4, 10_000), work(0, 1, 4, 10_000), work(1_000, 1, 8, 1_000)];
    let alone = sound(&mut KubeScheduler::new(Fill::Least, 1), 2, works());
    assert_eq!(alone.delays.large.fragmentation, 8 * 9_000);
    let ours = sound(&mut Extender::new(Settings::default()), 2, works());
    assert_eq!(starts(&ours), [Some(0), Some(0), Some(1_000)]);
}

#[test]
fn two_parts_of_gangs_stand_in_each_others_way() {
    // The second gang's half node keeps the first from its second node, and the other way round.
    let works = vec![work(0, 1, 4, 10_000), work(1_000, 2, 8, 1_000), work(2_000, 2, 4, 1_000)];
    let alone = sound(&mut KubeScheduler::new(Fill::Most, 3), 2, works.clone());
    assert_eq!((alone.delays.standstills, alone.partial_starts()), (1, 2));
    let ours = sound(&mut Extender::new(Settings::default()), 2, works);
    assert_eq!((ours.delays.standstills, ours.partial_starts()), (0, 0));
    assert_eq!(starts(&ours), [Some(0), Some(10_000), Some(2_000)]);
}

#[test]
fn coscheduling_keeps_nine_tenths_of_a_gang_for_a_minute() {
    let works = vec![work(0, 1, 8, 300_000), work(1_000, 10, 8, 1_000), work(2_000, 1, 8, 1_000)];
    let played = sound(&mut Coscheduling::new(Fill::Least, 1), 10, works);
    assert_eq!(starts(&played), [Some(0), Some(300_000), Some(61_000)]);
    assert!(played.delays.held > 72 * 4 * 60_000 && played.delays.held < 72 * 299_000);
    assert_eq!(played.partial_starts(), 0, "reserved, not bound");
}

#[test]
fn one_stream_of_jobs_is_one_replay() {
    let works: Vec<Work> = (0..60)
        .zip([1, 2, 3].into_iter().cycle())
        .map(|(at, pods)| work(at * 700, pods, 1 << (at % 4), 9_000))
        .collect();
    let once = sound(&mut Extender::new(Settings::default()), 3, works.clone());
    let again = sound(&mut Extender::new(Settings::default()), 3, works);
    assert_eq!(once.lots, again.lots);
    assert_eq!(once.unstarted(), 0);
}

/// Two spines of two blocks of two nodes, with so many GPUs on each node.
fn tree(gpus: [u64; 8]) -> Site {
    let spot = |(at, gpus): (usize, &u64)| Spot {
        name: format!("n{at}"),
        gpus: *gpus,
        domains: vec![format!("s{}", at / 4), format!("b{}", at / 2)],
    };
    Site {
        spots: gpus.iter().enumerate().map(spot).collect(),
        levels: vec!["network.topology.nvidia.com/spine", "network.topology.nvidia.com/block"],
        unit: Unit::Gpu,
        judged: true,
    }
}

#[test]
fn who_knows_the_network_keeps_a_gang_together() {
    let spread = |policy: &mut dyn Policy, gpus, pods| {
        let played = play(tree(gpus), vec![work(0, pods, 8, 1)], policy);
        assert_eq!(played.breaches, Vec::<String>::new());
        let used: Vec<usize> = played.lots[0].spread.iter().map(|spread| spread.used).collect();
        let fewest: Vec<usize> = played.lots[0].spread.iter().map(|spread| spread.possible).collect();
        (used, fewest)
    };
    let left = [8, 0, 8, 0, 8, 0, 8, 8];
    assert_eq!(spread(&mut Whole::passing(Tas), left, 2), (vec![1, 1], vec![1, 1]));
    assert_eq!(spread(&mut Whole::passing(Tas), left, 3), (vec![1, 2], vec![1, 2]));
    assert_eq!(spread(&mut Whole::passing(Tas), left, 4), (vec![2, 3], vec![2, 3]));
    assert_eq!(spread(&mut Whole::passing(Nearest), left, 2), (vec![1, 2], vec![1, 1]), "it begins anywhere");
}
