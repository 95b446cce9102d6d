//! What a pod takes of a node besides the counted [`crate::resources::Resources`]: other extended resources (RDMA
//! devices, huge pages, …) and host ports. Most pods take none.
//!
//! A port is taken whatever address it is on: a pod that binds one address keeps others from all, which is
//! harder to place than what kube-scheduler's `NodePorts` asks, never easier.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::Name;

/// A port of the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Name,
    /// Port.
    pub port: u16,
}

/// What one pod takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extras {
    /// Amounts of extended resources by name, none zero.
    pub resources: BTreeMap<Name, u64>,
    /// Host ports.
    pub ports: BTreeSet<HostPort>,
}

/// What several pods take together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtrasSum {
    resources: BTreeMap<Name, u64>,
    ports: BTreeMap<HostPort, u64>,
}

/// What stands in the way of one more pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Of this resource too little is left: asked, left.
    Resource(Name, u64, u64),
    /// Another pod has the port.
    Port(HostPort),
}

impl Extras {
    /// Whether the pod takes nothing of the kind.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.ports.is_empty()
    }
}

impl ExtrasSum {
    /// Adds what so many equal pods take.
    pub fn add(&mut self, extras: &Extras, pods: u64) {
        for (name, amount) in &extras.resources {
            let sum = self.resources.entry(name.clone()).or_default();
            *sum = sum.saturating_add(amount.saturating_mul(pods));
        }
        for port in &extras.ports {
            let sum = self.ports.entry(port.clone()).or_default();
            *sum = sum.saturating_add(pods);
        }
    }

    /// Takes off what one pod took.
    pub fn remove(&mut self, extras: &Extras) {
        for (name, amount) in &extras.resources {
            less(&mut self.resources, name, *amount);
        }
        for port in &extras.ports {
            less(&mut self.ports, port, 1);
        }
    }

    /// The amount of a resource.
    pub fn amount(&self, name: &Name) -> u64 {
        self.resources.get(name).copied().unwrap_or(0)
    }

    /// Whether a port is taken.
    pub fn has(&self, port: &HostPort) -> bool {
        self.ports.contains_key(port)
    }
}

fn less<K: Ord>(sums: &mut BTreeMap<K, u64>, key: &K, amount: u64) {
    let Some(sum) = sums.get_mut(key) else { return };
    *sum = sum.saturating_sub(amount);
    if *sum == 0 {
        sums.remove(key);
    }
}

/// How many pods with these extras fit beside what is taken, on a node that has `all`.
pub(crate) fn copies(extras: &Extras, all: &BTreeMap<Name, u64>, taken: &[&ExtrasSum]) -> u64 {
    let left = |name: &Name| {
        taken
            .iter()
            .fold(all.get(name).copied().unwrap_or(0), |left, sum| left.saturating_sub(sum.amount(name)))
    };
    let by_amount =
        extras.resources.iter().filter_map(|(name, amount)| left(name).checked_div(*amount)).min();
    let free = extras.ports.iter().all(|port| taken.iter().all(|sum| !sum.has(port)));
    // Two equal pods want the same ports.
    let by_port = match (extras.ports.is_empty(), free) {
        (true, _) => u64::MAX,
        (false, true) => 1,
        (false, false) => 0,
    };
    by_amount.unwrap_or(u64::MAX).min(by_port)
}

/// The first thing that keeps one more pod from fitting.
pub(crate) fn lack(extras: &Extras, all: &BTreeMap<Name, u64>, taken: &ExtrasSum) -> Option<Lack> {
    for (name, amount) in &extras.resources {
        let left = all.get(name).copied().unwrap_or(0).saturating_sub(taken.amount(name));
        if *amount > left {
            return Some(Lack::Resource(name.clone(), *amount, left));
        }
    }
    extras.ports.iter().find(|port| taken.has(port)).cloned().map(Lack::Port)
}
