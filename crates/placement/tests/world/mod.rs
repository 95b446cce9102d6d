//! A few lines of API server and kube-scheduler around the real core, driven by a list of operations: enough
//! to reach every order of events that placement can see. Calls to the API server land in any order between
//! pods, in order for one pod; asks and outcomes may be lost. The real world of seeds is in `simulations/`.

#![allow(
    unreachable_pub,
    missing_docs,
    dead_code,
    clippy::pedantic,
    clippy::too_many_arguments,
    reason = "a test's module tree, of which each test uses a part"
)]

mod api_server;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use muster_placement::gang::{GangSpec, Role};
use muster_placement::ids::{AskId, GangId, GpuUuid, Name, NodeName, PodUid};
use muster_placement::inventory::{Gpu, Health, Inventory, Load};
use muster_placement::node::Node;
use muster_placement::pod::*;
use muster_placement::resources::Resources;
use muster_placement::selector::{NAME_FIELD, Operator, Requirement, Term};
use muster_placement::time::{CreatedAt, Time};
use muster_placement::{Cluster, Effect, Event, FilterAnswer, Outcome};

pub const GPUS_PER_NODE: u64 = 4;

/// Something that the outside does.
#[derive(Clone, Debug)]
pub enum Op {
    Submit {
        workers: u8,
        gpus: u8,
        companions: u8,
        gated: bool,
        priority: u8,
    },
    Single {
        gpus: u8,
        gated: bool,
    },
    /// The API server carries out the next effect of the n-th pod that has one.
    Land(u8),
    /// The same call fails for good.
    Fail(u8),
    /// kube-scheduler runs a cycle for the n-th pod that waits.
    Cycle(u8),
    Delete(u8),
    Finish(u8),
    Cordon(u8),
    Uncordon(u8),
    Kill(u8, u8),
    Heal(u8),
    HangUp(u8),
    Tick(u16),
    /// The n-th pod that is being deleted is gone.
    Reap(u8),
    Restart,
}

pub struct World {
    pub cluster: Cluster,
    pub now: Time,
    pub pods: BTreeMap<PodUid, Pod>,
    pub specs: BTreeMap<GangId, GangSpec>,
    pub nodes: BTreeMap<NodeName, Node>,
    inventories: BTreeMap<NodeName, Inventory>,
    /// Calls on their way to the API server, per pod.
    pub calls: BTreeMap<PodUid, VecDeque<Effect>>,
    pub asks: BTreeMap<AskId, PodUid>,
    /// Names of pods that a PodDisruptionBudget keeps.
    pub protected: BTreeSet<Name>,
    serial: u64,
    /// Every effect so far, as text: two equal worlds have equal logs.
    pub log: Vec<String>,
}

pub fn amount(gpus: u64, cpu_milli: u64) -> Resources {
    Resources { gpus, cpu_milli, memory: 1 << 20, ephemeral: 0, pods: 1 }
}

pub fn node(name: &str, gpus: u64) -> Node {
    Node {
        name: NodeName::from(name),
        labels: [(Name::from("kubernetes.io/hostname"), Name::from(name))].into(),
        taints: Vec::new(),
        cordoned: false,
        allocatable: Resources { gpus, cpu_milli: 16_000, memory: 1 << 36, ephemeral: 1 << 36, pods: 110 },
        extended: BTreeMap::new(),
    }
}

pub fn inventory(node: &str, gpus: u64) -> Inventory {
    let gpu = |i| Gpu {
        uuid: GpuUuid::from(format!("GPU-{node}-{i}").as_str()),
        model: Name::from("H100"),
        memory_mib: 81_920,
        numa: None,
        health: Health::Healthy,
        load: Load::default(),
    };
    let link = |i: u64| {
        if i / gpus == i % gpus {
            0
        } else if (i / gpus) / 2 == (i % gpus) / 2 {
            400
        } else {
            100
        }
    };
    let n = gpus;
    Inventory {
        gpus: (0..n).map(gpu).collect(),
        link_gbps: (0..n * n).map(|i| link(i) as u32).collect(),
        seen: None,
        driver_fault: None,
    }
}

