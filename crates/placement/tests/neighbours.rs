//! Rules among pods: what upstream's tables say of a node, and plans against a checker that follows the rules' words.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_placement::Refusal;
use muster_placement::affinity::{AffinityTerm, Namespaces, Neighbours, PodSelector};
use muster_placement::ids::{Name, NodeName};
use muster_placement::ledger::Account;
use muster_placement::node::Node;
use muster_placement::node_state::NodeState;
use muster_placement::planner::{Neighbourhood, Placement, Site, plan};
use muster_placement::pod::Pod;
use muster_placement::selector::{Operator, Requirement, Term};
use muster_placement::spread::Spread;
use muster_placement::taint::{Taint, TaintEffect};
use proptest::prelude::*;
use world::{amount, gang_id, member, node};

fn labelled(name: &str, labels: &[(&str, &str)], gpus: u64) -> Arc<NodeState> {
    state(Node { labels: pairs(labels), ..node(name, gpus) })
}

fn state(node: Node) -> Arc<NodeState> {
    Arc::new(NodeState::new(Arc::new(node), None, Account::default(), vec![]))
}

fn pairs(labels: &[(&str, &str)]) -> BTreeMap<Name, Name> {
    labels.iter().map(|(k, v)| (Name::from(*k), Name::from(*v))).collect()
}

fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
    Requirement { key: key.into(), operator, values: values.iter().map(|v| Name::from(*v)).collect() }
}

fn app(name: &str) -> PodSelector {
    PodSelector(Some(vec![requirement("app", Operator::In, &[name])]))
}

fn term(key: &str, pods: PodSelector) -> AffinityTerm {
    AffinityTerm { topology_key: key.into(), pods, namespaces: Namespaces::These(["default".into()].into()) }
}

fn spread(key: &str, max_skew: u64) -> Spread {
    Spread {
        topology_key: key.into(),
        pods: app("a"),
        max_skew,
        min_domains: 1,
        honour_affinity: true,
        honour_taints: false,
    }
}

fn near(terms: Vec<AffinityTerm>) -> Neighbours {
    Neighbours { near: terms, ..Neighbours::default() }
}

fn apart(terms: Vec<AffinityTerm>) -> Neighbours {
    Neighbours { apart: terms, ..Neighbours::default() }
}

fn spreads(spread: Vec<Spread>) -> Neighbours {
    Neighbours { spread, ..Neighbours::default() }
}

/// Members of one gang, with one GPU each.
fn gang(pods: u32, labels: &[(&str, &str)], neighbours: &Neighbours) -> Vec<Arc<Pod>> {
    let pod = |i| Pod {
        labels: pairs(labels),
        neighbours: neighbours.clone(),
        ..member(&gang_id("job"), "worker", i, amount(1, 100))
    };
    (0..pods).map(|i| Arc::new(pod(i))).collect()
}

/// A pod that has a place.
fn placed(name: &str, node: &str, labels: &[(&str, &str)], neighbours: Neighbours) -> (NodeName, Arc<Pod>) {
    let pod =
        Pod { labels: pairs(labels), neighbours, node: Some(node.into()), ..world::pod(name, amount(0, 0)) };
    (node.into(), Arc::new(pod))
}

fn place(
    nodes: &[Arc<NodeState>],
    members: &[Arc<Pod>],
    others: &[(NodeName, Arc<Pod>)],
) -> Result<Vec<Placement>, Refusal> {
    let apart = others.iter().map(|(_, pod)| pod).filter(|pod| !pod.neighbours.apart.is_empty());
    let around = Neighbourhood::of(members, apart, others.iter().map(|(node, pod)| (node, pod)));
    plan(Site { neighbours: around.as_ref(), ..Site::new(nodes) }, members)
}

/// The nodes used, or the label of the refusal.
fn used(
    nodes: &[Arc<NodeState>],
    members: &[Arc<Pod>],
    others: &[(NodeName, Arc<Pod>)],
) -> Result<Vec<String>, &'static str> {
    let plan = place(nodes, members, others).map_err(|refusal| refusal.label())?;
    let mut used: Vec<String> = plan.iter().map(|p| p.node.as_str().to_owned()).collect();
    used.sort();
    Ok(used)
}

/// Three nodes in two zones.
fn zones() -> Vec<Arc<NodeState>> {
    let in_zone = |name: &str, zone: &str| labelled(name, &[("zone", zone), ("host", name)], 8);
    vec![in_zone("n0", "z1"), in_zone("n1", "z1"), in_zone("n2", "z2")]
}

