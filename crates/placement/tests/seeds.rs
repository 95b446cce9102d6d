//! Properties of the core over random sequences of everything that can happen.

mod world;

use muster_placement::Refusal;
use muster_placement::{Effect, Event};
use proptest::prelude::*;
use world::{Op, World};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (1u8..5, 0u8..5, 0u8..3, any::<bool>(), 0u8..3).prop_map(|(workers, gpus, companions, gated, priority)| {
            Op::Submit { workers, gpus, companions, gated, priority }
        }),
        2 => (0u8..5, any::<bool>()).prop_map(|(gpus, gated)| Op::Single { gpus, gated }),
        12 => any::<u8>().prop_map(Op::Land),
        1 => any::<u8>().prop_map(Op::Fail),
        12 => any::<u8>().prop_map(Op::Cycle),
        1 => any::<u8>().prop_map(Op::Delete),
        2 => any::<u8>().prop_map(Op::Finish),
        1 => any::<u8>().prop_map(Op::Cordon),
        2 => any::<u8>().prop_map(Op::Uncordon),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(n, g)| Op::Kill(n, g)),
        1 => any::<u8>().prop_map(Op::Heal),
        1 => any::<u8>().prop_map(Op::HangUp),
        2 => (1u16..8_000).prop_map(Op::Tick),
        2 => any::<u8>().prop_map(Op::Reap),
        1 => Just(Op::Restart),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// `audit` is checked after every single event inside the world, and so is "none or the minimum".
    #[test]
    fn no_sequence_of_events_breaks_the_rules(ops in ops()) {
        let mut world = World::new(3);
        for op in &ops {
            world.run(op);
        }
    }

    #[test]
    fn the_same_events_give_the_same_bytes(ops in ops()) {
        let run = || {
            let mut world = World::new(3);
            for op in &ops {
                world.run(op);
            }
            world.log
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn a_restart_rebuilds_the_ledger(ops in ops()) {
        let mut world = World::new(3);
        for op in &ops {
            world.run(op);
        }
        world.quiesce();
        prop_assume!(world.calls.is_empty());
        // A promise is no claim: once it is forgotten, others may be planned into the room that it kept.
        let promised = |gang: &std::sync::Arc<muster_placement::gang::Gang>| {
            matches!(gang.refusal, Some(Refusal::PreemptionPending { .. }))
        };
        prop_assume!(!world.cluster.view().gangs.values().any(promised));
        // Which GPU is a guess: of two annotations that name one GPU, the one that is read first gets it.
        let stamps = world.pods.values().filter(|p| p.alive()).filter_map(|p| p.stamp.as_ref());
        let mut named: Vec<_> = stamps.flat_map(|stamp| &stamp.gpus).collect();
        named.sort();
        prop_assume!(named.windows(2).all(|two| two[0] != two[1]));
        let before = world.cluster.ledger().clone();
        world.restart();
        prop_assert_eq!(&before, world.cluster.ledger());
    }

    /// Liveness: once the outside stops interfering and everything healthy is back, every gang that fits the
    /// empty cluster has run to its end.
    #[test]
    fn every_gang_that_fits_runs_in_the_end(ops in ops()) {
        let mut world = World::new(3);
        for op in &ops {
            world.run(op);
        }
        for n in 0..3 {
            world.run(&Op::Uncordon(n));
            world.run(&Op::Heal(n));
        }
        for _ in 0..200 {
            world.quiesce();
            let running = world.pods.values().filter(|p| p.node.is_some() && p.alive()).count();
            if running == 0 {
                break;
            }
            for n in 0..=255 {
                let running: Vec<_> = world.pods.values().filter(|p| p.node.is_some() && p.alive()).cloned().collect();
                let Some(pod) = running.get(n) else { break };
                world.put(muster_placement::pod::Pod { phase: muster_placement::pod::PodPhase::Succeeded, ..pod.clone() });
            }
            for _ in 0..8 {
                world.run(&Op::Tick(10_000));
            }
        }
        let stuck: Vec<_> = world.pods.values().filter(|p| p.alive() && world.fits_empty_cluster(p)).map(|p| (p.name.clone(), p.verdict.clone())).collect();
        prop_assert!(stuck.is_empty(), "{stuck:?}\n{}", world.unfinished());
    }
}

#[test]
fn a_view_does_not_move_with_the_cluster() {
    let mut world = World::new(2);
    let before = world.cluster.view();
    world.submit(2, 2, 1, true, 0);
    assert_eq!(before.pods.len(), 0);
    assert_eq!(world.cluster.view().pods.len(), 3);
    assert!(world.log.iter().any(|l| l.starts_with("Release")));
    let silent = world.cluster.apply(Event::Tick, world.now);
    assert!(!silent.iter().any(|e| matches!(e, Effect::Bind { .. })));
}