pub fn pod(name: &str, request: Resources) -> Pod {
    Pod {
        uid: PodUid::from(format!("uid-{name}").as_str()),
        namespace: Name::from("default"),
        name: Name::from(name),
        labels: BTreeMap::new(),
        created: CreatedAt(0),
        priority: 0,
        kind: Name::from("Pod"),
        controlled: false,
        tenure: muster_placement::tenure::Tenure::default(),
        request,
        constraints: Constraints::default(),
        extras: Default::default(),
        split_gpus: false,
        neighbours: Default::default(),
        gpu_models: Vec::new(),
        pvcs: Vec::new(),
        topology: Default::default(),
        unmodelled: Vec::new(),
        scheduler: Scheduler::Ours,
        gate: Gate::Open,
        membership: Membership::Single,
        node: None,
        phase: PodPhase::Pending,
        terminating: false,
        stamp: None,
        verdict: None,
    }
}

pub fn gang_id(name: &str) -> GangId {
    GangId {
        namespace: Name::from("default"),
        kind: Name::from("TFJob"),
        name: Name::from(name),
        incarnation: Name::from(format!("uid-{name}").as_str()),
    }
}

pub fn member(gang: &GangId, role: &str, index: u32, request: Resources) -> Pod {
    Pod {
        membership: Membership::Member(Member {
            gang: gang.clone(),
            role: Name::from(role),
            index,
            size: SizeHint::Unsaid,
        }),
        kind: gang.kind.clone(),
        controlled: true,
        ..pod(&format!("{}-{role}-{index}", gang.name), request)
    }
}

impl World {
    pub fn new(nodes: u64) -> World {
        let names: Vec<String> = (0..nodes).map(|i| format!("gpu-{i}")).collect();
        let mut world = World {
            cluster: Cluster::default(),
            now: Time(0),
            pods: BTreeMap::new(),
            specs: BTreeMap::new(),
            nodes: names.iter().map(|n| (NodeName::from(n.as_str()), node(n, GPUS_PER_NODE))).collect(),
            inventories: names
                .iter()
                .skip(1) // The first node has no agent and works by counts.
                .map(|n| (NodeName::from(n.as_str()), inventory(n, GPUS_PER_NODE)))
                .collect(),
            calls: BTreeMap::new(),
            asks: BTreeMap::new(),
            protected: BTreeSet::new(),
            serial: 0,
            log: Vec::new(),
        };
        world.restart();
        world
    }

    /// A new process reads the API server and the agents' reports. Calls on their way are lost.
    pub fn restart(&mut self) {
        self.cluster = Cluster::default();
        self.calls.clear();
        self.asks.clear();
        let mut events: Vec<Event> =
            self.nodes.values().map(|n| Event::NodeSeen(Box::new(n.clone()))).collect();
        events.extend(self.inventories.iter().map(|(n, i)| Event::Reported(n.clone(), i.clone())));
        events.extend(self.specs.values().cloned().map(Event::GangSeen));
        events.extend(self.pods.values().map(|p| Event::PodSeen(Box::new(p.clone()))));
        events.push(Event::Synced);
        for event in events {
            self.tell(event);
        }
    }

    pub fn tell(&mut self, event: Event) {
        let effects = self.cluster.apply(event, self.now);
        self.check_whole_gangs(&effects);
        self.check_victims(&effects);
        for effect in effects {
            self.log.push(format!("{effect:?}"));
            match &effect {
                Effect::Answer(ask, _) => drop(self.asks.remove(ask)),
                Effect::Tell { .. } => {}
                Effect::Release { pod, .. }
                | Effect::Unplan(pod)
                | Effect::Recreate(pod)
                | Effect::Bind { pod, .. } => {
                    self.calls.entry(pod.uid.clone()).or_default().push_back(effect);
                }
                Effect::Evict { number, .. } => {
                    let key = PodUid::from(format!("evictions-{}", number.0).as_str());
                    self.calls.entry(key).or_default().push_back(effect);
                }
            }
        }
        assert_eq!(self.cluster.audit(), vec![], "after {:?}", self.log.last());
    }

