//! Nearness across nodes: levels, what gangs and roles require and prefer, order of ranks; and random trees, small
//! enough to look at every choice of nodes. `MUSTER_TREES=10000` looks at more of them.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may fail, and its numbers are small"
)]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_placement::Refusal;
use muster_placement::fleet::Terrain;
use muster_placement::ids::{Name, NodeName};
use muster_placement::ledger::Account;
use muster_placement::level::{Level, Nearness, Topology, well_known};
use muster_placement::node_state::NodeState;
use muster_placement::planner::{Placement, Site, plan};
use muster_placement::pod::Pod;
use world::{amount, gang_id, member, node};

fn levels(names: &[&str]) -> Vec<Level> {
    names.iter().map(|n| Level { name: Name::from(*n), key: Name::from(format!("x/{n}").as_str()) }).collect()
}

/// A node with so many free GPUs; an empty value is a label that is not there.
fn host(name: &str, gpus: u64, levels: &[Level], path: &[&str]) -> Arc<NodeState> {
    let mut node = node(name, gpus);
    let there = levels.iter().zip(path).filter(|(_, value)| !value.is_empty());
    node.labels.extend(there.map(|(level, value)| (level.key.clone(), Name::from(*value))));
    Arc::new(NodeState::new(Arc::new(node), None, Account::default(), vec![]))
}

fn workers(count: u32, gpus: u64, topology: &Topology) -> Vec<Arc<Pod>> {
    let worker =
        |i| Pod { topology: topology.clone(), ..member(&gang_id("job"), "worker", i, amount(gpus, 100)) };
    (0..count).map(|i| Arc::new(worker(i))).collect()
}

fn companion(role: &str, index: u32, topology: &Topology) -> Arc<Pod> {
    Arc::new(Pod { topology: topology.clone(), ..member(&gang_id("job"), role, index, amount(0, 100)) })
}

fn required(level: &str) -> Topology {
    let gang = Nearness { required: Some(Name::from(level)), preferred: None };
    Topology { gang, role: Nearness::default() }
}

fn of_role(level: &str) -> Topology {
    let role = Nearness { required: Some(Name::from(level)), preferred: None };
    Topology { gang: Nearness::default(), role }
}

/// Nodes in order of members.
fn places(nodes: &[Arc<NodeState>], levels: &[Level], members: &[Arc<Pod>]) -> Result<Vec<String>, Refusal> {
    let placed = plan(Site { terrain: Some(&Terrain::new(nodes, levels)), ..Site::new(nodes) }, members)?;
    Ok(in_order(&placed, members))
}

fn in_order(placed: &[Placement], members: &[Arc<Pod>]) -> Vec<String> {
    let node = |pod: &Arc<Pod>| placed.iter().find(|p| p.pod == pod.uid).unwrap().node.to_string();
    members.iter().map(node).collect()
}

/// Three racks in two blocks: the first block has the racks a and b, the second one a rack a of its own.
fn racks(free: [&[u64]; 3]) -> (Vec<Level>, Vec<Arc<NodeState>>) {
    let levels = levels(&["block", "rack"]);
    let paths = [["1", "a"], ["1", "b"], ["2", "a"]];
    let nodes = free.iter().zip(paths).flat_map(|(free, path)| {
        let host =
            |(i, gpus): (usize, &u64)| host(&format!("{}{}{i}", path[0], path[1]), *gpus, &levels, &path);
        free.iter().enumerate().map(host).collect::<Vec<_>>()
    });
    let nodes = nodes.collect();
    (levels, nodes)
}

#[test]
fn a_gang_takes_the_tightest_rack_that_holds_it() {
    let (levels, nodes) = racks([&[8, 8, 8], &[8, 8], &[8, 8, 8, 8]]);
    assert_eq!(places(&nodes, &levels, &workers(2, 8, &Topology::default())).unwrap(), ["1b0", "1b1"]);
    assert_eq!(
        places(&nodes, &levels, &workers(4, 8, &Topology::default())).unwrap(),
        ["2a0", "2a1", "2a2", "2a3"]
    );
    // Equal names in two blocks are two racks, so five are in one block and not in "rack a".
    let five = places(&nodes, &levels, &workers(5, 8, &Topology::default())).unwrap();
    assert_eq!(five, ["1a0", "1a1", "1a2", "1b0", "1b1"]);
}

