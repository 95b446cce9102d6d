//! A waiting gang is told what would let it start; what it is told is true: once that comes about, it starts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod world;

use muster_placement::explain::{Change, Holder, changes};
use muster_placement::gang::{GangSpec, Phase};
use muster_placement::ids::{Name, NodeName, PodUid};
use muster_placement::inventory::{Health, Inventory};
use muster_placement::level::{Nearness, Topology};
use muster_placement::node::Node;
use muster_placement::pod::{Pod, PodPhase};
use muster_placement::pool::{Pool, PoolRule, Strength};
use muster_placement::taint::{Taint, TaintEffect};
use muster_placement::time::Time;
use muster_placement::{Cluster, Event, Settings};
use proptest::prelude::*;
use world::{amount, gang_id, inventory, member, node, pod};

/// What the outside says of a small cluster, so that one point of it can be changed.
#[derive(Clone, Debug, Default)]
struct Said {
    nodes: Vec<Node>,
    inventories: Vec<(NodeName, Inventory)>,
    running: Vec<Pod>,
    /// Workers of 2 GPUs each that wait, and how many of them are needed.
    waiting: (u32, u32),
    pools: Settings,
    /// The level of which they must share a domain.
    together: Option<Name>,
}

impl Said {
    fn cluster(&self) -> Cluster {
        let id = gang_id("job");
        let (size, min) = self.waiting;
        let mut events = vec![Event::Configured(self.pools.clone())];
        events.extend(self.nodes.iter().map(|node| Event::NodeSeen(Box::new(node.clone()))));
        events
            .extend(self.inventories.iter().map(|(node, said)| Event::Reported(node.clone(), said.clone())));
        events.extend(self.running.iter().map(|pod| Event::PodSeen(Box::new(pod.clone()))));
        events.push(Event::GangSeen(GangSpec { id: id.clone(), roles: vec![], size: Ok(size), min }));
        let required = || Nearness { required: self.together.clone(), preferred: None };
        let topology = || Topology { gang: required(), ..Topology::default() };
        let workers =
            (0..size).map(|i| Pod { topology: topology(), ..member(&id, "worker", i, amount(2, 100)) });
        events.extend(workers.map(|worker| Event::PodSeen(Box::new(worker))));
        events.push(Event::Synced);
        let mut cluster = Cluster::default();
        for event in events {
            cluster.apply(event, Time(0));
        }
        cluster
    }

    fn phase(&self) -> Phase {
        self.cluster().view().gangs.get(&gang_id("job")).unwrap().phase.clone()
    }

    fn changes(&self) -> Vec<Change> {
        let view = self.cluster().view();
        changes(&view, view.gangs.get(&gang_id("job")).unwrap())
    }

    /// The same after a change has come about.
    fn after(mut self, change: &Change) -> Said {
        match change {
            Change::Ends { holder, .. } => self.running.retain(|pod| pod.name != holder.name),
            Change::Heals { node, gpu, .. } => {
                let (_, said) = self.inventories.iter_mut().find(|(name, _)| name == node).unwrap();
                let gpu = said.gpus.iter_mut().find(|there| there.uuid == *gpu).unwrap();
                gpu.health = Health::Healthy;
            }
            Change::Uncordoned(name) => self.node(name).cordoned = false,
            Change::Untainted { node, taint } => self.node(node).taints.retain(|t| t.key != *taint),
            Change::OutsidePools(_) => self.pools.rules.clear(),
            Change::FewerMembers { to, .. } => self.waiting.1 = u32::try_from(*to).unwrap(),
            Change::Apart { .. } => self.together = None,
            Change::TriedAgain(_) => panic!("no node is left out here"),
        }
        self
    }

    fn node(&mut self, name: &NodeName) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.name == *name).unwrap()
    }
}

fn running(name: &str, node: &str, gpus: u64) -> Pod {
    Pod { node: Some(node.into()), phase: PodPhase::Running, ..pod(name, amount(gpus, 100)) }
}

fn sick(node: &str, gpus: usize) -> (NodeName, Inventory) {
    let mut said = inventory(node, 4);
    for gpu in said.gpus.iter_mut().take(gpus) {
        gpu.health = Health::Unhealthy("XID 79".into());
    }
    (node.into(), said)
}

/// Three nodes of 4 GPUs and two workers of 2 that wait: one node is taken, one has a sick GPU and a taken pair, one is closed.
fn full() -> Said {
    Said {
        nodes: ["busy", "closed", "sick"].map(|name| node(name, 4)).into(),
        inventories: vec![sick("sick", 1)],
        running: vec![running("four", "busy", 4), running("pair", "sick", 1)],
        waiting: (2, 2),
        pools: Settings::default(),
        together: None,
    }
}