type Row<'a> = (&'a str, Vec<AffinityTerm>, &'a [(&'a str, &'a str)], Result<Vec<&'a str>, &'a str>);

#[test]
fn affinity_as_in_upstreams_table() {
    let a = [("app", "a")];
    let other = |labels: &[(&str, &str)]| [placed("other", "n2", labels, Neighbours::default())];
    let rows: Vec<Row<'_>> = vec![
        ("the pod wanted is in z2", vec![term("zone", app("s"))], &[("app", "s")], Ok(vec!["n2"])),
        ("no pod is wanted there", vec![term("zone", app("s"))], &[("app", "t")], Err("PodAffinity")),
        (
            "NotIn is met by pods without the label",
            vec![term("zone", PodSelector(Some(vec![requirement("tier", Operator::NotIn, &["x"])])))],
            &[("app", "t")],
            Ok(vec!["n2"]),
        ),
        (
            "all terms must mean the same pod",
            vec![
                term("zone", app("s")),
                term("host", PodSelector(Some(vec![requirement("tier", Operator::Exists, &[])]))),
            ],
            &[("app", "s")],
            Err("PodAffinity"),
        ),
        (
            "the first of a series may go anywhere",
            vec![term("zone", app("a"))],
            &[("app", "t")],
            Ok(vec!["n2"]),
        ),
        ("but only where the label is", vec![term("rack", app("a"))], &[("app", "t")], Err("PodAffinity")),
        ("one of the series is there already", vec![term("zone", app("a"))], &a, Ok(vec!["n2"])),
        ("no selector means no pod", vec![term("zone", PodSelector(None))], &a, Err("PodAffinity")),
        (
            "another namespace is not looked at",
            vec![AffinityTerm {
                namespaces: Namespaces::These(["elsewhere".into()].into()),
                ..term("zone", app("s"))
            }],
            &[("app", "s")],
            Err("PodAffinity"),
        ),
        (
            "all namespaces are",
            vec![AffinityTerm { namespaces: Namespaces::All, ..term("zone", app("s")) }],
            &[("app", "s")],
            Ok(vec!["n2"]),
        ),
    ];
    for (what, terms, labels, expected) in rows {
        let found = used(&zones(), &gang(1, &a, &near(terms)), &other(labels));
        assert_eq!(found, expected.map(|n| n.iter().map(ToString::to_string).collect()), "{what}");
    }
}

#[test]
fn anti_affinity_as_in_upstreams_table() {
    let a = [("app", "a")];
    let own = apart(vec![term("zone", app("s"))]);
    let there = |labels: &[(&str, &str)], neighbours| [placed("other", "n2", labels, neighbours)];
    let none = Neighbours::default;
    let one = |neighbours: &Neighbours, others: &[(NodeName, Arc<Pod>)]| {
        used(&zones(), &gang(1, &a, neighbours), others)
    };
    assert_eq!(one(&own, &there(&[("app", "s")], none())).unwrap(), ["n0"]);
    let everywhere =
        [there(&[("app", "s")], none()), [placed("more", "n1", &[("app", "s")], none())]].concat();
    assert_eq!(one(&own, &everywhere), Err("PodAntiAffinity"));
    // The rule of a pod that is there binds those that come, though they have none themselves.
    let keeps_off = apart(vec![term("zone", app("a"))]);
    let both = [
        there(&[("app", "s")], keeps_off.clone()),
        [placed("more", "n0", &[("app", "s")], keeps_off.clone())],
    ];
    assert_eq!(one(&none(), &both[0]).unwrap(), ["n0"]);
    assert_eq!(one(&none(), &both.concat()), Err("PodAntiAffinityOfOthers"));
    // A node without the label is in no place.
    let bare = [zones(), vec![labelled("n3", &[], 8)]].concat();
    assert_eq!(used(&bare, &gang(1, &a, &none()), &both.concat()).unwrap(), ["n3"]);
    // One that is being deleted still counts.
    let mut ending = there(&[("app", "s")], none());
    Arc::get_mut(&mut ending[0].1).unwrap().terminating = true;
    assert_eq!(one(&own, &ending).unwrap(), ["n0"]);
}