#[test]
fn ranks_that_follow_each_other_are_side_by_side() {
    let (levels, nodes) = racks([&[2, 4], &[4, 2], &[2, 2, 2]]);
    let placed = places(&nodes, &levels, &workers(12, 1, &Topology::default())).unwrap();
    let changes = placed.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, 3, "{placed:?}");
    assert_eq!(placed.windows(2).filter(|pair| pair[0][..2] != pair[1][..2]).count(), 1);
}

#[test]
fn a_required_level_is_kept_or_the_gang_waits_with_numbers() {
    let (levels, nodes) = racks([&[8, 8, 8], &[8, 8], &[8]]);
    let refused = places(&nodes, &levels, &workers(4, 8, &required("rack"))).unwrap_err();
    assert_eq!(refused, Refusal::NoDomain { level: Name::from("rack"), fits: 3, pods: 4 });
    let refused = places(&nodes, &levels, &workers(7, 8, &required("rack"))).unwrap_err();
    assert_eq!(refused.label(), "InsufficientGpus", "what is missing everywhere is said first");
    let by_label = places(&nodes, &levels, &workers(4, 8, &required("x/block"))).unwrap();
    assert!(by_label.iter().all(|n| n.starts_with('1')));
    let refused = places(&nodes, &levels, &workers(1, 8, &required("galaxy"))).unwrap_err();
    assert_eq!(refused, Refusal::UnknownLevel { level: Name::from("galaxy") });
    let refused = places(&nodes, &levels, &workers(2, 8, &required("kubernetes.io/hostname"))).unwrap_err();
    assert_eq!(refused, Refusal::NoDomain { level: Name::from("kubernetes.io/hostname"), fits: 1, pods: 2 });
}

#[test]
fn a_domain_counts_only_if_companions_fit_in_it() {
    let levels = levels(&["rack"]);
    let crowded = |name: &str, rack: &str, gpus, cpu| {
        let mut node = node(name, gpus);
        node.allocatable.cpu_milli = cpu;
        node.labels.insert(Name::from("x/rack"), Name::from(rack));
        Arc::new(NodeState::new(Arc::new(node), None, Account::default(), vec![]))
    };
    // The tighter rack has no CPU to spare.
    let nodes = [crowded("a", "a", 2, 250), crowded("b", "b", 4, 4_000), crowded("c", "c", 0, 9_000)];
    let mut gang = workers(2, 1, &required("rack"));
    gang.push(companion("ps", 0, &required("rack")));
    assert_eq!(places(&nodes, &levels, &gang).unwrap(), ["b", "b", "b"]);
    // Without the wish a companion keeps off GPU nodes.
    let mut gang = workers(2, 1, &Topology::default());
    gang.push(companion("ps", 0, &Topology::default()));
    assert_eq!(places(&nodes, &levels, &gang).unwrap(), ["a", "a", "c"]);
}

#[test]
fn a_preferred_level_goes_one_up_and_costs_a_pool() {
    let (levels, nodes) = racks([&[8, 8, 8], &[8, 8], &[8, 8, 8]]);
    let prefer = |level: &str| {
        let gang = Nearness { required: None, preferred: Some(Name::from(level)) };
        Topology { gang, role: Nearness::default() }
    };
    let placed = places(&nodes, &levels, &workers(4, 8, &prefer("rack"))).unwrap();
    assert!(placed.iter().all(|n| n.starts_with('1')), "the next wider level is the block: {placed:?}");
    assert!(places(&nodes, &levels, &workers(8, 8, &prefer("rack"))).is_ok());
    assert!(
        places(&nodes, &levels, &workers(1, 8, &prefer("galaxy"))).is_ok(),
        "no such level, no such wish"
    );
}

