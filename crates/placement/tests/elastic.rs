//! Gangs that may start with fewer members than they have.

mod world;

use std::collections::BTreeMap;

use muster_placement::gang::{GangSpec, Role};
use muster_placement::ids::{GangId, NodeName, PodUid};
use muster_placement::pod::{Gate, Pod, PodPhase};
use muster_placement::time::Time;
use muster_placement::{Cluster, Effect, Event, Refusal};
use world::{amount, gang_id, member, node};

struct Story {
    cluster: Cluster,
    released: BTreeMap<PodUid, NodeName>,
}

impl Story {
    /// Nodes with so many GPUs each, and a gang of one launcher and `workers` of one GPU, of which `min` are needed.
    fn begin(nodes: &[u64], workers: u32, min: u32, launcher_min: u32) -> Story {
        let mut story = Story { cluster: Cluster::default(), released: BTreeMap::new() };
        for (at, gpus) in nodes.iter().enumerate() {
            story.tell(Event::NodeSeen(Box::new(node(&format!("n{at}"), *gpus))));
        }
        let launcher = Role { min: launcher_min, ..Role::whole("launcher", 1) };
        let worker = Role { min, ..Role::whole("worker", workers) };
        let (size, min) = (Ok(workers + 1), min + launcher_min);
        story.tell(Event::GangSeen(GangSpec { id: id(), roles: vec![launcher, worker], size, min }));
        story.tell(Event::Synced);
        story
    }

    fn tell(&mut self, event: Event) {
        for effect in self.cluster.apply(event, Time(0)) {
            if let Effect::Release { pod, stamp, .. } = effect {
                self.released.insert(pod.uid.clone(), stamp.node);
            }
        }
        assert!(self.cluster.audit().is_empty(), "{:?}", self.cluster.audit());
    }

    fn create(&mut self, pod: &Pod) {
        self.tell(Event::PodSeen(Box::new(pod.clone())));
    }

    /// All released pods are bound and run.
    fn run_released(&mut self) {
        for (uid, node) in core::mem::take(&mut self.released) {
            let Some(pod) = self.cluster.view().pods.get(&uid).map(|state| state.pod.clone()) else {
                continue;
            };
            let running =
                Pod { node: Some(node), phase: PodPhase::Running, gate: Gate::Open, ..Pod::clone(&pod) };
            self.tell(Event::PodSeen(Box::new(running)));
        }
    }

    fn refusal(&self) -> Option<String> {
        self.cluster.view().gangs.get(&id())?.refusal.as_ref().map(Refusal::sentence)
    }
}

fn id() -> GangId {
    gang_id("job")
}

fn worker(index: u32) -> Pod {
    Pod { gate: Gate::Ours, ..member(&id(), "worker", index, amount(1, 100)) }
}

fn launcher() -> Pod {
    Pod { gate: Gate::Ours, ..member(&id(), "launcher", 0, amount(0, 100)) }
}

fn released(story: &Story) -> Vec<&str> {
    story.released.keys().map(|uid| uid.as_str().trim_start_matches("uid-job-")).collect()
}

#[test]
fn as_many_as_fit_start_and_the_rest_follows() {
    let pods: Vec<Pod> = (0..8).map(worker).chain([launcher()]).collect();
    let mut story = Story::begin(&[0, 0], 8, 2, 1);
    for pod in &pods {
        story.create(pod);
    }
    assert!(story.released.is_empty() && story.refusal().unwrap().contains("nvidia.com/gpu"));
    // Five GPUs: five of eight workers, the lowest indexes, with the launcher that every role's minimum needs.
    for (at, gpus) in [3, 2].into_iter().enumerate() {
        story.tell(Event::NodeSeen(Box::new(node(&format!("n{at}"), gpus))));
        if at == 0 {
            assert_eq!(released(&story), ["launcher-0", "worker-0", "worker-1", "worker-2"]);
            story.run_released();
        }
    }
    assert_eq!(released(&story), ["worker-3", "worker-4"]);
    story.run_released();
    // The rest comes when there is room, on the gang's own nodes first.
    story.tell(Event::NodeSeen(Box::new(node("a-new-one", 1))));
    assert_eq!(story.released.values().map(NodeName::as_str).collect::<Vec<_>>(), ["a-new-one"]);
    story.run_released();
    story.tell(Event::NodeSeen(Box::new(node("n1", 4))));
    assert_eq!(released(&story), ["worker-6", "worker-7"]);
}

#[test]
fn growth_goes_where_the_gang_is() {
    let mut story = Story::begin(&[8, 8], 2, 1, 0);
    story.tell(Event::PodSeen(Box::new(Pod {
        node: Some("n1".into()),
        phase: PodPhase::Running,
        gate: Gate::Open,
        ..worker(0)
    })));
    story.create(&worker(1));
    assert_eq!(story.released.values().map(NodeName::as_str).collect::<Vec<_>>(), ["n1"]);
}

#[test]
fn a_role_below_its_minimum_is_waited_for() {
    let mut story = Story::begin(&[8], 4, 2, 1);
    (0..4).for_each(|i| story.create(&worker(i)));
    assert!(story.released.is_empty(), "four workers are more than the minimum of three, but no launcher");
    assert!(story.refusal().unwrap().starts_with("4 of 5 members"), "{:?}", story.refusal());
    story.create(&launcher());
    assert_eq!(released(&story).len(), 5);
}

#[test]
fn a_role_may_have_no_minimum() {
    let mut story = Story::begin(&[8], 2, 2, 0);
    (0..2).for_each(|i| story.create(&worker(i)));
    assert_eq!(released(&story), ["worker-0", "worker-1"]);
    story.run_released();
    story.create(&launcher());
    assert_eq!(released(&story), ["launcher-0"]);
}

#[test]
fn nothing_starts_below_a_roles_minimum_whatever_the_rest() {
    // One GPU: the launcher and one worker would be two of three; a worker is missing.
    let mut story = Story::begin(&[1], 4, 2, 1);
    (0..4).for_each(|i| story.create(&worker(i)));
    story.create(&launcher());
    assert!(story.released.is_empty());
}