#[test]
fn each_kind_of_change_is_named_where_it_helps() {
    let mut cordoned = full();
    cordoned.node(&"closed".into()).cordoned = true;
    let held = |name: &str, gpus| Change::Ends {
        holder: Holder { namespace: "default".into(), kind: "Pod".into(), name: name.into() },
        gpus,
    };
    let fewer = Change::FewerMembers { from: 2, to: 1 };
    let opened = Change::Uncordoned("closed".into());
    assert_eq!(cordoned.changes(), [opened, fewer.clone(), held("four", 4)]);

    let mut tainted = full();
    let taint = Taint { key: "maintenance".into(), value: "".into(), effect: TaintEffect::NoSchedule };
    tainted.node(&"closed".into()).taints = vec![taint];
    let untainted = Change::Untainted { node: "closed".into(), taint: "maintenance".into() };
    assert_eq!(tainted.changes(), [untainted, fewer.clone(), held("four", 4)]);

    let mut healing = full();
    healing.nodes.retain(|node| node.name.as_str() != "closed");
    healing.running = vec![running("four", "busy", 4)];
    let [Change::Heals { ref node, .. }, ..] = healing.changes()[..] else {
        panic!("{:?}", healing.changes())
    };
    assert_eq!(node.as_str(), "sick");

    let mut outside = full();
    let label = [(Name::from("pool"), Name::from("train"))];
    outside.node(&"busy".into()).labels.extend(label.clone());
    outside.pools.pools =
        vec![Pool { name: "train".into(), selector: label.into(), purposes: vec!["training".into()] }];
    outside.pools.rules = vec![PoolRule {
        namespaces: vec![],
        kinds: vec![],
        labels: [].into(),
        purpose: "training".into(),
        strength: Strength::Required,
    }];
    assert!(outside.changes().contains(&Change::OutsidePools("training".into())), "{:?}", outside.changes());
}

#[test]
fn a_level_that_need_not_be_shared() {
    let mut apart = full();
    apart.together = Some("host".into());
    apart.node(&"closed".into()).cordoned = true;
    apart.running = vec![running("pair", "sick", 1), running("half", "busy", 2)];
    apart.waiting = (2, 2);
    let changes = apart.changes();
    assert!(changes.contains(&Change::Apart { level: "host".into() }), "{changes:?}");
}

#[test]
fn a_gang_that_starts_or_gathers_is_told_nothing() {
    let mut free = full();
    free.running.clear();
    assert_eq!(free.changes(), []);
    assert!(matches!(free.phase(), Phase::Released(_)));
    let view = Cluster::default().view();
    assert_eq!(changes(&view, &muster_placement::gang::Gang::new(gang_id("x"), Time(0))), []);
}

fn random() -> impl Strategy<Value = Said> {
    let node = |at: usize| {
        (any::<bool>(), any::<bool>(), 0usize..3, 0u64..5).prop_map(move |(cordoned, tainted, ill, taken)| {
            let name = format!("n{at}");
            let mut row = Node { cordoned, ..node(&name, 4) };
            if tainted {
                let effect = TaintEffect::NoExecute;
                row.taints.push(Taint { key: "repair".into(), value: "".into(), effect });
            }
            let pod = (taken > 0).then(|| running(&format!("on-{name}"), &name, taken));
            (row, sick(&name, ill), pod)
        })
    };
    ((0..4usize).map(node).collect::<Vec<_>>(), 1u32..7, 1u32..7).prop_map(|(nodes, size, min)| {
        let mut said = Said { waiting: (size, min.min(size)), ..Said::default() };
        for (node, inventory, pod) in nodes {
            said.nodes.push(node);
            said.inventories.push(inventory);
            said.running.extend(pod);
        }
        said
    })
}

proptest! {
    /// And a gang of which nothing is named cannot be helped by ending one of the pods.
    #[test]
    fn what_it_is_told_is_true(said in random()) {
        let changes = said.changes();
        for change in &changes {
            let after = said.clone().after(change);
            prop_assert!(matches!(after.phase(), Phase::Released(_)), "{change:?} in {said:?}");
        }
        if said.phase() == Phase::Waiting && !changes.iter().any(|change| matches!(change, Change::Ends { .. })) {
            for pod in &said.running {
                let mut without = said.clone();
                without.running.retain(|other| other.uid != pod.uid);
                let holder = PodUid::from(pod.uid.as_str());
                prop_assert!(!matches!(without.phase(), Phase::Released(_)), "{holder} in {said:?}");
            }
        }
    }
}