#[test]
fn a_role_has_a_domain_of_its_own() {
    let (levels, nodes) = racks([&[8, 8], &[8, 8], &[8, 8]]);
    let role = |role: &str, i| {
        let pod = member(&gang_id("job"), role, i, amount(8, 100));
        Arc::new(Pod { topology: of_role("rack"), ..pod })
    };
    let gang: Vec<_> = (0..2).flat_map(|i| [role("actor", i), role("learner", i)]).collect();
    let placed = places(&nodes, &levels, &gang).unwrap();
    assert_eq!((&placed[0][..2], &placed[1][..2]), (&placed[2][..2], &placed[3][..2]), "{placed:?}");
    assert_eq!(placed[0][..1], placed[1][..1], "both roles in one block: {placed:?}");
    let three: Vec<_> = (0..3).map(|i| role("actor", i)).collect();
    let refused = places(&nodes, &levels, &three).unwrap_err();
    assert_eq!(refused, Refusal::NoDomain { level: Name::from("rack"), fits: 2, pods: 3 });
}

#[test]
fn a_launcher_is_with_the_first_workers() {
    let (levels, nodes) = racks([&[9, 8, 1], &[9, 9], &[1]]);
    let mut gang = workers(4, 8, &Topology::default());
    gang.push(Arc::new(member(&gang_id("job"), "launcher", 0, amount(1, 100))));
    let placed = places(&nodes, &levels, &gang).unwrap();
    assert_eq!(placed[4], placed[0], "{placed:?}");
}

#[test]
fn a_gang_that_is_partly_bound_grows_where_it_is() {
    let (levels, nodes) = racks([&[8, 8, 8], &[8], &[8, 8]]);
    let grow = |on: &str, more: u32, topology: &Topology| {
        let bound = [(Name::from("worker"), NodeName::from(on))];
        let members = workers(more, 8, topology);
        let terrain = Terrain::new(&nodes, &levels);
        plan(Site { terrain: Some(&terrain), bound: &bound, ..Site::new(&nodes) }, &members)
            .map(|p| in_order(&p, &members))
    };
    // The tightest host of the cluster is not where the gang is.
    assert!(grow("1a0", 1, &Topology::default()).unwrap()[0].starts_with("1a"));
    assert!(grow("2a0", 2, &Topology::default()).unwrap().iter().all(|n| n.starts_with("2a")));
    assert!(grow("1b0", 3, &Topology::default()).unwrap().iter().all(|n| n.starts_with('1')));
    let refused = grow("1b0", 2, &required("rack")).unwrap_err();
    assert_eq!(refused, Refusal::NoDomain { level: Name::from("rack"), fits: 1, pods: 2 });
}

/// knavigator (Apache-2.0), `network topology` test: three free nodes of one spine take a gang of three with the fewest
/// switches between them.
#[test]
fn the_known_case_is_solved_optimally() {
    let mut nodes = Vec::new();
    let mut optimal = BTreeSet::new();
    let levels: Vec<Level> = well_known();
    for line in include_str!("topology/nwtopo_12node.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [name, block, spine, datacenter, best, busy] = fields[..] else { panic!("{line}") };
        let mut node = node(name, if busy == "1" { 0 } else { 8 });
        for (key, value) in [("block", block), ("spine", spine), ("datacenter", datacenter)] {
            node.labels
                .insert(Name::from(format!("network.topology.nvidia.com/{key}").as_str()), Name::from(value));
        }
        nodes.push(Arc::new(NodeState::new(Arc::new(node), None, Account::default(), vec![])));
        if best == "1" {
            optimal.insert(name.to_owned());
        }
    }
    nodes.sort_by(|a, b| a.node.name.cmp(&b.node.name));
    let placed = places(&nodes, &levels, &workers(3, 8, &Topology::default())).unwrap();
    assert_eq!(placed.into_iter().collect::<BTreeSet<_>>(), optimal);
}

/// Numbers that look drawn (`SplitMix64`).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

struct Tree {
    levels: Vec<Level>,
    nodes: Vec<Arc<NodeState>>,
    free: Vec<u64>,
    members: u32,
}