    /// Rule 2: the first Bindings of a gang are those of its whole minimum.
    fn check_whole_gangs(&self, effects: &[Effect]) {
        for (id, spec) in &self.specs {
            let of = |p: &Pod| matches!(&p.membership, Membership::Member(m) if m.gang == *id);
            let posted = effects.iter().filter(|e| matches!(e, Effect::Bind { pod, .. } if of(pod))).count();
            let under_way = |p: &Pod| {
                self.calls.get(&p.uid).is_some_and(|q| q.iter().any(|e| matches!(e, Effect::Bind { .. })))
            };
            let before =
                |p: &&Pod| of(p) && (p.node.is_some() || p.phase == PodPhase::Succeeded || under_way(p));
            // Durable before the first Binding: the API server has the plan of every member that waits.
            let unplanned = |p: &&Pod| of(p) && p.node.is_none() && p.awaits_node() && p.stamp.is_none();
            let lost = self.pods.values().filter(unplanned).count();
            let first = self.pods.values().filter(before).count() == 0;
            assert!(
                posted == 0 || !first || lost == 0,
                "{id}: {lost} members are bound without a durable plan"
            );
            if posted > 0 && self.pods.values().filter(before).count() == 0 {
                assert!(posted >= spec.min as usize, "{id}: {posted} Bindings of {}", spec.min);
            }
        }
    }

