//! The safety rules as functions that return what is broken. Checked live, in tests and in simulations.
//!
//! A violation is a bug in this crate or a lie of the outside that we failed to contain, never a normal state.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cluster::Cluster;
use crate::gang::Phase;
use crate::ids::{GangId, GpuUuid, NodeName, PodUid};
use crate::ledger::{Account, ClaimKind, Ledger};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// What was found.
    pub found: String,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What we hold never exceeds what a node has.
    NoOvercommit,
    /// A GPU is assumed to be with one pod only.
    OnePodPerGpu,
    /// An account is the sum of its claims.
    AccountsAddUp,
    /// A gang without a plan holds nothing; a hold belongs to a plan or to a Binding on its way.
    WaitingHoldsNothing,
    /// A plan's members hold exactly their places.
    PlanIsHeld,
    /// Nobody is evicted for two gangs, and no leaving pod's room is promised twice.
    OnePreemptor,
}

impl Rule {
    /// Stable name, as in the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Rule::NoOvercommit => "NoOvercommit",
            Rule::OnePodPerGpu => "OnePodPerGpu",
            Rule::AccountsAddUp => "AccountsAddUp",
            Rule::WaitingHoldsNothing => "WaitingHoldsNothing",
            Rule::PlanIsHeld => "PlanIsHeld",
            Rule::OnePreemptor => "OnePreemptor",
        }
    }
}

/// Checks everything.
pub(crate) fn audit(cluster: &Cluster) -> Vec<Violation> {
    let mut found = ledger_violations(cluster.ledger());
    found.extend(overcommits(cluster));
    found.extend(stray_holds(cluster));
    found.extend(unheld_plans(cluster));
    found.extend(shared_promises(cluster));
    found
}

fn violation(rule: Rule, found: String) -> Violation {
    Violation { rule, found }
}

fn ledger_violations(ledger: &Ledger) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut sums: BTreeMap<NodeName, Account> = BTreeMap::new();
    let mut owners: BTreeMap<(NodeName, GpuUuid), PodUid> = BTreeMap::new();
    for (uid, claim) in ledger.claims().iter() {
        let sum = sums.entry(claim.node.clone()).or_default();
        sum.claimed = sum.claimed.plus(claim.amount);
        sum.extras.add(&claim.extras, 1);
        if claim.kind == ClaimKind::Hold {
            sum.held = sum.held.plus(claim.amount);
        }
        for uuid in &claim.gpus {
            sum.gpus.insert(uuid.clone(), uid.clone());
            if let Some(other) = owners.insert((claim.node.clone(), uuid.clone()), uid.clone()) {
                found.push(violation(
                    Rule::OnePodPerGpu,
                    format!("{uuid} on {}: {other} and {uid}", claim.node),
                ));
            }
        }
    }
    for (node, sum) in sums {
        if ledger.account(&node) != sum {
            found.push(violation(
                Rule::AccountsAddUp,
                format!("{node}: {:?} is not {sum:?}", ledger.account(&node)),
            ));
        }
    }
    found
}

/// A hold on a node that has less than is claimed there. (Grants alone may exceed a node that shrank.)
fn overcommits(cluster: &Cluster) -> Vec<Violation> {
    let on_the_way = |uid: &PodUid| cluster.pod_states().get(uid).is_some_and(|s| s.binding);
    let holds =
        cluster.ledger().claims().iter().filter(|(uid, c)| c.kind == ClaimKind::Hold && !on_the_way(uid));
    let over = holds.filter(|(_, c)| {
        cluster.node_states().get(&c.node).is_none_or(|s| s.overdrawn(&c.amount, &c.extras))
    });
    over.map(|(uid, c)| violation(Rule::NoOvercommit, format!("{uid} holds {:?} on {}", c.amount, c.node)))
        .collect()
}

fn stray_holds(cluster: &Cluster) -> Vec<Violation> {
    let planned = |uid: &PodUid| {
        let gang = cluster.pod_states().get(uid).and_then(|s| s.gang.as_ref());
        let plan = gang.and_then(|id| cluster.gangs().get(id)).and_then(|g| g.plan());
        plan.is_some_and(|p| p.places.contains_key(uid))
    };
    let on_the_way = |uid: &PodUid| cluster.pod_states().get(uid).is_some_and(|s| s.binding);
    let holds = cluster.ledger().claims().iter().filter(|(_, c)| c.kind == ClaimKind::Hold);
    let stray = holds.filter(|(uid, _)| !planned(uid) && !on_the_way(uid));
    stray.map(|(uid, c)| violation(Rule::WaitingHoldsNothing, format!("{uid} on {}", c.node))).collect()
}

fn unheld_plans(cluster: &Cluster) -> Vec<Violation> {
    let mut found = Vec::new();
    for gang in cluster.gangs().values() {
        let Phase::Released(plan) = &gang.phase else { continue };
        for (uid, node) in &plan.places {
            if cluster.ledger().claim(uid).is_none_or(|c| c.node != *node) {
                found.push(violation(Rule::PlanIsHeld, format!("{} of {} on {node}", uid, gang.id)));
            }
        }
    }
    found
}

fn shared_promises(cluster: &Cluster) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut evicted: BTreeMap<&PodUid, &GangId> = BTreeMap::new();
    let mut promised: BTreeMap<&PodUid, &GangId> = BTreeMap::new();
    // A gang goes whole: what a victim leaves on a node that its preemptor does not need may be promised to another.
    for promise in cluster.promises() {
        let victims =
            promise.victims.iter().filter_map(|uid| Some((uid, evicted.insert(uid, &promise.gang)?)));
        let leaving = promise.leaving.values().flatten();
        let leaving = leaving.filter_map(|uid| Some((uid, promised.insert(uid, &promise.gang)?)));
        let twice = victims.chain(leaving);
        found.extend(twice.map(|(uid, other)| {
            violation(Rule::OnePreemptor, format!("{uid}: {other} and {}", promise.gang))
        }));
    }
    found
}