fn tree(draw: &mut Draw) -> Tree {
    let levels = levels(&["zone", "block", "rack"][..=draw.below(3) as usize]);
    let (mut nodes, mut free) = (Vec::new(), Vec::new());
    for at in 0..2 + draw.below(11) {
        let label =
            |draw: &mut Draw| if draw.below(20) == 0 { String::new() } else { draw.below(3).to_string() };
        let path: Vec<String> = levels.iter().map(|_| label(draw)).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        free.push(draw.below(5));
        nodes.push(host(&format!("n{at:02}"), free[at as usize], &levels, &path));
    }
    Tree { levels, nodes, free, members: 1 + draw.below(8) as u32 }
}

impl Tree {
    /// A node's domain at each level, the hosts last, read from its labels alone.
    fn domains(&self, at: usize) -> Vec<Vec<String>> {
        let node = &self.nodes[at].node;
        let value = |level: &Level| {
            let alone = || format!("only {}", node.name);
            node.labels.get(level.key.as_str()).map_or_else(alone, ToString::to_string)
        };
        let mut path: Vec<String> = self.levels.iter().map(value).collect();
        path.push(node.name.to_string());
        (1..=path.len()).map(|depth| path[..depth].to_vec()).collect()
    }

    /// How many domains of each level a choice of nodes touches.
    fn touched(&self, nodes: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut touched: Vec<BTreeSet<Vec<String>>> = vec![BTreeSet::new(); self.levels.len() + 1];
        for at in nodes {
            for (set, domain) in touched.iter_mut().zip(self.domains(at)) {
                set.insert(domain);
            }
        }
        touched.iter().map(BTreeSet::len).collect()
    }

    /// The least that any choice of nodes touches, by looking at every one.
    fn optimum(&self) -> Option<Vec<usize>> {
        let nodes = self.nodes.len();
        let chosen = |mask: u32| (0..nodes).filter(move |at| mask & (1 << at) != 0);
        let takes_all =
            |mask: &u32| chosen(*mask).map(|at| self.free[at]).sum::<u64>() >= u64::from(self.members);
        (1u32..1 << nodes).filter(takes_all).map(|mask| self.touched(chosen(mask))).min()
    }

    fn used(&self, placed: &[String]) -> Vec<usize> {
        let mut used = BTreeMap::new();
        for name in placed {
            *used
                .entry(self.nodes.iter().position(|n| n.node.name.as_str() == name).unwrap())
                .or_insert(0) += 1;
        }
        assert!(
            used.iter().all(|(at, members)| *members <= self.free[*at]),
            "nobody is given what is not there"
        );
        self.touched(used.into_keys())
    }
}

#[test]
fn random_trees_are_solved_as_well_as_by_looking_at_every_choice() {
    let trees: u64 = std::env::var("MUSTER_TREES").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut off = 0;
    for seed in 0..trees {
        let tree = tree(&mut Draw(seed));
        let members = workers(tree.members, 1, &Topology::default());
        let placed = places(&tree.nodes, &tree.levels, &members);
        let Some(optimum) = tree.optimum() else {
            assert!(placed.is_err(), "seed {seed}");
            continue;
        };
        let used = tree.used(&placed.unwrap_or_else(|refusal| panic!("seed {seed}: {refusal:?}")));
        let single = |touched: &[usize]| touched.iter().take_while(|domains| **domains == 1).count();
        assert_eq!(single(&used), single(&optimum), "seed {seed}: the narrowest domain that takes all");
        off += u64::from(used != optimum);
        let depth = (seed % tree.levels.len() as u64) as usize;
        let required = workers(tree.members, 1, &required(tree.levels[depth].name.as_str()));
        match places(&tree.nodes, &tree.levels, &required) {
            Ok(placed) => assert_eq!(tree.used(&placed)[depth], 1, "seed {seed}: the required level is kept"),
            Err(Refusal::UnknownLevel { .. }) => {}
            Err(_) => assert!(optimum[depth] > 1, "seed {seed}: there is a domain that takes all"),
        }
    }
    println!("{off} of {trees} trees use more domains than they need");
    assert!(off * 100 <= trees, "{off} of {trees}");
}