#[test]
fn a_gang_keeps_its_own_rules() {
    let a = [("app", "a")];
    let by_host = apart(vec![term("host", app("a"))]);
    assert_eq!(used(&zones(), &gang(3, &a, &by_host), &[]).unwrap(), ["n0", "n1", "n2"]);
    let refusal = place(&zones(), &gang(4, &a, &by_host), &[]).unwrap_err();
    assert_eq!(refusal.label(), "PodAntiAffinity");
    assert!(refusal.sentence().starts_with("3 of 4 pods have a place; 3 nodes"), "{}", refusal.sentence());
    // z2 comes last by name and is tight, but it is where all of them fit.
    let together = near(vec![term("zone", app("a"))]);
    let small = |name, zone, gpus| labelled(name, &[("zone", zone), ("host", name)], gpus);
    let nodes = [small("n0", "z1", 2), small("n1", "z2", 2), small("n2", "z2", 2), small("n3", "z3", 9)];
    assert_eq!(used(&nodes, &gang(4, &a, &together), &[]).unwrap(), ["n1", "n1", "n2", "n2"]);
    let without_rule = used(&nodes, &gang(20, &a, &together), &[]);
    assert_eq!(without_rule, Err("InsufficientGpus"), "what is missing anyhow is said first");
}

#[test]
fn members_that_others_want_go_first() {
    let id = gang_id("job");
    let ps = Pod { labels: pairs(&[("app", "ps")]), ..member(&id, "ps", 0, amount(0, 100)) };
    let worker = |i| Pod {
        neighbours: near(vec![term("zone", app("ps"))]),
        ..member(&id, "worker", i, amount(4, 100))
    };
    let members = [Arc::new(worker(0)), Arc::new(worker(1)), Arc::new(worker(2)), Arc::new(ps)];
    let plan = place(&zones(), &members, &[]).unwrap();
    assert!(plan.iter().all(|p| p.node.as_str() != "n2"), "three of four GPUs fit into z1 only: {plan:?}");
}

#[test]
fn spread_as_in_upstreams_table() {
    let a = [("app", "a")];
    let count = |nodes: &[&str]| -> Vec<(NodeName, Arc<Pod>)> {
        let one = |(i, node): (usize, &&str)| placed(&format!("old-{i}"), node, &a, Neighbours::default());
        nodes.iter().enumerate().map(one).collect()
    };
    let run = |rules: Spread, pods: u32, others: &[&str]| {
        used(&zones(), &gang(pods, &a, &spreads(vec![rules])), &count(others))
    };
    assert_eq!(run(spread("zone", 1), 1, &["n0"]).unwrap(), ["n2"], "z1 is one ahead");
    assert_eq!(run(spread("zone", 1), 2, &[]).unwrap(), ["n0", "n2"]);
    assert_eq!(run(spread("host", 1), 3, &[]).unwrap(), ["n0", "n1", "n2"]);
    assert_eq!(run(spread("rack", 1), 1, &[]), Err("TopologySpread"), "no node has the label");
    // Two domains, three asked for: the emptiest counts as empty.
    let three = Spread { min_domains: 3, ..spread("zone", 1) };
    assert_eq!(run(three.clone(), 2, &[]).unwrap(), ["n0", "n2"]);
    assert_eq!(run(three, 3, &[]), Err("TopologySpread"));
    // Pods that are not counted do not weigh.
    let others = Spread { pods: app("b"), ..spread("zone", 1) };
    assert_eq!(run(others, 3, &["n0", "n0"]).unwrap(), ["n0", "n0", "n0"]);
}

#[test]
fn spread_counts_the_nodes_that_its_policies_admit() {
    let a = [("app", "a")];
    let only_z1 = Term { expressions: vec![requirement("zone", Operator::In, &["z1"])], fields: vec![] };
    let run = |honour_affinity, members: u32| {
        let rules = spreads(vec![Spread { honour_affinity, ..spread("zone", 1) }]);
        let members: Vec<Arc<Pod>> = gang(members, &a, &rules)
            .iter()
            .map(|pod| {
                let mut pod = Pod::clone(pod);
                pod.constraints.required = Some(vec![only_z1.clone()]);
                Arc::new(pod)
            })
            .collect();
        used(&zones(), &members, &[])
    };
    assert_eq!(run(true, 3).unwrap().len(), 3, "z2 does not count, so z1 is the only domain");
    assert_eq!(run(false, 1).unwrap().len(), 1);
    assert_eq!(run(false, 2), Err("TopologySpread"), "z2 counts and stays empty");
    let taint = Taint { key: "gone".into(), value: "".into(), effect: TaintEffect::NoSchedule };
    let mut nodes = zones();
    nodes[2] = state(Node { taints: vec![taint], ..Node::clone(&nodes[2].node) });
    let tainted = |honour_taints, pods| {
        let rules = spreads(vec![Spread { honour_taints, ..spread("zone", 1) }]);
        used(&nodes, &gang(pods, &a, &rules), &[])
    };
    assert_eq!(tainted(false, 2), Err("TopologySpread"));
    assert_eq!(tainted(true, 2).unwrap().len(), 2);
    // A pod that is being deleted is not counted.
    let mut ending = [placed("old", "n0", &a, Neighbours::default())];
    Arc::get_mut(&mut ending[0].1).unwrap().terminating = true;
    let run = |others: &[_]| used(&zones(), &gang(1, &a, &spreads(vec![spread("zone", 1)])), others).unwrap();
    assert_eq!(run(&ending), ["n0"]);
}