    /// Who is evicted is of lower priority, and of a gang either nothing stays or as much as it needs.
    fn check_victims(&self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Evict { gang, victims, .. } = effect else { continue };
            let view = self.cluster.view();
            let members = view.gangs.get(gang).into_iter().flat_map(|gang| &gang.members);
            let highest = members.filter_map(|uid| self.pods.get(uid)).map(|p| p.priority).max();
            assert!(victims.iter().all(|v| Some(v.priority) < highest), "{effect:?}");
            let goes = |p: &Pod| victims.iter().any(|v| v.uid == p.uid);
            for (id, spec) in &self.specs {
                let of = |p: &&Pod| matches!(&p.membership, Membership::Member(m) if m.gang == *id);
                let bound = |p: &&Pod| p.node.is_some() && p.alive() && !p.terminating;
                let bound: Vec<&Pod> = self.pods.values().filter(of).filter(bound).collect();
                let stays = bound.iter().filter(|p| !goes(p)).count();
                let torn = stays > 0 && stays < bound.len() && stays < spec.min as usize;
                assert!(!torn, "{stays} of {} members of {id} stay", bound.len());
            }
        }
    }

    pub fn run(&mut self, op: &Op) {
        match op {
            Op::Submit { workers, gpus, companions, gated, priority } => {
                self.submit(
                    u32::from(*workers),
                    u64::from(*gpus),
                    u32::from(*companions),
                    *gated,
                    i32::from(*priority),
                );
            }
            Op::Single { gpus, gated } => {
                let serial = self.next();
                let gate = if *gated { Gate::Ours } else { Gate::Open };
                let single = Pod { gate, ..pod(&format!("single-{serial}"), amount(u64::from(*gpus), 100)) };
                self.put(single);
            }
            Op::Land(n) => self.land(*n, None),
            Op::Fail(n) => self.land(*n, Some(Outcome::Refused(Name::from("no")))),
            Op::Cycle(n) => self.cycle(*n),
            Op::Delete(n) => {
                if let Some(uid) = nth(self.pods.keys(), *n) {
                    self.delete(&uid);
                }
            }
            Op::Finish(n) => {
                let bound: Vec<&Pod> = self.pods.values().filter(|p| p.node.is_some()).collect();
                if let Some(pod) = nth(bound.into_iter(), *n) {
                    self.put(Pod { phase: PodPhase::Succeeded, ..pod });
                }
            }
            Op::Cordon(n) => self.set_cordon(*n, true),
            Op::Uncordon(n) => self.set_cordon(*n, false),
            Op::Kill(n, gpu) => self.set_health(*n, Some(*gpu)),
            Op::Heal(n) => self.set_health(*n, None),
            Op::HangUp(n) => {
                if let Some(ask) = nth(self.asks.keys(), *n) {
                    self.asks.remove(&ask);
                    self.tell(Event::BindWithdrawn(ask));
                }
            }
            Op::Tick(ms) => {
                self.now = Time(self.now.0 + u64::from(*ms));
                self.tell(Event::Tick);
            }
            Op::Reap(n) => {
                if let Some(uid) = nth(self.leaving().into_iter(), *n) {
                    self.reap(&uid);
                }
            }
            Op::Restart => self.restart(),
        }
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub fn submit(&mut self, workers: u32, gpus: u64, companions: u32, gated: bool, priority: i32) -> GangId {
        let serial = self.next();
        let id = gang_id(&format!("job-{serial}"));
        let size = workers + companions;
        let roles = vec![Role::whole("worker", workers), Role::whole("ps", companions)];
        let spec = GangSpec { id: id.clone(), roles, size: Ok(size), min: size };
        self.specs.insert(id.clone(), spec.clone());
        self.tell(Event::GangSeen(spec));
        for i in 0..size {
            self.put(self.member_of(&id, i, workers, gpus, gated, priority));
        }
        id
    }

    fn member_of(&self, id: &GangId, i: u32, workers: u32, gpus: u64, gated: bool, priority: i32) -> Pod {
        let gate = if gated { Gate::Ours } else { Gate::Open };
        let base = if i < workers {
            member(id, "worker", i, amount(gpus, 500))
        } else {
            member(id, "ps", i - workers, amount(0, 1_000))
        };
        Pod { gate, priority, created: CreatedAt(self.serial), ..base }
    }

    pub fn put(&mut self, pod: Pod) {
        self.pods.insert(pod.uid.clone(), pod.clone());
        self.tell(Event::PodSeen(Box::new(pod)));
    }

    pub fn delete(&mut self, uid: &PodUid) {
        let Some(old) = self.pods.remove(uid) else { return };
        self.asks.retain(|_, pod| pod != uid);
        self.tell(Event::PodGone(uid.clone()));
        // The controller of a job makes a new pod of the same name.
        if old.controlled && old.phase == PodPhase::Pending {
            let serial = self.next();
            let uid = PodUid::from(format!("{}-{serial}", old.uid).as_str());
            let gate = if old.narrowed() { Gate::Ours } else { old.gate };
            let fresh = Pod {
                uid,
                gate,
                constraints: Constraints::default(),
                stamp: None,
                node: None,
                terminating: false,
                ..old
            };
            self.put(fresh);
        }
    }

    fn set_cordon(&mut self, n: u8, cordoned: bool) {
        if let Some(mut node) = nth::<Node, _>(self.nodes.values(), n) {
            node.cordoned = cordoned;
            self.nodes.insert(node.name.clone(), node.clone());
            self.tell(Event::NodeSeen(Box::new(node)));
        }
    }

    fn set_health(&mut self, n: u8, gpu: Option<u8>) {
        let Some((name, mut inventory)) =
            nth(self.inventories.iter().map(|(k, v)| (k.clone(), v.clone())), n)
        else {
            return;
        };
        for (i, g) in inventory.gpus.iter_mut().enumerate() {
            match gpu {
                Some(dead) if i == usize::from(dead) % GPUS_PER_NODE as usize => {
                    g.health = Health::Unhealthy(Name::from("XID 79"));
                }
                Some(_) => {}
                None => g.health = Health::Healthy,
            }
        }
        self.inventories.insert(name.clone(), inventory.clone());
        self.tell(Event::Reported(name, inventory));
    }
}

fn nth<T: Clone, R: std::borrow::Borrow<T>>(items: impl Iterator<Item = R>, n: u8) -> Option<T> {
    let all: Vec<R> = items.collect();
    let at = usize::from(n).checked_rem(all.len())?;
    all.get(at).map(|r| r.borrow().clone())
}