// ---- a checker that follows the rules' words, pod by pod ----

type World = Vec<(usize, Arc<Pod>)>;

fn same_place(nodes: &[Arc<NodeState>], key: &Name, a: usize, b: usize) -> bool {
    let value = |at: usize| nodes[at].node.labels.get(key);
    value(a).is_some() && value(a) == value(b)
}

/// Whether kube-scheduler would let `pod` onto `at` beside `there`.
fn allowed(nodes: &[Arc<NodeState>], there: &World, pod: &Pod, at: usize) -> bool {
    let rules = &pod.neighbours;
    let means_all = |other: &Pod| rules.near.iter().all(|t| t.means(other));
    let near = rules.near.iter().all(|t| {
        nodes[at].node.labels.contains_key(&t.topology_key)
            && there.iter().any(|(o, q)| means_all(q) && same_place(nodes, &t.topology_key, at, *o))
    });
    let labelled = |at: usize| rules.near.iter().any(|t| nodes[at].node.labels.contains_key(&t.topology_key));
    let nobody = !there.iter().any(|(o, q)| means_all(q) && labelled(*o));
    let first = nobody
        && means_all(pod)
        && rules.near.iter().all(|t| nodes[at].node.labels.contains_key(&t.topology_key));
    let clash = |p: &Pod, q: &Pod, o: usize| {
        p.neighbours.apart.iter().any(|t| t.means(q) && same_place(nodes, &t.topology_key, at, o))
    };
    let apart = !there.iter().any(|(o, q)| clash(pod, q, *o) || clash(q, pod, *o));
    (near || first) && apart && rules.spread.iter().all(|s| even(nodes, there, pod, at, s))
}

fn even(nodes: &[Arc<NodeState>], there: &World, pod: &Pod, at: usize, s: &Spread) -> bool {
    let value = |at: usize| nodes[at].node.labels.get(&s.topology_key);
    let Some(here) = value(at) else { return false };
    let all_keys =
        |at: usize| pod.neighbours.spread.iter().all(|s| nodes[at].node.labels.contains_key(&s.topology_key));
    let mut domains: BTreeMap<&Name, u64> = BTreeMap::new();
    for counted in (0..nodes.len()).filter(|n| all_keys(*n)) {
        let pods = there.iter().filter(|(o, q)| *o == counted && s.counts(pod, q)).count() as u64;
        domains.entry(value(counted).unwrap_or(here)).and_modify(|sum| *sum += pods).or_insert(pods);
    }
    let fewest =
        if (domains.len() as u64) < s.min_domains { 0 } else { domains.values().copied().min().unwrap_or(0) };
    let now = domains.get(here).copied().unwrap_or(0) + u64::from(s.pods.admits(&pod.labels));
    now.saturating_sub(fewest) <= s.max_skew
}

/// Whether the pods can be let in one after the other in some order, as planned.
fn in_some_order(nodes: &[Arc<NodeState>], there: &World, plan: &[(usize, Arc<Pod>)]) -> bool {
    plan.is_empty()
        || (0..plan.len()).any(|i| {
            let (at, pod) = &plan[i];
            let (mut now, mut rest) = (there.clone(), plan.to_vec());
            now.push(rest.remove(i));
            allowed(nodes, there, pod, *at) && in_some_order(nodes, &now, &rest)
        })
}

/// Whether the members can be let in at all: every order, every node.
fn at_all(nodes: &[Arc<NodeState>], there: &World, members: &[Arc<Pod>], free: &[u64]) -> bool {
    members.is_empty()
        || (0..members.len()).any(|i| {
            let mut rest = members.to_vec();
            let pod = rest.remove(i);
            (0..nodes.len()).any(|at| {
                let (mut now, mut free) = (there.clone(), free.to_vec());
                if free[at] < pod.request.gpus || !allowed(nodes, there, &pod, at) {
                    return false;
                }
                free[at] -= pod.request.gpus;
                now.push((at, pod.clone()));
                at_all(nodes, &now, &rest, &free)
            })
        })
}

fn any_selector() -> impl Strategy<Value = PodSelector> {
    prop_oneof![Just(app("a")), Just(app("b")), Just(PodSelector(Some(vec![]))), Just(PodSelector(None))]
}

fn any_term() -> impl Strategy<Value = AffinityTerm> {
    (prop_oneof![Just("zone"), Just("host")], any_selector()).prop_map(|(key, pods)| term(key, pods))
}

fn any_rules() -> impl Strategy<Value = Neighbours> {
    let spread = (prop_oneof![Just("zone"), Just("host")], any_selector(), 1u64..3, 1u64..4)
        .prop_map(|(key, pods, skew, min_domains)| Spread { pods, min_domains, ..spread(key, skew) });
    let few = |n| prop::collection::vec(any_term(), 0..n);
    (few(2), few(2), prop::collection::vec(spread, 0..2)).prop_map(|(near, apart, spread)| Neighbours {
        near,
        apart,
        spread,
    })
}

type Template = (&'static str, u64, Neighbours);

fn any_template() -> impl Strategy<Value = Template> {
    (prop_oneof![Just("a"), Just("b")], 0u64..3, any_rules())
}

fn any_nodes() -> impl Strategy<Value = Vec<Arc<NodeState>>> {
    let node = (prop_oneof![Just(None), Just(Some("z1")), Just(Some("z2"))], 0u64..4);
    prop::collection::vec(node, 1..4).prop_map(|nodes| {
        let one = |(i, (zone, gpus)): (usize, &(Option<&str>, u64))| {
            let name = format!("n{i}");
            let zone = zone.map(|zone| ("zone", zone));
            let labels: Vec<(&str, &str)> = zone.into_iter().chain([("host", name.as_str())]).collect();
            labelled(&name, &labels, *gpus)
        };
        nodes.iter().enumerate().map(one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    /// Every plan can be carried out by kube-scheduler in some order, and on so small a case every "no" is true.
    #[test]
    fn plans_keep_the_rules_and_no_means_no(
        nodes in any_nodes(),
        others in prop::collection::vec((any_template(), 0usize..3), 0..3),
        roles in prop::collection::vec((any_template(), 1u32..3), 1..3),
    ) {
        let mut there: World = Vec::new();
        let mut settled: Vec<(NodeName, Arc<Pod>)> = Vec::new();
        for (i, ((label, _, rules), at)) in others.into_iter().enumerate() {
            let at = at % nodes.len();
            let (node, pod) = placed(&format!("old-{i}"), nodes[at].node.name.as_str(), &[("app", label)], rules);
            there.push((at, pod.clone()));
            settled.push((node, pod));
        }
        let mut members: Vec<Arc<Pod>> = Vec::new();
        for (role, ((label, gpus, rules), count)) in roles.into_iter().enumerate() {
            members.extend((0..count).map(|i| Arc::new(Pod {
                labels: pairs(&[("app", label)]),
                neighbours: rules.clone(),
                ..member(&gang_id("job"), &format!("r{role}"), i, amount(gpus, 1))
            })));
        }
        let free: Vec<u64> = nodes.iter().map(|s| s.free.gpus).collect();
        match place(&nodes, &members, &settled) {
            Ok(plan) => {
                let uids: BTreeSet<_> = plan.iter().map(|p| &p.pod).collect();
                prop_assert_eq!(uids.len(), members.len());
                let at = |name: &NodeName| nodes.iter().position(|s| s.node.name == *name).unwrap();
                let pod = |p: &Placement| members.iter().find(|m| m.uid == p.pod).unwrap().clone();
                let plan: World = plan.iter().map(|p| (at(&p.node), pod(p))).collect();
                prop_assert!(in_some_order(&nodes, &there, &plan), "{plan:#?}");
            }
            Err(refusal) => prop_assert!(!at_all(&nodes, &there, &members, &free), "{refusal:?}"),
        }
    }
}
